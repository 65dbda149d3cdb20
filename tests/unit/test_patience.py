"""One outage stops all connections, and one request at a time asks whether it is over."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone

from luigi_tasks import config
from luigi_tasks.patience import Patience
from luigi_tasks.segment import Attempt, Outcome, Verdict

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
FAILED = Attempt(Verdict(Outcome.RETRYABLE, "http_503", "", 503), NOW, 100)
TAKEN = Attempt(Verdict(Outcome.ACCEPTED, http_status=200), NOW, 10)
CONNECTIONS = 4


class Outage:
    """A Segment that fails the requests that are under way when it begins, and some more."""

    def __init__(self, asked: int) -> None:
        self._asked = asked
        self._together = threading.Barrier(CONNECTIONS, timeout=10)
        self._lock = threading.Lock()
        self.under_way = 0
        self.most = 0

    def post(self, waits: bool) -> Attempt:
        """One request; the first of each connection waits for those of the others."""
        if waits:
            self._together.wait()
            return FAILED
        with self._lock:
            self.under_way += 1
            self.most = max(self.most, self.under_way)
        threading.Event().wait(0.01)
        with self._lock:
            self.under_way -= 1
            self._asked -= 1
            return FAILED if self._asked >= 0 else TAKEN


def connection(outage: Outage) -> Callable[[], Attempt]:
    """The requests of one connection."""
    first = iter([True])
    return lambda: outage.post(next(first, False))


def test_one_at_a_time_asks_and_then_all_go_on() -> None:
    slept: list[float] = []
    patience, outage = Patience(config.delivery(), slept.append), Outage(asked=3)
    with ThreadPoolExecutor(CONNECTIONS) as threads:
        found = [threads.submit(patience.repeat, connection(outage)) for _ in range(CONNECTIONS)]
        assert [one.result() for one in found] == [TAKEN] * CONNECTIONS
    assert outage.most == 1
    # Three waits that grow for the first connection, and less than one for those after it.
    assert len([seconds for seconds in slept if seconds >= 1]) == 3


def test_the_budget_is_that_of_all_connections() -> None:
    patience, outage = Patience(config.delivery(), lambda seconds: None), Outage(asked=10**6)
    with ThreadPoolExecutor(CONNECTIONS) as threads:
        found = [threads.submit(patience.repeat, connection(outage)) for _ in range(CONNECTIONS)]
        assert [one.result() for one in found] == [FAILED] * CONNECTIONS
    budget = config.delivery().retry_budget_seconds
    assert 0.9 * budget < patience._lost <= budget + 1
