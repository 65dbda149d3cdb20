"""The rate limit of the Segment sandbox, by a clock of the test's own."""

from sandbox.segment.rate import RateLimit


class Clock:
    """Seconds that stand still until they are set."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Read the clock."""
        return self.now


def test_no_second_holds_more_than_the_limit() -> None:
    clock = Clock()
    rate = RateLimit(clock)
    taken: list[tuple[float, int]] = []
    for _ in range(400):
        clock.now += 0.01
        if rate.take(7, 50) == 0:
            taken.append((clock.now, 7))
    for start, _ in taken:
        assert sum(count for at, count in taken if start <= at < start + 1) <= 50
    assert sum(count for _, count in taken) >= 4 * 49 - 7


def test_it_says_how_long_to_wait() -> None:
    clock = Clock()
    rate = RateLimit(clock)
    assert rate.take(10, 10) == 0
    clock.now += 0.4
    assert rate.take(1, 10) == 1
    clock.now += 0.6
    assert rate.take(1, 10) == 0


def test_a_request_above_the_limit_is_taken_alone() -> None:
    clock = Clock()
    rate = RateLimit(clock)
    assert rate.take(100, 10) == 0
    assert rate.take(100, 10) == 1
    clock.now += 1
    assert rate.take(100, 10) == 0


def test_without_a_limit_everything_is_taken() -> None:
    rate = RateLimit(Clock())
    assert [rate.take(1_000_000, None) for _ in range(3)] == [0, 0, 0]
