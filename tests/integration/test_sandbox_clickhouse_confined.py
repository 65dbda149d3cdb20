"""SQL of the embedded ClickHouse reaches no file outside of its directory, and no other machine."""

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from sandbox.clickhouse import __main__ as command
from sandbox.clickhouse import confinement
from tests.processes import sandbox_server

SECRET = "do-not-tell"
NO_RIGHT = {"481", "497"}  # PATH_ACCESS_DENIED, ACCESS_DENIED
NOT_FOUND_OR_DENIED = {"76", "481", "497", "1001"}


@dataclass(frozen=True)
class Target:
    """A server, and what nobody may reach through it."""

    http: httpx.Client
    outside: Path
    port: int
    connections: list[object]

    def ask(self, sql: str) -> httpx.Response:
        """Run a statement; $OUT and $PORT stand for what is outside."""
        text = sql.replace("$OUT", str(self.outside)).replace("$PORT", str(self.port))
        return self.http.post("/", content=text)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    directory = tmp_path_factory.mktemp("clickhouse")
    outside = tmp_path_factory.mktemp("outside")
    connections: list[object] = []
    with (
        closing(socket.create_server(("127.0.0.1", 0))) as listener,
        sandbox_server("sandbox.clickhouse", directory, "--no-password") as (_, url),
        httpx.Client(base_url=url, timeout=60, trust_env=False) as http,
    ):

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                connections.append(connection)
                connection.close()

        threading.Thread(target=accept, daemon=True).start()
        port = int(listener.getsockname()[1])
        target = Target(http, outside, port, connections)
        for sql in ("CREATE DATABASE d", "CREATE TABLE d.t (a String) ENGINE = Memory"):
            assert target.ask(sql).status_code == 200
        yield target


