"""The state of deliveries on a terminal: `python -m luigi_tasks.status`.

The same figures as the views segment_delivery_summary and segment_failed_events.
"""

from __future__ import annotations

import argparse
import sys

from clickhouse_connect.driver.exceptions import DatabaseError
from rich.console import Console
from rich.table import Table

from luigi_tasks import clickhouse, config, queries
from luigi_tasks.errors import PipelineError


def main() -> int:
    """Print what was delivered, what is pending and what does not go out.

    Returns:
        The exit code: 0, or 1 when there is nothing to read.
    """
    argparse.ArgumentParser(prog="python -m luigi_tasks.status", description=__doc__).parse_args()
    console = Console()
    try:
        for table in (_summary(), _failures()):
            if table.row_count:
                console.print(table)
    except PipelineError as error:
        console.print(str(error), style="red")
        return 1
    except DatabaseError as error:
        if not clickhouse.is_missing(error):
            raise
        database = config.clickhouse().database
        console.print(f"There is no outbox in the database {database} yet. Run dbt build first.")
        return 1
    return 0


def _summary() -> Table:
    table = Table(title="Messages", title_justify="left")
    for name in ("call", "event", "status"):
        table.add_column(name)
    table.add_column("messages", justify="right")
    table.add_column("last (UTC)")
    for call, event, status, messages, last_at in queries.rows("delivery_summary"):
        table.add_row(call, event, status, f"{messages:,}", f"{last_at:%Y-%m-%d %H:%M:%S}")
    return table


def _failures() -> Table:
    # Without lines, so that a whole SID fits, to be copied into `explain`.
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, title_justify="left")
    table.title = "Does not go out (segment_failed_events)"
    for name in ("category", "event", "error_code", "rows", "example"):
        table.add_column(name, no_wrap=True, justify="right" if name == "rows" else "left")
    for category, event, code, failures, example in queries.rows("open_failures"):
        table.add_row(category, event, code, f"{failures:,}", example)
    return table


if __name__ == "__main__":
    sys.exit(main())
