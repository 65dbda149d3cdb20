"""The outbox: what is still to be sent, read in pages.

A page is read in full and the query is closed before anything is sent: the server drops a reader
that falls behind. The next page begins after the key of the last row, so memory is bounded by the
size of a page, and rows that were settled meanwhile do not shift anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, NamedTuple
from uuid import UUID

from clickhouse_connect.driver.exceptions import DatabaseError

from luigi_tasks import clickhouse, config, queries
from luigi_tasks.errors import OutboxMissingError

EPOCH = datetime.fromtimestamp(0, timezone.utc)


class OutboxRow(NamedTuple):
    """One message that is due, as the outbox view shows it."""

    message_id: UUID
    call: str
    event: str
    entity: str
    entity_id: str
    message: str
    message_bytes: int
    payload_hash: str
    enqueued_at: datetime
    dbt_invocation_id: str


@dataclass(frozen=True)
class Cut:
    """The part of an outbox that one task takes on: everything that was there when it started.

    Attributes:
        messages: How many messages were pending.
        first: When the oldest of them entered the outbox; the epoch when there is none.
        last: When the youngest of them entered the outbox; the epoch when there is none.
    """

    messages: int
    first: datetime
    last: datetime


def _query(name: str, call: str, **parameters: Any) -> list[Any]:
    """Run a query on the outbox of `call`."""
    database = config.clickhouse().database
    tables = {"outbox": f"segment_{call}_outbox", "events": f"segment_{call}_events"}
    binds = {"database": database, "call": call, **tables, **parameters}
    try:
        return list(clickhouse.connect().query(queries.text(name), binds).result_rows)
    except DatabaseError as error:
        if clickhouse.is_missing(error):
            raise OutboxMissingError(
                f"The outbox {database}.{tables['outbox']}, or the delivery ledger, does not "
                "exist. Run `dbt build`, or check CLICKHOUSE_DATABASE."
            ) from error
        raise


def cut(call: str) -> Cut:
    """Return what the outbox of `call` (identify or track) shows now."""
    [(messages, first, last)] = _query("outbox_cut", call)
    return Cut(messages, first, last)


def pending_by_event(call: str) -> list[tuple[str, int, int]]:
    """Return (event, messages, bytes) of what is pending now."""
    return [(event, count, size) for event, count, size in _query("outbox_by_event", call)]


def samples(call: str, per_event: int) -> list[OutboxRow]:
    """Return the oldest `per_event` pending messages of each event."""
    return [OutboxRow(*row) for row in _query("outbox_samples", call, per_event=per_event)]


def pages(call: str, upto: Cut, size: int) -> Iterator[list[OutboxRow]]:
    """Yield the messages of a cut, oldest first, `size` at a time."""
    after_at, after_id = EPOCH, UUID(int=0)
    while True:
        rows = _query(
            "outbox_page",
            call,
            after_at=after_at,
            after_id=after_id,
            last=upto.last,
            size=size,
        )
        page = [OutboxRow(*row) for row in rows]
        if page:
            yield page
        if len(page) < size:
            return
        after_at, after_id = page[-1].enqueued_at, page[-1].message_id


def advance_watermark(call: str) -> None:
    """Move the low watermark of `call` up to what is certainly settled.

    It never passes a pending message, nor the youngest message ever due, nor a lag behind the
    clock that leaves room for a build that is still inserting; and it never goes back. The view
    skips everything at or below it, which keeps a run's cost independent of the history.
    """
    database = config.clickhouse().database
    [(current, proposed)] = _query(
        "watermark_proposal", call, lag=config.delivery().watermark_lag_seconds
    )
    if proposed <= current:
        return
    clickhouse.insert_once(
        "segment_outbox_watermarks",
        ["call", "settled_until", "updated_at"],
        [[call, proposed, datetime.now(timezone.utc)]],
        ["LowCardinality(String)", "DateTime64(6, 'UTC')", "DateTime64(6, 'UTC')"],
        token_source=["watermark", call, proposed.isoformat()],
        database=database,
    )
