"""The data dictionary of the landing tables, read from the YAML that dbt reads too.

It is the only list of the columns: this package makes the landing tables from it, the base models
fill columns that an export does not have from it, and the docs site shows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from luigi_tasks.errors import ConfigurationError

DICTIONARY = Path("dbt_project/models/staging/retail_pro/_retail_pro__sources.yml")
"""Its place in the project."""

TECHNICAL_COLUMNS = {
    "_extra": "Map(String, String)",
    "_load_id": "String default ''",
    "_file": "String default ''",
    "_line": "UInt64 default 0",
    "_loaded_at": "DateTime64(3, 'UTC') default now64(3, 'UTC')",
}
"""What a landing table has after the columns of the export."""


@dataclass(frozen=True)
class Table:
    """One landing table and the file that fills it.

    Attributes:
        name: Name of the table; the file is called `name`.csv.
        columns: The export's columns in the order of the dictionary, all of them text.
        keys: Columns without which a file is refused; their values are SIDs.
        optional: Columns that an export may lack; it is refused without one of the others.
    """

    name: str
    columns: tuple[str, ...]
    keys: tuple[str, ...]
    optional: frozenset[str]

    @property
    def file_name(self) -> str:
        """The name of its file in an export, in lower case."""
        return f"{self.name}.csv"

    def column_types(self) -> dict[str, str]:
        """Return the ClickHouse type of every column, with its default."""
        return dict.fromkeys(self.columns, "String default ''") | TECHNICAL_COLUMNS


def load(project_dir: str | Path) -> tuple[Table, ...]:
    """Read the tables that an export fills: those of the dictionary that have a key.

    Args:
        project_dir: The directory of dbt_project.yml.

    Raises:
        ConfigurationError: There is no dictionary there, or it cannot be read.
    """
    path = Path(project_dir) / DICTIONARY
    try:
        source = yaml.safe_load(path.read_text(encoding="utf-8"))["sources"][0]
        tables = tuple(_table(entry) for entry in source["tables"])
    except OSError as error:
        raise ConfigurationError(
            f"The data dictionary {path} cannot be read: {error.strerror}. "
            "Set DBT_PROJECT_DIR to the directory of dbt_project.yml."
        ) from error
    except (yaml.YAMLError, LookupError, TypeError) as error:
        raise ConfigurationError(
            f"The data dictionary {path} is not a dbt source file: {error!r}. "
            "Compare it with the one of a fresh checkout."
        ) from error
    return tuple(table for table in tables if table.keys)


def _table(entry: Mapping[str, Any]) -> Table:
    columns = [column for column in entry["columns"] if not column["name"].startswith("_")]
    return Table(
        name=entry["name"],
        columns=tuple(column["name"] for column in columns),
        keys=tuple(column["name"] for column in columns if _is_key(column)),
        optional=frozenset(
            column["name"] for column in columns if column["description"].startswith("Optional.")
        ),
    )


def _is_key(column: Mapping[str, Any]) -> bool:
    return bool(column.get("config", {}).get("meta", {}).get("key", False))
