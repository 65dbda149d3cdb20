"""What a file must be to be loaded: every refusal names file and line, and a way out."""

import hashlib
import logging
import os
from pathlib import Path

import pytest

from luigi_tasks.landing import export_file, export_records
from luigi_tasks.landing.export_check import check
from luigi_tasks.landing.export_file import ExportRefusedError, find
from tests.unit.landing_files import TABLE, checked

SECRET = "k9/+secret=="


def refusal(directory: Path, content: bytes | str) -> str:
    with pytest.raises(ExportRefusedError) as caught:
        checked(directory, content)
    message = str(caught.value)
    assert str(directory / "thing.csv") in message
    assert "Nothing was loaded." in message
    return message


def test_file_names_are_matched_without_regard_to_case(tmp_path: Path) -> None:
    (tmp_path / "Thing.CSV").touch()
    (tmp_path / "thing.csv.bak").touch()
    assert find(tmp_path, (TABLE,)) == {TABLE: tmp_path / "Thing.CSV"}


def test_two_files_for_one_table_are_ambiguous(tmp_path: Path) -> None:
    (tmp_path / "thing.csv").touch()
    (tmp_path / "THING.csv").touch()
    with pytest.raises(
        ExportRefusedError, match=r"several files.*THING\.csv, thing\.csv.*Keep one"
    ):
        find(tmp_path, (TABLE,))


def test_missing_files_are_all_named(tmp_path: Path) -> None:
    with pytest.raises(ExportRefusedError, match=r"has no file thing\.csv"):
        find(tmp_path, (TABLE,))


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExportRefusedError, match=r"nowhere cannot be read.*RETAIL_PRO_EXPORT_DIR"):
        find(tmp_path / "nowhere", (TABLE,))


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf", b"\n\r\n\n"])
def test_case_53_an_empty_file_is_refused(tmp_path: Path, content: bytes) -> None:
    assert "is empty" in refusal(tmp_path, content)


@pytest.mark.parametrize("content", ["SID", "SID\n", "SID,NAME\r\n\r\n\n"])
def test_case_53_a_header_without_rows_is_refused(tmp_path: Path, content: str) -> None:
    assert "has a header and no rows" in refusal(tmp_path, content)


def test_without_the_key_column_the_header_is_shown(tmp_path: Path) -> None:
    message = refusal(tmp_path, "\nNAME,NOTE\na,b\n")
    assert "line 2: the header has no column SID" in message
    assert "Its columns are: NAME, NOTE." in message


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (f"{SECRET}\nroot:x:0:0\n", "It is one column; columns are separated by commas."),
        (f"SEGMENT_WRITE_KEY={SECRET},PATH=/bin\na,b\n", "It has 2 that have no name."),
        (f"NAME,{SECRET}\na,b\n", "Its columns are: NAME and 1 that have no name."),
        (f"{SECRET},{SECRET}\na,b\n", "the column (no name) is there twice"),
        ("NAME\x1b[2J,[/x]\na,b\n", "It has 2 that have no name."),
        (",".join(f"C{n}" for n in range(900)) + "\n1\n", "Its columns are: C0, C1, "),
    ],
)
def test_of_a_file_that_is_no_export_nothing_else_is_shown(
    content: str, said: str, tmp_path: Path
) -> None:
    message = refusal(tmp_path, content)
    assert said in message
    assert SECRET not in message
    assert len(message) < 1000


@pytest.mark.parametrize("mark", ["", '"'])
@pytest.mark.parametrize(
    ("separator", "name"), [(";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars")]
)
def test_another_separator_is_named(tmp_path: Path, separator: str, name: str, mark: str) -> None:
    rows = (("SID", "NAME", "NOTE"), ("1", "a", "b"))
    content = "".join(
        separator.join(f"{mark}{value}{mark}" for value in row) + "\r\n" for row in rows
    )
    message = refusal(tmp_path, content)
    assert name in message
    assert "commas" in message
    assert "come in pairs" not in message


def test_surrogates_of_oracle_are_named(tmp_path: Path) -> None:
    emoji = "\N{GRINNING FACE}".encode("utf-16-be").hex(" ", 2).split()
    pair = b"".join(chr(int(half, 16)).encode("utf-8", "surrogatepass") for half in emoji)
    message = refusal(tmp_path, b"SID,NAME\n1,a\n2," + pair + b"\n")
    assert "line 3: the bytes ed a0 bd ed at offset 15 are not UTF-8, but CESU-8" in message
    assert "AL32UTF8" in message


@pytest.mark.parametrize("end", ["\x1a", "\x1a\x1a\x1a"])
def test_an_empty_file_of_dos_has_no_rows(tmp_path: Path, end: str) -> None:
    assert "has a header and no rows" in refusal(tmp_path, f"SID,NAME\r\n{end}")


def test_a_column_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    assert "line 1: the column NAME is there twice" in refusal(tmp_path, "SID,name, NAME\n1,a,b\n")


