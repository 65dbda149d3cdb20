"""The macros that clean values, asked of ClickHouse without a build."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import chdb
import pytest

from tests.unit.dbt_macros import load

VARIABLES: dict[str, Any] = {
    "decimal_separator": ".",
    "thousands_separator": "",
    "date_formats": [],
}
CLOCKS = load("clickhouse")
CLEANING = load("cleaning", var=VARIABLES.__getitem__, local_to_utc=CLOCKS["local_to_utc"])


def ask(expression: str, text: str) -> Any:
    """The value of an expression of the column `x`, which holds the text."""
    sql = f"select {expression} as value from (select unhex('{text.encode().hex()}') as x)"
    answer = chdb.query(sql, "JSONEachRow")  # type: ignore[no-untyped-call]
    [row] = str(answer).splitlines()
    return json.loads(row, parse_float=Decimal)["value"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("VISA 4111111111111111", "VISA [card]"),
        ("4111 1111 1111 1111 05/27", "[card] 05/27"),
        ("4111-1111-1111-1111", "[card]"),
        ("12 4111111111111111 34", "12 [card] 34"),
        ("x4111111111111111y", "x[card]y"),
        ("3782 822463 10005", "[card]"),
        ("5555555555554444 and 4012888888881881", "[card] and [card]"),
        ("2223003122003222", "[card]"),
        ("30569309025904", "[card]"),
        ("3530111333300000", "[card]"),
        ("6011111111111117", "[card]"),
        ("6200000000000005", "[card]"),
        ("4222222222222", "[card]"),
        ("Zoë 4111111111111111 ß", "Zoë [card] ß"),
    ],
)
def test_a_card_number_is_replaced(text: str, expected: str) -> None:
    assert ask(CLEANING["without_card_numbers"]("x"), text) == expected
    assert ask(CLEANING["had_card_number"](["x", "x"]), text) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Cash",
        "4111111111111112",
        # Longer or shorter than the issuer's, or of no issuer.
        "41111111111111113",
        "411111111111116",
        "55555555555544440000",
        "1234567812345670",
        "8171999927660000",
        # In a longer number.
        "04111111111111111",
        "4111111111111111000000",
        # Of a till.
        "600067039000283131",
        "Voucher 4006381333931",
        "2026-05-05 10:00:00 5 6 7",
    ],
)
def test_what_is_no_card_number_stays(text: str) -> None:
    assert ask(CLEANING["without_card_numbers"]("x"), text) == text
    assert ask(CLEANING["had_card_number"](["x", "x"]), text) == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("100.0000000000", "100"),
        (".5000000000", "0.5"),
        ("123456.1234560", "123456.123456"),
        ("19.989999999999998", "19.99"),
        ("-19.989999999999998", "-19.99"),
        ("0.30000000000000004", "0.3"),
        ("123456789.12000002", "123456789.12"),
        ("3.55271367880050E-15", "0"),
        ("1.99900000000000E+01", "19.99"),
    ],
)
def test_a_number_is_read_exactly(text: str, expected: str) -> None:
    assert Decimal(ask(CLEANING["clean_decimal"]("x"), text)) == Decimal(expected)


@pytest.mark.parametrize(
    "text",
    [
        "0.1234567",
        "19.98765432109876",
        "12.34567890123456",
        "1e3",
        "1.5E+99",
        "9.99999999999999E+20",
        "1234567890123456",
        "1.2.3",
        "",
    ],
)
def test_a_number_that_would_change_is_not_read(text: str) -> None:
    assert ask(CLEANING["clean_decimal"]("x"), text) is None


@pytest.mark.parametrize(
    ("text", "column"),
    [("19.989999999999998", ["x"]), ("19.99", []), ("100.0000000000", []), ("", [])],
)
def test_the_noise_of_a_float_is_named(text: str, column: list[str]) -> None:
    assert ask(CLEANING["rounded_columns"](["x"]), text) == column


@pytest.mark.parametrize(
    ("zone", "clock", "instant", "change"),
    [
        ("America/New_York", "2026-03-08 01:59:59", "2026-03-08 06:59:59", ""),
        ("America/New_York", "2026-03-08 02:30:00", "2026-03-08 07:30:00", "skipped"),
        ("America/New_York", "2026-03-08 03:00:00", "2026-03-08 07:00:00", ""),
        ("America/New_York", "2026-11-01 01:30:00", "2026-11-01 05:30:00", "repeated"),
        ("America/New_York", "2026-11-01 02:00:00", "2026-11-01 07:00:00", ""),
        ("Europe/Berlin", "2026-03-29 02:30:00", "2026-03-29 01:30:00", "skipped"),
        ("Europe/Berlin", "2026-10-25 02:30:00", "2026-10-25 00:30:00", "repeated"),
        ("Asia/Tokyo", "2026-03-29 02:30:00", "2026-03-28 17:30:00", ""),
        # By half an hour, and by a day.
        ("Australia/Lord_Howe", "2026-10-04 02:15:00", "2026-10-03 15:45:00", "skipped"),
        ("Australia/Lord_Howe", "2026-04-05 01:45:00", "2026-04-04 14:45:00", "repeated"),
        ("Pacific/Apia", "2011-12-30 12:00:00", "2011-12-30 22:00:00", "skipped"),
    ],
)
def test_a_wall_time_is_one_instant_in_every_zone(
    zone: str, clock: str, instant: str, change: str
) -> None:
    wall_time, place = "toDateTime64(x, 3, 'UTC')", f"materialize('{zone}')"
    assert ask(f"toString({CLOCKS['local_to_utc'](wall_time, place)})", clock) == f"{instant}.000"
    assert ask(CLOCKS["clock_change"](wall_time, place), clock) == change
