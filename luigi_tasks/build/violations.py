"""The first rows of a data test that failed: what dbt counts, and does not show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from luigi_tasks.clickhouse import client as clickhouse
from luigi_tasks.plain_text import plain

ROWS = 3
"""Rows that are shown of a test."""

LONGEST_VALUE = 60
LONGEST_ROW = 300

QUERY = "select * from (\n{sql}\n) limit {{rows:UInt32}}"


def first_rows(node: dict[str, Any]) -> list[str]:
    """Return some rows that break a rule, each of them as one plain line.

    Args:
        node: An entry of dbt's run_results.json. Only a failed test has such rows.
    """
    sql = node.get("compiled_code") or ""
    if not node["unique_id"].startswith("test.") or node["status"] != "fail" or not sql:
        return []
    try:
        found = clickhouse.connect().query(QUERY.format(sql=sql), {"rows": ROWS})
    except clickhouse.ERRORS as error:
        return [f"its rows cannot be shown: {plain(error, LONGEST_ROW)}"]
    return [_line(found.column_names, row) for row in found.result_rows]


def _line(names: Sequence[str], row: Sequence[Any]) -> str:
    values = (
        f"{name}={plain(value, LONGEST_VALUE)}" for name, value in zip(names, row, strict=True)
    )
    return plain(", ".join(values), LONGEST_ROW)
