"""Regions and the namespace, as far as they can be told without a server."""

import pytest

from luigi_tasks import config
from luigi_tasks.errors import ConfigurationError
from luigi_tasks.segment import oauth, readiness


@pytest.mark.parametrize(
    ("wanted", "host", "other"),
    [
        ("api.segment.io/v1", "https://api.segment.io", False),
        ("events.eu1.segmentapis.com/v1", "https://api.segment.io", True),
        ("api.segment.io/v1", "https://events.eu1.segmentapis.com", True),
        ("events.eu1.segmentapis.com/v1", "https://eu1.api.segmentapis.com", False),
        ("events.eu1.segmentapis.com/v1", "https://segment.shop.example", False),
        ("events.shop.example/v1", "https://api.segment.io", False),
        ("127.0.0.1:8765/v1", "http://127.0.0.1:8765", False),
    ],
)
def test_regions(wanted: str, host: str, other: bool) -> None:
    assert readiness.is_other_region(wanted, host) is other


@pytest.mark.parametrize(
    ("host", "cdn", "token_server"),
    [
        ("https://api.segment.io", config.SEGMENT_CDN, oauth.US_SERVER),
        ("https://events.eu1.segmentapis.com", config.SEGMENT_CDN, oauth.EU_SERVER),
        ("http://127.0.0.1:8765", "http://127.0.0.1:8765", "http://127.0.0.1:8765"),
    ],
)
def test_addresses_follow_the_region(
    host: str, cdn: str, token_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGMENT_HOST", host)
    assert config.segment_cdn() == cdn
    assert oauth.server(config.segment()) == token_server


@pytest.mark.parametrize(
    ("host", "namespace", "refused"),
    [
        ("https://api.segment.io", "", True),
        ("https://api.segment.io", "retailpro-sandbox", True),
        ("https://api.segment.io", "retailpro-shop-prod", False),
        ("http://127.0.0.1:8765", "", False),
    ],
)
def test_the_placeholder_is_for_the_sandbox(
    host: str, namespace: str, refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGMENT_HOST", host)
    monkeypatch.setenv("SEGMENT_NAMESPACE", namespace)
    if refused:
        with pytest.raises(ConfigurationError, match="SEGMENT_NAMESPACE"):
            readiness.check_namespace()
    else:
        readiness.check_namespace()
