"""What to do about an error of ClickHouse, by its code.

ClickHouse's text says what happened. These sentences say what to do next, wherever the error shows:
in the log of a task, in a wait, in a build that failed.
"""

from __future__ import annotations

import logging
import re

import luigi
from clickhouse_connect.driver.exceptions import DatabaseError

logger = logging.getLogger("luigi-interface.clickhouse")

NO_SPACE = (
    "ClickHouse's disk is full. Add space, or free some that does not belong to this pipeline, "
    "then run again: what was not stored does not count. A purge (docs/operations.md, Purge the "
    "past) needs space itself: run it next."
)
MEMORY = (
    "The query needed more memory than ClickHouse may use. Run again when less is going on; if it "
    "comes back, raise max_memory_usage of the user or max_server_memory_usage of the server."
)
TOO_MANY_PARTS = (
    "Merges do not keep up with the inserts into that table. Run again when they have (select "
    "count() from system.merges); if it comes back, look for a full disk or many small inserts."
)
NOT_ALLOWED = (
    "The ClickHouse user lacks a right. deploy/clickhouse/accounts.sql has all that are needed; "
    "the error names the missing one."
)
UNKNOWN_SETTING = (
    "This ClickHouse does not know a setting of profiles.yml: it is too old, or the setting is "
    "gone. The README says which versions are supported."
)
FIXED_SETTING = (
    "The user's settings profile forbids to change a setting that profiles.yml pins. Take that "
    "constraint (const, min, max or readonly) out of the profile."
)
BY_CODE = {
    115: UNKNOWN_SETTING,
    164: FIXED_SETTING,
    241: MEMORY,
    243: NO_SPACE,
    252: TOO_MANY_PARTS,
    452: FIXED_SETTING,
    497: NOT_ALLOWED,
}
_CODE = re.compile(r"\bCode: (\d+)")


def about(error: object) -> str:
    """Return the sentences for an error, or for a text that has some; empty for none."""
    codes = [int(code) for code in _CODE.findall(str(error))]
    if isinstance(error, DatabaseError):
        codes.append(error.code or 0)
    return " ".join(dict.fromkeys(BY_CODE[code] for code in codes if code in BY_CODE))


@luigi.Task.event_handler(luigi.Event.FAILURE)
def _tell(task: luigi.Task, error: BaseException) -> None:
    """Log the advice with the failure of a task, whatever the task was doing."""
    if isinstance(error, DatabaseError) and (sentences := about(error)):
        logger.error("%s: %s", task.task_family, sentences)
