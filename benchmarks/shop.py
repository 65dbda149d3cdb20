"""A shop for benchmarks: an embedded ClickHouse over a scratch directory, and `dbt build` in it.

Everything is a process of its own with a free port, and gone at the end. TMPDIR says where the
scratch directory is: ten million documents take some GB.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import delivered
import history
from clickhouse_connect.driver.client import Client
from luigi.configuration import get_config

from luigi_tasks import config
from luigi_tasks.clickhouse import client as clickhouse
from luigi_tasks.clickhouse import queries
from luigi_tasks.delivery import outbox
from luigi_tasks.delivery.ledger import Ledger
from luigi_tasks.delivery.sender import Counts, Delivery
from luigi_tasks.runs.lease import Lease

PROJECT = Path(__file__).resolve().parents[1]
QUERIES = queries.parse((PROJECT / "benchmarks" / "shop.sql").read_text(encoding="utf-8"))
SETTINGS = ("CLICKHOUSE_", "SEGMENT_", "RETAIL_PRO_", "SANDBOX_", "LUIGI_", "DBT_")
MERGE_SECONDS = 120
KEY = "benchmark"
RUN_ID = uuid4()
SLOT = datetime(2026, 1, 1)
PROXIES = ("http_proxy", "https_proxy", "all_proxy")


@dataclass(frozen=True)
class Cost:
    """What the queries of a piece of work cost.

    Attributes:
        seconds: Wall time.
        queries: Number of queries.
        read_rows: Rows that they read in all.
        peak_mb: Memory of the one that took most.
    """

    seconds: float
    queries: int
    read_rows: int
    peak_mb: float


@dataclass(frozen=True)
class Build:
    """One `dbt build`.

    Attributes:
        cost: What its queries cost.
        nodes: What run_results.json says of each node.
        read_rows: Rows that the queries of each node read.
    """

    cost: Cost
    nodes: list[dict[str, Any]]
    read_rows: dict[str, int]


@dataclass(frozen=True)
class Shop:
    """An embedded ClickHouse, and a directory for what dbt writes.

    Attributes:
        directory: Scratch space, gone at the end.
        pid: The process of ClickHouse.
        settings: The environment that leads to it.
    """

    directory: Path
    pid: int
    settings: dict[str, str]

    def use(self) -> None:
        """Let the environment lead to this shop, where several are open."""
        use_own_environment(self.settings)

    @property
    def client(self) -> Client:
        """A client for ClickHouse, the one that luigi_tasks has."""
        client: Client = clickhouse.connect()
        return client

    def add(self, **rows: int) -> None:
        """Add Retail Pro rows; see history.add."""
        history.add(self.client, config.retail_pro().landing_database, **rows)

    def build(self, *options: str) -> Build:
        """Run `dbt build` as BuildOutbox does.

        Raises:
            SystemExit: dbt failed; what it said is above.
        """
        target = self.directory / "target"
        command = [
            *(str(dbt()), "build", "--exclude-resource-type", "unit_test", "--quiet"),
            *("--target-path", str(target), "--log-path", str(self.directory / "logs")),
            "--no-use-colors",
            *options,
        ]
        since = self.now()
        cost = self.measure(lambda: run(command))
        results = json.loads((target / "run_results.json").read_text(encoding="utf-8"))
        span = {"since": since, "until": self.now()}
        read = {str(node): int(rows) for node, rows in self._ask("rows_read_by_node", **span)}
        return Build(cost, results["results"], read)

    def deliver(self) -> dict[str, int]:
        """Settle all that is pending; see delivered.deliver."""
        return delivered.deliver(self.client, config.clickhouse().database)

    def send(self, call: str) -> Counts:
        """Send an outbox as SendIdentify and SendTrack do, without their speed limit.

        Raises:
            RuntimeError: Not everything was accepted.
        """
        get_config().set("delivery", "events_per_second", "0")
        with Lease() as lease, Ledger(RUN_ID, SLOT, call) as ledger:
            counts = Delivery(call, KEY, ledger, lease).drain(outbox.cut(call))
        if counts.accepted != counts.total:
            raise RuntimeError(f"the sender did not deliver everything: {counts}")
        return counts

    def append_seconds(self, since: datetime) -> float:
        """The median of the appends to the ledger since then."""
        self.client.command("system flush logs")
        [(milliseconds,)] = self._ask("duration_of_appends", since=since)
        return float(milliseconds) / 1000

    def now(self) -> datetime:
        """The clock of ClickHouse."""
        [(now,)] = self._ask("now")
        at: datetime = now
        return at

    def measure(self, work: Callable[[], object]) -> Cost:
        """Run something and ask ClickHouse what its queries cost."""
        since = self.now()
        started = time.perf_counter()
        work()
        seconds = time.perf_counter() - started
        until = self.now()
        self.client.command("system flush logs")
        [(queries_run, rows, peak_mb)] = self._ask("cost_of_queries", since=since, until=until)
        return Cost(seconds, queries_run, rows, peak_mb)

    def wait_for_merges(self) -> None:
        """Wait until the server has put its parts together, at most MERGE_SECONDS."""
        deadline = time.monotonic() + MERGE_SECONDS
        while self._ask("merges") != [(0,)] and time.monotonic() < deadline:
            time.sleep(0.5)

    def forget_peak_memory(self) -> None:
        """Let peak_memory_mb begin anew (Linux)."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5", encoding="utf-8")

    def peak_memory_mb(self) -> float:
        """The largest resident set of the server's process (Linux)."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="utf-8")
        [line] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1]) / 1024

    def _ask(self, name: str, **binds: Any) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self.client.query(QUERIES[name], binds).result_rows]


def dbt() -> Path:
    """The dbt of this environment."""
    return Path(sys.executable).with_name("dbt")


def run(command: list[str]) -> str:
    """Run a program in the project's directory and return what it printed.

    Raises:
        SystemExit: It failed; what it said is above.
    """
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.stderr.write(done.stdout[-10_000:] + done.stderr[-10_000:])
        raise SystemExit(f"{' '.join(command[:2])} ended with exit code {done.returncode}.")
    return done.stdout


@contextmanager
def service(module: str, path: Path, *options: str) -> Iterator[tuple[str, int]]:
    """Run sandbox.clickhouse or sandbox.segment; yields its URL and its process id."""
    path.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", module, "--path", str(path), "--port", "0", *options]
    log = path / "log"
    with (
        log.open("w", encoding="utf-8") as stderr,
        subprocess.Popen(
            command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=stderr, text=True
        ) as running,
    ):
        try:
            line = running.stdout.readline() if running.stdout else ""
            if not line.startswith("ready "):
                raise SystemExit(f"{module} did not start:\n{log.read_text(encoding='utf-8')}")
            yield line.split()[1], running.pid
        finally:
            running.terminate()


def use_own_environment(settings: dict[str, str]) -> None:
    """Replace everything in this process's environment that configures the project."""
    for name in list(os.environ):
        if name.startswith(SETTINGS) or name.lower() in PROXIES:
            del os.environ[name]
    common = {"DO_NOT_TRACK": "1", "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"}
    os.environ.update(common | settings)


@contextmanager
def open_shop(**settings: str) -> Iterator[Shop]:
    """Open an empty shop; the environment leads to it, with more settings."""
    with tempfile.TemporaryDirectory(prefix="shop-") as name:
        directory = Path(name)
        with service("sandbox.clickhouse", directory / "clickhouse", "--no-password") as (url, pid):
            port = str(urlsplit(url).port)
            own = {
                "CLICKHOUSE_PORT": port,
                "RETAIL_PRO_SOURCE": "landing",
                "RETAIL_PRO_MAPPINGS": "tests/shop",
            }
            shop = Shop(directory, pid, own | settings)
            shop.use()
            yield shop
