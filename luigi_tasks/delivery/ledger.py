"""The record of what was sent: one row per settled message, one row per request.

Rows are appended, never changed, and only after Segment's answer. They are written together, about
once per second, in a thread of its own, while the next batches are under way. Each append is one
block with a deduplication token made of its ids, so that repeating it does no harm. While
ClickHouse is away, the sender waits here once it holds a certain number of answers, and sends
nothing more. What could not be recorded goes out again in the next run, with the same ids.

A message's part of its row comes from ClickHouse as a line of tab-separated values and goes back as
it came; only the answer is added here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any
from uuid import UUID, uuid4

from luigi_tasks import config
from luigi_tasks.clickhouse import advice, queries
from luigi_tasks.clickhouse import client as clickhouse
from luigi_tasks.delivery.outbox import OutboxRow
from luigi_tasks.delivery.preflight import Ready, Refusal
from luigi_tasks.errors import LedgerUnwrittenError
from luigi_tasks.runs.invocation import utc_now
from luigi_tasks.segment import endpoint as segment
from luigi_tasks.segment.endpoint import Attempt, Outcome

MESSAGE_COLUMNS = (
    *("message_id", "call", "event", "entity", "entity_id", "message_bytes", "payload_hash"),
    *("enqueued_at", "dbt_invocation_id"),
)
"""The columns of the ledger that `outbox_page` renders, in its order."""

ANSWER_COLUMNS = (
    *("status", "reason_code", "detail", "http_status", "attempt", "batch_id", "slot", "run_id"),
    *("sent_at", "recorded_at"),
)
"""The columns that are the same for all messages of a batch."""

ATTEMPTS = {
    "batch_id": "UUID",
    "run_id": "UUID",
    "slot": "DateTime('UTC')",
    "call": "LowCardinality(String)",
    "messages": "UInt32",
    "bytes": "UInt32",
    "http_status": "UInt16",
    "outcome": "Enum8('accepted' = 1, 'retryable' = 2, 'rejected' = 3, 'unknown' = 4)",
    "reason_code": "LowCardinality(String)",
    "detail": "String",
    "retry_after_s": "Float32",
    "duration_ms": "UInt32",
    "started_at": "DateTime64(3, 'UTC')",
    "message_ids": "Array(UUID)",
}

SUPPRESSED = "suppressed"
"""The reason code of what is not sent because its user is suppressed."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Batch:
    """Messages that go out in one request, under an id that its attempts share.

    Attributes:
        items: The messages.
        batch_id: In every ledger and attempts row of this batch.
    """

    items: Sequence[Ready]
    batch_id: UUID


@dataclass(frozen=True)
class _Settled:
    """Messages with one answer.

    Attributes:
        count: How many.
        is_accepted: Segment took them.
        token: Their ids and the answer, which identify these rows.
        lines: Their rows, as tab-separated values.
    """

    count: int
    is_accepted: bool
    token: str
    lines: str


