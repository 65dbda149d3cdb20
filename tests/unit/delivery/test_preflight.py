"""Everything that Segment would drop silently is found before sending, by name."""

import json
from typing import Any

import pytest

from luigi_tasks.delivery import preflight
from luigi_tasks.delivery.preflight import Ready, Refusal
from luigi_tasks.segment.message_size import MAX_MESSAGE_BYTES, most_sdk_bytes, rendered_bytes
from tests.unit.outbox_rows import body, row


def compact(message: dict[str, Any]) -> str:
    """A message as ClickHouse renders it."""
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"))


def test_a_good_message_is_ready_with_the_size_of_its_encoding() -> None:
    message = body(properties={"name": "Müller 漢字 😀", "total": 12.5})
    checked = preflight.check(row(json.dumps(message, ensure_ascii=False)))
    assert isinstance(checked, Ready)
    assert checked.row.message == compact(message)
    assert checked.size == len(json.dumps(message))


@pytest.mark.parametrize("name", ["a", "Müller", "漢字", "😀", "a, b: c", 'say "\\"', "\x7f", "/"])
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_the_size_of_a_plain_message_is_never_too_small(
    name: str, separators: tuple[str, str]
) -> None:
    message = body(properties={"name": name * 100, "total": 12.5})
    text = json.dumps(message, ensure_ascii=False, separators=separators)
    if "\x7f" in name:
        text = json.dumps(message)
    size = most_sdk_bytes(text)
    assert size >= len(text.encode())
    assert size >= len(json.dumps(message))


def test_a_plain_message_goes_out_as_it_is() -> None:
    plain = row('{"messageId":"as ClickHouse rendered it"}')._replace(is_plain=True)
    checked = preflight.check(plain)
    assert isinstance(checked, Ready)
    assert checked.row is plain


def test_a_plain_message_is_measured_as_it_was_rendered() -> None:
    padded = compact(body(properties={"name": "a,b:" * 8000}))
    assert rendered_bytes(padded) < MAX_MESSAGE_BYTES < most_sdk_bytes(padded)
    checked = preflight.check(row(padded)._replace(is_plain=True))
    assert isinstance(checked, Ready)
    assert checked.size == most_sdk_bytes(padded)


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("message_id_invalid", {"messageId": ...}),
        ("message_id_invalid", {"messageId": None}),
        ("message_id_invalid", {"messageId": ""}),
        ("message_id_invalid", {"messageId": 7}),
        ("message_id_invalid", {"messageId": "a" * 101}),
        ("message_id_mismatch", {"messageId": "f" * 32}),
        ("user_missing", {"userId": ...}),
        ("user_missing", {"userId": None}),
        ("user_invalid", {"userId": ""}),
        ("user_invalid", {"userId": "  "}),
        ("user_invalid", {"userId": 5001}),
        ("user_invalid", {"userId": True}),
        ("user_invalid", {"userId": ..., "anonymousId": ""}),
        ("user_invalid", {"userId": ..., "anonymousId": ["a"]}),
        ("user_invalid", {"anonymousId": 3}),
        ("event_missing", {"event": ...}),
        ("event_missing", {"event": None}),
        ("event_missing", {"event": ""}),
        ("event_missing", {"event": 1}),
        ("properties_not_object", {"properties": []}),
        ("properties_not_object", {"properties": "a"}),
        ("properties_not_object", {"properties": None}),
        ("traits_not_object", {"traits": 5}),
    ],
)
def test_a_bad_field_is_refused(code: str, changes: dict[str, Any]) -> None:
    checked = preflight.check(row(**changes))
    assert isinstance(checked, Refusal)
    assert checked.reason_code == code
    assert checked.detail


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not json",
        "[]",
        "null",
        '{"messageId": NaN}',
        '{"properties": {"total": Infinity}}',
        '{"properties": {"total": -Infinity}}',
        '{"properties": {"name": "\\ud800"}}',
        '{"a": ' * 200_000 + "1" + "}" * 200_000,
        '{"a": ' + "9" * 5000 + "}",
    ],
)
def test_unreadable_text_is_refused(text: str) -> None:
    checked = preflight.check(row(text))
    assert isinstance(checked, Refusal)
    assert checked.reason_code == "message_unreadable"


def with_total(number: str) -> str:
    return json.dumps(body(properties={"total": "?"})).replace('"?"', number)


@pytest.mark.parametrize(
    "number", ["0", "12.5", "12.50", "0.1", "-0.0", "1234567.89", "1e3", "9007199254740993"]
)
def test_a_number_that_stays_the_same_is_sent(number: str) -> None:
    assert isinstance(preflight.check(row(with_total(number))), Ready)


@pytest.mark.parametrize(
    "number", ["12345678901234567.89", "0.12345678901234567891", "1e400", "1e999999999999999999999"]
)
def test_a_number_that_a_float_would_change_is_refused(number: str) -> None:
    checked = preflight.check(row(with_total(number)))
    assert isinstance(checked, Refusal)
    assert checked.reason_code in {"number_inexact", "message_unreadable"}
    assert "message_unreadable" not in checked.reason_code or "99999" in number


def test_the_row_and_the_message_must_be_of_one_type() -> None:
    checked = preflight.check(row(json.dumps(body(type="identify"))))
    assert isinstance(checked, Refusal)
    assert checked.reason_code == "call_mismatch"


def test_identify_needs_no_event() -> None:
    checked = preflight.check(row(call="identify", event=..., properties=..., traits={"a": 1}))
    assert isinstance(checked, Ready)


def test_an_anonymous_message_is_sent() -> None:
    assert isinstance(preflight.check(row(userId=..., anonymousId="store-1")), Ready)


@pytest.mark.parametrize(("extra", "fits"), [(0, True), (1, False)])
@pytest.mark.parametrize("is_plain", [True, False])
@pytest.mark.parametrize("letter", ["x", "é", "漢", "😀"])
def test_the_limit_of_32_kb_holds_for_the_bytes_of_utf_8(
    letter: str, is_plain: bool, extra: int, fits: bool
) -> None:
    room = MAX_MESSAGE_BYTES - len(compact(body(properties={"name": ""})))
    size = len(letter.encode())
    name = letter * (room // size) + "x" * (room % size + extra)
    message = row(compact(body(properties={"name": name})))._replace(is_plain=is_plain)
    checked = preflight.check(message)
    assert isinstance(checked, Ready) == fits
    if isinstance(checked, Refusal):
        assert checked.reason_code == "message_too_large"
