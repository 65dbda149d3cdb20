"""Retail Pro to Segment: the tasks that `luigi --module luigi_tasks` runs.

    SyncToSegment -> ReportRun -> SendTrack -> SendIdentify -> BuildOutbox -> LoadExport
                                                                              (when configured)

Each can be run by itself and brings what it requires with it. PlanSync -> BuildOutbox shows what a
sync would send. `markers` says when a task counts as done, `delivery` how the outbox is sent,
`shards` how several tasks send it at the same time.
"""

from luigi_tasks import config
from luigi_tasks.build_outbox import BuildOutbox
from luigi_tasks.load_export import LoadExport
from luigi_tasks.plan import PlanSync
from luigi_tasks.report import ReportRun, SyncToSegment
from luigi_tasks.runs import central_scheduler, log_records, pid_lock, signals
from luigi_tasks.send import SendIdentify, SendTrack

__all__ = [
    "BuildOutbox",
    "LoadExport",
    "PlanSync",
    "ReportRun",
    "SendIdentify",
    "SendTrack",
    "SyncToSegment",
]

log_records.install()
signals.say_instead_of_traceback()
config.use_luigi_cfg_of_the_checkout()
config.follow_scheduler_variables()
pid_lock.use()
central_scheduler.use()
