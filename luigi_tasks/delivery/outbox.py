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
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

from clickhouse_connect.driver.exceptions import DatabaseError

from luigi_tasks import config
from luigi_tasks.clickhouse import client as clickhouse
from luigi_tasks.clickhouse import queries
from luigi_tasks.errors import OutboxMissingError

DAYS_OF_ATTEMPTS = 30
"""So much longer than `transient_days` are requests remembered."""

EPOCH = datetime.fromtimestamp(0, timezone.utc)


class OutboxRow(NamedTuple):
    """One message that is due.

    Attributes:
        message_id: As Segment sees it: 32 hexadecimal characters.
        call: identify or track.
        event: The event's name; empty for identify.
        entity: customer or order.
        entity_id: Its SID.
        message: The JSON text.
        enqueued_us: When it entered the outbox, in microseconds.
        ledger_line: The message's part of its row in the ledger, see `ledger.MESSAGE_COLUMNS`.
        lane: Which of the connections it takes; all messages of a user take the same one.
        is_plain: ClickHouse has found nothing that the preflight would have to look at.
        user: Whose messages wait while this one cannot be delivered: its user, or for a guest its
            document, since guests of a store can share an id.
        is_suppressed: Its user is on the list of suppressed users, so it must not be sent.
    """

    message_id: str
    call: str
    event: str
    entity: str
    entity_id: str
    message: str
    enqueued_us: int = 0
    ledger_line: str = ""
    lane: int = 0
    is_plain: bool = False
    user: str = ""
    is_suppressed: bool = False

    @property
    def enqueued_at(self) -> datetime:
        """When it entered the outbox."""
        return EPOCH + timedelta(microseconds=self.enqueued_us)


@dataclass(frozen=True)
class Cut:
    """The part of an outbox that one task takes on: everything that was there when it started.

    Attributes:
        messages: How many messages were pending.
        first: When the oldest of them entered the outbox; the epoch when there is none.
        last: When the youngest of them entered the outbox; the epoch when there is none.
        shards: Into how many parts the users are divided.
        shard: Which part this is, from 0. All messages of a user are in one part.
    """

    messages: int
    first: datetime
    last: datetime
    shards: int = 1
    shard: int = 0


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


class LeftBehind(NamedTuple):
    """Messages below the watermark that were never settled.

    Attributes:
        messages: How many.
        oldest: The place of the first of them in the outbox.
    """

    messages: int
    oldest: datetime


class Watermark(NamedTuple):
    """The watermark of a call against the clock.

    Attributes:
        settled_until: The watermark; the epoch when there is none.
        now: ClickHouse's clock.
    """

    settled_until: datetime
    now: datetime


class FailedAlone(NamedTuple):
    """A pending message whose request failed when no other message was in it.

    Attributes:
        message_id: As Segment sees it.
        user: Whose messages wait for it, see `OutboxRow`.
        tries: How often that was, less what happened during an outage.
        since: When it was first.
    """

    message_id: str
    user: str
    tries: int
    since: datetime


def _query(name: str, call: str, **parameters: Any) -> list[Any]:
    """Run a query on the outbox of `call`."""
    database = config.clickhouse().database
    tables = {"outbox": f"segment_{call}_outbox", "events": f"segment_{call}_events"}
    binds = {"database": database, "call": call, **tables, **parameters}
    try:
        return clickhouse.read(name, queries.text(name), binds)
    except DatabaseError as error:
        if clickhouse.is_missing(error):
            raise OutboxMissingError(
                f"The outbox {database}.{tables['outbox']}, or the delivery ledger, does not "
                "exist. Run `dbt build`, or check CLICKHOUSE_DATABASE."
            ) from error
        raise


def cut(call: str, shard: int = 0, shards: int = 1) -> Cut:
    """Return what a shard of the outbox of `call` shows now, as far as it may go.

    An order must not overtake its customer: while an identify of a user is pending, the user's
    orders are left out. It is pending when Segment does not take it now, and when another run has
    built since this one sent its customers. A customer and their orders are in the same shard.

    Args:
        call: identify or track.
        shard: Which part of the users, from 0.
        shards: Into how many parts the users are divided.
    """
    part = {"shard": shard, "shards": shards}
    [(messages, first, last)] = _query("outbox_cut", call, **part)
    return Cut(messages, first, last, **part)


