"""Delivery: drains one outbox, in order, and settles every message of the cut or says why not.

Each page of the outbox is divided into lanes by user. Each lane: check its messages, record the
refused ones, group the others, post batch after batch, and record each once Segment has answered.
Meanwhile the next page is read, and the ledger is written.

- A passing failure is repeated with the same ids, and nothing else goes out before it is settled
  (`patience`). When patience ends the task fails, and the rest stays in the outbox.
- A rejected batch is halved until the message that causes it stands alone; the rest is delivered,
  in the order of the outbox.
- A batch that fails while others are accepted is halved by users until the message that causes it
  stands alone. That one is stuck (`stuck`): it stays in the outbox with what its user has behind
  it, and the rest is delivered.
- What belongs to a suppressed user is settled without being sent.
- When Segment refuses us, not a message, the task stops at once and rejects nothing.
- Without the lease nothing is sent (`lease`).
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import chain, count
from uuid import uuid4

from luigi_tasks import config
from luigi_tasks.delivery import batches, outbox, pace, preflight, refusals
from luigi_tasks.delivery.lanes import Lanes
from luigi_tasks.delivery.ledger import Batch, Ledger
from luigi_tasks.delivery.outbox import OutboxRow
from luigi_tasks.delivery.patience import FAILURES_BEFORE_PROBE, Asked, BudgetSpentError, Patience
from luigi_tasks.delivery.preflight import Ready, Refusal
from luigi_tasks.delivery.stuck import StuckMessages
from luigi_tasks.runs.lease import Lease
from luigi_tasks.segment import endpoint as segment
from luigi_tasks.segment.endpoint import Attempt

logger = logging.getLogger("luigi-interface.delivery")

MOST_SUSPECTS = 200
"""So many rejected messages with none accepted, and the fault is not theirs."""

FEW_SUSPECTS = 10
"""So many are believed to be bad with none accepted, if the key was good lately."""

MAX_FAILURES_ALONE = 12
"""So often a message is repeated that has no others to compare with: some 40 seconds."""

MAX_PUT_OFF = 3
"""Batches of single users that are put off before it counts as an outage."""

Later = defaultdict[str, list[Ready]]
"""Messages that are delivered at the end of a page, by user."""


@dataclass
class Counts:
    """What a task has done so far."""

    total: int = 0
    accepted: int = 0
    rejected: int = 0
    suppressed: int = 0
    requests: int = 0
    repeated: int = 0
    sent_bytes: int = 0
    stuck: int = 0

    @property
    def settled(self) -> int:
        """Messages that will not be sent again."""
        return self.accepted + self.rejected + self.suppressed

    def __str__(self) -> str:
        parts = [f"{self.accepted:,} of {self.total:,} accepted"]
        if self.rejected:
            parts.append(f"{self.rejected:,} rejected")
        if self.suppressed:
            parts.append(f"{self.suppressed:,} of suppressed users, not sent")
        if pending := max(0, self.total - self.settled):
            parts.append(f"{pending:,} pending")
        if self.stuck:
            parts.append(f"{self.stuck:,} not taken by Segment")
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
        self._sleep = sleep or self._lanes.pause
        self._patience = Patience(settings, self._wait)
        self._budget = settings.retry_budget_seconds
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
        self._put_off = 0

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
            self._respect_earlier_answers()
            self._pace.follow(self._lease.vacant_for)
        self._stuck = StuckMessages(self.call, cut)
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
        self._settle_stuck()
        return self.counts

    def _wait(self, seconds: float) -> None:
        self._sleep(seconds)
        self._lanes.go_on()

    def _respect_earlier_answers(self) -> None:
        """Do not ask before the time that an earlier run was told by Retry-After."""
        seconds, until = self._ledger.asked_to_wait()
        if seconds <= 0:
            return
        why = f"an earlier run was asked to send nothing before {until:%Y-%m-%d %H:%M:%S} UTC"
        if seconds > self._budget:
            raise refusals.asked_to_wait(why)
        self._patience.hold(seconds, why)

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
        later: Later = defaultdict(list)
        for batch in batches.pack(self._without_suspects(self._ready(rows), later), self._limits):
            self._deliver(batch, later)
        for items in later.values():
            self._deliver_late(items)

    def _without_suspects(self, items: Iterable[Ready], later: Later) -> Iterator[Ready]:
        """Leave to the end the users of whom a message failed alone in an earlier run."""
        for item in items:
            if self._stuck.is_suspect(item.row.user):
                later[item.row.user].append(item)
            else:
                yield item

    def _deliver_late(self, items: list[Ready]) -> None:
        """Deliver one user's messages of a page: the first alone, the others if it is taken."""
        first, rest = items[:1], items[1:]
        known = self._stuck.is_suspect(first[0].row.user)
        if known and self._patience.is_spent:
            return
        self._deliver(first, failures=1 if known else MAX_FAILURES_ALONE)
        for batch in batches.pack(rest, self._limits):
            self._deliver(batch)

    def _ready(self, rows: Iterable[OutboxRow]) -> Iterator[Ready]:
        """The messages that may be sent, checked as they are needed."""
        refused, suppressed = [], []
        for row in rows:
            if row.is_suppressed:
                suppressed.append(row)
                continue
            checked = preflight.check(row)
            if isinstance(checked, Ready):
                yield checked
            else:
                refused.append(checked)
        if refused:
            self._record_refusals(refused)
        if suppressed:
            self._record_suppressed(suppressed)

    def _record_refusals(self, refused: list[Refusal]) -> None:
        self._ledger.record_refusals(refused)
        for refusal in refused:
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
            self.counts.rejected += len(refused)
            self._on_change(self.counts)

    def _record_suppressed(self, rows: list[OutboxRow]) -> None:
        self._ledger.record_suppressed(rows)
        logger.info(
            "Not sent, because their users are suppressed: %s %s messages.",
            f"{len(rows):,}",
            self.call,
        )
        with self._lock:
            self.counts.suppressed += len(rows)
            self._on_change(self.counts)

    def _deliver(
        self, items: Sequence[Ready], later: Later | None = None, *, failures: int = 0
    ) -> None:
        """Deliver a batch; of one that is not taken as it is, all that can be.

        Args:
            items: The messages.
            later: Takes those of a user who is to be tried again at the end of the page.
            failures: Leave them after so many failures; 0: see `_most_failures`.
        """
        pieces: deque[Sequence[Ready]] = deque([items])
        is_broken_up = False
        while pieces:
            piece = self._passable(pieces.popleft(), later)
            if not piece:
                continue
            quick = failures == 1 or (is_broken_up and self._patience.has_proof)
            most = 1 if quick else failures or self._most_failures(piece, later)
            batch, asked, number = self._post_until_settled(piece, most, closes=not quick)
            verdict = asked.attempt.verdict
            if verdict.outcome is segment.Outcome.ACCEPTED:
                self._record_accepted(batch, asked.attempt, number)
            elif verdict.may_retry:
                pieces.extend(self._break_up(batch, asked, later))
                is_broken_up, later = True, None
            elif verdict.refuses_us:
                raise refusals.refused(asked.attempt.verdict)
            elif len(batch.items) > 1:
                middle = len(batch.items) // 2
                pieces.extendleft([batch.items[middle:], batch.items[:middle]])
            else:
                self._suspect(batch, asked.attempt, number)
            with self._lock:
                self._on_change(self.counts)

    def _passable(self, items: Sequence[Ready], later: Later | None) -> list[Ready]:
        """Leave out the messages whose user waits."""
        found = []
        for item in items:
            if later is not None and item.row.user in later:
                later[item.row.user].append(item)
            elif not self._stuck.waits(item.row.user):
                found.append(item)
        return found

    def _most_failures(self, piece: Sequence[Ready], later: Later | None) -> int:
        """After how many failures of a batch to go on without it; 0: never.

        One of several users has messages to ask with whether Segment is there at all. One of a
        single user is put off, so that the messages of others show it; after some that were put
        off with no success in between, this is an outage.
        """
        if len({item.row.user for item in piece}) > 1:
            return 0
        if later is None:
            return MAX_FAILURES_ALONE
        return FAILURES_BEFORE_PROBE if self._put_off < MAX_PUT_OFF else 0

    def _break_up(self, batch: Batch, asked: Asked, later: Later | None) -> list[list[Ready]]:
        """Return the parts of a batch that is not taken; set a message aside that stands alone."""
        items, users = list(batch.items), _by_user(batch.items)
        if len(users) > 1:
            parts = list(users.values())
            middle = len(parts) // 2
            return [list(chain(*parts[:middle])), list(chain(*parts[middle:]))]
        if later is not None and not asked.is_the_batch:
            later[items[0].row.user] = items
            self._put_off += 1
            return []
        if len(items) > 1:
            return [items[:1], items[1:]]
        with self._lock:
            self.counts.stuck += 1
        stuck = self._stuck.add(items[0], batch, asked.attempt)
        logger.warning("Segment does not take %s. What its user has behind it waits.", stuck)
        return []

    def _post_until_settled(
        self, items: Sequence[Ready], failures: int, *, closes: bool
    ) -> tuple[Batch, Asked, int]:
        """Post a batch until it is accepted or rejected, or is to be left.

        Returns:
            The batch, less the messages that were sent to ask whether Segment is there; how it
            ended; and the number of its requests.
        """
        left = list(items)
        batch, number = Batch(left, uuid4()), 0

        def post() -> Attempt | None:
            nonlocal number
            attempt = self._request(batch, number + 1, closes=closes)
            number += attempt is not None
            return attempt

        turn = count()

        def probe() -> Attempt | None:
            first_of_users = [of_user[0] for of_user in _by_user(left).values()]
            single = Batch([first_of_users[next(turn) % len(first_of_users)]], uuid4())
            attempt = self._request(single, 1)
            if attempt and attempt.verdict.outcome is segment.Outcome.ACCEPTED:
                left.remove(single.items[0])
                self._record_accepted(single, attempt, 1)
            return attempt

        try:
            several = len(_by_user(left)) > 1
            asked = self._patience.repeat(post, probe if several else None, failures)
        except BudgetSpentError as error:
            raise refusals.unavailable(self.call, str(error), str(self.counts)) from None
        return batch, asked, number

    def _request(self, batch: Batch, number: int, *, closes: bool = True) -> Attempt | None:
        """Make the `number`-th request of a batch; None when it may not begin now."""
        messages = [item.row.message for item in batch.items]
        with self._pace.slot(len(messages)) as slot:
            self._lanes.go_on()
            if not self._patience.begin():
                return None
            self._lease.require()
            attempt = self._segment.send(messages, number - 1)
            self._patience.note(attempt, closes=closes)
            slot.answered = attempt.verdict.http_status > 0
        if attempt.verdict.http_status == segment.TOO_MANY_REQUESTS:
            self._pace.slow_down()
        with self._lock:
            self.counts.requests += 1
            self.counts.repeated += number > 1
            self.counts.sent_bytes += attempt.body_bytes
        self._ledger.record_attempt(batch, attempt, number)
        return attempt

    def _record_accepted(self, batch: Batch, attempt: Attempt, number: int) -> None:
        self._ledger.record_settled(batch, "accepted", attempt, number)
        with self._lock:
            self._put_off = 0
            self.counts.accepted += len(batch.items)
            self._record_suspects()

    def _settle_stuck(self) -> None:
        """At the end: what has been tried for long enough is rejected, if Segment takes others."""
        over = [stuck for stuck in self._stuck.found if stuck.is_over]
        if not over or not (self.counts.accepted or self._ledger.was_accepted_lately()):
            return
        for stuck in over:
            self._ledger.record_settled(stuck.batch, "rejected", stuck.attempt, stuck.tries)
            logger.warning("Rejected after %d days: %s.", config.delivery().transient_days, stuck)
        self.counts.rejected += len(over)
        self.counts.stuck -= len(over)

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
                raise refusals.everything_rejected(
                    self.call, len(self._suspects), self._suspects[0][1].verdict
                )

    def _settle_suspects(self) -> None:
        """At the end: many rejected messages and no good one speak against the key.

        A few are believed to be bad when the key was good lately; waiting for a good message
        would hold up the orders of a quiet shop.
        """
        if not self._suspects:
            return
        if len(self._suspects) > FEW_SUSPECTS or not self._ledger.was_accepted_lately():
            raise refusals.everything_rejected(
                self.call, len(self._suspects), self._suspects[0][1].verdict
            )
        self._record_suspects()

    def _record_suspects(self) -> None:
        for batch, attempt, number in self._suspects:
            self._ledger.record_settled(batch, "rejected", attempt, number)
            self.counts.rejected += len(batch.items)
        self._suspects.clear()


def _by_user(items: Iterable[Ready]) -> dict[str, list[Ready]]:
    """Return the messages of each user, in their order."""
    users: dict[str, list[Ready]] = {}
    for item in items:
        users.setdefault(item.row.user, []).append(item)
    return users


def _divide(page: list[OutboxRow]) -> list[list[OutboxRow]]:
    """Return the messages of each lane, in the order of the page."""
    lanes: dict[int, list[OutboxRow]] = {}
    for row in page:
        lanes.setdefault(row.lane, []).append(row)
    return list(lanes.values())
