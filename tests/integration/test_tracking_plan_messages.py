"""Every message of the sample export is valid by the tracking plan's schemas."""

import csv
import json
from collections import Counter

import jsonschema

from tests.integration.conftest import SampleBuild
from tests.processes import PROJECT

SCHEMAS = PROJECT / "docs" / "tracking-plan"
SAMPLE = PROJECT / "seeds" / "sample"


def test_every_message_of_the_sample_is_valid(sample_build: SampleBuild) -> None:
    rows = sample_build.client.query(
        "select event, message from segment_identify_events"
        " union all select event, message from segment_track_events"
    ).result_rows
    validators = {
        event: jsonschema.Draft7Validator(
            json.loads((SCHEMAS / f"{event.lower().replace(' ', '-')}.json").read_text()),
            format_checker=jsonschema.Draft7Validator.FORMAT_CHECKER,
        )
        for event in {event for event, _ in rows}
    }
    errors = [
        f"{error.json_path}: {error.message} in {message}"
        for event, message in rows
        for error in validators[event].iter_errors(json.loads(message))
    ]
    assert errors == []
    counts = Counter(event for event, _ in rows)
    assert counts["Identify"] > 500
    assert counts["Order Completed"] > 2000
    assert counts["Order Refunded"] > 200


def test_every_sid_and_alu_of_the_sample_goes_out_unchanged(sample_build: SampleBuild) -> None:
    """A tenth of them have the check digit of a card number by chance."""
    exported = {
        (table, column): {row[column].strip() for row in rows_of(table)}
        for table, column in (
            ("customer", "SID"),
            ("document", "SID"),
            ("document_item", "ALU"),
            ("document_item", "INVN_SBS_ITEM_SID"),
        )
    }
    [[users, orders, alus, items, texts]] = sample_build.client.query(
        "select groupUniqArray(user_id), groupUniqArray(entity_id),"
        " groupUniqArrayArray(arrayMap(p -> JSONExtractString(p, 'sku'), products)),"
        " groupUniqArrayArray(arrayMap(p -> JSONExtractString(p, 'item_sid'), products)),"
        " countIf(position(message, '[card]') > 0)"
        " from (select *, JSONExtractArrayRaw(message, 'properties', 'products') as products"
        " from segment_track_events)"
    ).result_rows
    assert set(users) - {""} <= exported["customer", "SID"] | {
        row["BT_CUID"].strip() for row in rows_of("document")
    }
    assert set(orders) <= exported["document", "SID"]
    known = exported["document_item", "ALU"] | exported["document_item", "INVN_SBS_ITEM_SID"]
    assert set(alus) - {""} <= known
    assert set(items) - {""} <= exported["document_item", "INVN_SBS_ITEM_SID"]
    assert len(orders) > 2000
    assert len(alus) > 100
    assert texts == 0


def rows_of(table: str) -> list[dict[str, str]]:
    with (SAMPLE / f"{table}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))
