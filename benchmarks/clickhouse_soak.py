"""Endurance of the embedded ClickHouse: parallel clients, then one very large insert.

Each client inserts rows, reads them back and checks the count, and builds tables anew, all through
clickhouse-connect and without a pause. It fails when a request fails or a row is missing. The table
shows the server's memory (resident set) over time; it must not keep growing.

    python benchmarks/clickhouse_soak.py --clients 8 --seconds 60 --insert-mb 2000
"""

from __future__ import annotations

import argparse
import re
import tempfile
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import clickhouse_connect
from clickhouse import server
from clickhouse_connect.driver.client import Client
from rich.console import Console
from rich.table import Table

BATCH = 500
PERIODS = 6
LINE = b"1,abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz\n"


class Worker(threading.Thread):
    """One client: inserts, reads, DDL until told to stop."""

    def __init__(self, number: int, client: Client, stop: threading.Event) -> None:
        super().__init__()
        self._number = number
        self._client = client
        self._stop_now = stop
        self.rows = 0
        self.requests = 0
        self.failure: Exception | None = None

    def run(self) -> None:
        """Repeat turns; keeps the first failure."""
        try:
            while not self._stop_now.is_set():
                self._turn()
        except Exception as error:
            self.failure = error

    def _turn(self) -> None:
        client, number = self._client, self._number
        rows = [[number, self.rows + n, f"text {n}"] for n in range(BATCH)]
        client.insert("soak", rows, column_names=["client", "n", "text"])
        self.rows += BATCH
        counted = client.query(
            "SELECT count(), uniqExact(n) FROM soak WHERE client = {c:UInt8}", {"c": number}
        ).first_row
        if counted != (self.rows, self.rows):
            raise AssertionError(f"client {number} wrote {self.rows} rows and reads {counted}")
        client.command(
            f"CREATE OR REPLACE TABLE own_{number} ENGINE = MergeTree ORDER BY n"
            f" AS SELECT n, text FROM soak WHERE client = {number} ORDER BY n DESC LIMIT 1000"
        )
        client.command(f"ALTER TABLE own_{number} ADD COLUMN extra String DEFAULT text")
        client.query(f"SELECT n, extra FROM own_{number} ORDER BY n")
        client.command(f"DROP TABLE own_{number} SYNC")
        self.requests += 6


def memory_mb(pid: int, field: str) -> int:
    """A line of the kernel's account of a process, in megabytes."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(re.findall(rf"{field}:\s+(\d+) kB", status)[0]) // 1024


def soak(url: str, pid: int, clients: int, seconds: int) -> None:
    """Run the clients and print memory over time and what they did."""
    address = urlsplit(url)

    def connect() -> Client:
        return clickhouse_connect.get_client(host=address.hostname, port=address.port)

    admin = connect()
    admin.command(
        "CREATE TABLE soak (client UInt8, n UInt64, text String) ENGINE = MergeTree"
        " ORDER BY (client, n)"
    )
    stop = threading.Event()
    workers = [Worker(number, connect(), stop) for number in range(clients)]
    for worker in workers:
        worker.start()
    memory = [memory_mb(pid, "VmRSS")]
    for _ in range(PERIODS):
        time.sleep(seconds / PERIODS)
        memory.append(memory_mb(pid, "VmRSS"))
    stop.set()
    for worker in workers:
        worker.join()
    failures = [worker.failure for worker in workers if worker.failure]
    if failures:
        raise SystemExit(f"{len(failures)} clients failed, the first with: {failures[0]!r}")
    written = sum(worker.rows for worker in workers)
    stored = admin.query("SELECT count(), uniqExact(client, n) FROM soak").first_row
    if stored != (written, written):
        raise SystemExit(f"{written} rows were acknowledged, {stored} are stored")
    table = Table(title=f"{clients} clients, {seconds} s")
    table.add_column("what")
    table.add_column("number", justify="right")
    table.add_row("requests", f"{sum(worker.requests for worker in workers):,}")
    table.add_row("rows written, all found again", f"{written:,}")
    table.add_row("memory in MB, over time", " ".join(map(str, memory)))
    Console().print(table)


def large_insert(url: str, pid: int, megabytes: int) -> None:
    """Insert CSV of this size in one chunked request; print time and growth of the peak."""
    chunk = LINE * (1_000_000 // len(LINE))
    count = megabytes * 1_000_000 // len(chunk)

    def chunks() -> Iterator[bytes]:
        for _ in range(count):
            yield chunk

    connection = HTTPConnection(urlsplit(url).netloc, timeout=600)
    sql = "CREATE TABLE large (a Int64, s String) ENGINE = MergeTree ORDER BY a"
    connection.request("POST", "/", body=sql)
    connection.getresponse().read()
    before = memory_mb(pid, "VmRSS")
    started = time.perf_counter()
    connection.request("POST", "/?query=INSERT+INTO+large+FORMAT+CSV", body=chunks())
    answer = connection.getresponse()
    text = answer.read().decode()
    if answer.status != 200:
        raise SystemExit(text)
    took = time.perf_counter() - started
    connection.request("POST", "/", body="SELECT count() FROM large")
    stored = int(connection.getresponse().read())
    if stored != count * chunk.count(LINE):
        raise SystemExit(f"{count * chunk.count(LINE)} rows were sent, {stored} are stored")
    print(  # noqa: T201
        f"insert of {count * len(chunk) / 1e6:,.0f} MB ({stored:,} rows): {took:.1f} s, "
        f"memory {before} MB before, {memory_mb(pid, 'VmHWM')} MB at its peak"
    )


def main() -> None:
    """Run both trials on a server of their own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--insert-mb", type=int, default=2000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, server(Path(directory)) as (url, pid):
        soak(url, pid, arguments.clients, arguments.seconds)
    with tempfile.TemporaryDirectory() as directory, server(Path(directory)) as (url, pid):
        large_insert(url, pid, arguments.insert_mb)


if __name__ == "__main__":
    main()
