"""PlanSync: what a sync would send, shown before anybody sends it."""

from __future__ import annotations

import luigi

from luigi_tasks.build_outbox import BuildOutbox
from luigi_tasks.preview import dry_run, forecast
from luigi_tasks.runs import markers
from luigi_tasks.runs.progress import Scheduler
from luigi_tasks.runs.slots import SlotTask
from luigi_tasks.terminal import Terminal


class PlanSync(SlotTask):
    """Build the outbox and show what a sync would send and cost. Sends and settles nothing."""

    def requires(self) -> luigi.Task:
        """The outbox must have been built."""
        return BuildOutbox(slot=self.slot)

    def output(self) -> markers.MarkerTarget:
        """A marker that counts for this command alone: the next one looks again."""
        return markers.for_slot(self, self.slot, dry_run=True)

    def run(self) -> None:
        """Print the plan; its figure is the status message too."""
        terminal = Terminal()
        for call in forecast.CALLS:
            dry_run.show(call, terminal)
        messages = dry_run.show_totals(terminal)
        summary = f"Plan: {messages:,} messages would be sent. Nothing was sent."
        terminal.say(summary, style="bold")
        Scheduler(self).report(100, summary)
        self.output().touch()
