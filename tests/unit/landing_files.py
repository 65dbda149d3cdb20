"""Makes files for the tests of the loader, and reads them as the loader does."""

from pathlib import Path
from typing import Any

from luigi_tasks.landing.dictionary import Table
from luigi_tasks.landing.export_check import check
from luigi_tasks.landing.export_file import CheckedFile, RejectedRow
from luigi_tasks.landing.export_reader import ExportReader

TABLE = Table(
    name="thing", columns=("SID", "NAME", "NOTE"), keys=("SID",), optional=frozenset({"NOTE"})
)


def checked(directory: Path, content: bytes | str, table: Table = TABLE) -> CheckedFile:
    """Write a file and check it."""
    path = directory / table.file_name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return check(path, table)


def read(file: CheckedFile) -> tuple[list[dict[str, Any]], list[RejectedRow]]:
    """Return the rows, with `_line` and `_extra`, and the rejected rows, by line."""
    rows: list[dict[str, Any]] = []
    rejected: list[RejectedRow] = []
    for block in ExportReader(file):
        rejected += block.rejected
        columns = {name: values.to_pylist() for name, values in block.columns.items()}
        columns["_line"] = block.lines.to_pylist()
        if block.extra is not None:
            columns["_extra"] = [dict(entries) for entries in block.extra.to_pylist()]
        rows += [
            dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)
        ]
    return rows, sorted(rejected)
