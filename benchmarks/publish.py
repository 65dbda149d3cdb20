"""Write the results of the benchmarks into docs/benchmarks.md, with plots beside it.

Everything between the two marks of that document is replaced; the rest is written by hand. Exit
code 1 says that a claim does not hold.

    python benchmarks/publish.py target/bench
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import leather
from report import Row, figure, times, when, where

PROJECT = Path(__file__).resolve().parents[1]
DOCUMENT = PROJECT / "docs" / "benchmarks.md"
BEGIN, END = "<!-- results: benchmarks/publish.py -->", "<!-- end of the results -->"
WIDTH, HEIGHT = 760, 340
FIRST = ("outbox", "build", "memory", "cycle", "peers")
"""The order of the sections; others follow by name."""

SCALE_LINES = {
    ("outbox", "reading both outboxes"): "outbox, time",
    ("outbox", "rows read for it"): "outbox, rows",
    ("build", "dbt build of a day"): "build, time",
    ("build", "rows read by it"): "build, rows",
}

Found = dict[str, Any]


def main() -> int:
    """Publish what a directory holds."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("directory", type=Path, help="where the benchmarks wrote their JSON")
    parser.add_argument("--document", type=Path, default=DOCUMENT, help="what is rewritten")
    arguments = parser.parse_args()
    results = read(arguments.directory)
    write(results, arguments.document)
    failed = [one["name"] for one in results if one["verdict"] != "holds"]
    if failed:
        sys.stderr.write(f"These claims do not hold: {', '.join(failed)}. See {DOCUMENT}.\n")
    return int(bool(failed))


def read(directory: Path) -> list[Found]:
    """Return the results of a directory, in the order of the document.

    Raises:
        SystemExit: There are none.
    """
    results = [json.loads(path.read_text(encoding="utf-8")) for path in directory.glob("*.json")]
    if not results:
        raise SystemExit(f"There is no result in {directory}. Run `make bench` first.")
    places = {name: place for place, name in enumerate(FIRST)}
    return sorted(results, key=lambda one: (places.get(one["name"], len(FIRST)), one["name"]))


def write(results: Sequence[Found], document: Path) -> None:
    """Replace the results in a document, and write its plots.

    Raises:
        SystemExit: The document has lost its marks.
    """
    before, begin, rest = document.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{document} needs the lines {BEGIN} and {END}: the results go between.")
    plots = {
        "scale": scale_chart(results),
        "peers": peers_chart(results),
    }
    drawn = []
    for name, chart in plots.items():
        if chart:
            path = document.with_name(f"benchmarks-{name}.svg")
            chart.to_svg(str(path), width=WIDTH, height=HEIGHT)
            drawn.append(path.name)
    middle = "\n\n".join(sections(results, drawn))
    document.write_text(f"{before}{BEGIN}\n{middle}\n{END}{after}", encoding="utf-8")


def sections(results: Sequence[Found], plots: Sequence[str]) -> list[str]:
    """The generated part, in paragraphs."""
    verdicts = [
        f"| [{one['name']}](#{one['name']}) | {one['claim']} | {one['verdict']} |"
        for one in results
    ]
    table = ["| | claim | in this run |", "| --- | --- | --- |", *verdicts]
    machines = list(dict.fromkeys(where(one["machine"]) for one in results))
    images = [f"![{name.removesuffix('.svg')}]({name})" for name in plots]
    return ["\n".join(table), f"Measured on {'; and on '.join(machines)}.", *images] + [
        section(one, with_machine=len(machines) > 1) for one in results
    ]


def section(one: Found, *, with_machine: bool) -> str:
    """One result: what was measured, the table, how and where."""
    base = f"against {one['base']}" if one.get("base") else ""
    lines = [f"| case | value | {base} |", "| --- | ---: | ---: |"]
    for row in map(to_row, one["rows"]):
        lines.append(f"| {row.label} | {figure(row.value)} {row.unit} | {times(row.ratio)} |")
    machine = one["machine"]
    place = f"; {where(machine)}" if with_machine else ""
    parts = [
        f"### {one['name']}",
        f"{one['claim']} **In this run it {one['verdict']}.**",
        "\n".join(lines),
        one.get("note", ""),
        f"`python {machine['command']}`, {when(machine)}{place}.",
    ]
    return "\n\n".join(part for part in parts if part)


def to_row(row: Found) -> Row:
    """A row of the JSON; more than report.Row knows is left out."""
    return Row(row["case"], row["value"], row["unit"], row.get("ratio"), row.get("size"))


def scale_chart(results: Sequence[Found]) -> leather.Chart | None:
    """What a day costs in shops of growing size, against the smallest."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for one in results:
        for row in map(to_row, one["rows"]):
            line = SCALE_LINES.get((one["name"], row.case))
            if line and row.size and row.ratio is not None:
                lines.setdefault(line, []).append((math.log10(row.size), row.ratio))
    lines = {name: points for name, points in lines.items() if len(points) > 1}
    if not lines:
        return None
    chart = leather.Chart("A day of new receipts, against the smallest shop")
    for name, points in lines.items():
        chart.add_line(sorted(points), name=name)
    sizes = sorted({point[0] for points in lines.values() for point in points})
    highest = max(point[1] for points in lines.values() for point in points)
    chart.add_x_scale(sizes[0], sizes[-1])
    chart.add_x_axis(ticks=sizes, tick_formatter=power, name="delivered events")
    chart.add_y_scale(0, max(2, math.ceil(highest)))
    chart.add_y_axis(name="times")
    return chart


def peers_chart(results: Sequence[Found]) -> leather.Chart | None:
    """Events per second of the sender and of others, on a logarithmic axis."""
    found = next((one for one in results if one["name"] == "peers"), None)
    if not found:
        return None
    rows = [to_row(row) for row in found["rows"]]
    chart = leather.Chart("Events per second")
    chart.add_bars([(math.log10(max(row.value, 1)), row.case) for row in rows])
    most = math.ceil(math.log10(max(row.value for row in rows)))
    chart.add_x_scale(0, most)
    chart.add_x_axis(ticks=list(range(most + 1)), tick_formatter=power, name="events/s")
    return chart


def power(exponent: float, *_: object) -> str:
    """A tick of a logarithmic axis."""
    return f"{10**exponent:,.0f}"


if __name__ == "__main__":
    raise SystemExit(main())
