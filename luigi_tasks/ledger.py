"""The record of what was sent: one row per settled message, one row per request.

Rows are appended, never changed, and only after Segment's answer. They are written together, about
once per second: each append is one block with a deduplication token made of its ids, so that
repeating it does no harm. While ClickHouse is away the sender waits here, with the answers that it
holds, and sends nothing more. What could not be recorded goes out again in the next run, with the
same ids.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any
from uuid import UUID, uuid4

from luigi_tasks import clickhouse, config, queries
from luigi_tasks.errors import LedgerUnwrittenError
from luigi_tasks.invocation import utc_now
from luigi_tasks.outbox import OutboxRow
from luigi_tasks.preflight import Ready, Refusal
from luigi_tasks.segment import Attempt, Outcome

LEDGER = {
    "message_id": "UUID",
    "call": "LowCardinality(String)",
    "event": "LowCardinality(String)",
    "entity": "LowCardinality(String)",
    "entity_id": "String",
    "status": "Enum8('accepted' = 1, 'rejected' = 2, 'resolved' = 3, 'requeued' = 4)",
    "reason_code": "LowCardinality(String)",
    "detail": "String",
    "http_status": "UInt16",
    "attempt": "UInt16",
    "batch_id": "UUID",
    "message_bytes": "UInt32",
    "payload_hash": "String",
    "enqueued_at": "DateTime64(6, 'UTC')",
    "slot": "DateTime('UTC')",
    "run_id": "UUID",
    "dbt_invocation_id": "String",
    "sent_at": "DateTime64(3, 'UTC')",
    "recorded_at": "DateTime64(3, 'UTC')",
}

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

Row = dict[str, Any]


@dataclass(frozen=True)
class Batch:
    """Messages that go out in one request, under an id that its attempts share.

    Attributes:
        items: The messages.
        size: Bytes of the request body.
        batch_id: In every ledger and attempts row of this batch.
    """

    items: list[Ready]
    size: int
    batch_id: UUID


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
        self._settled: list[Row] = []
        self._attempts: list[tuple[str, Row]] = []
        self._written_at = clock()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *error: object) -> None:
        self.flush()

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
            "bytes": batch.size,
            "http_status": verdict.http_status,
            "outcome": verdict.outcome.value,
            "reason_code": verdict.reason_code,
            "detail": verdict.detail,
            "retry_after_s": verdict.retry_after,
            "duration_ms": attempt.duration_ms,
            "started_at": attempt.started_at,
            "message_ids": [] if accepted else [item.row.message_id for item in batch.items],
        }
        self._attempts.append((f"{batch.batch_id}/{number}", row))
        if not accepted:
            self.flush()

    def was_accepted_lately(self) -> bool:
        """Tell whether Segment accepted anything in the last day, in whatever run."""
        return bool(queries.rows("accepted_lately"))

    def record_settled(self, batch: Batch, status: str, attempt: Attempt, number: int) -> None:
        """Keep the messages of a batch that Segment accepted, or rejected for good.

        Args:
            batch: The batch.
            status: accepted or rejected.
            attempt: The request that settled it.
            number: Which request of the batch that was, from 1.
        """
        verdict = attempt.verdict
        answer = {
            "status": status,
            "reason_code": verdict.reason_code,
            "detail": verdict.detail,
            "http_status": verdict.http_status,
            "attempt": number,
            "sent_at": attempt.started_at,
        }
        self._settled += [self._base(item.row, batch.batch_id) | answer for item in batch.items]
        self._flush_when_due()

    def record_refusals(self, refusals: Sequence[Refusal]) -> None:
        """Keep what the preflight refused; these messages were never sent (attempt 0)."""
        batch_id, now = uuid4(), utc_now()
        self._settled += [
            self._base(refusal.row, batch_id)
            | {
                "status": "rejected",
                "reason_code": refusal.reason_code,
                "detail": refusal.detail,
                "http_status": 0,
                "attempt": 0,
                "sent_at": now,
            }
            for refusal in refusals
        ]
        self._flush_when_due()

    def flush(self) -> None:
        """Write what is held.

        Raises:
            LedgerUnwrittenError: ClickHouse stayed away; says what is not recorded.
        """
        try:
            for attempt in clickhouse.patiently(self._patience):
                with attempt:
                    self._write()
        except clickhouse.ERRORS as error:
            raise self._unwritten(error) from error
        self._written_at = self._clock()

    def _flush_when_due(self) -> None:
        overdue = self._clock() - self._written_at >= self._longest
        if overdue or len(self._settled) >= self._most_rows:
            self.flush()

    def _write(self) -> None:
        """Messages first: without its request a message is settled all the same."""
        if self._settled:
            now = utc_now()
            clickhouse.insert_once(
                "segment_delivery_ledger",
                list(LEDGER),
                [[(row | {"recorded_at": now})[name] for name in LEDGER] for row in self._settled],
                list(LEDGER.values()),
                token_source=[
                    f"{row['message_id']}/{row['status']}/{self.run_id}" for row in self._settled
                ],
            )
            self._settled = []
        if self._attempts:
            clickhouse.insert_once(
                "segment_delivery_attempts",
                list(ATTEMPTS),
                [[row[name] for name in ATTEMPTS] for _, row in self._attempts],
                list(ATTEMPTS.values()),
                token_source=[token for token, _ in self._attempts],
            )
            self._attempts = []

    def _unwritten(self, error: Exception) -> LedgerUnwrittenError:
        held = len(self._settled)
        accepted = sum(row["status"] == "accepted" for row in self._settled)
        return LedgerUnwrittenError(
            f"ClickHouse did not take the results of {held:,} {self.call} messages within "
            f"{self._patience:g} s, {accepted:,} of which Segment had accepted ({error}). They "
            "stay in the outbox and go out again with the same ids: run the same command within "
            "Segment's dedupe window, which is a day, and no copy reaches a destination."
        )

    def _base(self, row: OutboxRow, batch_id: UUID) -> Row:
        return {
            "message_id": row.message_id,
            "call": row.call,
            "event": row.event,
            "entity": row.entity,
            "entity_id": row.entity_id,
            "batch_id": batch_id,
            "message_bytes": row.message_bytes,
            "payload_hash": row.payload_hash,
            "enqueued_at": row.enqueued_at,
            "slot": self.slot,
            "run_id": self.run_id,
            "dbt_invocation_id": row.dbt_invocation_id,
        }
