"""Lanes work side by side; when one fails, the others finish what they have begun and no more."""

import threading
from collections.abc import Sequence

import pytest

from luigi_tasks.delivery.lanes import MOST_LANES, Lanes

WAIT = 10


def test_all_lanes_are_under_way_at_once() -> None:
    together = threading.Barrier(3, timeout=WAIT)

    def work(lane: Sequence[int]) -> None:
        together.wait()

    with Lanes(3, work) as lanes:
        lanes.start([[1], [2], [3]])
        lanes.finish()


def test_each_lane_keeps_its_order() -> None:
    done: list[int] = []

    def work(lane: Sequence[int]) -> None:
        for item in lane:
            lanes.go_on()
            done.append(item)

    with Lanes(2, work) as lanes:
        for page in (0, 100):
            lanes.start([range(page, page + 50, 2), range(page + 1, page + 50, 2)])
            lanes.finish()
    for odd in (0, 1):
        own = [item for item in done if item % 2 == odd]
        assert own == sorted(own)
    assert len(done) == 100
    assert max(done[:50]) < min(done[50:])


def test_a_failure_ends_the_others_before_their_next_request() -> None:
    begun, failed = threading.Event(), threading.Event()
    done: list[str] = []

    def work(lane: Sequence[str]) -> None:
        if lane[0] == "bad":
            assert begun.wait(WAIT)
            failed.set()
            raise ValueError("bad")
        for item in lane:
            lanes.go_on()
            begun.set()
            lanes.pause(WAIT)  # The request that is under way; the failure wakes it.
            done.append(item)

    with Lanes(2, work) as lanes:
        lanes.start([["good", "late"], ["bad"]])
        with pytest.raises(ValueError, match="bad"):
            lanes.finish()
    assert failed.is_set()
    assert done == ["good"]


def test_the_end_waits_for_what_is_under_way() -> None:
    begun, done = threading.Event(), []

    def work(lane: Sequence[int]) -> None:
        for item in lane:
            lanes.go_on()
            begun.set()
            lanes.pause(WAIT)
            done.append(item)

    with Lanes(1, work) as lanes:
        lanes.start([[1, 2]])
        assert begun.wait(WAIT)
        # As when the process is told to end: nobody waits for the lane to finish.
    assert done == [1]


@pytest.mark.parametrize(("asked", "used"), [(0, 1), (1, 1), (4, 4), (99, MOST_LANES)])
def test_there_are_never_more_than_the_session_keeps(asked: int, used: int) -> None:
    with Lanes(asked, lambda lane: None) as lanes:
        assert lanes.count == used
