"""Every value arrives exactly as exported, and every row with the line on which it starts."""

import csv
import io
import random
import sys
from pathlib import Path

import pytest

from luigi_tasks.landing import export_check, export_file, export_records
from luigi_tasks.landing.export_file import ExportRefusedError, RejectedRow
from tests.unit.landing_files import checked, read


def test_values_are_text_as_exported(tmp_path: Path) -> None:
    values = ["007", "1e5", "", "NULL", "nan", "N/A", " x ", "true", "2024-05-01", "0x1F", "-0"]
    content = "SID,NAME\n" + "".join(f"{n},{value}\n" for n, value in enumerate(values))
    rows, rejected = read(checked(tmp_path, content))
    assert [row["NAME"] for row in rows] == values
    assert rejected == []


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_case_04_byte_order_mark_quoted_fields_and_line_ends(
    tmp_path: Path, end: str, mark: str
) -> None:
    lines = ["SID,NAME,NOTE", '1,"a, ""b""",x', '2,"c\r\nd\ne",', '3,"",5" pipe', "4,f,g"]
    rows, rejected = read(checked(tmp_path, mark + end.join(lines) + end))
    assert [(row["NAME"], row["NOTE"]) for row in rows] == [
        ('a, "b"', "x"),
        ("c\r\nd\ne", ""),
        ("", '5" pipe'),
        ("f", "g"),
    ]
    assert [row["_line"] for row in rows] == [2, 3, 6, 7]
    assert rejected == []


def test_case_04_header_names_in_any_order_and_case(tmp_path: Path) -> None:
    rows, _ = read(checked(tmp_path, '\ufeff" note", Name,sId\nn,m,1\n'))
    assert rows == [{"NOTE": "n", "NAME": "m", "SID": "1", "_line": 2}]


def test_absent_columns_are_left_to_their_default(tmp_path: Path) -> None:
    rows, _ = read(checked(tmp_path, "SID\n1\n\n2\n"))
    assert rows == [{"SID": "1", "_line": 2}, {"SID": "2", "_line": 4}]


def test_unknown_columns_are_kept_where_they_are_filled(tmp_path: Path) -> None:
    content = "Udf1,SID,,_load_id,_Extra\nu,1,v,w,\n,2,,,\n,3,x,,y\n"
    rows, _ = read(checked(tmp_path, content))
    assert [row["_extra"] for row in rows] == [
        {"Udf1": "u", "column_3": "v", "_load_id": "w"},
        {},
        {"column_3": "x", "_Extra": "y"},
    ]


def test_nul_and_other_control_characters_are_kept(tmp_path: Path) -> None:
    content = 'SID,NAME,NOTE\n1,ANN \0,"a\0""b"\n2,a\x0bb\u2028c\x85d\x1c,\x1a\n'
    rows, rejected = read(checked(tmp_path, content))
    assert [(row["NAME"], row["NOTE"]) for row in rows] == [
        ("ANN \0", 'a\0"b'),
        ("a\x0bb\u2028c\x85d\x1c", "\x1a"),
    ]
    assert [row["_line"] for row in rows] == [2, 3]
    assert rejected == []


def test_case_45_rows_with_a_wrong_number_of_fields_are_rejected(tmp_path: Path) -> None:
    content = 'SID,NAME\n1,a\n\n2\n"3\n3",b,c\n4,d\n5,e,"f"\r\n6,g\n'
    rows, rejected = read(checked(tmp_path, content))
    assert [(row["SID"], row["_line"]) for row in rows] == [("1", 2), ("4", 7), ("6", 9)]
    assert rejected == [
        RejectedRow(4, "2", "1 fields instead of 2"),
        RejectedRow(5, '"3\n3",b,c', "3 fields instead of 2"),
        RejectedRow(8, '5,e,"f"', "3 fields instead of 2"),
    ]


def test_case_45_a_stray_quotation_mark_costs_its_own_line_only(tmp_path: Path) -> None:
    # pyarrow alone reads lines 2 to 4 as one good row: 1, '2,3\n4,5,6\n7,8"', 9.
    content = 'SID,NAME,NOTE\n1,"2,3\n4,5,6\n7,"8",9\n10,11,12\n'
    rows, rejected = read(checked(tmp_path, content))
    assert [(row["SID"], row["_line"]) for row in rows] == [("4", 3), ("7", 4), ("10", 5)]
    assert [(row.line, row.text) for row in rejected] == [(2, '1,"2,3')]
    assert "not CSV" in rejected[0].reason


def test_an_undoubled_quotation_mark_is_rejected(tmp_path: Path) -> None:
    rows, rejected = read(checked(tmp_path, 'SID,NAME\r\n1,"5" pipe"\r\n2,"6"" pipe"\r\n'))
    assert [(row["NAME"], row["_line"]) for row in rows] == [('6" pipe', 3)]
    assert [(row.line, row.text) for row in rejected] == [(2, '1,"5" pipe"')]


def test_a_carriage_return_inside_a_line(tmp_path: Path) -> None:
    content = 'SID,NAME\n1,"a\rb"\n2,c\rd\n3,e\r\r\n4,f\n'
    rows, rejected = read(checked(tmp_path, content))
    assert [(row["NAME"], row["_line"]) for row in rows] == [("a\rb", 2), ("f", 5)]
    assert [(row.line, row.text) for row in rejected] == [(3, "2,c\rd"), (4, "3,e")]


