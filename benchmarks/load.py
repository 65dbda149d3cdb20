"""How fast LoadExport loads a large document_item.csv, and in how much memory.

Each file is loaded by the command itself, `luigi --module luigi_tasks LoadExport`, from an export
whose other two files are those of the sample, into an embedded ClickHouse of its own. Processor
time and memory are the whole command's, from the start of Python to its end. Beside it, with the
smallest file: a loop over csv.DictReader, and pyarrow without any check. Files and the server's
data are in a temporary directory (TMPDIR), one size at a time, and are deleted.

    python benchmarks/load.py --size-gb 0.5 2
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import clickhouse_connect
import load_files
import psutil
from clickhouse import server
from clickhouse_connect.driver.client import Client
from load_peers import PEERS
from report import Result, Row, parser_with_json, publish

from luigi_tasks.landing import dictionary
from luigi_tasks.landing.tables import Landing

PROJECT = Path(__file__).resolve().parents[1]
ROWS_PER_SECOND = 200_000
MOST_GROWTH = 1.15
"""Memory of the largest file against that of the smallest."""

LUIGI = Path(sys.executable).with_name("luigi")


@dataclass(frozen=True)
class Run:
    """What one load took.

    Attributes:
        rows: Rows in the table afterwards.
        seconds: By the clock.
        cpu: Processor time of the loader, user and system.
        server_cpu: Processor time of ClickHouse meanwhile, its merges included.
        peak: The most memory that the loader had, in MB.
        server_peak: The most memory that ClickHouse had so far, in MB.
    """

    rows: int
    seconds: float
    cpu: float
    server_cpu: float
    peak: float
    server_peak: float

    @property
    def per_core(self) -> float:
        """Rows per second of the loader's processor time."""
        return self.rows / self.cpu


class Bench:
    """Loads into one server.

    Args:
        url: The server's URL.
        pid: Its process id.
    """

    def __init__(self, url: str, pid: int) -> None:
        address = urlsplit(url)
        self._environment = os.environ | {
            "CLICKHOUSE_HOST": str(address.hostname),
            "CLICKHOUSE_PORT": str(address.port),
            "CLICKHOUSE_USER": "default",
            "CLICKHOUSE_PASSWORD": "",
            "CLICKHOUSE_SECURE": "false",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }
        self._server = psutil.Process(pid)
        self._client = clickhouse_connect.get_client(host=address.hostname, port=address.port)

    def load(self, export: Path, database: str) -> Run:
        """Load an export with LoadExport."""
        command = [str(LUIGI), "--module", "luigi_tasks", "LoadExport", "--local-scheduler"]
        command += ["--directory", str(export), "--retail-pro-landing-database", database]
        return self._measure(command, database)

    def load_otherwise(self, way: str, export: Path, database: str) -> Run:
        """Load its document_item.csv in another way."""
        Landing(self._client, database).create(dictionary.load(PROJECT))
        script = str(Path(__file__).with_name("load_peers.py"))
        file = str(export / "document_item.csv")
        return self._measure([sys.executable, script, way, file, database], database)

    def _measure(self, command: list[str], database: str) -> Run:
        with tempfile.TemporaryFile() as output:
            server_before = self._server_cpu()
            started = time.perf_counter()
            process = subprocess.Popen(
                command, cwd=PROJECT, env=self._environment, stdout=output, stderr=output
            )
            peak, status, used = _wait(process.pid)
            seconds = time.perf_counter() - started
            server_cpu = self._server_cpu() - server_before
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                output.seek(0)
                raise SystemExit(output.read().decode())
        return Run(
            rows=_rows(self._client, database),
            seconds=seconds,
            cpu=used.ru_utime + used.ru_stime,
            server_cpu=server_cpu,
            peak=peak,
            server_peak=_peak_of(self._server.pid),
        )

    def _server_cpu(self) -> float:
        times = self._server.cpu_times()
        return times.user + times.system


def _rows(client: Client, database: str) -> int:
    """Return how many rows there are, and drop them."""
    rows = client.query(f"select count() from {database}.document_item").first_row[0]
    client.command(f"drop database {database} sync")
    return int(rows)


