"""The record of what was sent: one row per settled message, one row per request.

Rows are appended, never changed, and only after Segment's answer. Each append is one block with a
deduplication token made of its ids, so that repeating it does no harm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from uuid import UUID, uuid4

from luigi_tasks import clickhouse, config, queries
from luigi_tasks.invocation import utc_now
from luigi_tasks.outbox import OutboxRow
from luigi_tasks.preflight import Ready, Refusal
from luigi_tasks.segment import Attempt

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
}


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
    """Writes for one task.

    Args:
        run_id: The `luigi` command.
        slot: The beginning of the slot, naive UTC.
        call: identify or track.
    """

    def __init__(self, run_id: UUID, slot: datetime, call: str) -> None:
        self.run_id = run_id
        self.slot = slot.replace(tzinfo=timezone.utc)
        self.call = call

    def record_attempt(self, batch: Batch, attempt: Attempt, number: int) -> None:
        """Append the row of one request; `number` counts the requests of the batch from 1."""
        verdict = attempt.verdict
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
        }
        clickhouse.insert_once(
            "segment_delivery_attempts",
            list(ATTEMPTS),
            [[row[name] for name in ATTEMPTS]],
            list(ATTEMPTS.values()),
            token_source=[f"{batch.batch_id}/{number}"],
        )

    def was_accepted_lately(self) -> bool:
        """Tell whether Segment accepted anything in the last day, in whatever run."""
        database = {"database": config.clickhouse().database}
        found = clickhouse.connect().query(queries.text("accepted_lately"), database).result_rows
        return bool(found)

    def record_settled(self, batch: Batch, status: str, attempt: Attempt, number: int) -> None:
        """Append the messages of a batch that Segment accepted, or rejected for good.

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
        self._append([self._base(item.row, batch.batch_id) | answer for item in batch.items])

    def record_refusals(self, refusals: Sequence[Refusal]) -> None:
        """Append what the preflight refused; these messages were never sent (attempt 0)."""
        if not refusals:
            return
        batch_id, now = uuid4(), utc_now()
        self._append(
            [
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
        )

    def _base(self, row: OutboxRow, batch_id: UUID) -> dict[str, object]:
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
            "recorded_at": utc_now(),
        }

    def _append(self, rows: Sequence[dict[str, object]]) -> None:
        clickhouse.insert_once(
            "segment_delivery_ledger",
            list(LEDGER),
            [[row[name] for name in LEDGER] for row in rows],
            list(LEDGER.values()),
            token_source=[f"{row['message_id']}/{row['status']}/{self.run_id}" for row in rows],
        )
