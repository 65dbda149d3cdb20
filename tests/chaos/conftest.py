"""What the tests of this directory share."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.world import World, make_world
from tests.conftest import ClickHouseServer
from tests.integration.conftest import delivery_tables

__all__ = ["delivery_tables"]

# One line per run of the sender is enough.
logging.getLogger("httpx").setLevel(logging.WARNING)


@pytest.fixture
def world(
    clickhouse_server: ClickHouseServer,
    delivery_tables: str,
    project_env: dict[str, str],
    tmp_path: Path,
) -> Iterator[World]:
    """An empty world."""
    with make_world(clickhouse_server, delivery_tables, project_env, tmp_path) as made:
        yield made