class Ledger:
    """Writes for one task. A context manager: what is still held is written at the end.

    Args:
        run_id: The `luigi` command.
        slot: The beginning of the slot, naive UTC.
        call: identify or track.
        clock: Seconds, never going back.
    """

    def __init__(
        self,
        run_id: UUID,
        slot: datetime,
        call: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        settings = config.delivery()
        self.run_id = run_id
        self.slot = slot.replace(tzinfo=timezone.utc)
        self.call = call
        self._clock = clock
        self._most_rows = settings.ledger_rows
        self._longest = settings.ledger_seconds
        self._patience = settings.clickhouse_patience_seconds
        self._lock = threading.Lock()
        self._settled: list[_Settled] = []
        self._attempts: list[tuple[str, Row]] = []
        self._append = _Append([], [])
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._writing: Future[None] | None = None
        self._written_at = clock()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self.flush()
        finally:
            self._writer.shutdown()

    def record_attempt(self, batch: Batch, attempt: Attempt, number: int) -> None:
        """Keep the row of one request; `number` counts the requests of the batch from 1.

        A request that was not accepted names its messages, so that segment_failed_events can show
        what waits and why; those of an accepted one have its batch_id in the ledger. It is written
        at once: there may be a long wait now, and a process that dies must not take with it that
        the messages may have arrived.
        """
        verdict = attempt.verdict
        accepted = verdict.outcome is Outcome.ACCEPTED
        row = {
            "batch_id": batch.batch_id,
            "run_id": self.run_id,
            "slot": self.slot,
            "call": self.call,
            "messages": len(batch.items),
            "bytes": attempt.body_bytes,
            "http_status": verdict.http_status,
            "outcome": verdict.outcome.value,
            "reason_code": verdict.reason_code,
            "detail": verdict.detail,
            "retry_after_s": verdict.retry_after,
            "duration_ms": attempt.duration_ms,
            "started_at": attempt.started_at,
            "message_ids": [] if accepted else [UUID(item.row.message_id) for item in batch.items],
        }
        with self._lock:
            self._attempts.append((f"{batch.batch_id}/{number}", row))
        if not accepted:
            self.flush()

    def was_accepted_lately(self) -> bool:
        """Tell whether Segment accepted anything in the last day, in whatever run."""
        return bool(queries.rows("accepted_lately"))

    def asked_to_wait(self) -> tuple[float, datetime]:
        """Return for how many seconds Segment has asked to be left alone, and until when.

        In whatever run, unless it has accepted something since. No longer than
        `segment.MAX_RETRY_AFTER`; an answer from the future, by this machine's clock, says nothing.
        """
        now = utc_now()
        [(until,)] = queries.rows("asked_to_wait", now=now, most=segment.MAX_RETRY_AFTER)
        return (until - now).total_seconds(), until

    def record_settled(self, batch: Batch, status: str, attempt: Attempt, number: int) -> None:
        """Keep the messages of a batch that Segment accepted, or rejected for good.

        Args:
            batch: The batch.
            status: accepted or rejected.
            attempt: The request that settled it.
            number: Which request of the batch that was, from 1.
        """
        verdict = attempt.verdict
        answer = (status, verdict.reason_code, verdict.detail, verdict.http_status, number)
        rows = [item.row for item in batch.items]
        self._record([self._settle(rows, answer, batch.batch_id, attempt.started_at)])

    def record_refusals(self, refusals: Sequence[Refusal]) -> None:
        """Keep what the preflight refused; these messages were never sent (attempt 0)."""
        batch_id, now = uuid4(), utc_now()
        settled = []
        for refusal in refusals:
            answer = ("rejected", refusal.reason_code, refusal.detail, 0, 0)
            settled.append(self._settle([refusal.row], answer, batch_id, now))
        self._record(settled)

    def record_suppressed(self, rows: Sequence[OutboxRow]) -> None:
        """Keep that messages of suppressed users are settled and were never sent (attempt 0)."""
        answer = ("resolved", SUPPRESSED, "The user is on the list of suppressed users.", 0, 0)
        self._record([self._settle(rows, answer, uuid4(), utc_now())])

    def flush(self) -> None:
        """Write what is held.

        Raises:
            LedgerUnwrittenError: ClickHouse stayed away or refuses; says what is not recorded.
        """
        self._writer.submit(self._write).result()

    def _settle(
        self, rows: Sequence[OutboxRow], answer: Sequence[object], batch_id: UUID, sent_at: datetime
    ) -> _Settled:
        values = (*answer, batch_id, self.slot, self.run_id, sent_at, utc_now())
        end = "".join(f"\t{_escaped(value)}" for value in values) + "\n"
        return _Settled(
            count=len(rows),
            is_accepted=answer[0] == "accepted",
            token=" ".join([*(row.message_id for row in rows), *map(str, values)]),
            lines=end.join([row.ledger_line for row in rows]) + end,
        )

    def _record(self, settled: Sequence[_Settled]) -> None:
        """Hold these rows; see to it that they are written in time and do not pile up."""
        with self._lock:
            self._settled += settled
            held = _rows(self._settled) + self._append.rows
        if held >= self._most_rows:
            self.flush()
        elif held >= self._most_rows / 2 or self._clock() - self._written_at >= self._longest:
            self._write_beside()

    def _write_beside(self) -> None:
        """Write while the caller goes on; raise what the last such write failed with."""
        with self._lock:
            if self._writing and not self._writing.done():
                return
            last, self._writing = self._writing, self._writer.submit(self._write)
        if last:
            last.result()

    def _write(self) -> None:
        """Write, in the writer's thread; a block that failed before goes first, unchanged."""
        try:
            for attempt in clickhouse.patiently(self._patience):
                with attempt:
                    self._append.write()
            with self._lock:
                self._append = _Append(self._settled, self._attempts)
                self._settled, self._attempts = [], []
            for attempt in clickhouse.patiently(self._patience):
                with attempt:
                    self._append.write()
        except clickhouse.ERRORS as error:
            raise self._unwritten(error) from error
        self._written_at = self._clock()

    def _unwritten(self, error: Exception) -> LedgerUnwrittenError:
        with self._lock:
            settled = [*self._append.settled, *self._settled]
        held, accepted = _rows(settled), _rows(item for item in settled if item.is_accepted)
        waited = f" within {self._patience:g} s" if clickhouse.is_passing(error) else ""
        return LedgerUnwrittenError(
            f"ClickHouse did not take the results of {held:,} {self.call} messages{waited}, "
            f"{accepted:,} of which Segment had accepted ({error}). They stay in the outbox and go "
            "out again with the same ids: run the same command within Segment's dedupe window, "
            f"which is a day, and no copy reaches a destination. {advice.about(error)}".rstrip()
        )


class _Append:
    """What is written together: one block of each table, the same bytes whenever it is repeated.

    Args:
        settled: Rows of the ledger.
        attempts: Rows of the attempts, each with what identifies it.
    """

    def __init__(self, settled: list[_Settled], attempts: list[tuple[str, Row]]) -> None:
        self.settled = settled
        self._attempts = attempts
        self._block = "".join(item.lines for item in settled).encode()

    @property
    def rows(self) -> int:
        """Rows of the ledger that are not written yet."""
        return _rows(self.settled)

    def write(self) -> None:
        """Messages first: without its request a message is settled all the same."""
        if self.settled:
            clickhouse.insert_lines_once(
                "segment_delivery_ledger",
                (*MESSAGE_COLUMNS, *ANSWER_COLUMNS),
                self._block,
                token_source=[item.token for item in self.settled],
            )
            self.settled = []
        if self._attempts:
            clickhouse.insert_once(
                "segment_delivery_attempts",
                list(ATTEMPTS),
                [[row[name] for name in ATTEMPTS] for _, row in self._attempts],
                list(ATTEMPTS.values()),
                token_source=[token for token, _ in self._attempts],
            )
            self._attempts = []


def _rows(settled: Iterable[_Settled]) -> int:
    return sum(item.count for item in settled)


_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def _escaped(value: object) -> str:
    """Return a value as ClickHouse reads it in tab-separated text; times are aware UTC."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat(" ")
    return str(value).translate(_ESCAPES)