def in_doubt(call: str, owner: UUID, shard: int = 0, shards: int = 1) -> Doubt:
    """Return what of a shard may have arrived without being recorded.

    Args:
        call: identify or track.
        owner: The lease of this sender; the others of these messages ended or died.
        shard: Which part of the users, from 0.
        shards: Into how many parts the users are divided.
    """
    window = round(config.delivery().dedupe_window_hours * 3600)
    part = {"shard": shard, "shards": shards}
    [row] = _query("outbox_in_doubt", call, owner=owner, window=window, **part)
    return Doubt(*row)


def left_behind(call: str) -> LeftBehind:
    """Return what lies below the watermark without being settled: no sync sends it.

    Of the last two months in which messages entered the outbox, whose keys are read as they are
    sorted. `dbt run-operation reconcile` looks at all.
    """
    [row] = _query("outbox_left_behind", call)
    return LeftBehind(*row)


def watermark(call: str) -> Watermark:
    """Return the watermark of a call, and the time."""
    [row] = _query("outbox_watermark", call)
    return Watermark(*row)


def failed_alone(call: str, upto: Cut) -> list[FailedAlone]:
    """Return the pending messages of a cut's shard that failed alone, the fewest tries first."""
    part = {"days": days_of_attempts(), "shard": upto.shard, "shards": upto.shards}
    return [FailedAlone(*row) for row in _query("outbox_failed_alone", call, **part)]


def days_of_attempts() -> int:
    """Return for how many days the requests of a message count."""
    return int(config.delivery().transient_days) + DAYS_OF_ATTEMPTS


def pending_by_event(call: str) -> list[tuple[str, int, int]]:
    """Return (event, messages, bytes) of what is pending now."""
    return [(event, count, size) for event, count, size in _query("outbox_by_event", call)]


def held_by_event(call: str) -> dict[str, int]:
    """Return event: customers or orders that should go out and break a rule."""
    return {
        event: held
        for event, held in _query("held_by_event", call)
        if (event == "Identify") == (call == "identify")
    }


def samples(call: str, per_event: int) -> list[OutboxRow]:
    """Return the oldest `per_event` pending messages of each event."""
    return [OutboxRow(*row) for row in _query("outbox_samples", call, per_event=per_event)]


def pages(call: str, upto: Cut, size: int, lanes: int = 1) -> Iterator[list[OutboxRow]]:
    """Yield the messages of a cut, oldest first, `size` at a time.

    Args:
        call: identify or track.
        upto: The cut.
        size: Most messages of a page.
        lanes: Into how many lanes the users are divided.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="outbox") as reader:
        read = partial(_page, call, upto, size, lanes)
        following = reader.submit(read, (EPOCH, UUID(int=0)))
        while page := following.result():
            last = page[-1]
            if is_full := len(page) == size:
                following = reader.submit(read, (last.enqueued_at, UUID(last.message_id)))
            yield page
            if not is_full:
                return


def _page(
    call: str, upto: Cut, size: int, lanes: int, after: tuple[datetime, UUID]
) -> list[OutboxRow]:
    """Read the messages after a key."""
    after_at, after_id = after
    rows = _query(
        "outbox_page",
        call,
        after_at=after_at,
        after_id=after_id,
        last=upto.last,
        size=size,
        shards=upto.shards,
        shard=upto.shard,
        lanes=lanes,
    )
    return [OutboxRow(*row) for row in rows]


def advance_watermark(call: str) -> None:
    """Move the low watermark of `call` up to what is certainly settled.

    It never passes a pending message, nor the youngest message ever due, nor a lag behind the
    place of new messages that leaves room for a build that is still inserting; and it never goes
    back. The view skips everything at or below it, which keeps a run's cost independent of the
    history.
    """
    database = config.clickhouse().database
    [(current, proposed, updated_at)] = _query(
        "watermark_proposal", call, lag=config.delivery().watermark_lag_seconds
    )
    if proposed <= current:
        return
    row = [call, proposed, updated_at]
    for attempt in clickhouse.patiently(config.delivery().clickhouse_patience_seconds):
        with attempt:
            clickhouse.insert_once(
                "segment_outbox_watermarks",
                ["call", "settled_until", "updated_at"],
                [row],
                ["LowCardinality(String)", "DateTime64(6, 'UTC')", "DateTime64(6, 'UTC')"],
                # From where, too: `reconcile` may have set it back, and then it comes here again.
                token_source=["watermark", call, current.isoformat(), proposed.isoformat()],
                database=database,
            )
