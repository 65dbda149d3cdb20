"""Markers: the rows that say which tasks are finished.

Completeness of a task with a slot:

- a slot that is over is done for good once it has a marker;
- the current slot stays open: only a marker written since this `luigi` command was started
  counts. A second run within the same 15 minutes therefore does the work again, because rows that
  came in meanwhile must go out at once. Doing it again is safe: what the ledger holds is not sent.
- with [sync] once_per_slot every marker counts in the current slot as well: for several hosts that
  run the same command, where a late one must see what the others have done already.
- the marker of a dry run has an identity of its own and counts for the command that wrote it only,
  so a dry run never passes for a delivery.

A marker is written last. Losing one costs a repeated run, never a message.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone

import luigi
from clickhouse_connect.driver.exceptions import DatabaseError

from luigi_tasks import config
from luigi_tasks.clickhouse import client as clickhouse
from luigi_tasks.clickhouse import cluster, queries
from luigi_tasks.runs import invocation
from luigi_tasks.runs.shards import WHOLE, Shard

EPOCH = datetime.fromtimestamp(0, timezone.utc)

COLUMNS = {
    "task_id": "String",
    "task_family": "LowCardinality(String)",
    "params": "String",
    "rows": "UInt64",
    "completed_at": "DateTime64(3, 'UTC')",
}


class MarkerTarget(luigi.Target):
    """A row in `luigi_markers`.

    Args:
        identity: What the marker stands for. Choose it so that the same work always has the same
            identity; Luigi's task_id would change with every new parameter.
        task_family: The name of the task, for people who read the table.
        params: The parameters of the task, for people who read the table.
        not_before: Aware UTC. Markers that are older do not count. None: every marker counts.
        is_patient: Write it even if ClickHouse has to be waited for.
    """

    def __init__(
        self,
        identity: str,
        *,
        task_family: str = "",
        params: Mapping[str, str] | None = None,
        not_before: datetime | None = None,
        is_patient: bool = True,
    ) -> None:
        self.identity = identity
        self.task_family = task_family
        self.params = dict(params or {})
        self.not_before = not_before
        self.is_patient = is_patient

    def __str__(self) -> str:
        return f"marker {self.identity}"

    def exists(self) -> bool:
        """Tell whether there is a marker that counts; False also when there is no table yet."""
        return bool(self._query("marker_exists"))

    def read(self) -> dict[str, str]:
        """Return the parameters and details of the marker; empty when there is none."""
        rows = self._query("marker_params")
        return json.loads(rows[0][0]) if rows else {}

    def touch(self, rows: int = 0, **details: str) -> None:
        """Write the marker.

        Args:
            rows: How many rows or messages the task settled.
            **details: What `read` shall return besides the parameters.
        """
        database = config.clickhouse().database
        statement = queries.text("create_markers")
        cluster.create(clickhouse.connect(), database, "luigi_markers", statement)
        # Never too old to count: the clock may have been set back since this command was started.
        now = max(invocation.utc_now(), self.not_before or EPOCH)
        params = json.dumps(self.params | details, sort_keys=True)
        patience = config.delivery().clickhouse_patience_seconds if self.is_patient else 0
        for attempt in clickhouse.patiently(patience):
            with attempt:
                clickhouse.insert_once(
                    "luigi_markers",
                    list(COLUMNS),
                    [[self.identity, self.task_family, params, rows, now]],
                    list(COLUMNS.values()),
                    # With the time: the next run of an open slot writes a marker of its own.
                    token_source=[self.identity, now.isoformat()],
                )

    def _query(self, name: str) -> Sequence[Sequence[str]]:
        parameters = {
            "database": config.clickhouse().database,
            "task_id": self.identity,
            "not_before": self.not_before or EPOCH,
        }
        try:
            # This is the first thing that a run does.
            clickhouse.wait()
            return clickhouse.read(name, queries.text(name), parameters)
        except DatabaseError as error:
            if not clickhouse.is_missing(error):
                raise
        return []


def for_slot(
    task: luigi.Task, slot: datetime, *, shard: Shard = WHOLE, dry_run: bool = False
) -> MarkerTarget:
    """Return the marker of a task for a slot, see the rules at the top of this module.

    Args:
        task: The task; its name and slot are the identity, and its shard if it has one.
        slot: The beginning of the slot, naive UTC.
        shard: The part of the users that the task sends.
        dry_run: Use the identity of a dry run of this `luigi` command.
    """
    run = invocation.current
    identity = f"{task.task_family}/{slot:%Y-%m-%dT%H%M}"
    if shard != WHOLE:
        identity += f"/{shard}"
    if dry_run:
        identity += f"/dry-run/{run.run_id}"
    is_done_for_good = run.is_over(slot) or config.sync().once_per_slot
    return MarkerTarget(
        identity,
        task_family=task.task_family,
        params=task.to_str_params(),
        not_before=None if is_done_for_good else run.started_at,
    )
