"""What a sync would send if it started now, and what that costs at Segment. Reads only."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from luigi_tasks import config
from luigi_tasks.clickhouse import queries
from luigi_tasks.delivery import outbox

CALLS = ("identify", "track")


@dataclass(frozen=True)
class Line:
    """What a sync would do about one event.

    Attributes:
        event: Identify, Order Completed and so on.
        new: Messages of customers or orders that have none yet.
        changed: Messages whose content differs from the message before.
        again: Messages with the content of the message before: requeued ones.
        unchanged: Customers or orders with nothing pending.
        held: Customers or orders that should go out and break a rule.
        size: Bytes of the pending messages.
    """

    event: str
    new: int = 0
    changed: int = 0
    again: int = 0
    unchanged: int = 0
    held: int = 0
    size: int = 0

    @property
    def messages(self) -> int:
        """Messages that would be sent."""
        return self.new + self.changed + self.again


@dataclass(frozen=True)
class Change:
    """A pending message that changes what was due before.

    Attributes:
        event: The event.
        entity: customer or order.
        entity_id: The SID.
        fields: (path, value before, value now), see `differences`.
    """

    event: str
    entity: str
    entity_id: str
    fields: list[tuple[str, str, str]]


@dataclass(frozen=True)
class Cost:
    """What Segment would see.

    Attributes:
        messages: API calls as Segment counts them.
        requests: HTTP requests, estimated from the limits of a batch.
        seconds: Shortest time at the configured rate.
        users: Users in the messages.
        billed_users: Those of them to whom nothing was sent this month (UTC).
        billed_guests: Those of these who are guests known by their e-mail address.
    """

    messages: int
    requests: int
    seconds: float
    users: int
    billed_users: int
    billed_guests: int


def lines(call: str) -> list[Line]:
    """Return what would be sent for identify or track, per event."""
    pending = {event: figures for event, *figures in _rows("forecast_messages", call)}
    unchanged: dict[str, int] = dict(_rows("forecast_unchanged", call))
    held = outbox.held_by_event(call)
    found = []
    for event in sorted({*pending, *unchanged, *held}):
        new, changed, again, size = pending.get(event, (0, 0, 0, 0))
        settled, waiting = unchanged.get(event, 0), held.get(event, 0)
        found.append(Line(event, new, changed, again, settled, waiting, size))
    return found


def changes(call: str, samples: int) -> list[Change]:
    """Return the oldest `samples` changes of each event, field by field."""
    return [
        Change(event, entity, entity_id, differences(before, now))
        for event, entity, entity_id, before, now in _rows(
            "forecast_changes", call, samples=samples
        )
    ]


def differences(before: str, now: str) -> list[tuple[str, str, str]]:
    """Return (path, before, now) of the fields in which two messages differ.

    Values are JSON texts, empty where there is none. messageId and timestamp are left out: they
    differ always.
    """
    old, new = (dict(_flatten(_parse(text))) for text in (before, now))
    return [
        (path, old.get(path, ""), new.get(path, ""))
        for path in sorted({*old, *new} - {"messageId", "timestamp"})
        if old.get(path) != new.get(path)
    ]


def _parse(message: str) -> Any:
    """Return the message; numbers as they stand there, because floats could hide a difference.

    What is not JSON, which the check before sending refuses, is compared as a text.
    """
    try:
        return json.loads(message, parse_float=Decimal)
    except ValueError:
        return {"message": message}


def _flatten(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield (path, JSON text) of all leaves; an empty object or list is a leaf."""
    if isinstance(value, dict) and value:
        for name, part in value.items():
            yield from _flatten(part, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and value:
        for number, part in enumerate(value):
            yield from _flatten(part, f"{path}[{number}]")
    else:
        yield path, json.dumps(value, ensure_ascii=False, default=str)


def cost(plan: Sequence[Sequence[Line]]) -> Cost:
    """Return what sending costs; `plan` has the lines of each call."""
    limits = config.segment()
    [(users, billed_users, billed_guests)] = queries.rows("forecast_users")
    messages = sum(line.messages for call in plan for line in call)
    requests = 0
    for call in plan:
        count = sum(line.messages for line in call)
        size = sum(line.size for line in call)
        requests += max(
            math.ceil(count / limits.batch_messages), math.ceil(size / limits.batch_bytes)
        )
    seconds = messages / config.delivery().events_per_second
    return Cost(messages, requests, seconds, users, billed_users, billed_guests)


def _rows(name: str, call: str, **binds: Any) -> list[Any]:
    tables = {"outbox": f"segment_{call}_outbox", "events": f"segment_{call}_events"}
    return queries.rows(name, **tables, **binds)
