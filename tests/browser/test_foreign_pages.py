"""Pages of other sites, in Chromium, and the sandbox's servers.

ClickHouse runs without a password here, so that nothing else can be what refuses.
"""

import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from playwright.sync_api import Browser, Page

from tests.processes import free_port, process, sandbox_server, wait_listening

pytestmark = pytest.mark.browser

INSERT = "INSERT INTO t VALUES (1)"
ATTACK = """async ([url, body]) => {
  const plain = {"Content-Type": "text/plain"};
  const tries = [
    fetch(url, {mode: "no-cors", method: "POST", headers: plain, body}),
    fetch(url, {mode: "no-cors"}),
    fetch(url, {method: "POST", headers: plain, body}),
    fetch(url, {method: "DELETE"}),
    fetch(url, {credentials: "include", mode: "no-cors", method: "POST", body}),
    new Promise((done) => {
      const image = new Image();
      image.onload = image.onerror = done;
      image.src = url;
    }),
    new Promise((done) => {
      const script = document.createElement("script");
      script.onload = script.onerror = done;
      script.src = url;
      document.head.append(script);
    }),
    new Promise((done) => {
      const socket = new WebSocket(url.replace("http:", "ws:"));
      socket.onopen = socket.onclose = done;
    }),
    ...["get", "post"].map((method) => new Promise((done) => {
      const frame = document.createElement("iframe");
      frame.name = method;
      document.body.append(frame);
      frame.onload = done;
      const form = document.createElement("form");
      Object.assign(form, {action: url, method, enctype: "text/plain", target: method});
      const field = document.createElement("input");
      const half = body.length / 2;
      Object.assign(field, {name: body.slice(0, half), value: body.slice(half)});
      form.append(field);
      document.body.append(form);
      form.submit();
    })),
  ];
  navigator.sendBeacon(url, body);
  await Promise.allSettled(tries);
}"""


@dataclass(frozen=True)
class Servers:
    """The addresses of the sandbox's servers, and of a site of somebody else."""

    clickhouse: str
    segment: str
    docs: str
    foreign: str

    def rows(self) -> str:
        """How many rows ClickHouse's table has."""
        return httpx.post(
            self.clickhouse, content="SELECT count() FROM t", trust_env=False
        ).text.strip()

    def segment_state(self) -> tuple[object, ...]:
        """What a request to Segment would have changed."""
        stats = httpx.get(f"{self.segment}/api/stats", trust_env=False).json()
        return stats["requests"], stats["received"], stats["fault_steps"]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    directory = tmp_path_factory.mktemp("sandbox")
    (directory / "index.html").write_text("<!doctype html><title>dbt Docs</title>")
    port = free_port()
    docs = [sys.executable, "-m", "sandbox.docs_site", "--path", str(directory)]
    foreign = ThreadingHTTPServer(("127.0.0.1", 0), _Foreign)
    threading.Thread(target=foreign.serve_forever, daemon=True).start()
    with ExitStack() as stack:
        stack.callback(foreign.shutdown)
        log = directory / "docs.log"
        wait_listening(stack.enter_context(process([*docs, "--port", str(port)], log)), port, log)
        clickhouse = sandbox_server("sandbox.clickhouse", directory / "c", "--no-password")
        segment = sandbox_server("sandbox.segment", directory / "s")
        found = Servers(
            stack.enter_context(clickhouse)[1],
            stack.enter_context(segment)[1],
            f"http://127.0.0.1:{port}",
            f"http://127.0.0.1:{foreign.server_address[1]}",
        )
        sql = "CREATE TABLE t (a Int8) ENGINE = Memory"
        httpx.post(found.clickhouse, content=sql, trust_env=False).raise_for_status()
        yield found


class _Foreign(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>foreign</title><body>")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page()
    yield page
    page.close()


def renamed(url: str, name: str) -> str:
    return url.replace("127.0.0.1", name)


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "evil.example"])
def test_a_foreign_page_changes_nothing(page: Page, servers: Servers, name: str) -> None:
    answers: list[tuple[str, int]] = []
    page.on("response", lambda answer: answers.append((answer.url, answer.status)))
    body = '{"writeKey":"k","batch":[{"type":"track","event":"e","userId":"u"}]}'
    targets = {
        f"{servers.clickhouse}/?query=INSERT%20INTO%20t%20VALUES%20(2)": " ",
        f"{servers.clickhouse}/": INSERT,
        f"{servers.segment}/v1/batch": body,
        f"{servers.segment}/api/faults": '{"script":[{"status":500}]}',
        f"{servers.segment}/api/messages": "",
        f"{servers.docs}/manifest.json": "",
    }
    for url, sent in targets.items():
        answers.clear()
        page.goto(renamed(servers.foreign, name))
        page.evaluate(ATTACK, [url, sent])
        statuses = [status for answered, status in answers if answered.startswith(url)]
        assert len(statuses) >= 6, url
        assert set(statuses) == {403}, url
    assert servers.rows() == "0"
    assert servers.segment_state() == (0, 0, 0)


@pytest.mark.parametrize("server", ["clickhouse", "segment", "docs"])
def test_a_name_that_leads_to_this_machine_reads_nothing(
    page: Page, servers: Servers, server: str
) -> None:
    address = getattr(servers, server)
    for path in ("/", "/ping", "/api/messages", "/manifest.json"):
        answer = page.goto(renamed(address, "evil.example") + path)
        assert answer is not None
        assert answer.status == 403
    # The page of that name can ask its own origin whatever it wants.
    status = page.evaluate(
        "async (body) => (await fetch('/', {method: 'POST', body})).status", INSERT
    )
    assert status == 403
    assert servers.rows() == "0"


def test_a_link_opens_a_page_and_nothing_else(page: Page, servers: Servers) -> None:
    query = f"{servers.clickhouse}/?query=SELECT%201"
    for url, title in (
        (servers.segment, "Segment sandbox"),
        (servers.docs, "dbt Docs"),
        (query, ""),
        (f"{servers.segment}/api/messages", ""),
    ):
        page.goto(renamed(servers.foreign, "evil.example"))
        page.evaluate("url => document.body.innerHTML = `<a href='${url}'>open</a>`", url)
        with page.expect_response(lambda answer: answer.request.is_navigation_request()) as found:
            page.get_by_text("open").click()
        assert found.value.status == (200 if title else 403)
        page.wait_for_load_state()
        assert page.title() == title


def test_typed_by_a_person(page: Page, servers: Servers) -> None:
    answer = page.goto(f"{servers.clickhouse}/ping")
    assert answer is not None
    assert answer.text() == "Ok.\n"
