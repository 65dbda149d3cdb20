"""Which columns an export must have, and what is said of one that lacks some.

A column that was renamed is empty in every row: without BT_CUID all customers are guests, without
ITEM_TYPE returns are sales, and nothing fails. So an export is refused when it lacks a well-known
column, or an optional one that the load before it had (for tables of another pipeline: the build
before it), and `[retail_pro] absent_columns` does not
list it. Columns that the dictionary does not know never refuse an export.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import yaml

from luigi_tasks import config
from luigi_tasks.clickhouse import client as clickhouse
from luigi_tasks.clickhouse import queries
from luigi_tasks.errors import ConfigurationError
from luigi_tasks.landing import dictionary
from luigi_tasks.landing.dictionary import Table
from luigi_tasks.landing.export_file import ExportRefusedError
from luigi_tasks.plain_text import plain
from luigi_tasks.runs.markers import MarkerTarget

VARIABLE = "RETAIL_PRO_ABSENT_COLUMNS"

COLUMN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_ .$#-]{0,63}")
"""What is shown of names that somebody else gave; the rest may be anything."""

ALIKE, VERY_ALIKE = 0.6, 0.85
"""How alike two names are, of 1, when one may have been meant by the other: where a column is
missing, and where perhaps none is."""

MOST_NAMES_SHOWN = 40

OF_LAST_BUILD = "columns of the landing tables"
"""Identity of the marker that has the columns which the last build read, for each table."""


@dataclass(frozen=True)
class Columns:
    """The columns of a file, or of a table that another pipeline fills.

    Attributes:
        place: What has them, for messages: a path or the name of a table.
        table: What they should be.
        names: Their names, as they are there.
        last: Those of the load before, or of the last build.
    """

    place: str
    table: Table
    names: tuple[str, ...]
    last: tuple[str, ...] = ()

    @property
    def missing(self) -> list[str]:
        """Columns that it must have and has not, in the order of the dictionary."""
        present = {name.upper() for name in self.names}
        last = {name.upper() for name in self.last}
        return [
            column
            for column in self.table.columns
            if column.upper() not in present
            and (column not in self.table.optional or column.upper() in last)
        ]

    @property
    def unknown(self) -> list[str]:
        """Columns that the dictionary does not know and whose names may be shown."""
        known = {column.upper() for column in (*self.table.columns, *dictionary.TECHNICAL_COLUMNS)}
        return [
            name for name in self.names if name.upper() not in known and COLUMN_NAME.fullmatch(name)
        ]

    def meant(self, columns: Iterable[str], alike: float = ALIKE) -> dict[str, str]:
        """Return which of these columns an unknown one may have been meant as: name -> column."""
        by_letters = {_letters(column): column for column in columns}
        found = {}
        for name in self.unknown:
            close = get_close_matches(_letters(name), by_letters, n=1, cutoff=alike)
            if close:
                found[name] = by_letters[close[0]]
        return found


def absent(tables: Sequence[Table]) -> frozenset[str]:
    """Return the columns that this shop does not have, each as `table.COLUMN`.

    Raises:
        ConfigurationError: The setting names one that does not exist, or a key.
    """
    known = {
        f"{table.name}.{column}".upper(): (table, f"{table.name}.{column}")
        for table in tables
        for column in table.columns
    }
    found = set()
    for name in filter(None, re.split(r"[,\s]+", config.retail_pro().absent_columns)):
        table, column = known.get(name.upper(), (None, ""))
        if table is None:
            close = get_close_matches(name.upper(), known, n=1, cutoff=ALIKE)
            hint = f"; did you mean {known[close[0]][1]}?" if close else "."
            raise ConfigurationError(
                f"absent_columns ({VARIABLE}) names {plain(name, 100)}, which is no column of an "
                f"export{hint} A column is written with its table: document.SHIP_METHOD."
            )
        if column.partition(".")[2] in table.keys:
            raise ConfigurationError(
                f"absent_columns ({VARIABLE}) names {column}, which every row must have. Remove it."
            )
        found.add(column)
    return frozenset(found)


def refuse_missing(found: Sequence[Columns], tables: Sequence[Table]) -> None:
    """Check the columns of an export.

    Raises:
        ExportRefusedError: Some are missing that the settings do not list. Names all of them, the
            unknown columns, and the line of the settings that accepts it.
        ConfigurationError: As `absent`.
    """
    accepted = absent(tables)
    missing = {
        of: [name for name in of.missing if f"{of.table.name}.{name}" not in accepted]
        for of in found
    }
    sentences = [_sentence(of, names) for of, names in missing.items() if names]
    if not sentences:
        return
    lacking = {f"{of.table.name}.{name}" for of, names in missing.items() for name in names}
    order = [f"{table.name}.{column}" for table in tables for column in table.columns]
    line = ",".join(column for column in order if column in accepted | lacking)
    paste = (
        f"set in the environment\n{VARIABLE}={line}"
        if os.environ.get(VARIABLE)
        else f"put into luigi.cfg, under [retail_pro],\nabsent_columns={line}"
    )
    raise ExportRefusedError(
        "\n".join(sentences) + "\nNothing was loaded or built: such a column would be empty in "
        "every row. If it has another name there, give it the name that is expected. If this shop "
        f"does not have it, {paste}"
    )


def hints(of: Columns) -> list[str]:
    """Return sentences about unknown columns that may have been meant as optional ones."""
    present = {name.upper() for name in of.names}
    optional = [name for name in of.table.columns if name in of.table.optional - present]
    return [
        f"{of.place}: {name} is not known; did you mean {column}?"
        for name, column in of.meant(optional, VERY_ALIKE).items()
    ]


def check_tables(environment: dict[str, str]) -> dict[str, str]:
    """Check the tables that a build reads, before it begins; a missing table is for dbt to name.

    Args:
        environment: What dbt is started with.

    Returns:
        What `remember` takes when the build has come to its end: the columns of each table.

    Raises:
        ExportRefusedError: As `refuse_missing`.
        ConfigurationError: As `refuse_missing`.
    """
    project = Path(config.dbt().project_dir)
    variables = _variables(project)
    if (variables.get("retail_pro_source") or environment.get("RETAIL_PRO_SOURCE")) != "landing":
        return {}
    tables = dictionary.load(project)
    database = variables.get("retail_pro_database") or environment["RETAIL_PRO_DATABASE"]
    rows = clickhouse.read(
        "landing_columns", queries.text("landing_columns"), {"database": database}
    )
    columns: dict[str, list[str]] = {}
    for name, column, _ in rows:
        columns.setdefault(name, []).append(column)
    own = {table: variables.get(f"retail_pro_{table.name}_table", table.name) for table in tables}
    last = json.loads(MarkerTarget(OF_LAST_BUILD).read().get("tables", "{}"))
    found = {
        f"{database}.{name}": (table, tuple(columns[name]))
        for table, name in own.items()
        if name in columns
    }
    refuse_missing(
        [
            Columns(f"The table {place}", table, names, tuple(last.get(place, "").split(",")))
            for place, (table, names) in found.items()
        ],
        tables,
    )
    return {place: ",".join(names) for place, (_, names) in found.items()}


def remember(columns: dict[str, str]) -> None:
    """Note the columns that a build has read, for the check before the next one."""
    if columns:
        MarkerTarget(OF_LAST_BUILD, task_family="BuildOutbox").touch(tables=json.dumps(columns))


def _variables(project: Path) -> dict[str, str]:
    """The variables of dbt_project.yml: of all projects, and of this one, which win."""
    path = project / "dbt_project.yml"
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ConfigurationError(
            f"{path} cannot be read: {error}. Set DBT_PROJECT_DIR to the directory of the dbt "
            "project."
        ) from error
    variables = content.get("vars") or {}
    return {**variables, **(variables.get(content["name"]) or {})}


def _sentence(of: Columns, missing: list[str]) -> str:
    absent_before = [name for name in missing if name in of.table.optional]
    text = f"{of.place} has no column {_list(missing)}."
    if absent_before:
        text += f" It had {_list(absent_before)} before."
    if of.unknown:
        meant = of.meant(missing)
        shown = [
            f"{name}: did you mean {meant[name]}?" if name in meant else name
            for name in sorted(of.unknown, key=lambda name: name not in meant)
        ]
        text += f" Columns that are not known: {_list(shown)}"
    return text


def _list(names: list[str]) -> str:
    rest = len(names) - MOST_NAMES_SHOWN
    return ", ".join(names[:MOST_NAMES_SHOWN]) + (f" and {rest} more" if rest > 0 else "")


def _letters(name: str) -> str:
    return re.sub(r"[^A-Z0-9]", "", name.upper())
