"""Unmodified clients: clickhouse-connect, and the statements that dbt-clickhouse sends."""

import asyncio
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from decimal import Decimal
from urllib.parse import urlsplit

import clickhouse_connect
import pytest
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, StreamFailureError
from clickhouse_connect.driver.external import ExternalData

from tests.processes import sandbox_server

Connect = Callable[..., Client]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server of this module's own."""
    directory = tmp_path_factory.mktemp("clickhouse")
    with sandbox_server("sandbox.clickhouse", directory, "--no-password") as (_, url):
        yield url


@pytest.fixture(scope="module")
def connect(server: str) -> Connect:
    """Opens clients of the server."""
    address = urlsplit(server)

    def open_client(**options: object) -> Client:
        return clickhouse_connect.get_client(host=address.hostname, port=address.port, **options)

    return open_client


@pytest.fixture
def client(connect: Connect) -> Iterator[Client]:
    """A client with a database of the test's own."""
    database = f"d_{uuid.uuid4().hex[:8]}"
    with connect() as admin:
        admin.command(f"CREATE DATABASE {database}")
    with connect(database=database) as opened:
        yield opened


ROW_TYPES = {
    "id": "UUID",
    "n": "Nullable(Int64)",
    "kind": "LowCardinality(String)",
    "status": "Enum8('a' = 1, 'b' = 2)",
    "amount": "Decimal(18, 4)",
    "at": "DateTime64(6, 'UTC')",
    "names": "Array(String)",
    "extra": "Map(String, String)",
}


@pytest.mark.parametrize("compress", [False, "lz4", "zstd", "gzip"])
def test_every_type_survives_the_way_in_and_out(client, connect, compress):
    columns = ", ".join(f"{name} {kind}" for name, kind in ROW_TYPES.items())
    client.command(f"CREATE TABLE t ({columns}) ENGINE = MergeTree ORDER BY id")
    at = datetime(2024, 2, 29, 23, 59, 59, 123456, tzinfo=timezone.utc)
    rows = [
        [uuid.UUID(int=n), n or None, "kind", "b", Decimal("12.5"), at, ["ä", ""], {"k": "v"}]
        for n in range(5_000)
    ]
    with connect(database=client.database, compress=compress) as other:
        written = other.insert("t", rows, column_names=list(ROW_TYPES))
        assert written.written_rows == 5_000
        got = other.query("SELECT * FROM t ORDER BY n NULLS FIRST", query_tz="UTC")
    expected = [tuple(row[:5]) + tuple(row[6:]) for row in rows]
    assert [row[:5] + row[6:] for row in got.result_rows] == expected
    assert {row[5].replace(tzinfo=timezone.utc) for row in got.result_rows} == {at}


def test_commands_queries_and_raw_interfaces(client):
    client.command("CREATE TABLE t (a Int64, s String) ENGINE = MergeTree ORDER BY a")
    summary = client.raw_insert("t", ["a", "s"], "1,x\n2,y\n", fmt="CSV")
    assert summary.written_rows == 2
    assert client.command("SELECT count() FROM t") == 2
    assert client.command("INSERT INTO t (a) VALUES", data="(3)").written_rows == 1
    sql = "SELECT a, s FROM t WHERE a > {low:Int64} ORDER BY a"
    assert client.query(sql, parameters={"low": 1}).result_rows == [(2, "y"), (3, "")]
    assert client.raw_query("SELECT a FROM t ORDER BY a", fmt="CSV") == b"1\n2\n3\n"
    assert client.query("SELECT a, s FROM t LIMIT 0").column_names == ("a", "s")
    assert client.query_arrow("SELECT a FROM t ORDER BY a").to_pydict() == {"a": [1, 2, 3]}
    external = ExternalData(file_name="e.csv", fmt="CSV", structure="a Int64", data=b"2\n3\n")
    found = client.query("SELECT count() FROM t WHERE a IN e", external_data=external)
    assert found.result_rows == [(2,)]


