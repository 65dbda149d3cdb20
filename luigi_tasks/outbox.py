"""The outbox: what is still to be sent, read in pages.

A page is read in full and the query is closed before anything of it is sent: the server drops a
reader that falls behind. While a page is sent, the next one is read. It begins after the key of the
last row, so memory is bounded by the size of two pages, and rows that were settled meanwhile do not
shift anything.

The oldest messages come first. Those of a request without a clear answer are among the oldest that
are pending, so the next run begins with them.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
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
        held_back: Builds whose messages are left out.
    """

    messages: int
    first: datetime
    last: datetime
    held_back: tuple[str, ...] = ()


class Doubt(NamedTuple):
    """Pending messages that may have reached Segment already.

    Attributes:
        messages: How many.
        oldest: When the first of them was sent.
        too_old: How many were sent so long ago that Segment may not recognise them.
    """

    messages: int
    oldest: datetime
    too_old: int


def _query(name: str, call: str, *, patience: float = 0, **parameters: Any) -> list[Any]:
    """Run a query on the outbox of `call`; wait `patience` seconds for an absent ClickHouse."""
    database = config.clickhouse().database
    tables = {"outbox": f"segment_{call}_outbox", "events": f"segment_{call}_events"}
    binds = {"database": database, "call": call, **tables, **parameters}
    try:
        for attempt in clickhouse.patiently(patience):
            with attempt:
                rows = list(clickhouse.connect().query(queries.text(name), binds).result_rows)
    except DatabaseError as error:
        if clickhouse.is_missing(error):
            raise OutboxMissingError(
                f"The outbox {database}.{tables['outbox']}, or the delivery ledger, does not "
                "exist. Run `dbt build`, or check CLICKHOUSE_DATABASE."
            ) from error
        raise
    return rows


def cut(call: str) -> Cut:
    """Return what the outbox of `call` (identify or track) shows now, as far as it may go.

    An order must not overtake its customer. Another run may have built since this one sent its
    customers: the orders of that build wait until its customers have gone.
    """
    held_back = builds("identify") if call == "track" else ()
    [(messages, first, last)] = _query("outbox_cut", call, held_back=list(held_back))
    return Cut(messages, first, last, held_back)


def builds(call: str) -> tuple[str, ...]:
    """Return the ids of the dbt builds that pending messages come from."""
    return tuple(build for (build,) in _query("outbox_builds", call))


def in_doubt(call: str, owner: UUID) -> Doubt:
    """Return what may have arrived without being recorded.

    Args:
        call: identify or track.
        owner: The lease of this run; the others are of runs that ended or died.
    """
    window = round(config.delivery().dedupe_window_hours * 3600)
    [row] = _query("outbox_in_doubt", call, owner=owner, window=window)
    return Doubt(*row)


def pending_by_event(call: str) -> list[tuple[str, int, int]]:
    """Return (event, messages, bytes) of what is pending now."""
    return [(event, count, size) for event, count, size in _query("outbox_by_event", call)]


def samples(call: str, per_event: int) -> list[OutboxRow]:
    """Return the oldest `per_event` pending messages of each event."""
    return [OutboxRow(*row) for row in _query("outbox_samples", call, per_event=per_event)]


def pages(call: str, upto: Cut, size: int) -> Iterator[list[OutboxRow]]:
    """Yield the messages of a cut, oldest first, `size` at a time."""
    with ThreadPoolExecutor(1, thread_name_prefix="outbox") as reader:
        following = reader.submit(_page, call, upto, size, EPOCH, UUID(int=0))
        while page := following.result():
            last = page[-1]
            if is_full := len(page) == size:
                key = last.enqueued_at, last.message_id
                following = reader.submit(_page, call, upto, size, *key)
            yield page
            if not is_full:
                return


def _page(call: str, upto: Cut, size: int, after_at: datetime, after_id: UUID) -> list[OutboxRow]:
    """Read the messages after a key."""
    rows = _query(
        "outbox_page",
        call,
        patience=config.delivery().clickhouse_patience_seconds,
        after_at=after_at,
        after_id=after_id,
        last=upto.last,
        size=size,
        held_back=list(upto.held_back),
    )
    return [OutboxRow(*row) for row in rows]


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
