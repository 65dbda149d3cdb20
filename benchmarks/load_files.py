"""A document_item.csv of any size: the lines of the sample export, over and over, with new ids.

It has all columns of the data dictionary; those that the sample export lacks are filled with times
and amounts as Retail Pro writes them. The dirt of the sample comes along: texts with quotation
marks and line breaks, ids that a spreadsheet has spoilt, amounts that are none. The same size and
seed always write the same bytes.
"""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

from luigi_tasks.landing import dictionary

PROJECT = Path(__file__).resolve().parents[1]
SAMPLE = PROJECT / "seeds/sample"
IDS = ("SID", "DOC_SID")
STEP = 10_000_000_000
"""Added to the ids in each round; more than the distance of two ids made in the same second."""


def write(path: Path, size: int, *, quoted: bool = False, seed: int = 2026) -> int:
    """Write lines until the file has `size` bytes or a little more; return how many.

    Args:
        path: The file.
        size: In bytes.
        quoted: Put every value between quotation marks, as many database clients do.
        seed: What the random values start from.
    """
    columns, rows = _rows(seed)
    quoting = csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL
    lines = [_line([row[name] for name in columns if name not in IDS], quoting) for row in rows]
    ids = [tuple(row[name] for name in IDS) for row in rows]
    mark = '"' if quoted else ""
    written = 0
    with path.open("w", encoding="utf-8", newline="", buffering=1 << 20) as file:
        file.write(_line(columns, quoting))
        for number in range(1 << 30):
            moved = [tuple(_moved(sid, number) for sid in pair) for pair in ids]
            file.writelines(
                f"{mark}{sid}{mark},{mark}{document}{mark},{line}"
                for (sid, document), line in zip(moved, lines, strict=True)
            )
            written += len(lines)
            if file.tell() >= size:
                break
    return written


def _rows(seed: int) -> tuple[list[str], list[dict[str, str]]]:
    """Return the columns, the ids first, and the sample's lines with all of them filled."""
    table = next(t for t in dictionary.load(PROJECT) if t.name == "document_item")
    columns = [*IDS, *(name for name in table.columns if name not in IDS)]
    with (SAMPLE / "document_item.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    chance = random.Random(seed)  # noqa: S311 - no secret
    return columns, [dict(zip(columns, _filled(row, columns, chance), strict=True)) for row in rows]


def _filled(row: dict[str, str], columns: list[str], chance: random.Random) -> Iterator[str]:
    day = datetime(2026, 1, 1, tzinfo=timezone.utc) + timedelta(
        seconds=chance.randrange(300 * 86400)
    )
    for name in columns:
        if row.get(name):
            yield row[name]
        elif name.endswith("_DATETIME") or name == "POST_DATE":
            day += timedelta(seconds=chance.randrange(3600))
            yield day.isoformat(timespec="milliseconds")
        elif name in row:
            yield ""
        else:
            yield f"{chance.randrange(100_000) / 100:g}"


def _line(values: list[str], quoting: int) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n", quoting=quoting).writerow(values)
    return text.getvalue()


def _moved(sid: str, rounds: int) -> str:
    return str(int(sid) + rounds * STEP) if sid.isdecimal() else sid
