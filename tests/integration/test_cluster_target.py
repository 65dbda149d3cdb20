"""The target `cluster`: what it tells ClickHouse, read by ClickHouse's own parser.

Replication itself is not tried, for want of a cluster: docs/cluster.md says what was and was not.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from luigi_tasks.clickhouse import client as clickhouse
from luigi_tasks.landing import dictionary, export_check
from luigi_tasks.landing.export_limits import Limits
from luigi_tasks.landing.tables import Landing
from luigi_tasks.runs.lease import Lease
from luigi_tasks.runs.markers import MarkerTarget
from tests.conftest import ClickHouseServer
from tests.integration.cluster_front import ClusterFront, Statement
from tests.integration.incremental import BUILD, Models
from tests.processes import PROJECT

CLUSTER, DATABASE, LANDING = "retail-cluster", "on_cluster", "on_cluster_retail_pro"
NO_KEEPER = 225
BUILT_AGAIN = ("stg_retail_pro__customers", "int_build_scope", "excluded_stores")
ON_CLUSTER = f"ON CLUSTER `{CLUSTER}`"
CREATE = re.compile(r"CREATE TABLE (?:IF NOT EXISTS )?(\S+)")
ENGINE = re.compile(r"(ENGINE = Replicated\w*MergeTree)(?:\(([^)]*)\))?")


@dataclass(frozen=True)
class Run:
    """What was sent while the pipeline ran, and ClickHouse's own form of the DDL."""

    client: Client
    statements: list[Statement]
    ddl: list[str]

    def creations(self) -> list[str]:
        """The statements that create tables."""
        return [text for text in self.ddl if text.startswith("CREATE TABLE")]

    def created(self) -> set[str]:
        """The tables that they create, without their databases."""
        found = (CREATE.match(text) for text in self.creations())
        return {match.group(1).split(".")[-1] for match in found if match}


@pytest.fixture(scope="module")
def run(
    clickhouse_server: ClickHouseServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Run]:
    """One pass of everything that makes or changes tables."""
    client = clickhouse_server.connect()
    with ClusterFront(clickhouse_server.url).open() as front, pytest.MonkeyPatch.context() as patch:
        environment = clickhouse_server.environment | {
            "CLICKHOUSE_PORT": str(front.port),
            "CLICKHOUSE_CLUSTER": CLUSTER,
        }
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.setenv("CLICKHOUSE_DATABASE", DATABASE)
        models = Models(client, DATABASE, LANDING, environment, tmp_path_factory.mktemp("dbt"))
        load(client, tmp_path_factory.mktemp("export"))
        models.build(*BUILD)
        models.build(*BUILD, "--full-refresh", "--select", *BUILT_AGAIN)
        write()
        operate(models)
        parsed = [canonical(client, one) for one in front.statements if one.is_ddl]
        yield Run(client, front.statements, parsed)
    for database in (DATABASE, LANDING):
        client.command(f"drop database if exists {database}")


def load(client: Client, export: Path) -> None:
    """Load the sample into tables that lack a column and have rows of a load that was cut off."""
    landing = Landing(clickhouse.connect(), LANDING)
    tables = dictionary.load(PROJECT)
    landing.create(tables)
    client.command(f"alter table {LANDING}.customer drop column `{tables[0].columns[-1]}`")
    client.insert("customer", [["cut off"]], column_names=["_load_id"], database=LANDING)
    landing.create(tables)
    for table in tables:
        # As the export of a shop: where the sample lies, it would be known as such.
        path = export / table.file_name
        shutil.copy(PROJECT / "seeds" / "sample" / table.file_name, path)
        landing.load(export_check.check(path, table), Limits(0.5, 0.5))


def write() -> None:
    """Take the lease and write a marker, as a sync does."""
    with Lease(lifetime=30, wait=5):
        MarkerTarget("a task").touch()


def operate(models: Models) -> None:
    """The operations that remove rows."""
    for name, arguments in (
        ("purge_ledger", "{older_than_days: 40}"),
        ("set_watermark_back", "{call: track, oldest: '2020-01-01 00:00:00'}"),
    ):
        models.build("run-operation", name, "--args", arguments)


def canonical(client: Client, statement: Statement) -> str:
    """A statement with its names, as ClickHouse writes it; it must be able to parse it."""
    text = statement.text
    for name, value in statement.settings.items():
        if name.startswith("param_"):
            text = text.replace(f"{{{name.removeprefix('param_')}:Identifier}}", f"`{value}`")
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return str(client.query(f"select formatQuerySingleLine('{escaped}')").result_rows[0][0])


def test_every_statement_reaches_every_replica(run: Run) -> None:
    local = [text for text in run.ddl if ON_CLUSTER not in text and not is_replicated(text, run)]
    assert not local


def is_replicated(statement: str, run: Run) -> bool:
    """Whether it is about rows or columns of a replicated table: then Keeper passes it on."""
    match = re.match(r"(?:ALTER TABLE|DELETE FROM) (\S+)", statement)
    return match is not None and match.group(1).split(".")[-1] in run.created()


def test_every_table_is_replicated(run: Run) -> None:
    assert not [text for text in run.creations() if not ENGINE.search(text)]
    assert not [text for text in run.creations() if "non_replicated_deduplication" in text]
    there = run.client.query(
        "select name from system.tables where engine like '%MergeTree'"
        f" and database in ('{DATABASE}', '{LANDING}')"
    ).result_rows
    assert there
    assert {name for (name,) in there} <= run.created()


def test_every_table_is_right_until_keeper_is_asked(run: Run) -> None:
    """ClickHouse looks at columns, keys, engine and settings before it finds no Keeper."""
    for text in run.creations():
        here = CREATE.sub(f"CREATE TABLE {DATABASE}.replicated", text.replace(ON_CLUSTER, ""), 1)
        here = ENGINE.sub(lambda match: with_path(match.group(1), match.group(2)), here, 1)
        with pytest.raises(DatabaseError) as refused:
            run.client.command(here)
        assert refused.value.code == NO_KEEPER, text


def with_path(engine: str, arguments: str | None) -> str:
    """An engine with a place in Keeper, which a statement on a cluster needs not name."""
    return f"{engine}('/replicated', 'here'{', ' + arguments if arguments else ''})"


def test_a_query_sees_every_acknowledged_insert(run: Run) -> None:
    inserts = [one for one in run.statements if one.kind == "INSERT"]
    queries = [one for one in run.statements if one.kind in {"SELECT", "WITH"}]
    assert inserts
    assert queries
    for one in inserts:
        assert one.settings["insert_quorum"] == "auto", one
        assert one.settings["insert_quorum_parallel"] == "0", one
        assert one.settings["max_insert_threads"] == "1", one
    for one in queries:
        if DATABASE in one.text or "{database" in one.text:
            assert one.settings["select_sequential_consistency"] == "1", one


def test_tables_are_exchanged_on_the_cluster(run: Run) -> None:
    kinds = {text.partition(" ")[0] for text in run.ddl}
    assert kinds >= {"ALTER", "CREATE", "DELETE", "DROP", "EXCHANGE", "RENAME", "SYSTEM"}
