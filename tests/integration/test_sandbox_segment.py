"""The Segment sandbox as a process of its own, with Segment's own SDK posting to it."""

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from segment.analytics import Client
from segment.analytics.oauth_manager import OauthManager
from segment.analytics.request import APIError, post

from tests.conftest import SegmentServer
from tests.processes import START_SECONDS, clean_environment, sandbox_server


@pytest.fixture
def server(segment_server: SegmentServer) -> SegmentServer:
    segment_server.reset()
    return segment_server


def track(message_id: str) -> dict[str, Any]:
    return {"type": "track", "event": "Order Completed", "userId": "1", "messageId": message_id}


def send(server: SegmentServer, *messages: dict[str, Any], **options: Any) -> requests.Response:
    return post("some-key", server.url, batch=list(messages), **options)


@pytest.mark.parametrize("gzip", [False, True])
def test_the_sdk_client_delivers(server: SegmentServer, gzip: bool) -> None:
    client = Client("some-key", host=server.url, gzip=gzip, upload_size=10)
    for number in range(25):
        client.track(str(number), "Order Completed", {"total": Decimal("12.5"), "gift": None})
    client.identify("1", {"firstName": "Žofie"})
    client.shutdown()
    stats = server.stats()
    assert stats["by_type"] == {"track": 25, "identify": 1}
    assert stats["requests"] >= 3
    identify = server.messages(type="identify")[0]
    assert identify["message"]["traits"] == {"firstName": "Žofie"}
    assert identify["request"]["sentAt"]
    assert identify["request"]["auth"] == "body"


def test_the_sdk_transport_sees_the_limits(server: SegmentServer) -> None:
    big = track("big") | {"properties": {"fill": "x" * 33_000}}
    with pytest.raises(APIError) as refused:
        send(server, big)
    assert refused.value.status == 400
    with pytest.raises(APIError) as refused:
        send(server, *(track(str(n)) | {"properties": {"f": "x" * 30_000}} for n in range(60)))
    assert refused.value.status == 400
    assert server.stats()["received"] == 0


def test_duplicates_are_recorded(server: SegmentServer) -> None:
    for _ in range(2):
        assert send(server, track("a"), track("b")).json() == {"success": True}
    assert [m["state"] for m in server.messages()] == ["accepted"] * 2 + ["duplicate"] * 2


def test_reset_before_and_after_the_messages_are_stored(server: SegmentServer) -> None:
    server.fault({"reset": "before"}, {"reset": "after"})
    for name in ("before", "after"):
        with pytest.raises(requests.ConnectionError, match=r"(?i)reset|aborted"):
            send(server, track(name))
    assert [message["messageId"] for message in server.messages()] == ["after"]
    send(server, track("before"), track("after"))
    stats = server.stats()
    assert (stats["unique"], stats["duplicates"]) == (2, 1)


def test_a_client_that_gives_up_waiting_has_delivered(server: SegmentServer) -> None:
    server.fault({"delay_s": 2})
    with pytest.raises(requests.Timeout):
        send(server, track("slow"), timeout=0.3)
    assert server.stats()["unique"] == 1


def test_an_answer_that_breaks_off(server: SegmentServer) -> None:
    server.fault({"truncate": True})
    with pytest.raises(requests.RequestException):
        send(server, track("m"))
    assert send(server, track("m")).json() == {"success": True}
    stats = server.stats()
    assert (stats["unique"], stats["duplicates"]) == (1, 1)


def connect(server: SegmentServer) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", server.port)) == 0


def test_an_outage_refuses_connections_and_ends(server: SegmentServer) -> None:
    began = time.monotonic()
    with httpx.Client(trust_env=False) as kept:
        kept.get(f"{server.url}/health")
        kept.post(f"{server.url}/api/faults", json={"script": [{"refuse": True, "for_s": 1}]})
        assert not connect(server)
        with pytest.raises(httpx.ReadError):
            kept.post(f"{server.url}/v1/batch", json={"batch": [track("m")]}, auth=("k", ""))
        while not connect(server):
            assert time.monotonic() < began + 5
            time.sleep(0.02)
    assert time.monotonic() - began >= 0.95
    assert send(server, track("m")).json() == {"success": True}
    assert server.stats()["unique"] == 1


