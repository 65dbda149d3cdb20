"""SendIdentify and SendTrack: the outboxes go to Segment, customers before their orders.

Each task sends one shard, which has all users when there is just one. A customer and his orders are
in the same shard (`shards`), so the orders of a shard wait for the customers of that shard alone.
"""

from __future__ import annotations

import logging
from typing import ClassVar

import luigi

from luigi_tasks import config
from luigi_tasks.build_outbox import BuildOutbox
from luigi_tasks.delivery import outbox, restore_alarm, stuck
from luigi_tasks.delivery.ledger import Ledger
from luigi_tasks.delivery.sender import Counts, Delivery
from luigi_tasks.preview import brake, dry_run
from luigi_tasks.runs import clocks, invocation, markers, signals
from luigi_tasks.runs.lease import Lease
from luigi_tasks.runs.progress import TaskProgress
from luigi_tasks.runs.shards import WHOLE, Shard
from luigi_tasks.runs.slots import ShardedTask
from luigi_tasks.segment import endpoint as segment
from luigi_tasks.segment import readiness

logger = logging.getLogger("luigi-interface.send")


class SendTask(ShardedTask):
    """Sends one shard of an outbox: all that it shows when the task starts."""

    call: ClassVar[str]

    calls: ClassVar[tuple[str, ...]]
    """What the command has sent when this task is what it asked for."""

    shard = luigi.IntParameter(
        default=0, description="Which part of the users is sent, counted from 0."
    )

    @property
    def part(self) -> Shard:
        """The users whose messages this task sends."""
        return Shard(self.shard, self.shards)

    @property
    def label(self) -> str:
        """The task in a few words, for people."""
        return self.call if self.part == WHOLE else f"{self.call} {self.part}"

    def output(self) -> markers.MarkerTarget:
        """The marker of this slot and shard; a dry run has its own."""
        return markers.for_slot(self, self.slot, shard=self.part, dry_run=config.is_dry_run())

    def run(self) -> None:
        """Send, or show what would be sent when there is no write key."""
        if config.is_dry_run():
            # Which shard sends a message is of no interest: one of them shows them all.
            self.output().touch(dry_run.show(self.call) if self.shard == 0 else 0)
            return
        if config.segment().debug:
            segment.log_requests(logging.getLogger("luigi-interface").handlers)
        clocks.check()
        readiness.check(config.write_key())
        started_at = invocation.utc_now()
        with signals.terminated_as_exception(), Lease(self.part) as lease:
            cut = outbox.cut(self.call, self.shard, self.shards)
            brake.check()
            counts = self._send(cut, lease)
            outbox.advance_watermark(self.call)
            restore_alarm.remember(self.call)
        if self.is_asked_for():
            self._refuse_stuck()
        self.output().touch(
            counts.settled,
            run_id=str(invocation.current.run_id),
            started_at=started_at.isoformat(),
            first_enqueued_at=(cut.first if cut.messages else started_at).isoformat(),
        )

    def _refuse_stuck(self) -> None:
        """End red as ReportRun does, which the command has not asked for."""
        run = invocation.current
        found = [stuck.of_runs(call, [run.run_id], run.started_at) for call in self.calls]
        stuck.refuse([message for messages in found for message in messages])

    def _send(self, cut: outbox.Cut, lease: Lease) -> Counts:
        key, run = config.write_key(), invocation.current
        with (
            TaskProgress(self, f"send {self.label}", bar=self.part == WHOLE) as progress,
            Ledger(run.run_id, self.slot, self.call) as ledger,
        ):

            def show(counts: Counts) -> None:
                progress.update(counts.settled, counts.total, str(counts))

            delivery = Delivery(self.call, key, ledger, lease, on_change=show)
            try:
                return delivery.drain(cut)
            finally:
                counts = delivery.counts
                progress.finish(counts.settled, counts.total, str(counts))
                logger.info("%s: %s", self.label, counts)


class SendIdentify(SendTask):
    """Send the customers that are new or changed (identify calls)."""

    call = "identify"
    calls = ("identify",)

    def requires(self) -> luigi.Task:
        """The outbox must have been built."""
        return BuildOutbox(slot=self.slot)


class SendTrack(SendTask):
    """Send the orders and refunds (track calls), after the customers they belong to."""

    call = "track"
    calls = ("identify", "track")

    def requires(self) -> luigi.Task:
        """Customers go first: those of the same shard, where those of these orders are."""
        return SendIdentify(slot=self.slot, shards=self.shards, shard=self.shard)
