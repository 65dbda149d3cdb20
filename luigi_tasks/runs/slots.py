"""The base of all tasks that belong to a slot of 15 minutes."""

from __future__ import annotations

import luigi

from luigi_tasks.runs import invocation
from luigi_tasks.runs.task import PipelineTask


class SlotTask(PipelineTask):
    """A task of the sync.

    Its slot is a name for the run: it does not select data. Every run sends whatever is pending,
    so a missed slot needs no catching up.
    """

    slot = luigi.DateMinuteParameter(
        interval=15,
        default=invocation.current.slot,
        description="Beginning of the 15-minute slot in UTC, such as 2026-01-31T1415. "
        "Default: the slot in which the command was started.",
    )


class ShardedTask(SlotTask):
    """A task of the sync that depends on how many senders there are."""

    shards = luigi.IntParameter(
        default=1,
        description="Into how many parts the users are divided, 1 to 64. Each part is sent by a "
        "task of its own, at its share of the speed limit; all of them can run at the same time.",
    )
