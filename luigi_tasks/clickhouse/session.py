"""The settings that every query has, so that no profile of a server or user changes its meaning.

They stand in profiles.yml, because dbt can read them from there only: `pinned_settings` for every
connection, `cluster_settings` on a replicated cluster as well.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from luigi_tasks import config
from luigi_tasks.errors import ConfigurationError

Settings = dict[str, Any]


def settings() -> Settings:
    """Return the settings of Luigi's connections.

    Raises:
        ConfigurationError: profiles.yml is missing or has no such settings.
    """
    pinned: Settings = _section("pinned_settings")
    if not config.clickhouse().cluster:
        return pinned
    # What a DELETE removes did not count before. A replica that is down removes it later.
    return pinned | _section("cluster_settings") | {"lightweight_deletes_sync": 1}


def of_dbt() -> Settings:
    """Return the settings of the connections that dbt will open.

    Raises:
        ConfigurationError: profiles.yml has no such target.
    """
    target = os.environ.get("DBT_TARGET") or (
        "cluster" if config.clickhouse().cluster else "embedded"
    )
    outputs = _section("retail_pro_segment")["outputs"]
    if target not in outputs:
        raise ConfigurationError(
            f"DBT_TARGET is {target!r}, which profiles.yml does not have. Set it to one of "
            f"{', '.join(outputs)}."
        )
    return dict(outputs[target]["custom_settings"])


def _section(name: str) -> Settings:
    return dict(_profiles(Path(config.dbt().project_dir) / "profiles.yml")[name])


@cache
def _profiles(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ConfigurationError(
            f"The settings for ClickHouse cannot be read from {path}: {error}. "
            "Set DBT_PROJECT_DIR to the directory of the dbt project."
        ) from error
    return found