def test_case_46_bytes_that_are_not_utf8_are_located(tmp_path: Path) -> None:
    content = b"SID,NAME\n1,a\n2,M\xfcller\n"
    message = refusal(tmp_path, content)
    assert "line 3: the bytes fc 6c 6c 65 at offset 16 are not UTF-8" in message
    assert content[16:17] == b"\xfc"


def test_bytes_are_located_after_a_byte_order_mark_and_many_blocks(tmp_path: Path) -> None:
    head = b"\xef\xbb\xbfSID,NAME\n" + b"1,abc\n" * 1_500_000
    message = refusal(tmp_path, head + b"2,\xff\n")
    assert f"line 1500002: the bytes ff 0a at offset {len(head) + 2} " in message


def test_a_file_in_utf16_is_refused(tmp_path: Path) -> None:
    assert "line 1: the bytes ff fe" in refusal(tmp_path, "SID,NAME\n1,a\n".encode("utf-16"))


def test_a_quotation_mark_that_is_never_closed_is_located(tmp_path: Path) -> None:
    message = refusal(tmp_path, 'SID,NAME\n1,a\n2,"b\n3,c\n4,d\n')
    assert "line 3: a quotation mark is opened in this row and not closed before the end" in message


def test_an_open_quotation_mark_does_not_swallow_the_rest(tmp_path: Path) -> None:
    rows = "".join(f"{number},abcdefgh\n" for number in range(100_000))
    message = refusal(tmp_path, f'SID,NAME\n1,"open\n{rows}')
    assert "line 2: a text between quotation marks in this row is longer than 131,072" in message
    assert "is not doubled" in message


def test_a_line_without_end_is_refused(tmp_path: Path) -> None:
    message = refusal(tmp_path, "SID,NAME\n1,a\r2," + "x" * 6_000_000)
    assert "line 2: the line is longer than" in message
    assert "Lines end with LF or CRLF" in message


@pytest.mark.parametrize("mark", ["", '"'])
def test_a_value_of_ten_megabytes_is_named_as_such(tmp_path: Path, mark: str) -> None:
    message = refusal(tmp_path, f"SID,NAME\n1,a\n2,{mark}" + "x" * 10_000_000 + f"{mark}\n3,b\n")
    assert "line 3: the line is longer than 1,048,576 bytes." in message
    assert "One of its values is far longer than any column of Retail Pro" in message


def test_a_quoted_text_of_ten_megabytes_in_many_lines_is_named_as_such(tmp_path: Path) -> None:
    message = refusal(tmp_path, 'SID,NAME\n1,a\n2,"' + "nine char\n" * 1_000_000 + '"\n3,b\n')
    assert "line 3: a text between quotation marks in this row is longer than 131,072" in message
    assert "the value is far longer than any column of Retail Pro" in message


def test_old_macintosh_line_ends_are_refused(tmp_path: Path) -> None:
    assert "line 1: the header is not CSV" in refusal(tmp_path, "SID,NAME\r1,a\r2,b\r")


def test_thousands_of_badly_quoted_lines_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_records, "MOST_BROKEN_LINES", 3)
    message = refusal(tmp_path, "SID,NAME\n" + '1,"5" pipe"\n' * 5)
    assert "line 5: this is the 4th line that is not CSV" in message


def test_case_53_a_cut_last_line_with_a_bad_quotation_mark_is_refused(tmp_path: Path) -> None:
    assert "line 3: the last row is cut off" in refusal(tmp_path, 'SID,NAME\n1,a\n2,"b"c')


def test_the_hash_is_that_of_sha256sum(tmp_path: Path) -> None:
    content = '\ufeffSID,NAME\r\n1,"a\nb"\r\n'.encode()
    file = checked(tmp_path, content)
    assert file.content_hash == hashlib.sha256(content).hexdigest()
    assert file.content_hash == export_file.content_hash(file.path)
    assert (file.size, file.lines) == (len(content), 3)


def test_the_remembered_hash_follows_the_file(tmp_path: Path) -> None:
    path = tmp_path / "thing.csv"
    path.write_text("one")
    first = export_file.content_hash(path)
    path.write_text("two")
    os.utime(path, ns=(1, 1))
    assert export_file.content_hash(path) != first


def test_progress_adds_up_to_the_size(tmp_path: Path) -> None:
    path = tmp_path / "thing.csv"
    path.write_bytes(b"\xef\xbb\xbfSID\n" + b"1\n" * 3_000_000)
    seen: list[int] = []
    check(path, TABLE, seen.append)
    assert len(seen) > 1
    assert sum(seen) == path.stat().st_size


def test_case_46_text_that_was_encoded_twice_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "luigi-interface.landing"):
        checked(tmp_path, "SID,NAME\n1,Müller\n2," + "Müller".encode().decode("latin-1") + "\n")
    assert "1 places look like text that was encoded twice" in caplog.text