def test_streams_of_rows(client):
    sql = "SELECT number FROM numbers(500000)"
    with client.query_row_block_stream(sql, settings={"max_block_size": 10_000}) as blocks:
        sizes = [len(block) for block in blocks]
    assert sum(sizes) == 500_000
    assert len(sizes) > 1


def test_errors_reach_the_caller(client):
    with pytest.raises(DatabaseError) as caught:
        client.query("SELECT * FROM nowhere")
    assert caught.value.code == 60
    sql = "SELECT throwIf(number = 2000000) FROM numbers(3000000)"
    with pytest.raises(StreamFailureError, match="395"), client.query_rows_stream(sql) as rows:
        for _ in rows:
            pass
    assert client.query("SELECT 1").result_rows == [(1,)]


def test_a_client_keeps_its_session(client, connect):
    client.command("CREATE TEMPORARY TABLE scratch (a Int8)")
    client.insert("scratch", [[1], [2]], column_names=["a"])
    assert client.command("SELECT sum(a) FROM scratch") == 3
    with connect(database=client.database) as other, pytest.raises(DatabaseError):
        other.command("SELECT sum(a) FROM scratch")


def test_a_repeated_insert_with_one_token_is_written_once(client):
    client.command(
        "CREATE TABLE ledger (id UInt32, at DateTime64(6, 'UTC')) ENGINE = ReplacingMergeTree"
        " PARTITION BY toYYYYMM(at) ORDER BY (at, id)"
        " SETTINGS non_replicated_deduplication_window = 10000"
    )
    months = [datetime(2024, month, 1, tzinfo=timezone.utc) for month in (1, 2)]
    rows = [[n, months[n % 2]] for n in range(100)]

    def append(token: str) -> None:
        settings = {"async_insert": 0, "insert_deduplication_token": token}
        client.insert("ledger", rows, column_names=["id", "at"], settings=settings)

    append("batch-1")
    append("batch-1")
    assert client.command("SELECT count() FROM ledger") == 100
    append("batch-2")
    assert client.command("SELECT count() FROM ledger") == 200


def test_what_dbt_does_to_views(client):
    client.command("CREATE OR REPLACE VIEW v AS (SELECT 1 AS a)")
    client.command("CREATE OR REPLACE VIEW v AS (SELECT 2 AS a)")
    assert client.command("SELECT a FROM v") == 2


def test_what_dbt_does_to_tables(client):
    """Builds beside the old table, then swaps the two at once."""
    client.command("CREATE TABLE t ENGINE = MergeTree ORDER BY a AS SELECT 1 AS a")
    client.command(
        "CREATE TABLE t__dbt_backup ENGINE = MergeTree ORDER BY a EMPTY AS (SELECT 2 AS a)"
    )
    summary = client.command(
        "INSERT INTO t__dbt_backup (a) SELECT a FROM (SELECT 2 AS a) SETTINGS max_threads = 1"
    )
    assert summary.written_rows == 1
    client.command("EXCHANGE TABLES t AND t__dbt_backup")
    client.command("DROP TABLE t__dbt_backup SYNC")
    assert client.command("SELECT a FROM t") == 2


def test_what_dbt_does_for_a_contract(client):
    """Asks for the columns of the model with LIMIT 0 and compares names and types."""
    result = client.query(
        "SELECT * FROM (SELECT toInt64(1) AS a, now64(3, 'UTC') AS at) AS q WHERE false LIMIT 0"
    )
    assert result.column_names == ("a", "at")
    assert [kind.name for kind in result.column_types] == ["Int64", "DateTime64(3, 'UTC')"]