def test_a_second_outage_takes_the_place_of_the_first(server: SegmentServer) -> None:
    with httpx.Client(trust_env=False) as kept:
        for seconds in (60, 0.3):
            outage = {"script": [{"refuse": True, "for_s": seconds}]}
            kept.post(f"{server.url}/api/faults", json=outage).raise_for_status()
            assert not connect(server)
    time.sleep(0.5)
    assert connect(server)


@pytest.fixture
def oauth(server: SegmentServer) -> Iterator[OauthManager]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    client = {"client_id": "app", "key_id": "key-1", "public_key": public.decode()}
    server.configure(oauth_clients=[client])
    manager = OauthManager("app", key, "key-1", auth_server=server.url)
    yield manager
    if manager.thread:
        manager.thread.cancel()


def test_the_sdk_gets_a_token(server: SegmentServer, oauth: OauthManager) -> None:
    with pytest.raises(APIError) as refused:
        send(server, track("m"))
    assert refused.value.status == 401
    assert send(server, track("m"), oauth_manager=oauth).json() == {"success": True}
    assert server.requests()[0]["auth"] == "bearer"


def test_the_sdk_corrects_its_clock_by_the_date_header(
    server: SegmentServer, oauth: OauthManager
) -> None:
    server.configure(clock_offset_s=600)
    assert send(server, track("m"), oauth_manager=oauth).json() == {"success": True}
    assert oauth.clock_skew == pytest.approx(-600, abs=3)


def test_retry_after_reaches_the_sdk(server: SegmentServer) -> None:
    server.fault({"status": 429, "retry_after": 3})
    with pytest.raises(APIError) as limited:
        send(server, track("m"))
    assert limited.value.status == 429
    assert limited.value.response.headers["Retry-After"] == "3"


def test_senders_in_parallel_do_not_share_an_id(server: SegmentServer) -> None:
    def sender() -> None:
        for start in range(0, 200, 20):
            send(server, *(track(str(n)) for n in range(start, start + 20)))

    threads = [threading.Thread(target=sender) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stats = server.stats()
    assert (stats["received"], stats["unique"], stats["duplicates"]) == (800, 200, 600)


def send_until_it_breaks(url: str, answered: list[str]) -> None:
    for number in range(1_000_000):
        ids = [f"{number}-{part}" for part in range(5)]
        post("some-key", url, batch=[track(message_id) for message_id in ids])
        answered += ids


def test_every_answered_message_survives_kill_9(tmp_path: Path) -> None:
    answered: list[str] = []
    with sandbox_server("sandbox.segment", tmp_path) as (process, url):
        threading.Timer(0.7, process.kill).start()
        with pytest.raises(requests.RequestException):
            send_until_it_breaks(url, answered)
    assert answered
    with sandbox_server("sandbox.segment", tmp_path) as (_, url):
        kept = SegmentServer(url, 0).messages()
    stored = [message["messageId"] for message in kept]
    # At most the one batch that was stored and not yet answered.
    assert stored[: len(answered)] == answered
    assert len(stored) - len(answered) in (0, 5)


def test_sigterm_ends_it_cleanly(tmp_path: Path) -> None:
    with (
        sandbox_server("sandbox.segment", tmp_path) as (process, url),
        httpx.Client(trust_env=False) as client,
    ):
        assert client.get(f"{url}/health").json() == {"service": "sandbox.segment"}
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert "Traceback" not in (tmp_path / "server.log").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["segment.sqlite", "server.log"]


def test_known_write_keys(tmp_path: Path) -> None:
    with sandbox_server("sandbox.segment", tmp_path, "--write-key", "known") as (_, url):
        for key in ("known", "unknown"):
            assert post(key, url, batch=[track(key)]).json() == {"success": True}
        assert SegmentServer(url, 0).stats()["by_code"] == {"project_not_found": 1}


def run(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sandbox.segment", *options],
        env=clean_environment() | environment,
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )


def test_a_taken_port_is_named(server: SegmentServer, tmp_path: Path) -> None:
    port = urlsplit(server.url).port
    ended = run("--path", str(tmp_path), SEGMENT_PORT=str(port))
    assert ended.returncode == 1
    assert f"127.0.0.1:{port}" in ended.stderr
    assert "SEGMENT_PORT" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_help() -> None:
    ended = run("--help")
    assert ended.returncode == 0
    assert "--write-key" in ended.stdout
