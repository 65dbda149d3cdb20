"""Who may send a request to the sandbox's servers."""

import argparse

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from sandbox.guard import Guard, add_option, allowed_names

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
PASSED, REFUSED = 200, 403
LINK = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}


async def passed(_request: Request) -> Response:
    return PlainTextResponse("passed")


@pytest.fixture
def client() -> TestClient:
    app = Starlette(routes=[Route("/{path:path}", passed, methods=METHODS)])
    guarded = Guard(app, names=["ClickHouse.Example", "192.0.2.7", "fe80::1"], pages=["/", "/page"])
    return TestClient(guarded, base_url="http://127.0.0.1:8123")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", PASSED),
        ("127.0.0.1:8123", PASSED),
        ("127.8.9.10:1", PASSED),
        ("localhost:49152", PASSED),
        ("LOCALHOST", PASSED),
        ("[::1]:8123", PASSED),
        ("[::1]", PASSED),
        ("clickhouse.example:8123", PASSED),
        ("192.0.2.7", PASSED),
        ("[fe80::1]:8123", PASSED),
        ("", REFUSED),
        ("evil.example", REFUSED),
        ("evil.example:8123", REFUSED),
        ("localhost.evil.example", REFUSED),
        ("127.0.0.1.evil.example", REFUSED),
        ("sub.clickhouse.example", REFUSED),
        ("0.0.0.0:8123", REFUSED),
        ("[::]:8123", REFUSED),
        ("192.0.2.8", REFUSED),
        ("localhost@evil.example", REFUSED),
        ("evil.example@localhost", REFUSED),
        ("evil.example#localhost", REFUSED),
        ("evil.example/localhost", REFUSED),
        ("localhost, evil.example", REFUSED),
        ("localhost evil.example", REFUSED),
        ("localhost:8123:1", REFUSED),
        ("localhost:port", REFUSED),
        ("localhost:\u0661".encode("utf-8"), REFUSED),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_host(client: TestClient, method: str, host: "str | bytes", status: int) -> None:
    assert client.request(method, "/", headers=[("host", host)]).status_code == status


@pytest.mark.parametrize("hosts", [[], ["localhost", "localhost"], ["localhost", "evil.example"]])
@pytest.mark.anyio
async def test_other_than_one_host(hosts: list[str]) -> None:
    scope = {"type": "http", "scheme": "http", "method": "GET", "path": "/", "extensions": {}}
    scope["headers"] = [(b"host", host.encode()) for host in hosts]
    sent: list[dict] = []

    async def receive() -> dict:
        return {"type": "http.request"}

    async def send(message: dict) -> None:
        sent.append(message)

    await Guard(Starlette())(scope, receive, send)
    assert sent[0]["status"] == REFUSED


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1:8123", PASSED),
        ("HTTP://127.0.0.1:8123", PASSED),
        ("http://localhost:8123", REFUSED),  # another name is another site
        ("http://127.0.0.1:8124", REFUSED),
        ("http://127.0.0.1", REFUSED),
        ("https://127.0.0.1:8123", REFUSED),
        ("https://evil.example", REFUSED),
        ("http://127.0.0.1:8123.evil.example", REFUSED),
        ("http://127.0.0.1:8123, http://evil.example", REFUSED),
        ("chrome-extension://abcdef", REFUSED),
        ("file://", REFUSED),
        ("null", REFUSED),
        ("", REFUSED),
    ],
)
@pytest.mark.parametrize("method", METHODS)
def test_origin(client: TestClient, method: str, origin: str, status: int) -> None:
    assert client.request(method, "/x", headers={"origin": origin}).status_code == status


def test_programs_say_less_than_browsers(client: TestClient) -> None:
    assert (
        client.post("/", headers={"sec-fetch-mode": "cors"}).status_code == PASSED
    )  # Node's fetch


def test_one_foreign_value_among_good_ones_is_enough(client: TestClient) -> None:
    origins = [("origin", "http://127.0.0.1:8123"), ("origin", "http://evil.example")]
    sites = [("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")]
    assert client.post("/", headers=origins).status_code == REFUSED
    assert client.post("/", headers=sites).status_code == REFUSED


@pytest.mark.parametrize(
    ("site", "status"),
    [
        ("same-origin", PASSED),
        ("none", PASSED),
        ("same-site", REFUSED),
        ("cross-site", REFUSED),
        ("", REFUSED),
        ("None", REFUSED),
        ("something-new", REFUSED),
    ],
)
@pytest.mark.parametrize("method", METHODS)
def test_sec_fetch_site(client: TestClient, method: str, site: str, status: int) -> None:
    headers = {"sec-fetch-site": site, "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}
    assert client.request(method, "/", headers=headers).status_code == status


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_link_may_lead_to_a_page(client: TestClient, site: str) -> None:
    link = LINK | {"sec-fetch-site": site}
    assert client.get("/", headers=link).status_code == PASSED
    assert client.get("/page?q=1", headers=link).status_code == PASSED
    assert client.get("/api", headers=link).status_code == REFUSED
    assert client.post("/", headers=link).status_code == REFUSED
    assert client.get("/", headers=link | {"origin": "null"}).status_code == REFUSED
    assert client.get("/", headers=link | {"host": "evil.example"}).status_code == REFUSED
    for dest in ("iframe", "frame", "object", "embed", "script", "empty", ""):
        assert client.get("/", headers=link | {"sec-fetch-dest": dest}).status_code == REFUSED
    for mode in ("no-cors", "cors", "websocket", ""):
        assert client.get("/", headers=link | {"sec-fetch-mode": mode}).status_code == REFUSED


def test_the_answer_says_what_to_do_and_shows_no_raw_text(client: TestClient) -> None:
    answer = client.get("/", headers=[("host", "ev\u00edl\x1b[31m".encode("latin-1"))])
    assert "--allow-host NAME" in answer.text
    assert r"l\x1b[31m'" in answer.text
    assert answer.text.isascii()
    assert answer.headers["content-type"].startswith("text/plain")


def options(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    add_option(parser)
    return parser.parse_args(arguments)


def test_allow_host() -> None:
    assert allowed_names(options("--allow-host", "a.example", "--allow-host", "[fe80::1]")) == [
        *("a.example", "fe80::1", "127.0.0.1")
    ]
    assert allowed_names(options("--host", "192.0.2.7")) == ["192.0.2.7"]
    assert allowed_names(options("--host", "0.0.0.0")) == []  # noqa: S104
    assert allowed_names(options("--host", "::")) == []


@pytest.mark.parametrize("text", ["", "*", "a.example:80", "http://a.example", "a b", "ä.example"])
def test_allow_host_refuses_what_is_no_name(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        options("--allow-host", text)
    assert "is no host name; give it without a port" in capsys.readouterr().err
