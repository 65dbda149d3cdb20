"""Both transports make the same request, but for the encoding of the messages."""

import contextlib
import json
from typing import Any

import pytest
import requests
from segment.analytics import request
from segment.analytics.oauth_manager import OauthManager

from luigi_tasks.segment.message_size import MAX_MESSAGE_BYTES
from luigi_tasks.segment.transport import TRANSPORTS, Address
from tests.unit.outbox_rows import body

KEY = 'key "with" marks/ü'
TEXTS = [
    json.dumps(body(properties={"name": "Müller 😀", "total": 12.5}), ensure_ascii=False),
    json.dumps(body(userId="2"), separators=(",", ":")),
]


class Tokens(OauthManager):
    """Gives tokens without a server."""

    def __init__(self) -> None:
        self.cleared = 0

    def get_token(self) -> str:
        """A token."""
        return "token"

    def clear_token(self) -> None:
        """Counts."""
        self.cleared += 1


class Server:
    """What the SDK's session sends, with how."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, status: int = 200) -> None:
        self.requests: list[requests.PreparedRequest] = []
        self.options: list[dict[str, Any]] = []
        self._status = status
        monkeypatch.setattr(request._session, "send", self.send)

    def send(self, prepared: requests.PreparedRequest, **options: Any) -> requests.Response:
        """Answers."""
        self.requests.append(prepared)
        self.options.append(options)
        answer = requests.Response()
        answer.status_code = self._status
        return answer


def parsed(prepared: requests.PreparedRequest) -> dict[str, Any]:
    """The body without the time."""
    found = json.loads(prepared.body or "")
    assert found.pop("sentAt").endswith("+00:00")
    return dict(found)


@pytest.mark.parametrize("host", ["https://api.segment.io", "http://127.0.0.1:8765/"])
@pytest.mark.parametrize("tokens", [None, Tokens()])
@pytest.mark.parametrize("retries", [0, 3])
def test_the_requests_differ_in_nothing_that_segment_sees(
    host: str, tokens: Tokens | None, retries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server(monkeypatch)
    for transport in TRANSPORTS.values():
        transport(Address(host, KEY, (1, 2), tokens)).post(TEXTS, retries)
    sdk, wire = server.requests
    assert (wire.method, wire.url) == (sdk.method, sdk.url)
    assert dict(wire.headers) | {"Content-Length": ""} == dict(sdk.headers) | {"Content-Length": ""}
    assert int(wire.headers["Content-Length"]) == len(wire.body or b"")
    assert parsed(wire) == parsed(sdk)
    assert [*json.loads(wire.body or "")] == [*json.loads(sdk.body or "")]
    first, second = server.options
    first.pop("allow_redirects")  # Its default.
    assert second == first


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("é" * 10_000, id="escapes"),
        pytest.param('","' * 6_000, id="no more than escapes of quotes"),
        pytest.param("a, b: c " * 4_060, id="as large as it may be"),
    ],
)
def test_a_batch_that_the_sdk_would_make_too_large_goes_out_by_wire(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server(monkeypatch)
    large = json.dumps(body(properties={"name": name}), ensure_ascii=False, separators=(",", ":"))
    in_its_form = len(json.dumps(json.loads(large)))
    assert len(large.encode()) <= MAX_MESSAGE_BYTES
    TRANSPORTS["sdk"](Address("http://127.0.0.1", KEY, (1, 1))).post([*TEXTS, large], 0)
    [sent] = server.requests
    text = sent.body if isinstance(sent.body, bytes) else (sent.body or "").encode()
    goes_by_wire = large.encode() in text
    assert goes_by_wire == (in_its_form > MAX_MESSAGE_BYTES)
    assert parsed(sent)["batch"] == [json.loads(text) for text in [*TEXTS, large]]


def test_the_text_of_a_message_is_not_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(monkeypatch)
    TRANSPORTS["wire"](Address("http://127.0.0.1", KEY, (1, 1))).post(TEXTS, 0)
    assert all(text.encode() in bytes(server.requests[0].body or b"") for text in TEXTS)


def test_a_header_of_one_request_is_not_in_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(monkeypatch)
    wire = TRANSPORTS["wire"](Address("http://127.0.0.1", KEY, (1, 1)))
    wire.post(TEXTS, 2)
    wire.post(TEXTS, 0)
    assert server.requests[0].headers["X-Retry-Count"] == "2"
    assert "X-Retry-Count" not in server.requests[1].headers


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 500, 511])
def test_a_token_is_dropped_after_the_same_answers(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    Server(monkeypatch, status)
    cleared = []
    for transport in TRANSPORTS.values():
        tokens = Tokens()
        with contextlib.suppress(request.APIError):
            transport(Address("http://127.0.0.1", KEY, (1, 1), tokens)).post(TEXTS, 0)
        cleared.append(tokens.cleared)
    assert cleared[0] == cleared[1]
