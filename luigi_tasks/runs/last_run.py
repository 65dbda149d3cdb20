"""How the last run of this database ended, for `python -m luigi_tasks.status`.

A run that ended well has the marker of its report. One that did not leaves a marker here, with the
sentence why: a task failed, another run held the lease, luigid refused it or was away. A run that
cannot reach ClickHouse leaves nothing: its log has the reason.
"""

from __future__ import annotations

import json
import logging
import threading
from datetime import datetime

from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError

from luigi_tasks.clickhouse import client as clickhouse
from luigi_tasks.clickhouse import queries
from luigi_tasks.errors import ClickHouseUnavailableError, PipelineError
from luigi_tasks.plain_text import plain_lines
from luigi_tasks.runs import invocation, markers, signals

logger = logging.getLogger("luigi-interface.last_run")

FAILED = "FailedRun"
REFUSED = "RefusedRun"
"""The identities of the markers; the next failure takes the place of the last."""

MAX_SECONDS = 5.0
"""Time for writing a marker."""


def failed(why: str, error: BaseException) -> None:
    """Record that a task of this run failed.

    Args:
        why: The reason in a sentence.
        error: What was raised.
    """
    if not isinstance(error, ClickHouseUnavailableError):
        _record(FAILED, why)


def refused(why: str) -> None:
    """Record that luigid did not let this run go on."""
    _record(REFUSED, why)


def _record(identity: str, why: str) -> None:
    """Write a marker if ClickHouse takes it at once: the run is over, and nothing waits for it."""
    if signals.is_stopping():
        return
    writer = threading.Thread(target=_write, args=(identity, why), name="last-run", daemon=True)
    writer.start()
    writer.join(MAX_SECONDS)
    if writer.is_alive():
        logger.info("ClickHouse did not record within %g s why this run failed", MAX_SECONDS)


def _write(identity: str, why: str) -> None:
    """In a thread of its own, because a connection that passes nothing on ends late."""
    marker = markers.MarkerTarget(identity, task_family=identity, is_patient=False)
    try:
        marker.touch(began=invocation.current.started_at.isoformat(), why=plain_lines(why, 2000))
    except (ClickHouseError, PipelineError) as error:
        logger.info("ClickHouse did not record why this run failed: %s", error)


def told() -> str:
    """Return in a sentence how the last run ended; empty when there was none."""
    try:
        rows = queries.rows("last_runs", failures=[FAILED, REFUSED])
    except DatabaseError as error:
        if not clickhouse.is_missing(error):
            raise
        return ""
    found = {family: (ended_at, json.loads(params)) for family, params, ended_at in rows}
    if FAILED in found and REFUSED in found and _began(found[FAILED]) == _began(found[REFUSED]):
        # luigid gives no more work to a run whose task has failed: that is no news.
        del found[REFUSED]
    if not found:
        return ""
    family, (ended_at, details) = max(found.items(), key=lambda item: item[1][0])
    ended = f"{ended_at:%Y-%m-%d %H:%M:%S} UTC"
    if family not in (FAILED, REFUSED):
        return f"The last sync ended well at {ended}."
    began = f"{datetime.fromisoformat(details['began']):%Y-%m-%d %H:%M:%S} UTC"
    return f"The last run began at {began} and did not end well, at {ended}: {details['why']}"


def _began(run: tuple[datetime, dict[str, str]]) -> str:
    return run[1]["began"]
