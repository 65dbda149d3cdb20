"""The state of deliveries on a terminal: `python -m luigi_tasks.status`.

The same figures as the views segment_delivery_summary and segment_failed_events.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from clickhouse_connect.driver.exceptions import DatabaseError
from rich.console import Console
from rich.table import Table

from luigi_tasks import clickhouse, config, queries
from luigi_tasks.errors import PipelineError


def main() -> int:
    """Print what was delivered, what is pending and what cannot go out.

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
    for call, event, status, messages, last_at in _query("delivery_summary"):
        table.add_row(call, event, status, f"{messages:,}", f"{last_at:%Y-%m-%d %H:%M:%S}")
    return table


def _failures() -> Table:
    table = Table(title="Cannot go out (segment_failed_events)", title_justify="left")
    for name in ("event", "error_code"):
        table.add_column(name, no_wrap=True)
    table.add_column("rows", justify="right")
    table.add_column("example", overflow="fold")
    for event, code, failures, example in _query("open_failures"):
        table.add_row(event, code, f"{failures:,}", example)
    return table


def _query(name: str) -> Sequence[Sequence[Any]]:
    database = {"database": config.clickhouse().database}
    return clickhouse.connect().query(queries.text(name), database).result_rows


if __name__ == "__main__":
    sys.exit(main())
