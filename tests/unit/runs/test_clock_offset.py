"""How far a clock is from another, as far as it can be told without a server."""

import pytest

from luigi_tasks.runs import clocks

DATE = "Sat, 31 Jan 2026 10:15:00 GMT"
AT = 1769854500.0


@pytest.mark.parametrize(
    ("now", "offset"), [(AT, 0.0), (AT + 0.9, 0.0), (AT + 61, 60.0), (AT - 30, -30.0)]
)
def test_the_header_is_cut_to_a_second(now: float, offset: float) -> None:
    assert clocks.clock_offset(DATE, now) == pytest.approx(offset)


@pytest.mark.parametrize("date", ["", "yesterday"])
def test_no_date(date: str) -> None:
    assert clocks.clock_offset(date, AT) is None
