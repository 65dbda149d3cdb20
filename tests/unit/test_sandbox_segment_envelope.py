"""Cutting messages out of a body without changing a character."""

import json
from typing import Any

import pytest

from sandbox.segment.envelope import BadJSONError, parse_batch, parse_item


def test_the_text_of_a_message_is_kept() -> None:
    first = '{ "total":12.50,"big":12345678901234567890.10, "e":1e3,"t":"\\u00e9 é ]}" }'
    second = "[1,\n2]"
    body = f' {{"sentAt" : "now", "batch":[ {first} ,{second}\n], "writeKey":"k"}} \n'
    envelope = parse_batch(body.encode())
    assert envelope.items is not None
    assert [item.raw for item in envelope.items] == [first, second]
    assert envelope.items[0].value["t"] == "é é ]}"
    assert envelope.fields == {"sentAt": "now", "writeKey": "k"}


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"batch": []},
        {"batch": [{}]},
        {"batch": [1, "a", None, [], {"batch": [1]}], "context": {"batch": [2]}},
        {"batch": {"not": "an array"}},
        {"batch": None, "integrations": {"All": True}},
    ],
)
@pytest.mark.parametrize("indent", [None, 2])
def test_agrees_with_the_json_module(value: dict[str, Any], indent: int | None) -> None:
    envelope = parse_batch(json.dumps(value, indent=indent).encode())
    batch = value.get("batch")
    items = None if envelope.items is None else [item.value for item in envelope.items]
    assert items == (batch if isinstance(batch, list) else None)
    rest = {k: v for k, v in value.items() if k != "batch" or not isinstance(v, list)}
    assert envelope.fields == rest


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b"{nope}",
        b'{"batch":[1,]}',
        b'{"batch":[1 2]}',
        b'{"batch":[1}',
        b'{"batch":[],}',
        b'{"batch":[]} x',
        b'{"batch" []}',
        b'{"batch":[NaN]}',
        b'{"batch":[{"total":Infinity}]}',
        b'{"batch":[{"a":"\xff"}]}',
        b'{"batch":[{"a":"line\nbreak"}]}',
        b'{"a":' + b"[" * 100_000,
    ],
)
def test_bad_json(body: bytes) -> None:
    with pytest.raises(BadJSONError):
        parse_batch(body)
    with pytest.raises(BadJSONError):
        parse_item(body)


def test_a_number_of_any_length_passes() -> None:
    digits = "9" * 6000
    assert parse_item(f'{{"n":{digits}}}'.encode()).raw == f'{{"n":{digits}}}'
