"""What is checked before sending, against a CDN that can be put wrong; and OAuth."""

import logging
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from luigi_tasks.errors import ConfigurationError, CredentialsRefusedError
from luigi_tasks.segment import endpoint as segment
from luigi_tasks.segment import readiness
from luigi_tasks.segment.endpoint import Outcome
from tests.conftest import SegmentServer
from tests.processes import free_port

KEY = "known-key"
MESSAGE = '{"messageId": "m1", "type": "track", "userId": "1", "event": "Order Completed"}'


@pytest.fixture(autouse=True)
def workspace(segment_server: SegmentServer, monkeypatch: pytest.MonkeyPatch) -> SegmentServer:
    """A workspace with one source."""
    segment_server.reset()
    segment_server.configure(write_keys=[KEY])
    monkeypatch.setenv("SEGMENT_HOST", segment_server.url)
    monkeypatch.setenv("SEGMENT_WRITE_KEY", KEY)
    return segment_server


def test_a_known_key_passes(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        readiness.check(KEY)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_an_unknown_key_is_refused_and_never_shown(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(CredentialsRefusedError, match="does not know the write key") as caught:
        readiness.check("another/very-secret-key")
    assert "very-secret" not in str(caught.value) + caplog.text


def test_the_check_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness.config.readiness(), "check_source", False)
    readiness.check("another-key")


@pytest.mark.parametrize("step", [{"status": 503}, {"status": 302}, {"status": 403}])
def test_a_cdn_that_says_nothing_is_reported(
    step: dict[str, object], workspace: SegmentServer, caplog: pytest.LogCaptureFixture
) -> None:
    workspace.fault({**step, "at": "settings"})
    readiness.check(KEY)
    assert "the write key could not be checked" in caplog.text


def test_a_cdn_that_is_away_is_reported_without_the_key(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SEGMENT_CDN_HOST", f"http://127.0.0.1:{free_port()}")
    readiness.check(KEY)
    assert "cannot be reached (ConnectionError): the write key" in caplog.text
    assert KEY not in caplog.text


def test_the_other_region_is_refused(
    workspace: SegmentServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.configure(api_host="events.eu1.segmentapis.com/v1")
    readiness.check(KEY)  # The sandbox has no region.
    monkeypatch.setenv("SEGMENT_HOST", "https://api.segment.io")
    monkeypatch.setenv("SEGMENT_CDN_HOST", workspace.url)
    with pytest.raises(ConfigurationError, match=r"belongs to https://events.eu1.segmentapis.com"):
        readiness._check_source(KEY)


@pytest.fixture
def oauth(
    workspace: SegmentServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> SegmentServer:
    """A workspace that demands OAuth, and its application in the environment."""
    key = rsa.generate_private_key(65537, 2048)
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    file = tmp_path / "key.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    client = {"client_id": "app", "key_id": "key-1", "public_key": public.decode()}
    workspace.configure(oauth_clients=[client])
    monkeypatch.setenv("SEGMENT_OAUTH_CLIENT_ID", "app")
    monkeypatch.setenv("SEGMENT_OAUTH_KEY_ID", "key-1")
    monkeypatch.setenv("SEGMENT_OAUTH_KEY_FILE", str(file))
    return workspace


def test_oauth_sends_with_a_token(oauth: SegmentServer) -> None:
    assert segment.Endpoint(KEY).send([MESSAGE]).verdict.outcome is Outcome.ACCEPTED
    [arrived] = oauth.messages()
    assert "bearer" in arrived["request"]["auth"]


def test_oauth_fetches_another_token_when_one_has_run_out(oauth: SegmentServer) -> None:
    assert segment.Endpoint(KEY).send([MESSAGE]).verdict.outcome is Outcome.ACCEPTED
    oauth.fault({"status": 401})
    verdict = segment.Endpoint(KEY).send([MESSAGE.replace("m1", "m2")]).verdict
    assert verdict.outcome is Outcome.ACCEPTED


def test_oauth_that_is_refused_stops_the_run(
    oauth: SegmentServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGMENT_OAUTH_KEY_ID", "key-2")
    verdict = segment.Endpoint(KEY).send([MESSAGE]).verdict
    assert (verdict.reason_code, verdict.refuses_us) == ("oauth_refused", True)
    assert oauth.stats()["received"] == 0


@pytest.mark.parametrize("step", [{"status": 400, "body": "[]"}, {"status": 503, "times": 5}])
def test_a_token_server_out_of_order_is_a_passing_failure(
    step: dict[str, object], oauth: SegmentServer
) -> None:
    oauth.fault({**step, "at": "token"})
    verdict = segment.Endpoint(KEY).send([MESSAGE]).verdict
    assert (verdict.reason_code, verdict.outcome) == ("oauth_unavailable", Outcome.RETRYABLE)


def test_half_of_oauth_is_a_setting_to_correct(
    oauth: SegmentServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGMENT_OAUTH_KEY_FILE", "/dev/null")
    with pytest.raises(ConfigurationError, match="no private key"):
        segment.Endpoint(KEY).send([MESSAGE])
    monkeypatch.setenv("SEGMENT_OAUTH_KEY_FILE", "")
    with pytest.raises(ConfigurationError, match="Set all three"):
        segment.Endpoint(KEY).send([MESSAGE])