@pytest.fixture(autouse=True)
def _untouched(target: Target) -> Iterator[None]:
    """The directory outside holds one file, as it was, and nobody was called."""
    secret = target.outside / "secret.csv"
    secret.write_text(SECRET)
    yield
    assert [path.name for path in target.outside.iterdir()] == ["secret.csv"]
    assert secret.read_text() == SECRET
    assert target.connections == []


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM file('$OUT/secret.csv', 'CSV', 'a String')",
        "SELECT * FROM file('secret.csv', 'CSV', 'a String')",
        "INSERT INTO FUNCTION file('$OUT/new.csv', 'CSV', 'a String') VALUES ('x')",
        "INSERT INTO FUNCTION file('$OUT/new.csv', 'CSV', 'a String') SELECT 'x'",
        "SELECT * FROM filesystem('$OUT')",
        "SELECT * FROM url('http://127.0.0.1:$PORT/', 'CSV', 'a String')",
        "SELECT * FROM s3('http://127.0.0.1:$PORT/bucket/key', 'CSV', 'a String')",
        "SELECT * FROM gcs('http://127.0.0.1:$PORT/bucket/key', 'CSV', 'a String')",
        "SELECT * FROM iceberg('http://127.0.0.1:$PORT/bucket/key')",
        "SELECT * FROM icebergLocal('$OUT')",
        "SELECT * FROM deltaLake('http://127.0.0.1:$PORT/bucket/key')",
        "SELECT * FROM hudi('http://127.0.0.1:$PORT/bucket/key')",
        "SELECT * FROM hdfs('hdfs://127.0.0.1:$PORT/x', 'CSV', 'a String')",
        "SELECT * FROM azureBlobStorage('DefaultEndpointsProtocol=http;AccountName=a;"
        "AccountKey=YQ==;BlobEndpoint=http://127.0.0.1:$PORT/a', 'c', 'b', 'CSV')",
        "SELECT * FROM remote('127.0.0.1:$PORT', 'system', 'one')",
        "SELECT * FROM mysql('127.0.0.1:$PORT', 'd', 't', 'u', 'p')",
        "SELECT * FROM postgresql('127.0.0.1:$PORT', 'd', 't', 'u', 'p')",
        "SELECT * FROM mongodb('127.0.0.1:$PORT', 'd', 't', 'u', 'p', 'a String')",
        "SELECT * FROM redis('127.0.0.1:$PORT', 'k', 'k String, v String')",
        "SELECT * FROM sqlite('$OUT/x.db', 't')",
        "CREATE TABLE d.x (a String) ENGINE = File(CSV)",
        "CREATE TABLE d.x (a String) ENGINE = File(CSV, '$OUT/secret.csv')",
        "CREATE TABLE d.x (a String) ENGINE = URL('http://127.0.0.1:$PORT/', 'CSV')",
        "CREATE TABLE d.x (a String) ENGINE = S3('http://127.0.0.1:$PORT/bucket/key', 'CSV')",
        "CREATE TABLE d.x (a String) ENGINE = SQLite('$OUT/x.db', 't')",
        "CREATE TABLE d.x (a String) ENGINE = MySQL('127.0.0.1:$PORT', 'd', 't', 'u', 'p')",
        "CREATE TABLE d.x (a String) ENGINE = Kafka('127.0.0.1:$PORT', 't', 'g', 'CSV')",
        "CREATE DATABASE x ENGINE = SQLite('$OUT/x.db')",
        "CREATE DATABASE x ENGINE = MySQL('127.0.0.1:$PORT', 'd', 'u', 'p')",
        "CREATE DATABASE x ENGINE = PostgreSQL('127.0.0.1:$PORT', 'd', 'u', 'p')",
        "CREATE DICTIONARY d.x (a String, b String) PRIMARY KEY a LAYOUT(COMPLEX_KEY_HASHED()) "
        "LIFETIME(0) SOURCE(EXECUTABLE(COMMAND 'touch $OUT/new.csv' FORMAT 'CSV'))",
        "CREATE DICTIONARY d.x (a String, b String) PRIMARY KEY a LAYOUT(COMPLEX_KEY_HASHED()) "
        "LIFETIME(0) SOURCE(HTTP(URL 'http://127.0.0.1:$PORT/' FORMAT 'CSV'))",
        "BACKUP TABLE d.t TO File('$OUT/backup')",
        "BACKUP TABLE d.t TO Disk('default', 'backup')",
        "RESTORE TABLE d.t AS d.u FROM File('$OUT/backup')",
        "CREATE NAMED COLLECTION x AS url = 'http://127.0.0.1:$PORT/'",
        "CREATE USER x",
        "GRANT ALL ON *.* TO default",
        "SYSTEM SHUTDOWN",
    ],
)
def test_sql_has_no_right_to(target, sql):
    answer = target.ask(sql)
    assert answer.headers["X-ClickHouse-Exception-Code"] in NO_RIGHT, answer.text
    assert SECRET not in answer.text


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("SELECT 1 INTO OUTFILE '$OUT/new.csv'", "358"),
        ("INSERT INTO d.t FROM INFILE '$OUT/secret.csv' FORMAT CSV", "358"),
        ("INSERT INTO d.t/**/FROM/**/INFILE '$OUT/secret.csv' FORMAT CSV", "358"),
        ("SELECT 1 FORMAT Template SETTINGS format_template_row = '$OUT/secret.csv'", "452"),
        ("SET format_schema = '$OUT/secret.csv:M'", "452"),
        ("SELECT * FROM `$OUT/secret.csv`", "60"),
        ("SELECT * FROM default.`$OUT/secret.csv`", "60"),
        ("CREATE USER x SETTINGS max_memory_usage = 0", "497"),
        ("SYSTEM RELOAD CONFIG", "1"),
        ("ATTACH TABLE d.x FROM '$OUT' (a String) ENGINE = Log", "481"),
        ("SELECT * FROM executable('x.sh', 'CSV', 'a String')", "1"),
    ],
)
def test_sql_is_refused(target, sql, code):
    answer = target.ask(sql)
    assert answer.headers["X-ClickHouse-Exception-Code"] == code, answer.text
    assert SECRET not in answer.text