def _wait(pid: int) -> tuple[float, int, resource.struct_rusage]:
    """Wait for a process; return its peak memory, its status and what it used.

    The peak is looked at while it lives: what is used in the end may be this process's own memory,
    which a child has for an instant.
    """
    peak = 0.0
    while True:
        peak = max(peak, _peak_of(pid))
        done, status, used = os.wait4(pid, os.WNOHANG)
        if done:
            return peak, status, used
        time.sleep(0.05)


def _peak_of(pid: int) -> float:
    """Return the most memory that a process has had, in MB; 0 when it has ended."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    _, found, rest = status.partition("VmHWM:")
    return int(rest.split()[0]) / 1024 if found else 0.0


@contextmanager
def export_of(size: float, *, quoted: bool = False) -> Iterator[tuple[Path, int]]:
    """Write an export with a document_item.csv of so many GB; yields it and its rows."""
    with tempfile.TemporaryDirectory() as directory:
        for name in ("customer.csv", "document.csv"):
            shutil.copy(load_files.SAMPLE / name, directory)
        path = Path(directory) / "document_item.csv"
        yield Path(directory), load_files.write(path, int(size * 1e9), quoted=quoted)


def load_size(size: float, *, quoted: bool = False, peers: bool = False) -> dict[str, Run]:
    """Load a file of so many GB, in all ways when asked to."""
    found = {}
    with (
        export_of(size, quoted=quoted) as (export, rows),
        tempfile.TemporaryDirectory() as data,
        server(Path(data)) as (url, pid),
    ):
        bench = Bench(url, pid)
        for way in PEERS if peers else ():
            found[way] = bench.load_otherwise(way, export, "peer")
        found["LoadExport"] = bench.load(export, "landing")
        if any(run.rows != rows for run in found.values()):
            raise SystemExit(f"{rows} rows were written, loaded were: {found}")
    return found


def rows_of(case: str, run: Run, base: Run, memory_base: Run) -> list[Row]:
    """Return the lines of the result for a load."""
    with_server = run.rows / (run.cpu + run.server_cpu)
    return [
        Row(f"{case}: per second of its processor time", run.per_core, "rows/s",
            run.per_core / base.per_core),
        Row(f"{case}: per second of its and ClickHouse's", with_server, "rows/s",
            with_server / (base.rows / (base.cpu + base.server_cpu))),
        Row(f"{case}: by the clock", run.rows / run.seconds, "rows/s",
            run.rows / run.seconds / (base.rows / base.seconds)),
        Row(f"{case}: peak memory", run.peak, "MB", run.peak / memory_base.peak),
    ]  # fmt: skip


def main() -> None:
    """Measure what the command line says."""
    parser = parser_with_json(__doc__)
    parser.add_argument("--size-gb", type=float, nargs="+", default=[0.5, 5])
    arguments = parser.parse_args()
    smallest, *others = sorted(arguments.size_gb)
    first = load_size(smallest, peers=True)
    base, loaded = first["dict-reader"], first["LoadExport"]
    rows = [
        *rows_of(f"csv.DictReader, {smallest:g} GB", base, base, loaded),
        *rows_of(f"pyarrow unchecked, {smallest:g} GB", first["pyarrow"], base, loaded),
    ]
    runs = {f"LoadExport, {smallest:g} GB": loaded}
    quoted = load_size(smallest, quoted=True)["LoadExport"]
    runs[f"LoadExport, {smallest:g} GB, all values quoted"] = quoted
    for size in others:
        runs[f"LoadExport, {size:g} GB"] = load_size(size)["LoadExport"]
    for case, run in runs.items():
        rows += rows_of(case, run, base, loaded)
    growth = max(run.peak for run in runs.values()) / loaded.peak
    publish(
        Result(
            name="load",
            claim=f"LoadExport loads {ROWS_PER_SECOND:,} rows of document_item.csv per second of "
            f"its processor time or more, in memory that grows by less than "
            f"{MOST_GROWTH - 1:.0%} from the smallest file to the largest",
            rows=rows,
            holds=growth < MOST_GROWTH
            and min(run.per_core for run in runs.values()) >= ROWS_PER_SECOND,
            base="csv.DictReader; memory: LoadExport of the smallest file",
            note="The embedded ClickHouse ran on the same processor; its peak memory was "
            f"{max(run.server_peak for run in runs.values()):,.0f} MB. Rows have 26 columns and "
            "about 250 bytes, 305 with quotation marks.",
        ),
        arguments.json,
    )


if __name__ == "__main__":
    main()
