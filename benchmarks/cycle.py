"""Where the seconds of a sync go: one with nothing to do, and one with 1,000 new receipts.

`luigi --module luigi_tasks SyncToSegment` as a process of its own, with the sandbox Segment, on a
shop whose history is delivered. Cold: dbt has not parsed the project before. Warm: it has, in the
run before. All nodes: views and seeds too, as after a change of code or settings. The kinds of
nodes share the time in which dbt's threads were busy with them.

    python benchmarks/cycle.py --history 20000 --rounds 3
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from report import Result, Row, parser_with_json, publish
from shop import Shop, open_shop, run, service

from luigi_tasks import config
from luigi_tasks.clickhouse import queries

QUERIES = queries.parse(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))
DAY = 1_000
"""New receipts."""
CUSTOMERS = 2
"""Receipts per customer, so few that a day is not of a third of them: the brake would stop it."""
SLOT_SECONDS = 15 * 60
MOST_RATIO, MOST_OF_SLOT = 2.0, 0.1


@dataclass(frozen=True)
class Case:
    """What there is to do.

    Attributes:
        receipts: How many are new.
        is_cold: dbt has to parse everything.
        is_whole: It has to build views and seeds too.
    """

    receipts: int = 0
    is_cold: bool = False
    is_whole: bool = False


CASES = {
    "nothing, cold": Case(is_cold=True),
    "nothing, warm, all nodes": Case(is_whole=True),
    "nothing, warm": Case(),
    "1,000 receipts, warm": Case(receipts=DAY),
}
SETTING = "DBT_ENV_BENCHMARK_SETTING"
"""dbt does not read it; another value is another setting all the same."""

MODULES = {
    "luigi": "luigi.cmdline, luigi_tasks",
    "dbt": "dbt.cli.main, dbt.adapters.clickhouse",
}
"""What the two programs import before they do anything."""

TOTAL = "total"
TIMES = ("started_at", "completed_at")
KINDS = {"operation": "hooks", "seed": "seeds", "model": "models", "test": "tests"}


def main() -> None:
    """Measure and publish."""
    parser = parser_with_json(__doc__)
    parser.add_argument("--history", type=int, default=20_000, help="receipts sent before")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each case")
    arguments = parser.parse_args()
    with open_shop() as shop, service("sandbox.segment", shop.directory / "segment") as (url, _):
        prepare(shop, url, arguments.history)
        found = measure(shop, arguments.history, arguments.rounds)
    imports = [
        Row(f"python and imports of {name} alone", import_seconds(names, arguments.rounds), "s")
        for name, names in MODULES.items()
    ]
    publish(result(found, imports), arguments.json)


def prepare(shop: Shop, url: str, history: int) -> None:
    """Deliver a history, and let syncs go to the sandbox Segment."""
    shop.add(documents=history, customers=history // CUSTOMERS)
    shop.build()
    shop.deliver()
    os.environ |= {
        "SEGMENT_HOST": url,
        "SEGMENT_WRITE_KEY": "benchmark",
        "DBT_TARGET_PATH": str(target(shop)),
        "DBT_LOG_PATH": str(shop.directory / "logs"),
    }
    # The first sync builds everything, whatever there is to do.
    sync(shop)


def target(shop: Shop) -> Path:
    """Where dbt keeps what it has parsed, and its results."""
    return shop.directory / "target"


def measure(shop: Shop, history: int, rounds: int) -> dict[str, dict[str, float]]:
    """Return the median seconds of each part, for each case."""
    taken: dict[str, dict[str, list[float]]] = {case: defaultdict(list) for case in CASES}
    first = history
    for number in range(rounds):
        for name, case in CASES.items():
            if case.is_cold:
                (target(shop) / "partial_parse.msgpack").unlink(missing_ok=True)
            if case.is_whole:
                os.environ[SETTING] = str(number)
            if case.receipts:
                shop.add(first=first, documents=case.receipts, customers=history // CUSTOMERS)
                first += case.receipts
            for part, seconds in sync(shop).items():
                taken[name][part].append(seconds)
    return {
        case: {part: statistics.median(seconds) for part, seconds in parts.items()}
        for case, parts in taken.items()
    }


def sync(shop: Shop) -> dict[str, float]:
    """Run one sync; return the seconds of its parts, in their order."""
    started = time.time()
    luigi = str(Path(sys.executable).with_name("luigi"))
    run([luigi, "--module", "luigi_tasks", "SyncToSegment", "--local-scheduler"])
    ended = time.time()
    nodes, invoked = results(target(shop) / "run_results.json")
    done = markers(shop, started)
    begin, end = min(node["began"] for node in nodes), max(node["ended"] for node in nodes)
    parts = {
        "luigi and dbt start": invoked - started,
        "dbt: parse, compile, connect": begin - invoked,
    }
    busy = {
        kind: sum(n["ended"] - n["began"] for n in nodes if n["kind"] == kind) for kind in KINDS
    }
    for kind, name in KINDS.items():
        parts[f"dbt: {name}"] = (end - begin) * busy[kind] / sum(busy.values())
    parts |= {
        "dbt: artefacts, end": done["BuildOutbox"] - end,
        "SendIdentify": done["SendIdentify"] - done["BuildOutbox"],
        "SendTrack": done["SendTrack"] - done["SendIdentify"],
        "ReportRun, end": ended - done["SendTrack"],
    }
    return parts | {TOTAL: ended - started}


def import_seconds(modules: str, rounds: int) -> float:
    """How long Python takes to start and to import something; the median."""
    taken = []
    for _ in range(rounds):
        started = time.perf_counter()
        run([sys.executable, "-c", f"import {modules}"])
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def results(path: Path) -> tuple[list[dict[str, Any]], float]:
    """Return kind, begin and end of each node that dbt has run, and when dbt was called."""
    found = json.loads(path.read_text(encoding="utf-8"))
    nodes = []
    for node in found["results"]:
        times = [seconds_of(timing[key]) for timing in node["timing"] for key in TIMES]
        kind = node["unique_id"].partition(".")[0]
        if times and kind in KINDS:
            nodes.append({"kind": kind, "began": min(times), "ended": max(times)})
    return nodes, seconds_of(found["metadata"]["invocation_started_at"])


def seconds_of(text: str) -> float:
    """A time of dbt's as seconds."""
    at = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return at.replace(tzinfo=at.tzinfo or timezone.utc).timestamp()


def markers(shop: Shop, since: float) -> dict[str, float]:
    """When each task was done."""
    binds = {
        "database": config.clickhouse().database,
        "since": datetime.fromtimestamp(since, timezone.utc),
    }
    return {
        task: at.timestamp()
        for task, at in shop.client.query(QUERIES["markers"], binds).result_rows
    }


def result(found: dict[str, dict[str, float]], imports: list[Row]) -> Result:
    """The claim, and the seconds of each part."""
    nothing, changes = found["nothing, warm"][TOTAL], found["1,000 receipts, warm"][TOTAL]
    rows = [
        Row(f"{case}: {part}", seconds, "s", seconds / nothing if part == TOTAL else None)
        for case, parts in found.items()
        for part, seconds in parts.items()
    ]
    return Result(
        "cycle",
        f"A sync of {DAY:,} new receipts takes at most {MOST_RATIO:g} x the time of one with "
        f"nothing to do, and at most {MOST_OF_SLOT:.0%} of its 15 minutes.",
        rows + imports,
        changes <= MOST_RATIO * nothing and changes <= MOST_OF_SLOT * SLOT_SECONDS,
        "nothing to do",
    )


if __name__ == "__main__":
    main()