@pytest.mark.skipif(
    confinement._landlock_version() < 4, reason="this kernel cannot confine a process"
)
@pytest.mark.parametrize(
    "sql",
    [
        "SELECT file('$OUT/secret.csv')",
        "SELECT * APPLY(file) FROM (SELECT '$OUT/secret.csv' AS a)",
        "SELECT arrayMap(file, ['$OUT/secret.csv'])",
        "INSERT INTO d.t VALUES (file('$OUT/secret.csv'))",
        "SELECT file('/etc/passwd')",
        "SELECT file('/proc/self/environ')",
        "SELECT file('/dev/../etc/passwd')",
        "SELECT sum(length(file('$OUT/secret.csv'))) FROM numbers_mt(1e7) GROUP BY number % 9",
        "SELECT any(file(if(number < 0, '', '$OUT/secret.csv'))) FROM numbers_mt(10000000)",
        "CREATE TABLE d.x (a Int8) ENGINE = EmbeddedRocksDB(0, '$OUT/rocks') PRIMARY KEY a",
        "CREATE TABLE d.x (a Int8) ENGINE = MergeTree ORDER BY a SETTINGS disk = disk(type = "
        "object_storage, object_storage_type = local, metadata_type = local, path = '$OUT/d/')",
    ],
)
def test_the_kernel_keeps_the_process_in_its_directory(target, sql):
    answer = target.ask(sql)
    assert answer.headers["X-ClickHouse-Exception-Code"] in NOT_FOUND_OR_DENIED, answer.text
    assert SECRET not in answer.text
    assert "root:" not in answer.text
    assert "Permission denied" in answer.text


def test_what_a_server_allows_works(target):
    """The rights are those for tables of the sandbox's own."""
    for sql in (
        "CREATE TABLE d.m (a Int64) ENGINE = ReplacingMergeTree ORDER BY a PARTITION BY a % 2 "
        "SETTINGS index_granularity = 1024",
        "CREATE VIEW d.v AS SELECT * FROM d.m",
        "CREATE MATERIALIZED VIEW d.mv ENGINE = SummingMergeTree ORDER BY a AS SELECT a FROM d.m",
        "CREATE TABLE d.n AS d.m",
        "CREATE TEMPORARY TABLE tmp (a Int8) ENGINE = MergeTree ORDER BY a",
        "CREATE FUNCTION plus_one AS (x) -> x + 1",
        "INSERT INTO d.m SELECT number FROM numbers(10)",
        "ALTER TABLE d.n ATTACH PARTITION ALL FROM d.m",
        "ALTER TABLE d.m DETACH PARTITION 1",
        "ALTER TABLE d.m ATTACH PARTITION 1",
        "ALTER TABLE d.m ADD COLUMN b Nullable(String)",
        "ALTER TABLE d.m UPDATE b = 'x' WHERE a = 1 SETTINGS mutations_sync = 1",
        "ALTER TABLE d.m DELETE WHERE a = 2 SETTINGS mutations_sync = 1",
        "DELETE FROM d.m WHERE a = 3",
        "OPTIMIZE TABLE d.m FINAL",
        "EXCHANGE TABLES d.m AND d.n",
        "RENAME TABLE d.n TO d.o",
        "TRUNCATE TABLE d.o",
        "DETACH TABLE d.o",
        "ATTACH TABLE d.o",
        "DROP TABLE d.o SYNC",
        "SYSTEM FLUSH LOGS",
        "SYSTEM STOP MERGES d.m",
        "SYSTEM START MERGES d.m",
        "SYSTEM DROP MARK CACHE",
        "CREATE DATABASE e",
        "DROP DATABASE e",
        "DROP FUNCTION plus_one",
    ):
        answer = target.ask(sql)
        assert answer.status_code == 200, answer.text


def test_a_kernel_without_landlock_is_told(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(confinement, "_landlock_version", lambda: 0)
    monkeypatch.setenv("TMPDIR", "")
    monkeypatch.setattr("tempfile.tempdir", None)
    with caplog.at_level(logging.WARNING):
        command._keep_inside(tmp_path)
    assert "This kernel has no Landlock" in caplog.text