def test_rows_without_any_value_are_left_out(tmp_path: Path) -> None:
    rows, rejected = read(checked(tmp_path, 'SID,NAME\n,\n1,a\n"",""\n,b\n\n\n'))
    assert [(row["SID"], row["NAME"], row["_line"]) for row in rows] == [
        ("1", "a", 3),
        ("", "b", 5),
    ]
    assert rejected == []


def test_case_53_the_last_line_may_lack_its_end_but_not_its_fields(tmp_path: Path) -> None:
    rows, _ = read(checked(tmp_path, "SID,NAME\n1,a\n2,b"))
    assert len(rows) == 2
    cut = checked(tmp_path, "SID,NAME\n1,a\n2")
    with pytest.raises(ExportRefusedError, match=r"line 3: the last row is cut off.*'2'"):
        read(cut)


@pytest.mark.parametrize("rows", ["1,a\r\n2,b\r\n", "1,a\r\n2,b", '1,"a"\r\n2,"b"\r\n'])
@pytest.mark.parametrize("end", ["\x1a", "\x1a" * 100])
def test_ctrl_z_ends_a_file(tmp_path: Path, rows: str, end: str) -> None:
    file = checked(tmp_path, f"SID,NAME\r\n{rows}{end}")
    assert read(file) == (
        [{"SID": "1", "NAME": "a", "_line": 2}, {"SID": "2", "NAME": "b", "_line": 3}],
        [],
    )
    assert file.content_hash == export_file.digest_of(file.path)


def test_ctrl_z_elsewhere_is_text(tmp_path: Path) -> None:
    rows, rejected = read(checked(tmp_path, "SID,NAME\n1,a\x1a\n2,b\n"))
    assert [row["NAME"] for row in rows] == ["a\x1a", "b"]
    assert rejected == []


def test_a_header_that_is_there_again_is_set_aside(tmp_path: Path) -> None:
    rows, rejected = read(checked(tmp_path, "SID, NAME\n1,a\nSID, NAME\n2,SID\n"))
    assert [(row["SID"], row["NAME"], row["_line"]) for row in rows] == [
        ("1", "a", 2),
        ("2", "SID", 4),
    ]
    assert rejected == [RejectedRow(3, "SID, NAME", "the header again: files were joined")]


def test_a_header_with_other_columns_in_mid_file_refuses_the_file(tmp_path: Path) -> None:
    with pytest.raises(ExportRefusedError, match="line 3: here is a header again, and it has oth"):
        read(checked(tmp_path, "SID,NAME\n1,a\nNAME,SID\nb,2\n"))


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    file = checked(tmp_path, "SID,NAME\n1,a\n")
    file.path.write_text("SID,NAME\n1,b\n")
    with pytest.raises(ExportRefusedError, match="changed while it was read"):
        read(file)


def test_all_rows_rejected(tmp_path: Path) -> None:
    rows, rejected = read(checked(tmp_path, 'SID,NAME\n1\n2,"b"c\n3\n'))
    assert rows == []
    assert [row.line for row in rejected] == [2, 3, 4]


@pytest.mark.parametrize("seed", range(40))
def test_random_files_are_read_as_they_were_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Rows, blank lines and rejected rows in any order, over many small blocks."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    monkeypatch.setattr(export_check, "PIECE_BYTES", chance.randrange(20, 400))
    monkeypatch.setattr(export_records, "BLOCK_BYTES", chance.randrange(20, 400))
    text = io.StringIO(newline="")
    end, letters = chance.choice([("\r\n", 'ab ,"\n\r\0é世'), ("\n", 'ab ,"\n\0é世')])
    if sys.version_info < (3, 11):  # whose writer cannot quote a NUL
        letters = letters.replace("\0", "")
    # With a line feed as its line end, the writer does not quote carriage returns.
    writer = csv.writer(text, lineterminator=end)
    writer.writerow(["NOTE", "SID", "UDF1"])
    expected: list[dict[str, object]] = []
    rejected_lines = []
    for number in range(300):
        line = text.getvalue().count("\n") + 1
        kind = chance.random()
        if kind < 0.1:
            text.write("\n")
        elif kind < 0.2:
            writer.writerow(["x", 'y\n"z', number, "too many"])
            rejected_lines.append(line)
        elif kind < 0.25:
            text.write(f'x,"y" z,{number}\n')
            rejected_lines.append(line)
        else:
            note = "".join(chance.choices(letters, k=chance.randrange(12)))
            extra = chance.choice(["", "u\r\nv"])
            writer.writerow([note, str(number), extra])
            kept = {"UDF1": extra} if extra else {}
            expected.append({"NOTE": note, "SID": str(number), "_extra": kept, "_line": line})
    writer.writerow(["", "last", ""])
    expected.append({"NOTE": "", "SID": "last", "_extra": {}, "_line": text.getvalue().count("\n")})
    rows, rejected = read(checked(tmp_path, text.getvalue()))
    assert rows == expected
    assert [row.line for row in rejected] == rejected_lines
