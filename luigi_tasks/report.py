"""ReportRun and SyncToSegment: what happened, and the task that stands for the whole sync."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any
from uuid import UUID

import luigi
from luigi.interface import core
from rich.table import Table

from luigi_tasks import config
from luigi_tasks.clickhouse import queries
from luigi_tasks.delivery import outbox, soundness, stuck
from luigi_tasks.delivery.stuck import StuckMessage
from luigi_tasks.preview import dry_run
from luigi_tasks.runs import heartbeat, markers
from luigi_tasks.runs.progress import Scheduler
from luigi_tasks.runs.shards import all_shards
from luigi_tasks.runs.slots import ShardedTask
from luigi_tasks.send import SendIdentify, SendTask, SendTrack
from luigi_tasks.terminal import Terminal, number, table, text

logger = logging.getLogger("luigi-interface.report")


@dataclass(frozen=True)
class Sent:
    """What the send tasks of a call did for the slot, and what is pending after them.

    Attributes:
        call: identify or track.
        deliveries: Event: (accepted, rejected).
        rejections: (event, reason code, messages, example).
        requests: Requests made.
        not_accepted: Requests that failed or were rejected.
        sent_bytes: Bytes of all requests.
        seconds: Time spent waiting for answers.
        pending: Event: messages still pending.
        held: Event: customers or orders that should go out and break a rule.
        stuck: Pending messages that Segment did not take when they were sent alone.
    """

    call: str
    deliveries: dict[str, tuple[int, int]]
    rejections: list[tuple[str, str, int, str]]
    requests: int
    not_accepted: int
    sent_bytes: int
    seconds: float
    pending: dict[str, int]
    held: dict[str, int] = field(default_factory=dict)
    stuck: list[StuckMessage] = field(default_factory=list)

    @property
    def accepted(self) -> int:
        """Messages that Segment accepted."""
        return sum(accepted for accepted, _ in self.deliveries.values())

    @property
    def rejected(self) -> int:
        """Messages that were rejected, by Segment or before sending."""
        return sum(rejected for _, rejected in self.deliveries.values())


def collect(tasks: Sequence[SendTask]) -> Sent:
    """Read from the ledger what the finished send tasks of one call did.

    A run is one `luigi` command; with several workers the shards may be of several runs.
    """
    call, slot = tasks[0].call, tasks[0].slot
    found = [task.output().read() for task in tasks]
    binds: dict[str, Any] = {
        "call": call,
        "slot": slot.replace(tzinfo=timezone.utc),
        "run_ids": sorted({UUID(marker["run_id"]) for marker in found}),
        "started_at": min(datetime.fromisoformat(marker["started_at"]) for marker in found),
        "first_enqueued_at": min(
            datetime.fromisoformat(marker["first_enqueued_at"]) for marker in found
        ),
    }

    def query(name: str) -> list[Any]:
        return queries.rows(name, **binds)

    [(requests, not_accepted, sent_bytes, seconds)] = query("run_requests")
    return Sent(
        call=call,
        deliveries={
            event: (accepted, rejected) for event, accepted, rejected in query("run_deliveries")
        },
        rejections=query("run_rejections"),
        requests=requests,
        not_accepted=not_accepted,
        sent_bytes=sent_bytes,
        seconds=seconds,
        pending={event: count for event, count, _ in outbox.pending_by_event(call)},
        held=outbox.held_by_event(call),
        stuck=stuck.of_runs(call, binds["run_ids"], binds["started_at"]),
    )


class ReportRun(ShardedTask):
    """Print what the run sent, what was rejected, is pending or held, and where to look."""

    def requires(self) -> list[SendTask]:
        """Everything has been sent."""
        return self._sends(SendTrack)

    def _sends(self, task_class: type[SendTask]) -> list[SendTask]:
        return [
            task_class(slot=self.slot, shards=self.shards, shard=shard.number)
            for shard in all_shards(self.shards)
        ]

    def output(self) -> markers.MarkerTarget:
        """The marker of this slot; a dry run has its own."""
        return markers.for_slot(self, self.slot, dry_run=config.is_dry_run())

    def run(self) -> None:
        """Print the report; its figures are the status message too."""
        terminal = Terminal()
        sent = [] if config.is_dry_run() else self._collect()
        outcome, rows = self._delivery(terminal, sent) if sent else self._dry_run(terminal)
        terminal.say(outcome, style="bold")
        concerns = soundness.concerns()
        for concern in concerns:
            terminal.say(concern, style="bold red")
            logger.warning("%s", concern)
        for name, address in links().items():
            terminal.say(f"{name}: {address}")
        Scheduler(self).report(100, " ".join([outcome, *concerns]))
        heartbeat.beat()
        stuck.refuse([message for part in sent for message in part.stuck])
        self.output().touch(rows)

    def _collect(self) -> list[Sent]:
        return [collect(self._sends(task_class)) for task_class in (SendIdentify, SendTrack)]

    def _dry_run(self, terminal: Terminal) -> tuple[str, int]:
        pending = dry_run.show_totals(terminal)
        return f"Dry run: nothing was sent, {pending:,} messages are pending.", 0

    def _delivery(self, terminal: Terminal, sent: list[Sent]) -> tuple[str, int]:
        terminal.show(delivery_table(sent))
        terminal.show(request_table(sent))
        if any(part.rejections for part in sent):
            terminal.show(rejection_table(sent))
        dry_run.say_what_is_held(terminal, sum(sum(part.held.values()) for part in sent))
        return summary(sent), sum(part.accepted + part.rejected for part in sent)


def summary(sent: Sequence[Sent]) -> str:
    """Return in one sentence what a run did."""
    accepted = sum(part.accepted for part in sent)
    rejected = sum(part.rejected for part in sent)
    pending = sum(sum(part.pending.values()) for part in sent)
    held = sum(sum(part.held.values()) for part in sent)
    counts = f"{accepted:,} accepted, {rejected:,} rejected, {pending:,} still pending"
    idle = "" if accepted or rejected or pending else "Nothing new: "
    return f"{idle}{counts}, {held:,} held."


class SyncToSegment(ShardedTask, luigi.WrapperTask):
    """One sync: load the export, build the outbox, send customers, then orders, and report."""

    def requires(self) -> luigi.Task:
        """The last step, which brings all others with it."""
        return ReportRun(slot=self.slot, shards=self.shards)


def delivery_table(sent: list[Sent]) -> Table:
    """Messages per call and event."""
    counts = ("accepted", "rejected", "pending", "held")
    rows = [
        (
            *(part.call, event, *part.deliveries.get(event, (0, 0))),
            *(part.pending.get(event, 0), part.held.get(event, 0)),
        )
        for part in sent
        for event in sorted({*part.deliveries, *part.pending, *part.held}) or [""]
    ]
    return table("Delivery to Segment", ("call", "event", *map(number, counts)), rows)


def request_table(sent: list[Sent]) -> Table:
    """Requests per call."""
    columns = ("call", number("requests"), number("not accepted"), number("MB"), number("seconds"))
    rows = [
        (
            part.call,
            part.requests,
            part.not_accepted,
            f"{part.sent_bytes / 1e6:,.2f}",
            f"{part.seconds:,.1f}",
        )
        for part in sent
    ]
    return table("Requests", columns, rows)


def rejection_table(sent: list[Sent]) -> Table:
    """Why messages were rejected."""
    columns = ("call", "event", "reason", number("messages"), text("example"))
    rows = [(part.call, *rejection) for part in sent for rejection in part.rejections]
    return table("Rejected", columns, rows)


def links() -> dict[str, str]:
    """Where to look further; only what is there."""
    found = {}
    scheduler = core()
    if not scheduler.local_scheduler:
        address = f"http://{scheduler.scheduler_host}:{scheduler.scheduler_port}"
        found["Luigi"] = f"{scheduler.scheduler_url or address}/static/visualiser/index.html"
    host = config.segment().host
    if config.is_sandbox(host):
        found["Segment debugger"] = host
    if docs_port := os.environ.get("DOCS_PORT"):
        found["Documentation"] = f"http://127.0.0.1:{docs_port}"
    return found
