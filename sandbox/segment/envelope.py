"""Reads a request body and keeps each message's JSON text exactly as it arrived.

Parsing a number and writing it again can change it (``12.50`` becomes ``12.5``, a long decimal
loses digits). So the messages are cut out of the body's text instead of being rendered anew.
"""

import json
import re
from dataclasses import dataclass
from typing import Any, NoReturn

_WHITESPACE = re.compile(r"[ \t\n\r]*")


class BadJSONError(ValueError):
    """The body is not a JSON object in UTF-8."""


@dataclass(frozen=True)
class Item:
    """One message: its text as it arrived, and the parsed value.

    Integers are parsed as floats: only the types are looked at, and a number of any length passes.
    """

    raw: str
    value: Any


@dataclass(frozen=True)
class Envelope:
    """The top level of a body.

    Attributes:
        fields: Every top-level field except a ``batch`` array.
        items: The members of the ``batch`` array, or None when there is no such array.
    """

    fields: dict[str, Any]
    items: list[Item] | None


def _refuse_constant(name: str) -> NoReturn:
    raise BadJSONError(f"{name} is not JSON")


_decoder = json.JSONDecoder(parse_constant=_refuse_constant, parse_int=float)


def parse_item(body: bytes) -> Item:
    """Reads a body that is one message.

    Raises:
        BadJSONError: The body is not a JSON object in UTF-8.
    """
    text = _decode(body)
    try:
        value = _decoder.decode(text)
    except (ValueError, RecursionError) as error:
        raise BadJSONError(str(error)) from error
    if not isinstance(value, dict):
        raise BadJSONError("the body is not a JSON object")
    return Item(text.strip(" \t\n\r"), value)


def parse_batch(body: bytes) -> Envelope:
    """Reads a batch body: ``{"batch": [message, …], "writeKey": …}``.

    Raises:
        BadJSONError: The body is not a JSON object in UTF-8.
    """
    text = _decode(body)
    try:
        return _scan_object(text)
    except (ValueError, RecursionError) as error:
        raise BadJSONError(str(error)) from error


def _decode(body: bytes) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadJSONError("the body is not UTF-8") from error


def _skip(text: str, at: int) -> int:
    match = _WHITESPACE.match(text, at)
    return match.end() if match else at


def _expect(text: str, at: int, allowed: str) -> int:
    """Returns the place of the next non-blank character, which must be one of ``allowed``."""
    at = _skip(text, at)
    if text[at : at + 1] not in tuple(allowed):
        raise BadJSONError(f"expected one of {' '.join(allowed)} at character {at}")
    return at


def _scan_object(text: str) -> Envelope:
    fields: dict[str, Any] = {}
    items: list[Item] | None = None
    at = _skip(text, _expect(text, 0, "{") + 1)
    closed = text[at : at + 1] == "}"
    while not closed:
        key, at = _decoder.raw_decode(text, _expect(text, at, '"'))
        at = _skip(text, _expect(text, at, ":") + 1)
        if key == "batch" and text[at : at + 1] == "[":
            items, at = _scan_array(text, at)
        else:
            fields[key], at = _decoder.raw_decode(text, at)
        at = _expect(text, at, ",}")
        closed = text[at] == "}"
        at += 0 if closed else 1
    if _skip(text, at + 1) != len(text):
        raise BadJSONError(f"text after the end of the object at character {at + 1}")
    return Envelope(fields, items)


def _scan_array(text: str, at: int) -> tuple[list[Item], int]:
    """Reads the array that opens at ``at``; returns its items and the place after it."""
    items: list[Item] = []
    at = _skip(text, at + 1)
    if text[at : at + 1] == "]":
        return items, at + 1
    while True:
        start = _skip(text, at)
        value, end = _decoder.raw_decode(text, start)
        items.append(Item(text[start:end], value))
        at = _expect(text, end, ",]")
        if text[at] == "]":
            return items, at + 1
        at += 1
