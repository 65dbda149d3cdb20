"""The debugger page in Chromium."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, Page, expect

from tests.conftest import SegmentServer

pytestmark = pytest.mark.browser

HOSTILE = "<img src=x onerror=document.title='owned'>"


@pytest.fixture
def server(segment_server: SegmentServer) -> SegmentServer:
    segment_server.reset()
    return segment_server


@pytest.fixture
def page(browser: Browser, server: SegmentServer) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1360, "height": 860})
    errors: list[str] = []
    foreign: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda text: errors.append(text.text) if text.type == "error" else None)
    page.on(
        "request",
        lambda asked: (
            None if asked.url.startswith((server.url, "data:")) else foreign.append(asked.url)
        ),
    )
    yield page
    page.close()
    assert errors == []
    assert foreign == []


def track(message_id: str, **fields: Any) -> dict[str, Any]:
    message = {"type": "track", "event": "Order Completed", "userId": "1", "messageId": message_id}
    return message | fields


def send(server: SegmentServer, *messages: Any) -> None:
    batch = {"batch": messages, "writeKey": "some-key"}
    requests.post(f"{server.url}/v1/batch", json=batch, timeout=10).raise_for_status()


def count(page: Page, name: str) -> Any:
    return expect(page.locator(f"[data-count={name}]"))


def rows(page: Page) -> Any:
    return page.locator("#messages li")


def test_new_messages_appear_by_themselves(page: Page, server: SegmentServer) -> None:
    page.goto(server.url)
    expect(page.get_by_text("Nothing has arrived yet")).to_be_visible()
    send(server, track("a"), track("a"), track("b", userId=""))
    count(page, "received").to_have_text("3")
    count(page, "unique").to_have_text("1")
    count(page, "duplicates").to_have_text("1")
    count(page, "dropped").to_have_text("1")
    expect(rows(page)).to_have_count(3)
    expect(page.get_by_text("Nothing has arrived yet")).to_be_hidden()
    send(server, track("c"))
    expect(rows(page)).to_have_count(4)


def test_a_message_is_shown_digit_for_digit(page: Page, server: SegmentServer) -> None:
    raw = (
        '{"type":"track","event":"E","userId":"1","messageId":"m","properties":'
        '{"total":12.50,"big":12345678901234567890.10,"name":"\\u017dofie \\u202e","none":[],'
        '"gift":true}}'
    )
    body = f'{{"batch":[{raw}],"writeKey":"k"}}'
    requests.post(f"{server.url}/v1/batch", data=body, timeout=10).raise_for_status()
    page.goto(server.url)
    rows(page).first.click()
    shown = page.locator("#json")
    expect(shown).to_contain_text('"total": 12.50,')
    expect(shown).to_contain_text('"big": 12345678901234567890.10,')
    expect(shown).to_contain_text('"name": "Žofie \\u202e",')
    expect(shown).to_contain_text('"none": [],')
    expect(page.locator("#facts")).to_contain_text("accepted")
    page.get_by_role("button", name="Close").click()
    expect(shown).to_be_hidden()


def test_what_was_dropped_says_why(page: Page, server: SegmentServer) -> None:
    send(server, track("a"), track("b", userId=""), track("c", properties=[]))
    server.fault({"status": 503})
    requests.post(f"{server.url}/v1/batch", data="{}", timeout=10)
    page.goto(server.url)
    page.locator("#codes").get_by_role("button", name="properties_not_object").click()
    expect(rows(page)).to_have_count(1)
    rows(page).first.click()
    facts = page.locator("#facts")
    expect(facts).to_contain_text("properties_not_object. properties is not a JSON object.")
    expect(page.locator("#failures")).to_contain_text("answer 503")
    expect(page.locator("#failures")).to_contain_text("refused by the fault script")


def test_search_and_filters(page: Page, server: SegmentServer) -> None:
    identify = {"type": "identify", "userId": "anna", "messageId": "first"}
    send(server, identify, track("second"), track("third", event="Order Refunded"), track("third"))
    page.goto(server.url)
    search = page.get_by_role("searchbox")
    for text, found in (("ANNA", 1), ("order", 3), ("third", 2), ("nothing like it", 0)):
        search.fill(text)
        expect(rows(page)).to_have_count(found)
    page.get_by_role("button", name="Clear the filters").click()
    expect(rows(page)).to_have_count(4)
    page.locator("#chips").get_by_role("button", name="Order Refunded 1").click()
    expect(rows(page)).to_have_count(1)
    page.locator("[data-state=duplicate]").click()
    expect(rows(page)).to_have_count(0)
    page.reload()
    expect(page.locator("[data-state=duplicate]")).to_have_attribute("aria-pressed", "true")


def test_the_search_reads_contents(page: Page, server: SegmentServer) -> None:
    send(server, track("a", properties={"order_id": "4711"}), track("b"))
    page.goto(server.url)
    page.get_by_role("searchbox").fill("4711")
    expect(rows(page)).to_have_count(1)


def test_it_says_when_it_misbehaves(page: Page, server: SegmentServer) -> None:
    page.goto(server.url)
    expect(page.locator("#mode")).to_be_hidden()
    server.fault({"status": 503}, {"status": 400, "match": "poison"})
    server.configure(events_per_second=50, suppressed_users=["1", "2"])
    expect(page.locator("#mode")).to_have_text(
        "2 faults scripted, suppressed users: 2, events per second: 50"
    )
    server.reset()
    expect(page.locator("#mode")).to_be_hidden()


def test_the_keyboard_is_enough(page: Page, server: SegmentServer) -> None:
    send(server, track("a", event="First"), track("b", event="Second"), track("c", event="Third"))
    page.goto(server.url)
    expect(rows(page)).to_have_count(3)
    title = page.locator("#detail-title")
    page.keyboard.press("ArrowDown")
    expect(title).to_have_text("Third")
    page.keyboard.press("ArrowDown")
    expect(title).to_have_text("Second")
    send(server, track("d", event="Fourth"))
    expect(rows(page)).to_have_count(4)
    expect(page.locator("#messages li[aria-current] button")).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(title).to_have_text("Third")
    page.keyboard.press("Escape")
    expect(page.locator("#json")).to_be_hidden()
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.type("first")
    expect(rows(page)).to_have_count(1)
    page.keyboard.press("Escape")
    expect(rows(page)).to_have_count(4)


def test_a_view_can_be_linked_to(page: Page, server: SegmentServer) -> None:
    send(server, track("a"), track("b", event="Other"))
    seq = server.messages(messageId="b")[0]["seq"]
    page.goto(f"{server.url}/#state=accepted&event=Other&seq={seq}")
    expect(rows(page)).to_have_count(1)
    expect(page.locator("#detail-title")).to_have_text("Other")


def test_hostile_messages_stay_text(page: Page, server: SegmentServer) -> None:
    ids = {"event": HOSTILE, "userId": f"</script>{HOSTILE}", "properties": {HOSTILE: HOSTILE}}
    send(server, track(HOSTILE, **ids), track("b", type=HOSTILE))
    page.goto(server.url)
    expect(rows(page)).to_have_count(2)
    for row in rows(page).all():
        row.click()
    expect(page.locator("#detail-title")).to_have_text(HOSTILE)
    assert page.locator("img").count() == 0
    assert page.title() == "Segment sandbox"


def test_pause_forget_and_more(page: Page, server: SegmentServer) -> None:
    send(server, *(track(str(n)) for n in range(150)))
    page.goto(server.url)
    expect(rows(page)).to_have_count(100)
    page.get_by_role("button", name="Show more").click()
    expect(rows(page)).to_have_count(150)
    page.get_by_role("button", name="Pause").click()
    send(server, track("later"))
    expect(page.get_by_text("Paused")).to_be_visible()
    page.wait_for_timeout(1_500)
    count(page, "received").to_have_text("150")
    page.get_by_role("button", name="Resume").click()
    count(page, "received").to_have_text("151")
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Forget all").click()
    expect(page.get_by_text("Nothing has arrived yet")).to_be_visible()


@pytest.mark.parametrize("width", [360, 1360])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_fits_and_can_be_read(page: Page, server: SegmentServer, width: int, scheme: Any) -> None:
    long = "x" * 400
    send(server, track("a", event=long, userId=long, properties={long: long}), track("b", event=""))
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(server.url)
    rows(page).last.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    server.configure(suppressed_users=["1"])
    expect(page.locator("#mode")).to_be_visible()
    for selector in (
        "h1",
        "#mode",
        ".who",
        ".why",
        "dd",
        "#json .key",
        "#json .text",
        ".tiles span",
    ):
        assert contrast(page, selector) >= 4.5, selector


def contrast(page: Page, selector: str) -> float:
    """WCAG contrast between a text and the first opaque background behind it."""
    return float(
        page.locator(selector).first.evaluate(
            """(element) => {
              const rgb = (color) => color.match(/[\\d.]+/g).map(Number);
              const light = ([r, g, b]) => [r, g, b]
                .map((v) => v / 255)
                .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
                .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
              let behind = element;
              while (rgb(getComputedStyle(behind).backgroundColor)[3] === 0) {
                behind = behind.parentElement;
              }
              const [a, b] = [getComputedStyle(element).color,
                getComputedStyle(behind).backgroundColor].map((color) => light(rgb(color)));
              return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
            }"""
        )
    )
