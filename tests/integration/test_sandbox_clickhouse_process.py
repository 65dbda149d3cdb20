"""The embedded ClickHouse as a process: start, refusals, passwords, stop, crash."""

import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.processes import PROJECT, clean_environment, process, sandbox_server, wait_ready

MODULE = "sandbox.clickhouse"


@contextmanager
def serve(
    path: Path, *options: str, **variables: str
) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """Run the command with more environment than ``sandbox_server`` gives."""
    log = path.with_name(path.name + ".log")
    command = [sys.executable, "-m", MODULE, "--path", str(path), "--port", "0", *options]
    with process(command, log, env=clean_environment() | variables) as running:
        yield running, wait_ready(running, log)


def call(*options: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run the command until it ends by itself."""
    return subprocess.run(
        [sys.executable, "-m", MODULE, *options],
        cwd=PROJECT,
        env=clean_environment() | variables,
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )


def run(url: str, sql: str, **params: str) -> str:
    answer = httpx.post(url, content=sql, params=params, timeout=30, trust_env=False)
    assert answer.status_code == 200, answer.text
    return answer.text


def test_help_explains_every_option():
    answer = call("--help")
    assert answer.returncode == 0
    options = ("--path", "--host", "--port", "--user", "--no-password", "--allow-host")
    for word in (*options, "CLICKHOUSE_PASSWORD", "CLICKHOUSE_PORT"):
        assert word in answer.stdout


def test_a_second_server_on_the_directory_and_on_the_port_is_refused(tmp_path):
    with sandbox_server(MODULE, tmp_path / "data", "--no-password") as (running, url):
        same_path = call("--path", str(tmp_path / "data"), "--port", "0")
        assert same_path.returncode != 0
        assert f"in use by process {running.pid}" in same_path.stderr
        assert "--path" in same_path.stderr
        port = str(urlsplit(url).port)
        same_port = call("--path", str(tmp_path / "other"), CLICKHOUSE_PORT=port)
        assert same_port.returncode != 0
        assert f"127.0.0.1:{port}" in same_port.stderr
        assert "CLICKHOUSE_PORT" in same_port.stderr
        assert "Traceback" not in same_path.stderr + same_port.stderr
        assert run(url, "SELECT 1") == "1\n"


def test_it_listens_on_loopback_only(tmp_path):
    with sandbox_server(MODULE, tmp_path / "data", "--no-password") as (running, url):
        port = urlsplit(url).port
        table = Path(f"/proc/{running.pid}/net/tcp").read_text()
        local = re.findall(rf"^ *\d+: ([0-9A-F]+):{port:04X} 00000000:0000 0A", table, re.M)
        assert local == [socket.inet_aton("127.0.0.1")[::-1].hex().upper()]


def test_a_password_of_its_own_in_a_private_file(tmp_path):
    data = tmp_path / "data"
    file = data / "password"
    with serve(data) as (_, url):
        assert stat.S_IMODE(data.stat().st_mode) == 0o700
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        password = file.read_text().strip()
        assert len(password) >= 32
        for given, status in ((None, 401), ("wrong", 403), (password, 200)):
            auth = ("default", given) if given else None
            answer = httpx.post(url, content="SELECT 1", auth=auth, trust_env=False)
            assert answer.status_code == status
            assert status == 200 or str(file) in answer.text
        assert httpx.get(f"{url}/ping", trust_env=False).text == "Ok.\n"
    data.chmod(0o755)
    file.chmod(0o644)
    with serve(data):
        assert stat.S_IMODE(data.stat().st_mode) == 0o700
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert file.read_text().strip() == password


def test_the_ready_line_says_where_the_password_is(tmp_path):
    data = tmp_path / "data"
    ready = {
        (): f"with the password in {data / 'password'}",
        ("--no-password",): "without a password",
        ("CLICKHOUSE_PASSWORD",): "with the password of CLICKHOUSE_PASSWORD",
    }
    for how, text in ready.items():
        command = [sys.executable, "-m", MODULE, "--path", str(data), "--port", "0"]
        env = clean_environment()
        if how == ("CLICKHOUSE_PASSWORD",):
            env["CLICKHOUSE_PASSWORD"] = "se:cret"
        else:
            command += how
        with process(command, tmp_path / "log", env=env) as running:
            assert running.stdout is not None
            word, url, said = running.stdout.readline().rstrip().split(" ", 2)
        assert (word, url[:17], said) == ("ready", "http://127.0.0.1:", text)


def test_an_empty_password_file_is_refused(tmp_path):
    (tmp_path / "password").touch()
    answer = call("--path", str(tmp_path), "--port", "0")
    assert answer.returncode != 0
    assert f"{tmp_path / 'password'} is empty" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_no_password(tmp_path):
    with serve(tmp_path / "data", "--no-password", CLICKHOUSE_PASSWORD="of-another") as (_, url):
        assert run(url, "SELECT 1") == "1\n"
        assert not (tmp_path / "data" / "password").exists()


def test_password(tmp_path):
    with serve(tmp_path / "data", "--user", "ann", CLICKHOUSE_PASSWORD="se:cret") as (running, url):

        def status(**how: object) -> tuple[int, str | None]:
            answer = httpx.post(url, content="SELECT 1", trust_env=False, **how)
            return answer.status_code, answer.headers.get("X-ClickHouse-Exception-Code")

        assert status() == (401, "194")
        assert status(auth=("ann", "wrong")) == (403, "516")
        assert status(auth=("bob", "se:cret")) == (403, "516")
        assert status(params={"user": "ann", "password": "wrong"}) == (403, "516")
        assert status(auth=("ann", "se:cret")) == (200, None)
        assert status(params={"user": "ann", "password": "se:cret"}) == (200, None)
        keys = {"X-ClickHouse-User": "ann", "X-ClickHouse-Key": "se:cret"}
        assert status(headers=keys) == (200, None)
        assert httpx.get(f"{url}/ping", trust_env=False).status_code == 200
        command = Path(f"/proc/{running.pid}/cmdline").read_text()
        assert "se:cret" not in command


def test_data_does_not_depend_on_the_time_zone_of_the_machine(tmp_path):
    with serve(tmp_path / "data", "--no-password", TZ="Australia/Sydney") as (_, url):
        sql = "SELECT timezone(), toUnixTimestamp(toDateTime('2024-01-01 00:00:00'))"
        assert run(url, sql) == "UTC\t1704067200\n"


def test_sigterm_lets_the_running_query_finish(tmp_path):
    answers: list[str] = []
    with sandbox_server(MODULE, tmp_path / "data", "--no-password") as (running, url):
        sql = "SELECT sleep(1.5), 'finished'"
        slow = threading.Thread(target=lambda: answers.append(run(url, sql)))
        slow.start()
        while run(url, "SELECT count() FROM system.processes") != "2\n":
            pass
        running.send_signal(signal.SIGTERM)
        assert running.wait(20) == 0
        slow.join()
    assert answers == ["0\tfinished\n"]
    with pytest.raises(httpx.ConnectError):
        httpx.get(url, trust_env=False)


def test_data_survives_a_restart(tmp_path):
    with sandbox_server(MODULE, tmp_path / "data", "--no-password") as (_, url):
        run(url, "CREATE DATABASE d")
        run(url, "CREATE TABLE d.t (a Int8) ENGINE = MergeTree ORDER BY a")
        run(url, "CREATE VIEW d.v AS SELECT sum(a) AS total FROM d.t")
        run(url, "CREATE TABLE in_default (a Int8) ENGINE = MergeTree ORDER BY a")
        run(url, "INSERT INTO d.t VALUES (1), (2)")
        run(url, "INSERT INTO in_default VALUES (3)")
    with sandbox_server(MODULE, tmp_path / "data", "--no-password") as (_, url):
        assert run(url, "SELECT total FROM d.v") == "3\n"
        assert run(url, "SELECT a FROM default.in_default") == "3\n"
        assert run(url, "SELECT engine FROM system.databases WHERE name = 'd'") == "Atomic\n"


def test_default_is_a_database_as_in_a_server(tmp_path):
    """With and without a table in it, over restarts and kill -9."""
    for turn in range(4):
        with sandbox_server(MODULE, tmp_path / "data", "--no-password") as (running, url):
            if turn == 2:
                run(url, "CREATE TABLE t (a Int64) ENGINE = MergeTree ORDER BY a")
                run(url, "CREATE DATABASE d")
                run(url, "CREATE MATERIALIZED VIEW d.mv ENGINE = Log AS SELECT a FROM default.t")
            if turn >= 2:
                run(url, f"INSERT INTO t VALUES ({turn})")
            if turn == 3:
                assert run(url, "SELECT a FROM d.mv ORDER BY a") == "2\n3\n"
            assert run(url, "SHOW CREATE DATABASE default FORMAT TSVRaw").endswith("Atomic\n")
            assert run(url, "SHOW TABLES FROM default") == ("t\n" if turn >= 2 else "")
            if turn in (0, 2):
                running.kill()
                running.wait()


def test_acknowledged_inserts_survive_kill_9(tmp_path):
    acknowledged = 0
    with sandbox_server(MODULE, tmp_path / "data", "--no-password") as (running, url):
        run(url, "CREATE DATABASE d")
        run(url, "CREATE TABLE d.t (n UInt64) ENGINE = MergeTree ORDER BY n")
        killer = threading.Timer(1.0, os.kill, (running.pid, signal.SIGKILL))
        killer.start()
        while True:
            rows = "".join(f"{acknowledged + n}\n" for n in range(1_000))
            try:
                run(url, rows, query="INSERT INTO d.t FORMAT TSV")
            except httpx.TransportError:
                break
            acknowledged += 1_000
    assert acknowledged > 0
    with sandbox_server(MODULE, tmp_path / "data", "--no-password") as (_, url):
        count, distinct = map(int, run(url, "SELECT count(), uniqExact(n) FROM d.t").split())
    # The insert that got no answer is there as a whole or not at all.
    assert count == distinct
    assert count in (acknowledged, acknowledged + 1_000)


def test_a_large_insert_does_not_need_its_size_in_memory(tmp_path):
    chunk = b"1,abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz\n" * 20_000
    chunks = 300
    # Small blocks: with a server's defaults, the engine gathers a million rows for each part.
    params = {
        "query": "INSERT INTO t FORMAT CSV",
        "max_insert_block_size": "65536",
        "min_insert_block_size_rows": "65536",
        "min_insert_block_size_bytes": "0",
    }
    with sandbox_server(MODULE, tmp_path / "data", "--no-password") as (running, url):
        run(url, "CREATE TABLE t (a Int64, s String) ENGINE = MergeTree ORDER BY a")
        run(url, chunk.decode(), **params)
        before = peak_bytes(running.pid)
        body = (chunk for _ in range(chunks))
        answer = httpx.post(url, params=params, content=body, timeout=60, trust_env=False)
        assert answer.status_code == 200
        assert run(url, "SELECT count() FROM t") == f"{20_000 * (chunks + 1)}\n"
        grown = peak_bytes(running.pid) - before
    assert len(chunk) * chunks == 330_000_000
    assert grown < 280_000_000


def test_memory_does_not_grow_with_the_number_of_requests(tmp_path):
    with sandbox_server(MODULE, tmp_path / "data", "--no-password") as (running, url):
        run(url, "CREATE TABLE t (a Int64) ENGINE = Memory")
        with httpx.Client(base_url=url, timeout=30, trust_env=False) as client:

            def requests(count: int) -> int:
                for number in range(count):
                    session = {"session_id": f"s{number}", "session_timeout": "0"}
                    for sql in ("SELECT 1", "SELECT * FROM nowhere", "SET max_threads = 1"):
                        client.post("/", content=sql, params=session)
                return resident_bytes(running.pid)

            before = requests(200)
            assert requests(400) - before < 40_000_000


def test_an_insert_that_breaks_off_leaves_nothing_of_its_last_block(tmp_path):
    with sandbox_server(MODULE, tmp_path / "data", "--no-password") as (_, url):
        run(url, "CREATE TABLE t (a Int64) ENGINE = MergeTree ORDER BY a")
        query = "/?query=INSERT%20INTO%20t%20FORMAT%20CSV"
        head = f"POST {query} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n"
        with socket.create_connection(("127.0.0.1", urlsplit(url).port)) as connection:
            connection.sendall(head.encode() + b"1\n2\n3\n")
            while run(url, "SELECT count() FROM system.processes") != "2\n":
                pass
        while run(url, "SELECT count() FROM system.processes") != "1\n":
            pass
        assert run(url, "SELECT count() FROM t") == "0\n"


def peak_bytes(pid: int) -> int:
    return memory_bytes(pid, "VmHWM")


def resident_bytes(pid: int) -> int:
    return memory_bytes(pid, "VmRSS")


def memory_bytes(pid: int, field: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(rf"{field}:\s+(\d+) kB", status)[0]) * 1024


def test_a_reader_that_never_reads_does_not_hold_others_up(tmp_path):
    with sandbox_server(MODULE, tmp_path / "data", "--no-password") as (_, url):
        sql = b"SELECT number FROM numbers(1000000000)"
        stuck = [socket.create_connection(("127.0.0.1", urlsplit(url).port)) for _ in range(3)]
        head = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(sql)
        for connection in stuck:
            connection.sendall(head + sql)
        started = time.monotonic()
        for _ in range(20):
            assert run(url, "SELECT 1") == "1\n"
        assert time.monotonic() - started < 10
        for connection in stuck:
            connection.close()