def test_what_dbt_does_for_incremental_models_and_docs(client):
    client.command("CREATE TABLE t (a Int64, s String) ENGINE = MergeTree ORDER BY a")
    client.command("INSERT INTO t SELECT number, 'old' FROM numbers(10)")
    client.command("DELETE FROM t WHERE a IN (SELECT number FROM numbers(5))")
    client.command("INSERT INTO t SELECT number, 'new' FROM numbers(5) SETTINGS max_threads = 1")
    assert client.query("SELECT s, count() FROM t GROUP BY s ORDER BY s").result_rows == [
        ("new", 5),
        ("old", 5),
    ]
    client.command('ALTER TABLE t MODIFY COMMENT $dbt$it\'s "quoted"$dbt$')
    client.command("ALTER TABLE t ADD COLUMN IF NOT EXISTS x Nullable(Int8) AFTER a")
    comment = "SELECT comment FROM system.tables WHERE name = 't' AND database = currentDatabase()"
    assert client.query(comment).first_row[0] == 'it\'s "quoted"'
    columns = "SELECT name FROM system.columns WHERE table = 't' AND database = currentDatabase()"
    assert client.query(columns + " ORDER BY position").result_columns == [["a", "x", "s"]]


def test_what_dbt_does_to_seeds(client):
    client.command("CREATE TABLE seed (id Int64, name String) ENGINE = MergeTree ORDER BY id")
    rows = "".join(f'{n},"a ""quoted"" name, {n}"\n' for n in range(20_000))
    client.command(f"INSERT INTO seed (id, name) SETTINGS async_insert = 0 FORMAT CSV\n{rows}")
    assert client.command("SELECT name FROM seed WHERE id = 7") == 'a "quoted" name, 7'
    assert client.command("SELECT count() FROM seed") == 20_000


@pytest.mark.parametrize("compress", [False, "lz4", "zstd", "gzip"])
def test_the_async_client(client, server, compress):
    address = urlsplit(server)

    async def use(async_client: AsyncClient) -> None:
        rows = [[n, f"name {n}"] for n in range(20_000)]
        written = await async_client.insert("t", rows, column_names=["a", "s"])
        assert written.written_rows == 20_000
        count = "SELECT count() FROM t WHERE a < {high:Int64}"
        counts = await asyncio.gather(
            *(async_client.query(count, parameters={"high": high}) for high in range(10))
        )
        assert [result.result_rows for result in counts] == [[(high,)] for high in range(10)]
        got = 0
        async with await async_client.query_rows_stream("SELECT * FROM t") as stream:
            async for _ in stream:
                got += 1
        assert got == 20_000
        with pytest.raises(DatabaseError) as caught:
            await async_client.query("SELECT * FROM nowhere")
        assert caught.value.code == 60

    async def connect_and_use() -> None:
        async with await clickhouse_connect.get_async_client(
            host=address.hostname,
            port=address.port,
            database=client.database,
            compress=compress,
            autogenerate_session_id=False,
        ) as async_client:
            await use(async_client)

    client.command("CREATE TABLE t (a Int64, s String) ENGINE = MergeTree ORDER BY a")
    asyncio.run(connect_and_use())


def test_parallel_clients_lose_nothing(client, connect):
    client.command(
        "CREATE TABLE t (worker UInt8, n UInt64) ENGINE = MergeTree ORDER BY (worker, n)"
    )
    failures: list[BaseException] = []

    def work(worker: int) -> None:
        try:
            with connect(database=client.database) as own:
                for turn in range(12):
                    rows = [[worker, turn * 100 + n] for n in range(100)]
                    own.insert("t", rows, column_names=["worker", "n"])
                    count = own.query(
                        "SELECT count() FROM t WHERE worker = {w:UInt8}", parameters={"w": worker}
                    )
                    assert count.result_rows == [((turn + 1) * 100,)]
                    own.command(
                        f"CREATE OR REPLACE TABLE own_{worker} ENGINE = MergeTree ORDER BY n"
                        f" AS SELECT n FROM t WHERE worker = {worker}"
                    )
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert client.command("SELECT count(), uniqExact(worker, n) FROM t") == ["9600", "9600"]
    assert client.command("SELECT count() FROM merge(currentDatabase(), '^own_')") == 9600
