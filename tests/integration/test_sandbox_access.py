"""Every route of the sandbox's servers refuses what comes from pages of other sites.

ClickHouse runs without a password here, so that nothing else can be what refuses.
"""

import re
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.routing import BaseRoute, Mount, Route

from sandbox import docs_site
from sandbox.clickhouse.app import ClickHouseHttp
from sandbox.clickhouse.auth import Account
from sandbox.segment.app import create_app
from tests.processes import free_port, process, sandbox_server, wait_listening

SERVERS = ("clickhouse", "segment", "docs")
METHODS = ("GET", "POST", "DELETE", "OPTIONS")
FOREIGN = {
    "other host": {"host": "evil.example"},
    "other host, port of the server": {"host": "evil.example:{port}"},
    "other port of this machine": {"origin": "http://127.0.0.1:1"},
    "other name of this machine": {"origin": "http://localhost:{port}"},
    "no origin": {"origin": "null"},
    "other scheme": {"origin": "https://127.0.0.1:{port}"},
    "same site": {"sec-fetch-site": "same-site"},
    "cross site": {"sec-fetch-site": "cross-site"},
    "frame": {
        "sec-fetch-site": "cross-site",
        "sec-fetch-mode": "navigate",
        "sec-fetch-dest": "iframe",
    },
}
OWN = (
    {},
    {"origin": "http://127.0.0.1:{port}", "sec-fetch-site": "same-origin"},
    {"sec-fetch-site": "none", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"},
)
LINK = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}


@pytest.fixture(scope="module")
def urls(
    client: httpx.Client, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """The address of each server."""
    directory = tmp_path_factory.mktemp("sandbox")
    site = directory / "docs"
    site.mkdir()
    (site / "index.html").write_text("<title>dbt Docs</title>")
    (site / "manifest.json").write_text("{}")
    (directory / "secret.txt").write_text("secret")
    (site / "link.txt").symlink_to(directory / "secret.txt")
    port = free_port()
    docs = [sys.executable, "-m", "sandbox.docs_site", "--path", str(site), "--port", str(port)]
    with ExitStack() as stack:
        running = stack.enter_context(process(docs, directory / "docs.log"))
        wait_listening(running, port, directory / "docs.log")
        found = {"docs": f"http://127.0.0.1:{port}"}
        for name, options in (("clickhouse", ["--no-password"]), ("segment", [])):
            server = sandbox_server(f"sandbox.{name}", directory / name, *options)
            found[name] = stack.enter_context(server)[1]
        ask(client, found["clickhouse"], "CREATE TABLE t (a Int8) ENGINE = Memory")
        yield found


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False) as opened:
        yield opened


def ask(client: httpx.Client, url: str, sql: str) -> str:
    answer = client.post(url, content=sql)
    assert answer.status_code == 200, answer.text
    return answer.text


def paths(routes: list[BaseRoute], prefix: str = "") -> Iterator[str]:
    """Every path of an application, with something in the place of a parameter."""
    for route in routes:
        if isinstance(route, Mount):
            yield from (
                paths(list(route.routes), prefix + route.path)
                if route.routes
                else (f"{prefix}{route.path}/manifest.json",)
            )
        else:
            path = cast(Route, route).path
            yield prefix + path.replace("{key}", "k").replace("{call}", "track")


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """The paths of each server; one that is nowhere is among them."""
    directory = tmp_path_factory.mktemp("routes")
    clickhouse = ClickHouseHttp(cast(Any, None), Account("default", "")).asgi()
    apps = {
        "clickhouse": clickhouse,
        "segment": create_app(directory),
        "docs": docs_site.create_app(directory),
    }
    return {name: [*paths(app.routes), "/nowhere"] for name, app in apps.items()}


def headers(given: dict[str, str], url: str) -> dict[str, str]:
    port = str(urlsplit(url).port)
    return {name: value.replace("{port}", port) for name, value in given.items()}


