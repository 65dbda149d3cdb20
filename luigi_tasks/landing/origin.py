"""Whose rows these are: those of the sample, or those of a shop. A database belongs to one of them.

The sample is what `seeds/sample` holds, through `dbt seed` or through LoadExport. Its rows and its
mappings must never meet a shop's. The landing tables tell it by the files they were loaded from,
and a database of models by what its last build noted (macros/landing/origin.sql, which asks the
same before a build that is started by hand).
"""

from __future__ import annotations

import os
from pathlib import Path

from clickhouse_connect.driver.exceptions import DatabaseError

from luigi_tasks import config
from luigi_tasks.clickhouse import client as clickhouse
from luigi_tasks.clickhouse import queries
from luigi_tasks.errors import ConfigurationError

SAMPLE = "seeds/sample"
"""Where the sample is, below the directory of dbt_project.yml."""

UNKNOWN_COLUMN = 47
"""ClickHouse's code for a table that an older version has made."""


class AnotherOriginError(ConfigurationError):
    """The sample and the rows of a shop would meet. Use another sandbox or other databases."""


def is_sample(directory: str | Path) -> bool:
    """Tell whether a directory is that of the sample export.

    Raises:
        ConfigurationError: It only looks so.
    """
    path = Path(directory)
    if path.parts[-2:] != Path(SAMPLE).parts:
        return False
    own = Path(config.dbt().project_dir) / SAMPLE
    if path.is_dir() and own.is_dir() and not path.samefile(own):
        raise ConfigurationError(
            f"{path} has the name of the directory of the sample, but it is not the one of this "
            f"project, {own}. Rename it."
        )
    return True


def reads_the_sample() -> bool:
    """Tell whether the settings lead to the rows of the sample."""
    directory = config.retail_pro().export_dir
    source = os.environ.get("RETAIL_PRO_SOURCE") or ("landing" if directory else "seeds")
    return source == "seeds" or is_sample(directory)


def of_landing() -> frozenset[str]:
    """Return whose files the landing tables hold: `sample`, `shop`, both or nobody's."""
    names = {"database": config.retail_pro().landing_database}
    return frozenset(str(origin) for (origin,) in _rows("origin_of_landing", names))


def of_database() -> str:
    """Return whose rows the last build read, `sample` or `shop`; empty when it is not known."""
    rows = _rows("origin_of_database", {"database": config.clickhouse().database})
    return str(rows[0][0]) if rows else ""


def refuse_another(directory: Path) -> None:
    """Refuse an export whose rows would meet those of somebody else.

    Args:
        directory: The directory of the export that is to be loaded.

    Raises:
        AnotherOriginError: The landing tables, or the database of the models, are another's.
    """
    mine = "sample" if is_sample(directory) else "shop"
    settings = config.retail_pro()
    if of_landing() - {mine}:
        raise AnotherOriginError(_sentence(f"{settings.landing_database} holds", mine, directory))
    if of_database() not in ("", mine):
        database = config.clickhouse().database
        raise AnotherOriginError(_sentence(f"{database} was built from", mine, directory))


def _sentence(found: str, mine: str, directory: Path) -> str:
    if mine == "sample":
        return (
            f"The database {found} the export of a shop, and {directory} is the sample: nothing "
            "was loaded. For the shop set RETAIL_PRO_EXPORT_DIR to its export. For the sample "
            "use another sandbox (make down, then SANDBOX_DIR=.sandbox-sample make sync), or "
            "other databases (RETAIL_PRO_DATABASE, CLICKHOUSE_DATABASE)."
        )
    return (
        f"The database {found} the sample, and {directory} is the export of a shop: nothing was "
        "loaded. Remove the sample first (make clean), use another sandbox (make down, then "
        "SANDBOX_DIR=.sandbox-shop make sync), or other databases (RETAIL_PRO_DATABASE, "
        "CLICKHOUSE_DATABASE)."
    )


def _rows(name: str, parameters: dict[str, str]) -> list[tuple[object, ...]]:
    """Return the rows of a query; none while its table, or its column, is not there yet."""
    try:
        return [tuple(row) for row in clickhouse.read(name, queries.text(name), parameters)]
    except DatabaseError as error:
        if clickhouse.is_missing(error) or error.code == UNKNOWN_COLUMN:
            return []
        raise
