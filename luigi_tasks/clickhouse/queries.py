"""Named queries, read once from the files in sql/.

A query begins with a line "-- name:"; the comment under it says what it is for. {database} and
other identifiers are parameters, bound by the server.

queries.text("marker_exists")              the SQL of one query, comments removed
queries.rows("brake_customers", since=at)  its rows, in the configured database
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import Any

from luigi_tasks import config
from luigi_tasks.clickhouse import client as clickhouse

_HEADING = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


@cache
def load() -> dict[str, str]:
    """Return all queries by name.

    Raises:
        ValueError: As `parse`, or two files have a query of the same name.
    """
    queries: dict[str, str] = {}
    for file in (files("luigi_tasks.clickhouse") / "sql").iterdir():
        found = parse(file.read_text(encoding="utf-8"))
        if twice := sorted(queries.keys() & found):
            raise ValueError(f"{file.name} defines {', '.join(twice)} again: rename one of them.")
        queries |= found
    return queries


def parse(source: str) -> dict[str, str]:
    """Split a text of named queries.

    Raises:
        ValueError: A name is used twice, a query has no text, or no comment says what it is for.
    """
    _, *parts = _HEADING.split(source)
    queries: dict[str, str] = {}
    for name, body in zip(parts[::2], parts[1::2], strict=True):
        lines = body.strip().splitlines()
        comments = [line for line in lines if line.lstrip().startswith("--")]
        sql = "\n".join(line for line in lines if not line.lstrip().startswith("--")).strip()
        if name in queries:
            raise ValueError(f"The query {name} is defined twice: rename one of them.")
        if not sql or not comments:
            raise ValueError(f"The query {name} needs SQL and a comment that says what it is for.")
        queries[name] = sql
    return queries


def text(name: str) -> str:
    """Return the SQL of the query `name`.

    Raises:
        KeyError: There is no such query.
    """
    return load()[name]


def rows(name: str, **binds: Any) -> list[Any]:
    """Run the query `name` in the configured output database and return its rows.

    Raises:
        ClickHouseUnavailableError: As `clickhouse.read`.
    """
    database = {"database": config.clickhouse().database}
    return clickhouse.read(name, text(name), database | binds)
