"""The mappings of a shop: what they lack, as rows to add: `python -m luigi_tasks.mappings`.

Prints the stores, subsidiaries and currencies that documents name and the mappings do not have, as
lines of the CSV files, ready to paste. An empty field is for the shop to fill in. Also here: older
versions kept the mappings in another place, and rows that are still there must not be lost.
"""

from __future__ import annotations

import argparse
import csv
import io
import os
import sys
from pathlib import Path

from clickhouse_connect.driver.exceptions import DatabaseError

from luigi_tasks import clickhouse, config, origin, queries
from luigi_tasks.errors import ConfigurationError, OutboxMissingError, PipelineError
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

LACKING = {
    "subsidiaries": "use_vat is 1 where prices include tax, else 0; time_zone is an IANA zone.",
    "stores": "time_zone is an IANA zone, such as Europe/Rome; needed where times have no offset.",
    "currency_names": "currency_code is an ISO 4217 code, such as USD.",
}
"""The mappings whose rows can be told from documents, and what is to be filled in."""

SHOWN = 3
"""Rows that an error names."""

Row = tuple[str, ...]


def directory() -> str:
    """Return the directory of the mappings in use, below that of dbt_project.yml."""
    if origin.reads_the_sample():
        return origin.SAMPLE
    return os.environ.get("RETAIL_PRO_MAPPINGS") or SHOP


def missing() -> dict[str, list[Row]]:
    """Return the rows that the mappings lack, by the name of the mapping.

    Raises:
        OutboxMissingError: Nothing was built yet.
    """
    return {
        "subsidiaries": _rows("missing_subsidiaries"),
        "stores": _rows("missing_stores"),
        "currency_names": _rows("missing_currencies"),
    }


def _rows(query: str, **names: str) -> list[Row]:
    parameters = {"database": config.clickhouse().database, **names}
    try:
        rows = clickhouse.read(query, queries.text(query), parameters)
    except DatabaseError as error:
        if clickhouse.is_missing(error):
            raise OutboxMissingError from error
        raise
    return [tuple(str(value) for value in row) for row in rows]


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
            shown = ", ".join(plain(_line(row), 100) for row in sorted(lost)[:SHOWN])
            raise ConfigurationError(
                f"{directory()}/{name}.csv lacks {len(lost)} rows that the last build had from "
                f"{OLD_PLACE}/{name}.csv: {shown}. Move them, from there or from your backup; to "
                f"go on without them drop the table {config.clickhouse().database}.{name}."
            )


def _was_built_by_an_older_version() -> bool:
    try:
        return bool(_rows("builds_without_origin"))
    except OutboxMissingError:
        return False
    except DatabaseError as error:
        if error.code == origin.UNKNOWN_COLUMN:
            return True
        raise


def _lost(project: Path, name: str) -> set[Row]:
    """The rows of a table that are neither in the mapping, nor came with the older version."""
    try:
        built = set(_rows("mapping_rows", table=name))
    except OutboxMissingError:
        return set()
    kept = _read(project / directory() / f"{name}.csv") | _read(
        project / origin.SAMPLE / f"{name}.csv"
    )
    if name == "dummy_customers":
        kept |= {("name", *row) for row in _read(project / OLD_PLACE / "dummy_names.csv")}
    return built - kept


def _read(path: Path) -> set[Row]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return {tuple(row) for row in list(csv.reader(file))[1:] if row}


def _line(row: Row) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow([plain(value, None) for value in row])
    return text.getvalue()


def report(found: dict[str, list[Row]]) -> str:
    """Return the rows to add, with the file that each belongs to, as text."""
    parts = [
        "\n".join([f"# {directory()}/{name}.csv: {LACKING[name]}", *map(_line, rows)])
        for name, rows in found.items()
        if rows
    ]
    if not parts:
        return "The mappings have every store, subsidiary and currency that documents name."
    return "\n\n".join(parts)


def main() -> int:
    """Print the rows; return the exit status."""
    argparse.ArgumentParser(
        prog="python -m luigi_tasks.mappings", description=(__doc__ or "").partition("\n\n")[2]
    ).parse_args()
    try:
        sys.stdout.write(report(missing()) + "\n")
    except PipelineError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
