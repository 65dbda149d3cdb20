"""Tables on one server, and on a cluster: the statements of `cluster`, and the settings."""

import pytest

from luigi_tasks.clickhouse import cluster, queries, session
from luigi_tasks.landing import dictionary
from luigi_tasks.landing.tables import create_table_sql
from tests.processes import PROJECT

STATEMENT = (
    "create table t $on_cluster (a UInt8) engine = ${replicated}MergeTree order by a"
    " settings ${deduplication_window} = 5"
)


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> None:
    """CLICKHOUSE_CLUSTER has a name that must be quoted."""
    monkeypatch.setenv("CLICKHOUSE_CLUSTER", r"shop's \ one")


def test_one_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLICKHOUSE_CLUSTER", raising=False)
    assert cluster.ddl(STATEMENT) == (
        "create table t  (a UInt8) engine = MergeTree order by a"
        " settings non_replicated_deduplication_window = 5"
    )
    assert "insert_quorum" not in session.settings()


@pytest.mark.usefixtures("named")
def test_a_cluster() -> None:
    assert cluster.ddl(STATEMENT) == (
        r"create table t on cluster 'shop\'s \\ one' (a UInt8)"
        " engine = ReplicatedMergeTree order by a settings replicated_deduplication_window = 5"
    )
    # Without this one the sequential reads see nothing of it.
    assert session.settings()["insert_quorum_parallel"] == 0


@pytest.mark.usefixtures("named")
def test_every_table_of_the_package_is_replicated() -> None:
    landing = queries.parse((PROJECT / "luigi_tasks/landing/landing.sql").read_text())
    statements = [*queries.load().values(), *landing.values()]
    statements += [create_table_sql(table) for table in dictionary.load(PROJECT)]
    created = [cluster.ddl(sql) for sql in statements if sql.startswith("create")]
    assert len(created) == 7
    for sql in created:
        assert " on cluster 'shop" in sql
        assert "engine = Replicated" in sql
        assert "non_replicated" not in sql
