"""Luigi's page in Chromium: it works behind the gate, and another site's page does nothing."""

import functools
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.test_debugger_page import HOSTILE
from tests.conftest import LuigiServer

pytestmark = pytest.mark.browser

TASK = "Hostile_1"
ATTACK = """<!doctype html><meta charset="utf-8"><title>waiting</title>
<form id="form" method="post" enctype="text/plain"></form>
<iframe name="frame"></iframe>
<script>
const call = TARGET + "/api/update_resource?data=" +
  encodeURIComponent(JSON.stringify({resource: "taken", amount: 0}));
const image = () => new Promise(done => {
  const element = new Image();
  element.onload = element.onerror = done;
  element.src = call;
});
const asked = () => fetch(call, {mode: "no-cors", method: "POST", body: "data={}"});
const read = () => fetch(TARGET + "/api/resource_list").then(answer => answer.text());
const submit = () => new Promise(done => {
  document.querySelector("iframe").onload = done;
  const form = document.getElementById("form");
  form.action = call;
  form.target = "frame";
  form.submit();
});
(async () => {
  await image();
  await asked().catch(() => null);
  await submit();
  document.title = await read().then(() => "read", () => "refused");
})();
</script>"""


def call(server: LuigiServer, method: str, **arguments: object) -> object:
    answer = httpx.get(
        f"{server.url}/api/{method}", params={"data": json.dumps(arguments)}, trust_env=False
    )
    answer.raise_for_status()
    return answer.json()["response"]


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1360, "height": 860})
    yield page
    page.close()


@pytest.fixture
def other_site(luigid: LuigiServer, tmp_path: Path) -> Iterator[str]:
    """A web page on another port that attacks luigid as soon as it is opened."""
    (tmp_path / "index.html").write_text(ATTACK.replace("TARGET", json.dumps(luigid.url)))
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_a_page_of_another_site_changes_nothing(
    page: Page, other_site: str, luigid: LuigiServer
) -> None:
    refused: list[int] = []
    page.on(
        "response",
        lambda answer: refused.append(answer.status) if luigid.url in answer.url else None,
    )
    page.goto(other_site)
    page.wait_for_function("document.title != 'waiting'")
    assert page.title() == "refused"
    assert set(refused) == {403}
    assert "taken" not in str(call(luigid, "resource_list"))
    call(luigid, "update_resource", resource="taken", amount=0)
    assert "taken" in str(call(luigid, "resource_list")), "the call itself is right"


def test_a_hostile_message_of_a_task_is_shown_and_does_nothing(
    page: Page, luigid: LuigiServer
) -> None:
    call(luigid, "add_task", worker="w", task_id=TASK, family="Hostile", params={"x": HOSTILE})
    call(luigid, "add_task", worker="w", task_id=TASK, status="RUNNING")
    call(luigid, "set_task_status_message", task_id=TASK, status_message=HOSTILE)
    refused: list[str] = []
    page.on("console", lambda line: refused.append(line.text) if line.type == "error" else None)
    page.goto(f"{luigid.url}/static/visualiser/index.html")
    row = page.locator("#taskTable tbody tr", has_text="Hostile")
    expect(row).to_be_visible()
    row.locator(".statusMessage").click()
    expect(page.locator("#statusMessageModal")).to_be_visible()
    page.wait_for_timeout(500)  # for what must not happen
    assert page.title() == "Luigi Task Visualiser"
    assert any("Content Security Policy" in line for line in refused)
    call(luigid, "add_task", worker="w", task_id=TASK, status="DONE")


def test_a_link_on_another_site_opens_the_page(
    page: Page, luigid: LuigiServer, tmp_path: Path
) -> None:
    page.set_content(f'<a href="{luigid.url}/">Luigi</a>')
    page.get_by_text("Luigi").click()
    expect(page).to_have_title("Luigi Task Visualiser")
