"""Delivery: drains one outbox, in order, and settles every message of the cut or says why not.

Each page of the outbox is divided into lanes by user. Each lane: check its messages, record the
refused ones, group the others, post batch after batch, and record each once Segment has answered.
Meanwhile the next page is read, and the ledger is written.

- A passing failure is repeated with the same ids, and nothing else goes out before it is settled
  (`patience`). When patience ends the task fails, and the rest stays in the outbox.
- A rejected batch is halved until the message that causes it stands alone; the rest is delivered,
  in the order of the outbox.
- When Segment refuses us, not a message, the task stops at once and rejects nothing.
- Without the lease nothing is sent (`lease`).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

from luigi_tasks import batches, config, outbox, pace, preflight, segment
from luigi_tasks.errors import (
    ConfigurationError,
    CredentialsRefusedError,
    EverythingRejectedError,
    PipelineError,
    SegmentUnavailableError,
)
from luigi_tasks.lanes import Lanes
from luigi_tasks.lease import Lease
from luigi_tasks.ledger import Batch, Ledger
from luigi_tasks.outbox import OutboxRow
from luigi_tasks.patience import Patience
from luigi_tasks.preflight import Ready, Refusal
from luigi_tasks.segment import Attempt

logger = logging.getLogger("luigi-interface.delivery")

MOST_SUSPECTS = 200
"""So many rejected messages with none accepted, and the fault is not theirs."""

FEW_SUSPECTS = 10
"""So many are believed to be bad with none accepted, if the key was good lately."""


@dataclass
class Counts:
    """What a task has done so far."""

    total: int = 0
    accepted: int = 0
    rejected: int = 0
    requests: int = 0
    repeated: int = 0
    sent_bytes: int = 0

    @property
    def settled(self) -> int:
        """Messages that will not be sent again."""
        return self.accepted + self.rejected

    def __str__(self) -> str:
        parts = [f"{self.accepted:,} of {self.total:,} accepted"]
        if self.rejected:
            parts.append(f"{self.rejected:,} rejected")
        if pending := max(0, self.total - self.settled):
            parts.append(f"{pending:,} pending")
        parts.append(f"{self.requests:,} requests")
        if self.repeated:
            parts.append(f"{self.repeated:,} repeated")
        return ", ".join([*parts, f"{self.sent_bytes / 1e6:,.1f} MB"])


class Delivery:
    """Sends one cut of one outbox.

    Args:
        call: identify or track.
        key: Segment's write key.
        ledger: Where the outcome goes; entered by the caller, so that it is written at the end.
        lease: Held by the caller.
        on_change: Called with the counts whenever they have changed.
        sleep: Waits so many seconds; the default wakes when the task ends.
    """

    def __init__(
        self,
        call: str,
        key: str,
        ledger: Ledger,
        lease: Lease,
        *,
        on_change: Callable[[Counts], None] = lambda counts: None,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        settings = config.delivery()
        # Senders of other shards work at the same time: all of them together keep the limit.
        events_per_second = settings.events_per_second * lease.shard.share
        self.call = call
        self.counts = Counts()
        self._segment = segment.Endpoint(key)
        self._ledger = ledger
        self._lease = lease
        self._on_change = on_change
        self._page_size = settings.page_messages
        self._pace = pace.shared(events_per_second)
        self._lanes: Lanes[OutboxRow] = Lanes(settings.connections, self._deliver_lane)
        self._patience = Patience(settings, sleep or self._lanes.pause)
        self._limits = batches.Limits(
            messages=config.segment().batch_messages,
            body_bytes=config.segment().batch_bytes,
            envelope_bytes=batches.envelope_bytes(key),
            events_per_second=events_per_second,
        )
        self._lock = threading.RLock()
        """For the counts and the suspects, which the lanes share."""
        # Rejected messages wait here for the first accepted one, which proves that the key and
        # the address are good. Segment answers 400 to some bad keys.
        self._suspects: list[tuple[Batch, Attempt, int]] = []

    def drain(self, cut: outbox.Cut) -> Counts:
        """Settle every message of the cut.

        Raises:
            SegmentUnavailableError: The retries are used up; the rest is still pending.
            CredentialsRefusedError: Segment refuses the write key; nothing was rejected.
            ConfigurationError: The address refuses or redirects us; nothing was rejected.
            EverythingRejectedError: Messages were rejected and none accepted; none was recorded.
            LeaseLostError: Another run may have begun; the rest is still pending.
            LedgerUnwrittenError: ClickHouse does not take the results.
        """
        self.counts.total = cut.messages
        if cut.messages:
            self._tell_doubts(cut)
            self._pace.follow(self._lease.vacant_for)
        first = cut.first
        with self._lanes:
            for page in outbox.pages(self.call, cut, self._page_size, self._lanes.count):
                # Said before the lanes have finished the page before, so that they need not wait.
                self._lease.begin(self.call, first, page[-1].enqueued_at)
                first = page[0].enqueued_at
                self._lanes.finish()
                self._lanes.start(_divide(page))
            self._lanes.finish()
        self._settle_suspects()
        return self.counts

    def _tell_doubts(self, cut: outbox.Cut) -> None:
        doubt = outbox.in_doubt(self.call, self._lease.owner, cut.shard, cut.shards)
        if not doubt.messages:
            return
        logger.warning(
            "%s %s messages may have arrived already: since %s UTC an earlier run had no clear "
            "answer, or died. They go first, with the same ids.",
            f"{doubt.messages:,}",
            self.call,
            f"{doubt.oldest:%Y-%m-%d %H:%M:%S}",
        )
        if doubt.too_old:
            window = timedelta(hours=config.delivery().dedupe_window_hours)
            logger.warning(
                "%s of them are older than Segment's dedupe window (%s): if they did arrive, "
                "destinations that do not deduplicate by message id get them twice.",
                f"{doubt.too_old:,}",
                window,
            )

    def _deliver_lane(self, rows: Sequence[OutboxRow]) -> None:
        for batch in batches.pack(self._ready(rows), self._limits):
            self._deliver(batch)

    def _ready(self, rows: Iterable[OutboxRow]) -> Iterator[Ready]:
        """The messages that may be sent, checked as they are needed."""
        refusals = []
        for row in rows:
            checked = preflight.check(row)
            if isinstance(checked, Ready):
                yield checked
            else:
                refusals.append(checked)
        if refusals:
            self._record_refusals(refusals)

    def _record_refusals(self, refusals: list[Refusal]) -> None:
        self._ledger.record_refusals(refusals)
        for refusal in refusals:
            logger.warning(
                "Not sent: %s %s of %s %s: %s (%s).",
                refusal.row.call,
                refusal.row.event,
                refusal.row.entity,
                refusal.row.entity_id,
                refusal.reason_code,
                refusal.detail,
            )
        with self._lock:
            self.counts.rejected += len(refusals)
            self._on_change(self.counts)

    def _deliver(self, items: list[Ready]) -> None:
        batch = Batch(items, uuid4())
        attempt, number = self._post_until_settled(batch)
        verdict = attempt.verdict
        if verdict.outcome is segment.Outcome.ACCEPTED:
            self._ledger.record_settled(batch, "accepted", attempt, number)
            with self._lock:
                self.counts.accepted += len(items)
                self._record_suspects()
        elif verdict.may_retry or verdict.refuses_us:
            raise self._failure(attempt)
        elif len(items) > 1:
            middle = len(items) // 2
            self._deliver(items[:middle])
            self._deliver(items[middle:])
        else:
            self._suspect(batch, attempt, number)
        with self._lock:
            self._on_change(self.counts)

    def _post_until_settled(self, batch: Batch) -> tuple[Attempt, int]:
        """Post a batch until it is accepted or rejected, or patience ends."""
        messages = [item.row.message for item in batch.items]
        number = 0

        def post_once() -> Attempt:
            nonlocal number
            self._lanes.go_on()
            number += 1
            with self._pace.slot(len(messages)) as slot:
                self._lease.require()
                attempt = self._segment.send(messages, number - 1)
                slot.answered = attempt.verdict.http_status > 0
            if attempt.verdict.http_status == segment.TOO_MANY_REQUESTS:
                self._pace.slow_down()
            with self._lock:
                self.counts.requests += 1
                self.counts.repeated += number > 1
                self.counts.sent_bytes += attempt.body_bytes
            self._ledger.record_attempt(batch, attempt, number)
            return attempt

        return self._patience.repeat(post_once), number

    def _suspect(self, batch: Batch, attempt: Attempt, number: int) -> None:
        row = batch.items[0].row
        logger.warning(
            "Segment rejects the %s of %s %s: %s (%s).",
            row.event or row.call,
            row.entity,
            row.entity_id,
            attempt.verdict.reason_code,
            attempt.verdict.detail,
        )
        with self._lock:
            self._suspects.append((batch, attempt, number))
            if self.counts.accepted:
                self._record_suspects()
            elif len(self._suspects) >= MOST_SUSPECTS:
                raise self._everything_rejected()

    def _settle_suspects(self) -> None:
        """At the end: many rejected messages and no good one speak against the key.

        A few are believed to be bad when the key was good lately; waiting for a good message
        would hold up the orders of a quiet shop.
        """
        if not self._suspects:
            return
        if len(self._suspects) > FEW_SUSPECTS or not self._ledger.was_accepted_lately():
            raise self._everything_rejected()
        self._record_suspects()

    def _record_suspects(self) -> None:
        for batch, attempt, number in self._suspects:
            self._ledger.record_settled(batch, "rejected", attempt, number)
            self.counts.rejected += len(batch.items)
        self._suspects.clear()

    def _everything_rejected(self) -> EverythingRejectedError:
        verdict = self._suspects[0][1].verdict
        return EverythingRejectedError(
            f"Segment rejected all {len(self._suspects):,} {self.call} messages and accepted none "
            f"({verdict.reason_code}: {verdict.detail}). Nothing was recorded as rejected. Check "
            f"SEGMENT_WRITE_KEY and SEGMENT_HOST ({config.segment().host}), then run again."
        )

    def _failure(self, attempt: Attempt) -> PipelineError:
        verdict = attempt.verdict
        host = config.segment().host
        said = f"{verdict.reason_code}: {verdict.detail}" if verdict.detail else verdict.reason_code
        if verdict.may_retry:
            return SegmentUnavailableError(
                f"Segment at {host} did not take the {self.call} messages ({said}) and the time "
                f"for retries is used up. So far: {self.counts}. The rest stays in the outbox: run "
                "the same command again later, or wait for the next scheduled run."
            )
        if verdict.reason_code == segment.OAUTH_REFUSED:
            return CredentialsRefusedError(
                f"Segment's OAuth server gives no token ({said}). Nothing was rejected. Check "
                "SEGMENT_OAUTH_CLIENT_ID, SEGMENT_OAUTH_KEY_ID and SEGMENT_OAUTH_KEY_FILE."
            )
        if verdict.http_status in {401, 403}:
            return CredentialsRefusedError(
                f"Segment at {host} refuses the write key ({said}). Nothing was rejected. Check "
                "SEGMENT_WRITE_KEY, and that SEGMENT_HOST is the region of the workspace."
            )
        return ConfigurationError(
            f"{host} does not behave like Segment ({said}). Nothing was rejected. Check "
            "SEGMENT_HOST, and whether a proxy stands in between."
        )


def _divide(page: list[OutboxRow]) -> list[list[OutboxRow]]:
    """Return the messages of each lane, in the order of the page."""
    lanes: dict[int, list[OutboxRow]] = {}
    for row in page:
        lanes.setdefault(row.lane, []).append(row)
    return list(lanes.values())
