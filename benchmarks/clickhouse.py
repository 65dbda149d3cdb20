"""What the HTTP interface of the embedded ClickHouse costs, compared with the engine alone.

- the server: ``python -m sandbox.clickhouse`` in a process of its own, asked over keep-alive
- the engine: chDB in this process; for rows, through clickhouse-connect's own in-process client

Both run several times in turn, so that what else the machine does meets both; medians count.

    python benchmarks/clickhouse.py --rows 1000000 --rounds 5
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

os.environ["TZ"] = "UTC"  # read by the engine when it is loaded

import chdb
import clickhouse_connect
from clickhouse_connect.driver.client import Client
from rich.console import Console
from rich.table import Table

PROJECT = Path(__file__).resolve().parents[1]
QUERIES = 300  # small queries per round
COLUMNS = {"id": "Int64", "name": "String", "amount": "Float64", "at": "DateTime"}


@contextmanager
def server(path: Path) -> Iterator[tuple[str, int]]:
    """Run the server over a directory; yields its URL and its process id."""
    command = [sys.executable, "-m", "sandbox.clickhouse", "--path", str(path), "--port", "0"]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as running:
        try:
            line = running.stdout.readline() if running.stdout else ""
            if not line.startswith("ready "):
                raise SystemExit("The server did not start; its message is above.")
            yield line.split()[1], running.pid
        finally:
            running.terminate()


def seconds(run: Callable[[], object]) -> float:
    """Time one call."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def over_http(url: str, sql: str) -> Callable[[], bytes]:
    """A query over one connection that is kept open."""
    connection = HTTPConnection(urlsplit(url).netloc, timeout=60)

    def run() -> bytes:
        connection.request("POST", "/", body=sql)
        return connection.getresponse().read()

    return run


def rows_of(count: int) -> list[list[object]]:
    """Columns of invented rows."""
    start = datetime(2024, 1, 1, tzinfo=timezone.utc)
    times = [start + timedelta(seconds=second) for second in range(86_400)]
    return [
        list(range(count)),
        [f"name {number % 1000}" for number in range(count)],
        [number / 7 for number in range(count)],
        [times[number % 86_400] for number in range(count)],
    ]


def new_table(client: Client) -> None:
    """Start with an empty table."""
    client.command("DROP TABLE IF EXISTS bench SYNC")
    columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
    client.command(f"CREATE TABLE bench ({columns}) ENGINE = MergeTree ORDER BY id")


def insert(client: Client, columns: list[list[object]]) -> float:
    """Seconds for one insert of all rows into an empty table."""
    new_table(client)
    names = list(COLUMNS)
    return seconds(lambda: client.insert("bench", columns, names, column_oriented=True))


def select(client: Client) -> float:
    """Seconds for reading all rows into Python."""
    return seconds(lambda: client.query("SELECT * FROM bench").result_columns)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of insert and select")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each way")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory)
        (path / "served").mkdir()
        with server(path / "served") as (url, _):
            measure(arguments.rows, arguments.rounds, url, str(path / "own"))


def measure(rows: int, rounds: int, url: str, path: str) -> None:
    """Run both ways `rounds` times in turn and print the medians."""
    own = chdb.connect(path)
    address = urlsplit(url)
    clients = {
        "server": clickhouse_connect.get_client(host=address.hostname, port=address.port),
        "engine": clickhouse_connect.get_client(interface="chdb", path=path),
    }
    small = {
        "server": over_http(url, "SELECT 1"),
        "engine": lambda: own.query("SELECT 1", "TabSeparated").bytes(),
    }
    columns = rows_of(rows)
    found: dict[str, dict[str, list[float]]] = {}

    def note(what: str, way: str, value: float) -> None:
        found.setdefault(what, {}).setdefault(way, []).append(value * 1000)

    for _ in range(rounds):
        for way, run in small.items():
            for _ in range(QUERIES):
                note("SELECT 1", way, seconds(run))
        for way, client in clients.items():
            note(f"insert of {rows:,} rows", way, insert(client, columns))
            note(f"select of {rows:,} rows", way, select(client))
    show(
        {
            what: {way: statistics.median(t) for way, t in ways.items()}
            for what, ways in found.items()
        }
    )


def show(medians: dict[str, dict[str, float]]) -> None:
    """Print the medians with difference and ratio."""
    table = Table(title="milliseconds, medians")
    for heading in ("", "engine", "server", "difference", "ratio"):
        table.add_column(heading, justify="left" if not heading else "right")
    for what, ways in medians.items():
        engine, served = ways["engine"], ways["server"]
        table.add_row(
            what,
            f"{engine:,.2f}",
            f"{served:,.2f}",
            f"{served - engine:+,.2f}",
            f"{served / engine:.2f} x",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
