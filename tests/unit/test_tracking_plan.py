"""The tracking plan: the seeds agree with themselves, and the schemas are made of them."""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.processes import PROJECT

DOCS = PROJECT / "docs" / "tracking-plan"
SEEDS = PROJECT / "seeds" / "tracking_plan"
MODELS = PROJECT / "dbt_project" / "models" / "outbox" / "segment"

Row = dict[str, str]
Message = dict[str, Any]

IDENTIFY: Message = {
    "messageId": "1f598abd5c7e73819a9a9f94809ce4c8",
    "timestamp": "2024-07-01T10:00:00.000Z",
    "type": "identify",
    "userId": "592481256000133060",
    "traits": {"email": "ann@mail.com", "createdAt": "2021-03-22T19:34:16.500Z", "totalOrders": 2},
    "context": {
        "externalIds": [
            {
                "id": "000017",
                "type": "retail_pro_customer_id",
                "collection": "users",
                "encoding": "none",
            }
        ],
        "consent": {"categoryPreferences": {"Advertising": False}},
        "active": False,
    },
}
ORDER: Message = {
    "messageId": "1f598abd5c7e73819a9a9f94809ce4c8",
    "timestamp": "2024-07-01T10:00:00.000Z",
    "type": "track",
    "event": "Order Completed",
    "anonymousId": "retail-pro-store-1-001",
    "context": {"traits": {"email": "ann@mail.com"}},
    "properties": {
        "order_id": "100",
        "total": 125.4,
        "revenue": 100,
        "tax": 15.4,
        "shipping": 10,
        "discount": 0,
        "currency": "USD",
        "products": [{"price": 50, "quantity": 2, "position": 1, "currency": "USD"}],
        "source": "retail_pro",
    },
}


def read(name: str) -> list[Row]:
    with (SEEDS / f"tracking_plan_{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def schema(name: str) -> Message:
    content: Message = json.loads((DOCS / f"{name}.json").read_text(encoding="utf-8"))
    return content


def changed(message: Message, path: str, value: Any) -> Message:
    """The message with another value at a path; `...` takes the field away."""
    copy: Message = json.loads(json.dumps(message))
    holder: Any = copy
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    for part in parents:
        holder = holder[part]
    if value is ...:
        del holder[last]
    else:
        holder[last] = value
    return copy


def test_files_are_what_the_seeds_say(tmp_path: Path) -> None:
    for folder in ("seeds/tracking_plan", "docs/tracking-plan"):
        (tmp_path / folder).mkdir(parents=True)
    for seed in SEEDS.glob("*.csv"):
        (tmp_path / "seeds/tracking_plan" / seed.name).write_bytes(seed.read_bytes())
    script = tmp_path / "docs/tracking-plan" / "make_schemas.py"
    script.write_bytes((DOCS / script.name).read_bytes())
    subprocess.run([sys.executable, script], check=True)

    made, kept = (
        {file.name: file.read_text(encoding="utf-8") for file in folder.iterdir() if file.is_file()}
        for folder in (script.parent, DOCS)
    )
    assert kept == made, "run python docs/tracking-plan/make_schemas.py"


def test_every_event_has_a_model_that_renders_it() -> None:
    for event in read("events"):
        [file] = MODELS.rglob(f"{event['model']}.sql")
        sql = file.read_text(encoding="utf-8")
        assert f"'{event['event']}'" in sql
        assert event["call"] in ("identify", "track")
        assert event["description"]


def test_fields_stand_in_objects_and_arrays_of_the_plan() -> None:
    types = {(row["event"], row["field"]): row["type"] for row in read("fields")}
    assert len(types) == len(read("fields")), "a field is planned twice"
    for event, field in types:
        holder = field.removesuffix("[]") if field.endswith("[]") else field.rpartition(".")[0]
        if holder:
            assert types[event, holder] == ("array" if field.endswith("[]") else "object"), field


def test_fields_are_described_with_known_words() -> None:
    formats = ("", "time", "email", "message_id", "sid", "currency", "amount", "count")
    events = {event["event"] for event in read("events")}
    for row in read("fields"):
        assert row["event"] in events
        assert row["type"] in ("string", "number", "integer", "boolean", "object", "array")
        assert row["required"] in ("0", "1")
        assert row["format"] in formats
        assert re.search(r"\w.*\.$", row["description"]), row["field"]


def test_schemas_are_draft_07() -> None:
    files = sorted(DOCS.glob("*.json"))
    assert len(files) == len(read("events"))
    for file in files:
        content = json.loads(file.read_text(encoding="utf-8"))
        assert content["$schema"] == "http://json-schema.org/draft-07/schema#"
        jsonschema.Draft7Validator.check_schema(content)


def test_good_messages_are_valid() -> None:
    jsonschema.validate(IDENTIFY, schema("identify"))
    jsonschema.validate(ORDER, schema("order-completed"))
    jsonschema.validate(changed(ORDER, "event", "Order Updated"), schema("order-updated"))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("messageId", "order-100"),
        ("timestamp", "2024-07-01 10:00:00"),
        ("timestamp", "2024-07-01T10:00:00.000+02:00"),
        ("event", "Order Refunded"),
        ("anonymousId", ...),
        ("userId", "592481256000133060"),
        ("context.traits.email", "ann@mail"),
        ("context.traits.phone", "555"),
        ("properties", ...),
        ("properties.order_id", 100),
        ("properties.order_id", ...),
        ("properties.total", "125.40"),
        ("properties.total", -1),
        ("properties.total", None),
        ("properties.subtotal", None),
        ("properties.currency", "usd"),
        ("properties.currency", "US DOLLARS"),
        ("properties.source", "shop"),
        ("properties.note", "call me"),
        ("properties.receipt_number", ""),
        ("properties.products", []),
        ("properties.products.0.quantity", 0.75),
        ("properties.products.0.price", ...),
        ("properties.products.0.colour", "red"),
    ],
)
def test_bad_orders_are_not_valid(path: str, value: Any) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(changed(ORDER, path, value), schema("order-completed"))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("userId", 592481256000133060),
        ("userId", "5.92481E+17"),
        ("userId", ...),
        ("type", "track"),
        ("traits", ...),
        ("traits.email", None),
        ("traits.createdAt", "2021-03-22"),
        ("traits.marketingOptIn", 1),
        ("traits.employee", False),
        ("traits.birthday", "2000-01-01"),
        ("context.active", True),
        ("context.consent.categoryPreferences.Advertising", "no"),
        ("context.externalIds.0.type", "email"),
        ("context.externalIds.0.id", ...),
    ],
)
def test_bad_customers_are_not_valid(path: str, value: Any) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(changed(IDENTIFY, path, value), schema("identify"))
