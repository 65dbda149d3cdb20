"""Where the mappings of a shop are, and whether a build may trust them.

Older versions kept them in another place; rows that are still there must not be lost.
"""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

from clickhouse_connect.driver.exceptions import DatabaseError

from luigi_tasks import config
from luigi_tasks.clickhouse import client as clickhouse
from luigi_tasks.clickhouse import queries
from luigi_tasks.errors import ConfigurationError, OutboxMissingError
from luigi_tasks.landing import origin
from luigi_tasks.plain_text import plain

SHOP = "seeds/shop"
"""Where they are unless RETAIL_PRO_MAPPINGS is set, below the directory of dbt_project.yml."""

OLD_PLACE = "seeds/reference"
"""Where older versions kept them."""

MOVED = (
    "stores",
    "subsidiaries",
    "dummy_customers",
    "excluded_stores",
    "marketing_flags",
    "suppressed_users",
)
"""The mappings that older versions had there."""

SHOWN = 3
"""Rows that an error names."""

Row = tuple[str, ...]


def of_shop() -> str:
    """Return the directory of a shop's mappings, below that of dbt_project.yml."""
    return os.environ.get("RETAIL_PRO_MAPPINGS") or SHOP


def directory() -> str:
    """Return the directory of the mappings in use by the settings: the shop's or the sample's."""
    return origin.SAMPLE if origin.reads_the_sample() else of_shop()


def check() -> None:
    """Refuse to build without a mapping, or while rows are where only older versions look for them.

    Raises:
        ConfigurationError: A file of seeds/shop is missing in the directory in use; a file is in
            the old place; or the tables of the last build, which an older version made, have rows
            that the mappings do not have.
    """
    project = Path(config.dbt().project_dir)
    for path in sorted((project / SHOP).glob("*.csv")):
        if not (project / directory() / path.name).is_file():
            raise ConfigurationError(
                f"{directory()}/{path.name} is missing. Copy it from {SHOP}; a mapping without "
                "rows is its first line only."
            )
    for name in MOVED:
        if (project / OLD_PLACE / f"{name}.csv").exists():
            raise ConfigurationError(
                f"{OLD_PLACE}/{name}.csv is not read any more: move your rows to "
                f"{directory()}/{name}.csv and delete it. Rows of the sample stay behind."
            )
    if origin.reads_the_sample() or not _was_built_by_an_older_version():
        return
    for name in MOVED:
        if lost := _lost(project, name):
            shown = ", ".join(plain(line(row), 100) for row in sorted(lost)[:SHOWN])
            raise ConfigurationError(
                f"{directory()}/{name}.csv lacks {len(lost)} rows that the last build had from "
                f"{OLD_PLACE}/{name}.csv: {shown}. Move them, from there or from your backup; to "
                f"go on without them drop the table {config.clickhouse().database}.{name}."
            )


def _was_built_by_an_older_version() -> bool:
    try:
        return bool(read_rows("builds_without_origin"))
    except OutboxMissingError:
        return False
    except DatabaseError as error:
        if error.code == origin.UNKNOWN_COLUMN:
            return True
        raise


def _lost(project: Path, name: str) -> set[Row]:
    """The rows of a table that are neither in the mapping, nor came with the older version."""
    try:
        built = set(read_rows("mapping_rows", table=name))
    except OutboxMissingError:
        return set()
    kept = _read(project / directory() / f"{name}.csv") | _read(
        project / origin.SAMPLE / f"{name}.csv"
    )
    if name == "dummy_customers":
        kept |= {("name", *row) for row in _read(project / OLD_PLACE / "dummy_names.csv")}
    return built - kept


def read_rows(query: str, **names: str) -> list[Row]:
    """Return the rows of a query as text.

    Raises:
        OutboxMissingError: A table of the last build is not there.
    """
    parameters = {"database": config.clickhouse().database, **names}
    try:
        rows = clickhouse.read(query, queries.text(query), parameters)
    except DatabaseError as error:
        if clickhouse.is_missing(error):
            raise OutboxMissingError from error
        raise
    return [tuple(str(value) for value in row) for row in rows]


def _read(path: Path) -> set[Row]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return {tuple(row) for row in list(csv.reader(file))[1:] if row}


def line(row: Row) -> str:
    """Return a row as a line of CSV, with nothing in it that a terminal would obey."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow([plain(value, None) for value in row])
    return text.getvalue()