def test_the_list_of_routes_is_that_of_the_servers(routes: dict[str, list[str]]) -> None:
    assert {"/", "/ping", "/replicas_status"} <= set(routes["clickhouse"])
    assert {"/v1/track", "/token", "/api/messages", "/api/faults", "/"} <= set(routes["segment"])
    assert {"/health", "/manifest.json"} <= set(routes["docs"])


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("foreign", FOREIGN)
def test_every_route_refuses(
    client: httpx.Client,
    urls: dict[str, str],
    routes: dict[str, list[str]],
    server: str,
    foreign: str,
) -> None:
    url = urls[server]
    body = "INSERT INTO t VALUES (1)" if server == "clickhouse" else '{"writeKey":"k"}'
    params = {"query": "SELECT 1"} if server == "clickhouse" else None
    given = headers(FOREIGN[foreign], url) | {"content-type": "text/plain"}
    for path in routes[server]:
        for method in METHODS:
            answer = client.request(method, url + path, content=body, params=params, headers=given)
            assert answer.status_code == 403, f"{method} {path}: {answer.text}"
    assert ask(client, urls["clickhouse"], "SELECT count() FROM t") == "0\n"
    stats = client.get(f"{urls['segment']}/api/stats").json()
    assert (stats["requests"], stats["fault_steps"], stats["unusual_settings"]) == (0, 0, {})


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_every_route_takes_what_is_its_own(
    client: httpx.Client, urls: dict[str, str], routes: dict[str, list[str]], server: str, host: str
) -> None:
    url = urls[server].replace("127.0.0.1", host)
    for own in OWN:
        given = {name: value.replace("127.0.0.1", host) for name, value in own.items()}
        for path in routes[server]:
            answer = client.get(url + path, headers=headers(given, url))
            assert answer.status_code != 403, f"{path}: {answer.text}"


@pytest.mark.parametrize(
    ("server", "pages"),
    [("clickhouse", set()), ("segment", {"/"}), ("docs", {"/", "/index.html"})],
)
def test_a_link_opens_pages_only(
    client: httpx.Client,
    urls: dict[str, str],
    routes: dict[str, list[str]],
    server: str,
    pages: set[str],
) -> None:
    for path in {*routes[server], *pages}:
        answer = client.get(urls[server] + path, headers=LINK)
        assert answer.status_code == (200 if path in pages else 403), path


def connect(url: str) -> socket.socket:
    parts = urlsplit(url)
    return socket.create_connection((str(parts.hostname), parts.port or 80), timeout=10)


def exchange(url: str, *requests: str) -> bytes:
    """What a server answers to raw requests on one connection, and to a last one that closes it."""
    last = "GET /nowhere HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with connect(url) as wire:
        wire.sendall("".join([*requests, last]).encode())
        answer = b""
        while block := wire.recv(65536):
            answer += block
    return answer


def statuses(answer: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", answer)]


@pytest.mark.parametrize("server", SERVERS)
def test_on_the_wire(urls: dict[str, str], server: str) -> None:
    url = urls[server]
    good = "GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n"
    foreign = good.replace("localhost", "localhost\r\nOrigin: http://evil.example")
    # Each request of a connection is looked at.
    assert statuses(exchange(url, good, foreign)) == [404, 403, 404]
    # The body of a refused request is no request.
    smuggled = f"POST / HTTP/1.1\r\nHost: evil.example\r\nContent-Length: {len(good)}\r\n\r\n{good}"
    assert statuses(exchange(url, smuggled)) == [403, 404]
    # Two names, and none at all as in HTTP/1.0.
    twice = exchange(url, good.replace("localhost", "localhost\r\nHost: localhost"))
    assert statuses(twice)[0] in (400, 403)
    assert b" 403 " in exchange(url, "GET /ping HTTP/1.0\r\n\r\n")
    socket_headers = (
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    )
    upgrade = foreign.replace("\r\n\r\n", f"\r\n{socket_headers}\r\n\r\n")
    with connect(url) as wire:
        wire.sendall(upgrade.encode())
        assert statuses(wire.recv(65536)) == [403]


@pytest.mark.parametrize("module", ["sandbox.clickhouse", "sandbox.segment"])
def test_allow_host(tmp_path: Path, module: str) -> None:
    with sandbox_server(module, tmp_path / "data", "--allow-host", "box.example") as (_, url):
        path = f"{url}/{'ping' if module == 'sandbox.clickhouse' else 'health'}"
        for host, status in (("box.example:80", 200), ("localhost", 200), ("evil.example", 403)):
            answer = httpx.get(path, headers={"host": host}, trust_env=False)
            assert answer.status_code == status


def test_the_docs_site_serves_its_directory_only(urls: dict[str, str]) -> None:
    assert "dbt Docs" in httpx.get(urls["docs"], trust_env=False).text
    for path in ("/../secret.txt", "/%2e%2e/secret.txt", "/..%2fsecret.txt", "/link.txt", "//etc/"):
        answer = exchange(urls["docs"], f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert statuses(answer) == [404, 404]
        assert b"secret" not in answer
