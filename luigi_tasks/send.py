"""SendIdentify and SendTrack: the outboxes go to Segment, customers before their orders."""

from __future__ import annotations

import logging
from typing import ClassVar

import luigi

from luigi_tasks import (
    brake,
    config,
    dry_run,
    invocation,
    markers,
    outbox,
    readiness,
    segment,
    signals,
)
from luigi_tasks.build_outbox import BuildOutbox
from luigi_tasks.delivery import Counts, Delivery
from luigi_tasks.lease import Lease
from luigi_tasks.ledger import Ledger
from luigi_tasks.progress import TaskProgress
from luigi_tasks.slots import SlotTask

logger = logging.getLogger("luigi-interface.send")


class SendTask(SlotTask):
    """Sends one outbox: all that it shows when the task starts."""

    call: ClassVar[str]
    resources = {"segment": 1}  # noqa: RUF012 - Luigi reads a plain class attribute

    def output(self) -> markers.MarkerTarget:
        """The marker of this slot; a dry run has its own."""
        return markers.for_slot(self, self.slot, dry_run=config.is_dry_run())

    def run(self) -> None:
        """Send, or show what would be sent when there is no write key."""
        if config.is_dry_run():
            self.output().touch(dry_run.show(self.call))
            return
        if config.segment().debug:
            segment.log_requests(logging.getLogger("luigi-interface").handlers)
        readiness.check(config.write_key())
        with signals.terminated_as_exception(), Lease() as lease:
            cut = outbox.cut(self.call)
            brake.check()
            counts = self._send(cut, lease)
            outbox.advance_watermark(self.call)
        run = invocation.current
        self.output().touch(
            counts.settled,
            run_id=str(run.run_id),
            started_at=run.started_at.isoformat(),
            first_enqueued_at=(cut.first if cut.messages else run.started_at).isoformat(),
        )

    def _send(self, cut: outbox.Cut, lease: Lease) -> Counts:
        key, run = config.write_key(), invocation.current
        with (
            TaskProgress(self, f"send {self.call}") as progress,
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
                logger.info("%s: %s", self.call, counts)


class SendIdentify(SendTask):
    """Send the customers that are new or changed (identify calls)."""

    call = "identify"

    def requires(self) -> luigi.Task:
        """The outbox must have been built."""
        return BuildOutbox(slot=self.slot)


class SendTrack(SendTask):
    """Send the orders and refunds (track calls), after the customers they belong to."""

    call = "track"

    def requires(self) -> luigi.Task:
        """Customers go first."""
        return SendIdentify(slot=self.slot)
