"""Write the tracking plan of seeds/tracking_plan as JSON Schema (draft-07), one file per event.

The schema of an event describes the whole message, as a rule of a Segment tracking plan does.
README.md beside them is the same plan to read. Run it after a change of the seeds:

    python docs/tracking-plan/make_schemas.py
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
SEEDS = DOCS.parents[1] / "seeds" / "tracking_plan"

Row = dict[str, str]
Schema = dict[str, Any]

# What the column `format` of the seed means.
FORMATS: dict[str, Schema] = {
    "": {},
    "time": {
        "format": "date-time",
        "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$",
    },
    "email": {"format": "email", "pattern": r"^[^@\s]+@[^@\s.]+(\.[^@\s.]+)+$"},
    "message_id": {"pattern": "^[0-9a-f]{32}$"},
    "sid": {"pattern": "^(0|-?[1-9][0-9]{0,18})$"},
    "currency": {"pattern": "^[A-Z]{3}$"},
    "amount": {"minimum": 0},
    "count": {"minimum": 0},
}
# Said of a customer who has no sales any more: what they were is erased.
ERASED = ("traits.averageOrderValue", "traits.firstOrderAt", "traits.lastOrderAt")
# Segment and its libraries add fields of their own to these two.
OPEN = ("", "context")
GENERATED = "<!-- Written by make_schemas.py from seeds/tracking_plan. -->"


def read(name: str) -> list[Row]:
    """Return the rows of a seed of the plan."""
    with (SEEDS / f"tracking_plan_{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def parent(path: str) -> str:
    """Return the path of what holds a field: `a.b` for `a.b.c` and for `a.b[]`."""
    return path.removesuffix("[]") if path.endswith("[]") else path.rpartition(".")[0]


def node(row: Row, fields: list[Row]) -> Schema:
    """Return the schema of a field with all that it holds."""
    schema: Schema = {"description": row["description"], "type": row["type"]}
    schema |= FORMATS[row["format"]]
    if row["field"] in ERASED:
        schema["type"] = [row["type"], "null"]
    if row["value"]:
        # Of the JSON types that a constant can have here, text alone is not written as JSON.
        schema["const"] = row["value"] if row["type"] == "string" else json.loads(row["value"])
    elif row["type"] == "string" and not row["format"]:
        schema["minLength"] = 1
    children = [field for field in fields if parent(field["field"]) == row["field"]]
    if row["type"] == "array":
        [item] = children
        schema |= {"items": node(item, fields), "minItems": 1}
    if row["type"] == "object":
        named = {child["field"].rpartition(".")[2]: child for child in children}
        # `*` stands for names that the plan does not know.
        other = named.pop("*", None)
        schema |= {
            "properties": {name: node(child, fields) for name, child in named.items()},
            "required": [name for name, child in named.items() if child["required"] == "1"],
            "additionalProperties": node(other, fields) if other else row["field"] in OPEN,
        }
    return schema


def event_schema(event: Row, fields: list[Row]) -> Schema:
    """Return the schema of an event's message."""
    own = [field for field in fields if field["event"] == event["event"]]
    root = {"field": "", "type": "object", "format": "", "value": "", **event}
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": event["event"],
        **node(root, own),
    }
    if {"userId", "anonymousId"} <= schema["properties"].keys():
        # Segment drops a message that has neither.
        schema["oneOf"] = [{"required": ["userId"]}, {"required": ["anonymousId"]}]
    return schema


def cells(values: Iterable[str]) -> str:
    """Return a row of a Markdown table."""
    return f"| {' | '.join(values)} |\n"


def readme(events: list[Row], fields: list[Row]) -> str:
    """Return the plan as a page to read."""
    page = f"""{GENERATED}
# Tracking plan

What is sent to Segment: every event, every field of it, its JSON type, and whether it is always
there. The plan is kept in [seeds/tracking_plan](../../seeds/tracking_plan); this page and the
schemas (JSON Schema draft-07, one per event) are written from it by
`python docs/tracking-plan/make_schemas.py`. A field that is absent is left out, never null, but for
the average and the times of a customer who has no sales any more
(and with the variable `erase_emptied_traits`, a trait that became empty is null once).

The plan is proved in both directions. `tests/dbt/outbox/planned_fields_are_built.sql`
compares it with what the SQL renders, and `messages_follow_the_tracking_plan.sql` with each
message that waits. `tests/integration/test_tracking_plan_messages.py` validates every message of
the sample export against its schema.

To use a schema in Segment Protocols, create a rule of the event's name (or type identify) and take
the file as its `jsonSchema`.

"""
    page += cells(["event", "sent when", "schema"]) + "| --- | --- | --- |\n"
    page += "".join(
        cells([e["event"], e["description"], f"[{file_name(e)}]({file_name(e)})"]) for e in events
    )
    for event in events:
        page += f"\n## {event['event']}\n\n"
        page += cells(["field", "type", "always", "meaning"]) + "| --- | --- | --- | --- |\n"
        for row in fields:
            if row["event"] == event["event"]:
                fixed = f" Always `{row['value']}`." if row["value"] else ""
                always = "yes" if row["required"] == "1" else ""
                field = f"`{row['field']}`"
                page += cells([field, row["type"], always, row["description"] + fixed])
    return page


def file_name(event: Row) -> str:
    """Return the name of the file that holds an event's schema."""
    return f"{event['event'].lower().replace(' ', '-')}.json"


def files() -> dict[str, str]:
    """Return the text of every file that is made of the plan, by its name."""
    events, fields = read("events"), read("fields")
    schemas = {
        file_name(event): json.dumps(event_schema(event, fields), indent=2, ensure_ascii=False)
        + "\n"
        for event in events
    }
    return schemas | {"README.md": readme(events, fields)}


if __name__ == "__main__":
    for name, text in files().items():
        (DOCS / name).write_text(text, encoding="utf-8")
