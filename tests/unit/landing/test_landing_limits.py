"""How much of a file may be bad."""

import logging
from pathlib import Path

import pytest

from luigi_tasks.landing.export_file import CheckedFile, ExportRefusedError
from luigi_tasks.landing.export_limits import Limits, Tally
from luigi_tasks.landing.export_reader import ExportReader
from tests.unit.landing_files import TABLE, checked

GOOD = 592481256000133061


def tally(file: CheckedFile) -> Tally:
    result = Tally()
    for block in ExportReader(file):
        result.add(block, TABLE.keys)
    return result


def file_with(directory: Path, sids: list[str], others: str = "") -> CheckedFile:
    return checked(directory, "NAME,SID\n" + "".join(f"n,{sid}\n" for sid in sids) + others)


@pytest.mark.parametrize("sid", ["1", "-5", " 592481256000133060 ", "9" * 19, "0"])
def test_sids_as_retail_pro_has_them(tmp_path: Path, sid: str) -> None:
    assert tally(file_with(tmp_path, [sid])).malformed == 0


@pytest.mark.parametrize(
    "sid",
    [
        "",
        "5.92481E+17",
        "592481256000133060.0",
        "1" * 20,
        "12a",
        '"1,2"',
        '"1\n2"',
        "٣",
        "07",
        "00",
    ],
)
def test_case_01_and_02_malformed_sids_are_counted_with_examples(tmp_path: Path, sid: str) -> None:
    result = tally(file_with(tmp_path, ["7", sid]))
    assert (result.rows, result.malformed) == (2, 1)
    assert result.malformed_examples[0].startswith("line 3: SID = ")


def test_case_01_a_share_of_malformed_sids_refuses_the_file(tmp_path: Path) -> None:
    sids = [str(GOOD + number) for number in range(98)] + ["5.92481E+17", "5.92482E+17"]
    file = file_with(tmp_path, sids)
    with pytest.raises(ExportRefusedError) as caught:
        tally(file).refuse(file, Limits())
    message = str(caught.value)
    assert "2 of 100 rows have a malformed SID, more than 1.0%." in message
    assert "Nothing of this file was loaded." in message
    assert "line 100: SID = '5.92481E+17'; line 101: SID = '5.92482E+17'" in message
    tally(file).refuse(file, Limits(malformed_sids=0.02))


def test_in_a_small_file_a_malformed_sid_costs_its_row_only(tmp_path: Path) -> None:
    file = file_with(tmp_path, ["5.92481E+17"] * 9, "n,1\n" * 10)
    tally(file).refuse(file, Limits())


@pytest.mark.parametrize("rows", [1, 5, 19])
def test_few_rows_do_not_hide_that_most_are_bad(tmp_path: Path, rows: int) -> None:
    file = file_with(tmp_path, ["5E+17"] * rows)
    with pytest.raises(ExportRefusedError, match=f"{rows} of {rows} rows have a malformed SID"):
        tally(file).refuse(file, Limits())
    tally(file).refuse(file, Limits(malformed_sids=1))
    file = file_with(tmp_path, ["7"], "x\n" * (rows + 1))
    with pytest.raises(ExportRefusedError, match=f"{rows + 1} of {rows + 2} rows cannot be read"):
        tally(file).refuse(file, Limits())


def test_a_malformed_sid_that_is_loaded_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = file_with(tmp_path, ["7", "5E+17"])
    with caplog.at_level(logging.WARNING, "luigi-interface.landing"):
        tally(file).warn(file)
    assert "1 of 2 rows have a malformed SID" in caplog.text
    assert "line 3: SID = '5E+17'" in caplog.text


def test_a_header_that_is_there_again_is_no_bad_row(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = file_with(tmp_path, ["1"], "NAME,SID\n" * 3)
    result = tally(file)
    result.refuse(file, Limits())
    assert (result.rows, result.rejected, result.malformed) == (1, 3, 0)
    with caplog.at_level(logging.WARNING, "luigi-interface.landing"):
        result.warn(file)
    assert "the header is there again in 3 lines" in caplog.text


def test_case_01_rounded_sids_refuse_the_file(tmp_path: Path) -> None:
    file = file_with(tmp_path, [f"592481256000{number:03}000" for number in range(50)])
    with pytest.raises(ExportRefusedError, match="50 of 50 SIDs end in 000, as Excel writes"):
        tally(file).refuse(file, Limits())


def test_a_sid_may_end_in_zeroes_by_chance(tmp_path: Path) -> None:
    sids = [str(592481256000130000 + 100 * number) for number in range(50)]
    file = file_with(tmp_path, sids)
    tally(file).refuse(file, Limits())


def test_a_share_of_rejected_rows_refuses_the_file(tmp_path: Path) -> None:
    file = file_with(tmp_path, [str(GOOD)] * 50, "too,many,fields\n")
    with pytest.raises(ExportRefusedError) as caught:
        tally(file).refuse(file, Limits())
    assert "1 of 51 rows cannot be read, more than 1.0%" in str(caught.value)
    assert "line 52: 3 fields instead of 2: 'too,many,fields'" in str(caught.value)
    tally(file).refuse(file, Limits(rejected_rows=0.02))


def test_a_file_without_any_readable_row_is_refused(tmp_path: Path) -> None:
    file = checked(tmp_path, "NAME,SID\nx\n")
    with pytest.raises(ExportRefusedError, match="has no row that can be read, 1 were rejected"):
        tally(file).refuse(file, Limits())
