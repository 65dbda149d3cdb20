"""The speed limit holds on average and in every second."""

import pytest

from luigi_tasks.pace import Pace


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """The time."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Moves the time."""
        assert seconds > 0
        self.now += seconds


def test_batches_are_spread_evenly() -> None:
    clock = Clock()
    pace = Pace(1000, clock=clock, sleep=clock.sleep)
    times = []
    for _ in range(50):
        pace.wait(100)
        times.append(clock.now)
    assert times[0] == 100.0
    assert times[-1] - times[0] == pytest.approx(4.9)


def test_a_pause_is_not_made_up_for_by_a_burst() -> None:
    clock = Clock()
    pace = Pace(1000, clock=clock, sleep=clock.sleep)
    pace.wait(100)
    clock.now += 60
    pace.wait(100)
    before = clock.now
    pace.wait(100)
    assert clock.now - before == pytest.approx(0.1)


def test_no_limit() -> None:
    clock = Clock()
    pace = Pace(0, clock=clock, sleep=clock.sleep)
    pace.wait(10**9)
    pace.wait(10**9)
    assert clock.now == 100.0
