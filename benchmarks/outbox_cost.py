"""What a sync of a day costs in a small and in a large shop: the outbox, the build, the memory.

For each size a shop of its own is filled, built and delivered. Then some days follow, each with
1,000 new receipts and a few new customers, in all shops in turn; medians over the days count. The
largest shop is also rebuilt with --full-refresh.

    python benchmarks/outbox_cost.py --sizes 100000 1000000
    python benchmarks/outbox_cost.py --sizes 100000 1000000 10000000   # an hour, and 20 GB of disk
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path

from local_server import serving
from report import Result, Row, parser_with_json, publish, times
from rich.console import Console
from rich.table import Table
from send import say_yes
from shop import Build, Cost, Shop, open_shop

from luigi_tasks.delivery import outbox
from luigi_tasks.runs import markers

DAY = 1_000
"""New receipts of a day."""
NEW_CUSTOMERS = 50
PAGE = 2_000
READS = 5
OUTBOX_TIME, OUTBOX_ROWS, BUILD_TIME = 1.3, 1.5, 2.0
"""Limits of the ratios, largest against smallest shop."""
MOST_MEMORY_GB = 8.0
ALL_ROWS = ("--threads", "1", "--exclude-resource-type", "test")
"""How all rows are built: the memory of two models is not needed at once. Without data tests."""
READ_EVENTS = 100_000_000
"""What the read rows are extrapolated to."""
SHOWN = 12


@dataclass
class Day:
    """What one day cost.

    Attributes:
        build: The `dbt build`.
        reads: The median read of each outbox.
        pending: Messages in both.
        append_seconds: The median append to the ledger.
        marker_seconds: A marker, written and looked for.
    """

    build: Build
    reads: list[Cost]
    pending: int
    append_seconds: float
    marker_seconds: float

    @property
    def read_seconds(self) -> float:
        """Time of reading both outboxes."""
        return sum(read.seconds for read in self.reads)

    @property
    def read_rows(self) -> int:
        """Rows that the engine read for both."""
        return sum(read.read_rows for read in self.reads)


@dataclass
class Found:
    """What was measured in one shop."""

    events: int
    first_build: Build
    first_peak_mb: float
    days: list[Day] = field(default_factory=list)
    refresh: Build | None = None
    refresh_peak_mb: float = 0.0

    def median(self, figure: Callable[[Day], float]) -> float:
        """The median of the days."""
        return statistics.median(figure(day) for day in self.days)

    @property
    def peak_mb(self) -> float:
        """The most that the server ever took."""
        return max(self.first_peak_mb, self.refresh_peak_mb)


def main() -> None:
    """Measure and publish."""
    parser = parser_with_json(__doc__)
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[100_000, 1_000_000], help="delivered events"
    )
    parser.add_argument("--days", type=int, default=3, help="days measured in each shop")
    arguments = parser.parse_args()
    sizes = sorted(arguments.sizes)
    with serving(say_yes) as url:
        found = measure(sizes, arguments.days, url)
    json_path: Path | None = arguments.json
    for result in (outbox_result(found), build_result(found), memory_result(found)):
        publish(result, json_path and json_path.with_name(f"{result.name}.json"))
    show_growth(found[0], found[-1])


def measure(sizes: list[int], days: int, url: str) -> list[Found]:
    """Fill a shop of each size, measure their days in turn, and rebuild the largest."""
    console = Console(stderr=True)
    with ExitStack() as stack:
        shops = [stack.enter_context(open_shop(SEGMENT_HOST=url)) for _ in sizes]
        found = []
        for shop, size in zip(shops, sizes, strict=True):
            console.log(f"{size:,}: history and first build")
            found.append(fill(shop, size))
        for day in range(days):
            for shop, size, one in zip(shops, sizes, found, strict=True):
                console.log(f"{size:,}: day {day + 1}")
                shop.use()
                add_day(shop, size, day + 1)
                one.days.append(measure_day(shop))
        console.log(f"{sizes[-1]:,}: full refresh")
        shop, largest = shops[-1], found[-1]
        shop.forget_peak_memory()
        largest.refresh = shop.build("--full-refresh", *ALL_ROWS)
        largest.refresh_peak_mb = shop.peak_memory_mb()
    return found


def documents(size: int) -> int:
    """Receipts of a shop with about `size` events."""
    return size * 9 // 10


def customers(size: int) -> int:
    """Its customers."""
    return size // 10


def fill(shop: Shop, size: int) -> Found:
    """Build and deliver a history."""
    shop.use()
    shop.add(documents=documents(size), customers=customers(size))
    shop.forget_peak_memory()
    build = shop.build(*ALL_ROWS)
    peak = shop.peak_memory_mb()
    events = sum(shop.deliver().values())
    # All of a history enters at once here. A day later nothing of it is above the watermarks.
    add_day(shop, size, 0)
    shop.build()
    shop.deliver()
    shop.wait_for_merges()
    return Found(events, build, peak)


def add_day(shop: Shop, size: int, day: int) -> None:
    """Add the receipts and customers of a day, counted from 0, to a shop."""
    first, known = documents(size) + day * DAY, customers(size) + day * NEW_CUSTOMERS
    shop.add(first=first, documents=DAY, customers=known, new_customers=NEW_CUSTOMERS)


def measure_day(shop: Shop) -> Day:
    """Build what is new, then read each outbox and send it, customers first."""
    build = shop.build()
    shop.wait_for_merges()
    since = shop.now()
    reads, pending = [], 0
    for call in ("identify", "track"):
        costs = [shop.measure(partial(read_outbox, call)) for _ in range(READS)]
        reads.append(sorted(costs, key=lambda cost: cost.seconds)[READS // 2])
        pending += shop.send(call).accepted
        outbox.advance_watermark(call)
    return Day(build, reads, pending, shop.append_seconds(since), marker_seconds())


def read_outbox(call: str) -> list[outbox.OutboxRow]:
    """Read an outbox as the sender does."""
    return [row for page in outbox.pages(call, outbox.cut(call), PAGE) for row in page]


_markers = count()


def marker_seconds() -> float:
    """Set a marker of Luigi and look for it."""
    target = markers.MarkerTarget(f"Benchmark/{next(_markers)}", task_family="Benchmark")
    began = time.perf_counter()
    target.touch()
    if not target.exists():
        raise RuntimeError("the marker is not there")
    return time.perf_counter() - began


def outbox_result(found: list[Found]) -> Result:
    """The claim on reading the outbox, and the small writes of a sync."""
    figures: dict[str, tuple[Callable[[Day], float], str]] = {
        "reading both outboxes": (lambda day: day.read_seconds * 1000, "ms"),
        "rows read for it": (lambda day: day.read_rows, "rows"),
        "memory of its largest query": (lambda day: max(r.peak_mb for r in day.reads), "MB"),
        "an append to the ledger": (lambda day: day.append_seconds * 1000, "ms"),
        "marker": (lambda day: day.marker_seconds * 1000, "ms"),
    }
    ratio = {name: ratio_of(found, figure) for name, (figure, _) in figures.items()}
    rows = rows_of(found, figures)
    rows += extrapolated_rows(found, "rows read for it", figures["rows read for it"][0])
    return Result(
        "outbox",
        f"{span(found)}, reading what {DAY:,} new receipts put into the outbox takes at most "
        f"{OUTBOX_TIME} x the time and {OUTBOX_ROWS} x the rows.",
        rows,
        ratio["reading both outboxes"] <= OUTBOX_TIME and ratio["rows read for it"] <= OUTBOX_ROWS,
        "the smallest",
        f"About {found[-1].median(lambda day: day.pending):,.0f} messages were pending.",
    )


def build_result(found: list[Found]) -> Result:
    """The claim on `dbt build` of a day."""
    figures: dict[str, tuple[Callable[[Day], float], str]] = {
        "dbt build of a day": (lambda day: day.build.cost.seconds, "s"),
        "rows read by it": (lambda day: day.build.cost.read_rows, "rows"),
    }
    name = "rows read by it"
    rows = rows_of(found, figures) + extrapolated_rows(found, name, figures[name][0])
    return Result(
        "build",
        f"{span(found)}, the whole `dbt build` of {DAY:,} new receipts, with its tests, takes at "
        f"most {BUILD_TIME:g} x the time.",
        rows,
        ratio_of(found, figures["dbt build of a day"][0]) <= BUILD_TIME,
        "the smallest",
    )


def extrapolated_rows(found: list[Found], name: str, figure: Callable[[Day], float]) -> list[Row]:
    """Rows that would be read in a shop of READ_EVENTS, by the best line that does not fall."""
    if len(found) < 2:
        return []
    read = [one.median(figure) for one in found]
    slope, start = statistics.linear_regression([one.events for one in found], read)
    if slope < 0:
        slope, start = 0.0, statistics.mean(read)
    expected = start + slope * READ_EVENTS
    return [Row(f"{name}, extrapolated", expected, "rows", expected / read[0], READ_EVENTS)]


def memory_result(found: list[Found]) -> Result:
    """The claim on the memory of a build of everything."""
    rows = [Row("first build", one.first_peak_mb / 1024, "GB", size=one.events) for one in found]
    largest = found[-1]
    if largest.refresh:
        peak, seconds = largest.refresh_peak_mb / 1024, largest.refresh.cost.seconds
        rows.append(Row("full refresh", peak, "GB", size=largest.events))
        rows.append(Row("time of the full refresh", seconds, "s", size=largest.events))
    return Result(
        "memory",
        f"A build of all of {largest.events:,} events, the first or with --full-refresh, fits in "
        f"{MOST_MEMORY_GB:g} GB: seeds and models one after the other (--threads 1), without data "
        "tests.",
        rows,
        largest.peak_mb / 1024 <= MOST_MEMORY_GB,
        note="The largest resident set of the whole process of the embedded ClickHouse.",
    )


def rows_of(
    found: list[Found], figures: dict[str, tuple[Callable[[Day], float], str]]
) -> list[Row]:
    """One row for each figure and size, with the ratio to the smallest size."""
    return [
        Row(
            name,
            value := one.median(figure),
            unit,
            value / base if (base := found[0].median(figure)) else None,
            one.events,
        )
        for name, (figure, unit) in figures.items()
        for one in found
    ]


def ratio_of(found: list[Found], figure: Callable[[Day], float]) -> float:
    """Largest size against the smallest."""
    return found[-1].median(figure) / found[0].median(figure)


def span(found: list[Found]) -> str:
    """The sizes in words."""
    return f"With {found[-1].events:,} delivered events instead of {found[0].events:,}"


def show_growth(small: Found, large: Found) -> None:
    """Print which nodes of dbt read more rows in the larger shop."""
    before, after = small.days[-1].build.read_rows, large.days[-1].build.read_rows
    table = Table(title="rows read by a build of a day, by node of dbt")
    table.add_column("node")
    for one in (small, large):
        table.add_column(f"{one.events:,} events", justify="right")
    table.add_column("ratio", justify="right")
    by_growth = sorted(after, key=lambda node: before.get(node, 0) - after[node])
    for node in by_growth[:SHOWN]:
        ratio = after[node] / before[node] if before.get(node) else None
        table.add_row(node, f"{before.get(node, 0):,}", f"{after[node]:,}", times(ratio))
    Console().print(table)


if __name__ == "__main__":
    main()
