"""The speed limit holds in every second, however late requests arrive, and is used."""

import random
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from luigi_tasks.delivery.pace import Pace, shared

ROUND_TRIP = 0.02


class World:
    """A clock that only waiting moves, and a Segment that notes when batches arrive."""

    def __init__(self, held_up: Iterable[float] = ()) -> None:
        self.now = 100.0
        self.arrivals: list[tuple[float, int]] = []
        self._held_up = iter(held_up)

    def __call__(self) -> float:
        """The time."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Moves the time."""
        assert seconds > 0
        self.now += seconds

    def post(self, pace: Pace, events: int) -> float:
        """Sends a batch at the pace; returns when it started."""
        with pace.slot(events) as slot:
            started = self.now
            self.now += ROUND_TRIP / 2 + next(self._held_up, 0.0)
            self.arrivals.append((self.now, events))
            self.now += ROUND_TRIP / 2
            slot.answered = True
        return started

    @property
    def busiest_second(self) -> int:
        """Most events that arrived in any second; a second includes its beginning only."""
        return max(
            sum(events for at, events in self.arrivals if first <= at < first + 1 - 1e-9)
            for first, _ in self.arrivals
        )


def paced(world: World, limit: float) -> Pace:
    return Pace(limit, clock=world, sleep=world.sleep)


def test_batches_are_spread_evenly_and_the_limit_is_used() -> None:
    world = World()
    pace = paced(world, 1000)
    starts = [world.post(pace, 100) for _ in range(51)]
    assert starts[0] == 100.0
    assert starts[1] - starts[0] == pytest.approx(0.1)
    assert 5.0 <= starts[-1] - starts[0] <= 5.05
    assert world.busiest_second == 1000


@pytest.mark.parametrize("seed", range(5))
def test_requests_that_the_network_holds_up_do_not_break_the_limit(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - a test that can be repeated
    world = World(chance.choice([0, 0, 0.001, 0.004, 0.03]) for _ in range(400))
    pace = paced(world, 1000)
    for _ in range(400):
        world.post(pace, 100)
    assert world.busiest_second <= 1000
    used = 40_000 / (world.now - 100.0)
    assert used >= 970


def test_batches_of_any_size_keep_the_limit() -> None:
    chance = random.Random(7)  # noqa: S311 - a test that can be repeated
    world = World()
    pace = paced(world, 500)
    for _ in range(200):
        world.post(pace, chance.randint(1, 100))
    assert world.busiest_second <= 500


def test_a_pause_is_made_up_for_by_little() -> None:
    world = World()
    pace = paced(world, 1000)
    world.post(pace, 100)
    world.now += 60
    starts = [world.post(pace, 100) for _ in range(6)]
    assert starts[5] - starts[0] >= 0.25 - 1e-9
    assert world.busiest_second <= 1000


def test_a_429_lowers_the_rate_for_a_while() -> None:
    world = World()
    pace = paced(world, 900)
    pace.slow_down()
    assert pace.rate == pytest.approx(600)
    world.now += 10
    assert pace.rate == pytest.approx(690)
    world.now += 60
    assert pace.rate == 900
    for _ in range(50):
        pace.slow_down()
    assert pace.rate == pytest.approx(18)


def test_a_batch_above_the_rate_goes_alone() -> None:
    world = World()
    pace = paced(world, 100)
    pace.slow_down()
    starts = [world.post(pace, 100) for _ in range(3)]
    assert starts[1] - starts[0] == pytest.approx(1.5, rel=0.02)


def test_it_keeps_away_from_another_process() -> None:
    world = World()
    pace = paced(world, 1000)
    pace.follow(vacant_for=0.75)
    assert world.now == 100.25
    pace.follow(vacant_for=30)
    assert world.now == 100.25


def test_no_limit() -> None:
    world = World()
    pace = paced(world, 0)
    pace.follow(0)
    for _ in range(3):
        world.post(pace, 10**9)
    assert world.now == pytest.approx(100.0 + 3 * ROUND_TRIP)


def test_the_calls_of_a_process_share_a_limit() -> None:
    assert shared(1000) is shared(1000)
    assert shared(1000) is not shared(500)


def test_requests_under_way_count_until_they_are_answered() -> None:
    """Those of other connections may arrive at any time, so there is no room for more of them."""
    world, started = World(), threading.Event()
    pace = paced(world, 1000)

    def third() -> None:
        with pace.slot(500):
            started.set()

    with ThreadPoolExecutor(1) as threads, ExitStack() as others:
        for _ in range(2):
            others.enter_context(pace.slot(500))
        world.now += 20
        waiting = threads.submit(third)
        assert not started.wait(0.2)
        answered_at = world.now
        others.close()
        waiting.result(timeout=10)
        assert world.now == pytest.approx(answered_at + 1)


def test_an_old_request_without_an_answer_does_not_hold_up_the_rest() -> None:
    world = World()
    pace = paced(world, 1000)
    with pace.slot(100):
        world.now += 20
        starts = [world.post(pace, 100) for _ in range(30)]
    assert starts[-1] - starts[0] <= 29 * 0.1 * 1.2
    assert world.busiest_second <= 900
