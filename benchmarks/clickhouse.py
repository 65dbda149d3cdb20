"""What the HTTP interface of the embedded ClickHouse costs, compared with the engine alone.

- the server: ``python -m sandbox.clickhouse`` in a process of its own, asked over keep-alive
- the engine: chDB in this process; for rows, through clickhouse-connect's own in-process client

Both run several times in turn, so that what else the machine does meets both; medians count.

    python benchmarks/clickhouse.py --rows 1000000 --rounds 5
"""

from __future__ import annotations

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
from report import Result, Row, parser_with_json, publish

PROJECT = Path(__file__).resolve().parents[1]
QUERIES = 300  # small queries per round
SMALL = "SELECT 1"
MOST_ADDED_MS, MOST_RATIO = 5.0, 1.2
COLUMNS = {"id": "Int64", "name": "String", "amount": "Float64", "at": "DateTime"}


@contextmanager
def server(path: Path) -> Iterator[tuple[str, int]]:
    """Run the server over a directory; yields its URL and its process id."""
    command = [sys.executable, "-m", "sandbox.clickhouse", "--path", str(path), "--port", "0"]
    command.append("--no-password")
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
    """Measure and publish."""
    parser = parser_with_json(__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of insert and select")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each way")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory)
        (path / "served").mkdir()
        with server(path / "served") as (url, _):
            medians = measure(arguments.rows, arguments.rounds, url, str(path / "own"))
    publish(result(medians), arguments.json)


def measure(rows: int, rounds: int, url: str, path: str) -> dict[str, dict[str, float]]:
    """Run both ways `rounds` times in turn; return the median milliseconds."""
    own = chdb.connect(path)
    address = urlsplit(url)
    clients = {
        "engine": clickhouse_connect.get_client(interface="chdb", path=path),
        # As dbt and the tasks ask a server on the same machine.
        "server": clickhouse_connect.get_client(
            host=address.hostname, port=address.port, compress=False
        ),
    }
    small = {
        "engine": lambda: own.query("SELECT 1", "TabSeparated").bytes(),
        "server": over_http(url, "SELECT 1"),
    }
    columns = rows_of(rows)
    found: dict[str, dict[str, list[float]]] = {}

    def note(what: str, way: str, value: float) -> None:
        found.setdefault(what, {}).setdefault(way, []).append(value * 1000)

    for _ in range(rounds):
        for way, run in small.items():
            for _ in range(QUERIES):
                note(SMALL, way, seconds(run))
        for way, client in clients.items():
            note(f"insert of {rows:,} rows", way, insert(client, columns))
            note(f"select of {rows:,} rows", way, select(client))
    return {
        what: {way: statistics.median(times) for way, times in ways.items()}
        for what, ways in found.items()
    }


def result(medians: dict[str, dict[str, float]]) -> Result:
    """The claim: little for a query, nothing to speak of for many rows."""
    rows = [
        Row(f"{what}, {way}", taken, "ms", taken / ways["engine"])
        for what, ways in medians.items()
        for way, taken in ways.items()
    ]
    added = medians[SMALL]["server"] - medians[SMALL]["engine"]
    ratios = [ways["server"] / ways["engine"] for what, ways in medians.items() if what != SMALL]
    return Result(
        "clickhouse",
        f"The HTTP interface of the embedded ClickHouse adds at most {MOST_ADDED_MS:g} ms to a "
        f"query, and many rows take at most {MOST_RATIO:g} x the time that the engine alone takes.",
        rows,
        added <= MOST_ADDED_MS and max(ratios) <= MOST_RATIO,
        "the engine alone",
    )


if __name__ == "__main__":
    main()
