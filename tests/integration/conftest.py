"""What the integration tests share."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ClickHouseServer
from tests.processes import PROJECT, clean_environment


@pytest.fixture(scope="session")
def delivery_tables(
    clickhouse_server: ClickHouseServer, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """A database with the delivery tables as dbt makes them, to be copied."""
    name = "delivery_tables"
    directory = tmp_path_factory.mktemp(name)
    subprocess.run(
        [
            *(Path(sys.executable).with_name("dbt"), "run-operation", "create_delivery_tables"),
            *("--target-path", directory, "--log-path", directory),
        ],
        cwd=PROJECT,
        env=clean_environment() | clickhouse_server.environment | {"CLICKHOUSE_DATABASE": name},
        check=True,
    )
    return name
