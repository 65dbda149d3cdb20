"""What a benchmark found: a table for people and, on request, JSON for docs/benchmarks.md.

    arguments = parser_with_json(__doc__).parse_args()
    publish(Result(name, claim, rows, holds), arguments.json)

A claim is a ratio of things measured side by side in one run: seconds of one machine say nothing
about another. Each row therefore has its value, and where it makes sense the ratio to a base.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

PACKAGES = (
    "chdb",
    "chdb-core",  # the version of the ClickHouse engine in it
    "clickhouse-connect",
    "dbt-core",
    "dbt-clickhouse",
    "luigi",
    "segment-analytics-python",
)

STARTED_AT = datetime.now(timezone.utc)
LOAD_BEFORE = os.getloadavg()[0]
"""When the benchmark began: later it is the benchmark's own load."""


@dataclass(frozen=True)
class Row:
    """One measured case.

    Attributes:
        case: What was measured, in a few words.
        value: The figure.
        unit: Its unit, such as `events/s`.
        ratio: The figure against that of the base, None where there is nothing to compare.
        size: How much there was, for cases that are measured at several sizes.
    """

    case: str
    value: float
    unit: str
    ratio: float | None = None
    size: int | None = None

    @property
    def label(self) -> str:
        """The case with its size."""
        return self.case if self.size is None else f"{self.case}, {self.size:,} events"


@dataclass(frozen=True)
class Result:
    """What one benchmark has to say about one claim.

    Attributes:
        name: Short, without blanks; the name of its file and of its section.
        claim: One sentence that is true or false, with the limit that decides.
        rows: The measured cases.
        holds: Whether the claim held in this run.
        base: What the ratios are against.
        note: What a reader must know to judge the figures.
    """

    name: str
    claim: str
    rows: Sequence[Row]
    holds: bool
    base: str = ""
    note: str = ""


def parser_with_json(description: str | None) -> argparse.ArgumentParser:
    """Return an argument parser that takes --json; its help is the first line of `description`."""
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    parser.add_argument("--json", type=Path, help="file for the result, beside the table")
    return parser


def publish(result: Result, json_path: Path | None = None) -> None:
    """Print a result as a table and, with a path, write it as JSON."""
    console = Console()
    console.print(_table(result))
    if result.note:
        console.print(result.note)
    console.print(f"{'HOLDS' if result.holds else 'FAILS'}: {result.claim}")
    here = machine()
    console.print(f"[dim]{when(here)}; {where(here)}[/dim]\n", highlight=False)
    if json_path:
        json_path.parent.mkdir(parents=True, exist_ok=True)
        json_path.write_text(json.dumps(as_json(result), indent=2) + "\n", encoding="utf-8")


def as_json(result: Result) -> dict[str, Any]:
    """Return a result with the machine that it was measured on."""
    found = asdict(result)
    found["verdict"] = "holds" if found.pop("holds") else "fails"
    return found | {"machine": machine()}


def machine() -> dict[str, Any]:
    """Return what a figure depends on: hardware, versions, date, and what else was running."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count() or 0,
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "os": platform.platform(terse=True),
        "python": platform.python_version(),
        "versions": _versions(),
        "load_before": round(LOAD_BEFORE, 2),
        "date": STARTED_AT.strftime("%Y-%m-%d %H:%M UTC"),
        "command": _command(),
    }


def when(found: dict[str, Any]) -> str:
    """Return when it was measured, and what else was running then."""
    return f"{found['date']}, load average before {found['load_before']}"


def where(found: dict[str, Any]) -> str:
    """Return hardware and versions in one line."""
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    return (
        f"{found['cpu']}, {found['cores']} cores, {found['memory_gb']} GB, {found['os']}, "
        f"Python {found['python']}, {versions}"
    )


def figure(value: float) -> str:
    """Return a number with three digits that mean something."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def times(ratio: float | None) -> str:
    """Return a ratio for people."""
    return "" if ratio is None else f"{figure(ratio)} x"


def _table(result: Result) -> Table:
    table = Table(title=result.name)
    table.add_column("case")
    table.add_column("value", justify="right")
    table.add_column("unit")
    table.add_column(f"against {result.base}" if result.base else "", justify="right")
    for row in result.rows:
        table.add_row(row.label, figure(row.value), row.unit, times(row.ratio))
    return table


def _command() -> str:
    """The command line without --json, which is of this machine."""
    arguments = sys.argv[1:]
    if "--json" in arguments:
        at = arguments.index("--json")
        del arguments[at : at + 2]
    return " ".join([f"benchmarks/{Path(sys.argv[0]).name}", *arguments])


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or platform.machine())
