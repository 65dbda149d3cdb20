"""The state of deliveries on a terminal: `python -m luigi_tasks.status`.

The same figures as the views segment_delivery_summary and segment_failed_events.
"""

from __future__ import annotations

import argparse
import sys

from clickhouse_connect.driver.exceptions import DatabaseError
from rich.table import Table

from luigi_tasks import config
from luigi_tasks.clickhouse import client as clickhouse
from luigi_tasks.clickhouse import queries
from luigi_tasks.errors import PipelineError
from luigi_tasks.runs import last_run
from luigi_tasks.terminal import Terminal, number, table


def main() -> int:
    """Print how the last run ended, what was delivered, what is pending and what does not go out.

    Returns:
        The exit code: 0, or 1 when there is nothing to read.
    """
    argparse.ArgumentParser(prog="python -m luigi_tasks.status", description=__doc__).parse_args()
    terminal = Terminal()
    try:
        if last := last_run.told():
            terminal.say(last)
        for part in (_summary(), _failures()):
            if part.row_count:
                terminal.show(part)
    except PipelineError as error:
        terminal.say_error(error)
        return 1
    except DatabaseError as error:
        if not clickhouse.is_missing(error):
            raise
        database = config.clickhouse().database
        terminal.say(f"There is no outbox in the database {database} yet. Run dbt build first.")
        return 1
    return 0


def _summary() -> Table:
    rows = [
        (call, event, status, messages, f"{last_at:%Y-%m-%d %H:%M:%S}")
        for call, event, status, messages, last_at in queries.rows("delivery_summary")
    ]
    return table("Messages", ("call", "event", "status", number("messages"), "last (UTC)"), rows)


def _failures() -> Table:
    columns = ("category", "event", "error_code", number("rows"), "example")
    title = "Does not go out (segment_failed_events)"
    # Without lines, so that a whole SID fits, to be copied into `explain`.
    return table(title, columns, queries.rows("open_failures"), is_lined=False)


if __name__ == "__main__":
    sys.exit(main())
