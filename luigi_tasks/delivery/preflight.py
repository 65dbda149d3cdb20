"""The check before sending: everything that Segment would drop after answering 200.

Segment's "failed on ingest" codes and limits that can be told from the message alone. A message
that fails is not sent; it gets a ledger row with status `rejected`, the code and the detail.

The rules are those of this module. ClickHouse looks at every page first and marks the messages that
would certainly pass (`is_plain`, in the query outbox_page); of those only the size is left to check
here. What it has doubts about is parsed and checked in full.

    code                    the message ...
    message_unreadable      is not a JSON object, or holds NaN, Infinity or half a character
    number_inexact          holds a decimal that would change on its way through a float
    message_id_invalid      has no messageId, or one of more than 100 characters
    message_id_mismatch     carries another messageId than its row, so the ledger would be wrong
    call_mismatch           is of another type than its row
    user_missing            has neither userId nor anonymousId
    user_invalid            has a userId or anonymousId that is not a text, or is empty
    event_missing           is a track call without an event name
    properties_not_object   has properties that are not an object
    traits_not_object       has traits that are not an object
    message_too_large       is larger than 32 KB as ClickHouse rendered it, in UTF-8
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple, NoReturn

from luigi_tasks.delivery.outbox import OutboxRow
from luigi_tasks.segment.message_size import (
    MAX_MESSAGE_BYTES,
    most_sdk_bytes,
    rendered_bytes,
    sdk_bytes,
)

LONGEST_MESSAGE_ID = 100

Body = dict[str, Any]


class Ready(NamedTuple):
    """A message that may be sent.

    Attributes:
        row: Its row in the outbox; a message that was parsed here is rendered again.
        size: Bytes of the message as the SDK encodes it, or a few more; never less than the text
            has.
    """

    row: OutboxRow
    size: int


@dataclass(frozen=True)
class Refusal:
    """A message that must not be sent, and why."""

    row: OutboxRow
    reason_code: str
    detail: str


class _Refused(Exception):  # noqa: N818 - not an error: the answer to a check
    def __init__(self, reason_code: str, detail: str) -> None:
        super().__init__(reason_code)
        self.reason_code = reason_code
        self.detail = detail


def check(row: OutboxRow) -> Ready | Refusal:
    """Return the message ready to be sent, or the reason why it must not be sent."""
    if row.is_plain and rendered_bytes(row.message) <= MAX_MESSAGE_BYTES:
        return Ready(row, most_sdk_bytes(row.message))
    try:
        body = _parse(row.message)
        _check_identity(row, body)
        _check_user(body)
        _check_content(row.call, body)
        message = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
        _check_size(message)
        return Ready(row._replace(message=message), sdk_bytes(body))
    except _Refused as refused:
        return Refusal(row, refused.reason_code, refused.detail)


def _parse(message: str) -> Body:
    try:
        body = json.loads(message, parse_float=_exact_float, parse_constant=_refuse_constant)
        # A lone surrogate is valid in JSON's escapes, but no text that a receiver can store.
        json.dumps(body, ensure_ascii=False).encode()
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise _Refused("message_unreadable", f"not readable as JSON: {error}") from error
    if not isinstance(body, dict):
        raise _Refused("message_unreadable", "not a JSON object")
    return body


def _exact_float(text: str) -> float:
    """Numbers are exact decimals in the database; the SDK would send them as floats."""
    number = float(text)
    if Decimal(repr(number)) != Decimal(text):
        raise _Refused("number_inexact", f"{text} would arrive as {number!r}")
    return number


def _refuse_constant(text: str) -> NoReturn:
    raise _Refused("message_unreadable", f"{text} is not valid JSON")


def _check_identity(row: OutboxRow, body: Body) -> None:
    message_id = body.get("messageId")
    if not isinstance(message_id, str) or not 0 < len(message_id) <= LONGEST_MESSAGE_ID:
        raise _Refused(
            "message_id_invalid",
            f"messageId must be a text of 1 to {LONGEST_MESSAGE_ID} characters",
        )
    if message_id != row.message_id:
        raise _Refused("message_id_mismatch", f"messageId is not {row.message_id}")
    if body.get("type") != row.call:
        raise _Refused("call_mismatch", f"type is {body.get('type')!r}, not {row.call!r}")


def _check_user(body: Body) -> None:
    ids = {name: body[name] for name in ("userId", "anonymousId") if body.get(name) is not None}
    if not ids:
        raise _Refused("user_missing", "neither userId nor anonymousId")
    for name, value in ids.items():
        if not isinstance(value, str) or not value.strip():
            raise _Refused("user_invalid", f"{name} must be a text that is not empty")


def _check_content(call: str, body: Body) -> None:
    if call == "track":
        event = body.get("event")
        if not isinstance(event, str) or not event.strip():
            raise _Refused("event_missing", "event must be a text that is not empty")
    for name in ("properties", "traits"):
        if name in body and not isinstance(body[name], dict):
            raise _Refused(f"{name}_not_object", f"{name} must be an object")


def _check_size(message: str) -> None:
    size = rendered_bytes(message)
    if size > MAX_MESSAGE_BYTES:
        raise _Refused("message_too_large", f"{size:,} bytes; Segment takes {MAX_MESSAGE_BYTES:,}")
