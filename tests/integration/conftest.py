"""What the integration tests share."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client

from tests.conftest import ClickHouseServer
from tests.processes import PROJECT, clean_environment


def make_delivery_tables(server: ClickHouseServer, directory: Path) -> str:
    """Make a database with the delivery tables as dbt makes them; return its name."""
    name = "delivery_tables"
    subprocess.run(
        [
            *(Path(sys.executable).with_name("dbt"), "run-operation", "create_delivery_tables"),
            *("--target-path", directory, "--log-path", directory),
        ],
        cwd=PROJECT,
        env=clean_environment() | server.environment | {"CLICKHOUSE_DATABASE": name},
        check=True,
    )
    return name


@pytest.fixture(scope="session")
def delivery_tables(
    clickhouse_server: ClickHouseServer, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """A database with the delivery tables, to be copied."""
    return make_delivery_tables(clickhouse_server, tmp_path_factory.mktemp("delivery_tables"))


@dataclass(frozen=True)
class SampleBuild:
    """The sample export, built by dbt in a database of its own."""

    client: Client
    database: str
    target: Path

    def compiled_test(self, path: str) -> str:
        """The SQL of a singular test, by its path below tests/dbt; its rows are violations."""
        compiled = self.target / "compiled/retail_pro_segment/tests/dbt" / path
        return compiled.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def sample_build(
    clickhouse_server: ClickHouseServer, tmp_path_factory: pytest.TempPathFactory
) -> SampleBuild:
    """The sample export as `dbt build` leaves it. Put back what you change in it."""
    database = "sample_build"
    target = tmp_path_factory.mktemp(database)
    done = subprocess.run(
        [
            *(Path(sys.executable).with_name("dbt"), "build", "--exclude-resource-type"),
            *("unit_test", "--target-path", target, "--log-path", target / "logs"),
        ],
        cwd=PROJECT,
        env=clean_environment()
        | clickhouse_server.environment
        | {"CLICKHOUSE_DATABASE": database, "RETAIL_PRO_SOURCE": "seeds"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return SampleBuild(clickhouse_server.connect(database=database), database, target)
