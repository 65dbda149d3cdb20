"""Whether a build may leave views, seeds and the seeds' tests as they are.

They are two thirds of the nodes of a build, and only code, settings and the landing tables' columns
change them. BuildOutbox notes a hash of these in its marker. When the hash is the same in the next
slot, and no other build has come in between, the selector `changes` of selectors.yml is enough.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from clickhouse_connect.driver.exceptions import DatabaseError

from luigi_tasks import config
from luigi_tasks.clickhouse import client as clickhouse
from luigi_tasks.clickhouse import queries

PARTS = (
    "dbt_project.yml",
    "profiles.yml",
    "selectors.yml",
    "dbt_project",
    "macros",
    "seeds",
    "tests/dbt",
)
"""Files and directories of the project that make up the code of a build."""
MAPPINGS = "RETAIL_PRO_MAPPINGS"
"""The variable that names a directory of mappings."""
SETTINGS = ("CLICKHOUSE_", "DBT_", "RETAIL_PRO_", "SEGMENT_NAMESPACE")
"""Beginnings of the names of the environment variables that it reads."""
WITHOUT_EFFECT = frozenset({"DBT_TARGET_PATH", "DBT_LOG_PATH", "RETAIL_PRO_ABSENT_COLUMNS"})
"""Where dbt writes its own files, which may be another place in each run; what it does not read."""
PACKAGES = ("dbt-core", "dbt-clickhouse")
SELECTOR = "changes"


def fingerprint(project: Path, environment: Mapping[str, str]) -> str:
    """Return a hash of the project's files, dbt's version, its settings and the landing columns.

    Args:
        project: The directory of dbt_project.yml.
        environment: What dbt is started with. Passwords do not count.
    """
    found = hashlib.sha256()
    # The default, seeds/shop, is one of the parts.
    mappings = environment.get(MAPPINGS)
    for name in (*PARTS, mappings) if mappings else PARTS:
        path = project / name
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                content = hashlib.sha256(file.read_bytes()).hexdigest()
                found.update(f"{file.relative_to(project)}={content}\n".encode())
    settings = {
        name: value
        for name, value in environment.items()
        if name.startswith(SETTINGS) and "PASSWORD" not in name and name not in WITHOUT_EFFECT
    }
    versions = {package: version(package) for package in PACKAGES}
    found.update(json.dumps([settings, versions, _landing_columns()], sort_keys=True).encode())
    return found.hexdigest()


def selector(code: str) -> str | None:
    """Return the name of the selector that is enough for a build, or None for all of it.

    Args:
        code: The fingerprint of now.
    """
    parameters = {"database": config.clickhouse().database}
    try:
        rows = clickhouse.read("last_build", queries.text("last_build"), parameters)
    except DatabaseError as error:
        if clickhouse.is_missing(error):
            return None
        raise
    [(params, finished)] = rows
    noted = json.loads(params or "{}")
    is_last = set(finished) == {noted.get("dbt_invocation_id")}
    return SELECTOR if is_last and noted.get("code") == code else None


def _landing_columns() -> list[list[str]]:
    parameters = {"database": config.retail_pro().landing_database}
    rows = clickhouse.read("landing_columns", queries.text("landing_columns"), parameters)
    return [list(row) for row in rows]
