"""Where rows begin, and which lines have broken quoting."""

import csv
import io
import random
from itertools import pairwise
from pathlib import Path

import pytest

from luigi_tasks.landing import export_check, export_records
from luigi_tasks.landing.export_file import Place
from luigi_tasks.landing.export_records import is_well_quoted
from tests.unit.landing_files import checked, read


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a,b\n",
        '"a","b"\n',
        '"a","b"',
        '"a"\r\n"b"\r\n',
        '"","",""\n',
        '"""",x\n',
        '"""a""","b""c"\n',
        '"a,""b",c\n',
        '"a\nb",c\n"d",e\n',
        "a\n\n\nb\n",
    ],
)
def test_well_quoted_lines_are_known_without_a_parser(text: str) -> None:
    assert is_well_quoted(text.encode())


@pytest.mark.parametrize(
    "text",
    [
        '"a\n',
        '"a"b,c\n',
        '""a,b\n',
        '""""a,b\n',
        '"5" pipe"\n',
        'a,"b" ,c\n',
        ' "a"\n',
        '"a,b\n"c",d\n',
        f'"{"x" * (csv.field_size_limit() + 1)}"\n',
        f'"""{"x" * (csv.field_size_limit() + 1)}"\n',
    ],
)
def test_lines_that_may_be_broken_are_left_to_the_parser(text: str) -> None:
    assert not is_well_quoted(text.encode())


def test_a_mark_inside_an_unquoted_text_is_left_to_the_parser(tmp_path: Path) -> None:
    text = '"1",5" pipe,"c"\n'
    assert not is_well_quoted(text.encode())
    rows, rejected = read(checked(tmp_path, f"SID,NAME,NOTE\n{text}"))
    assert (rows[0]["NAME"], rejected) == ('5" pipe', [])


def test_no_line_passes_that_the_parser_refuses() -> None:
    chance = random.Random(2026)  # noqa: S311 - no secret
    signs = ['"', '"', '"', ",", ",", "\n", "\r\n", "a", '""', ',"', '",']
    passed = 0
    for _ in range(20_000):
        text = "".join(chance.choices(signs, k=chance.randrange(1, 14)))
        if is_well_quoted(text.encode()):
            passed += 1
            for _row in csv.reader(io.StringIO(text, newline="\n"), strict=True):
                pass
    assert passed > 1_000


def test_rows_with_many_line_breaks_do_not_make_large_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory is that of a block: it must not matter that pieces end inside of texts."""
    monkeypatch.setattr(export_check, "PIECE_BYTES", 1_000)
    monkeypatch.setattr(export_records, "BLOCK_BYTES", 5_000)
    note = "line\n" * 100
    file = checked(tmp_path, "SID,NOTE\n" + "".join(f'{n},"{note}"\n' for n in range(400)))
    starts = [place.offset for place in file.places]
    assert file.places[0] == Place(9, 2)
    distances = [after - before for before, after in pairwise(starts)]
    assert all(5_000 <= distance < 7_000 for distance in distances)
    assert len(distances) > 20
    rows, _ = read(file)
    assert [row["_line"] for row in rows] == [2 + 101 * n for n in range(400)]


def test_broken_lines_among_quoted_ones_cost_only_themselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_check, "PIECE_BYTES", 200)
    lines = [f'"{n}","a, b","c\nd"' if n % 9 else f'"{n}","5" pipe","c"' for n in range(1, 300)]
    rows, rejected = read(checked(tmp_path, "SID,NAME,NOTE\n" + "\n".join(lines) + "\n"))
    assert [int(row["SID"]) for row in rows] == [n for n in range(1, 300) if n % 9]
    assert len(rejected) == 299 // 9
    assert {row["NAME"] for row in rows} == {"a, b"}
