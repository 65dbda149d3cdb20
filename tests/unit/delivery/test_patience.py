"""One outage stops all connections, and one request at a time asks whether it is over."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone

import pytest

from luigi_tasks import config
from luigi_tasks.delivery.patience import Asked, BudgetSpentError, Patience
from luigi_tasks.segment.endpoint import Attempt, Outcome, Verdict

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
FAILED = Attempt(Verdict(Outcome.RETRYABLE, "http_503", "", 503), NOW, 100)
LATER = Attempt(Verdict(Outcome.RETRYABLE, "http_429", "", 429, retry_after=60), NOW, 100)
AWAY = Attempt(Verdict(Outcome.RETRYABLE, "connection_failed"), NOW, 100)
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

    def connection(self, patience: Patience) -> Callable[[], Attempt | None]:
        """The requests of one connection; the first one waits for those of the others."""
        first = iter([True])

        def post() -> Attempt | None:
            if not patience.begin():
                return None
            if next(first, False):
                self._together.wait()
                answer = FAILED
            else:
                answer = self._ask()
            patience.note(answer)
            return answer

        return post

    def _ask(self) -> Attempt:
        with self._lock:
            self.under_way += 1
            if self._asked > 0:
                self.most = max(self.most, self.under_way)
        threading.Event().wait(0.01)
        with self._lock:
            self.under_way -= 1
            self._asked -= 1
            return FAILED if self._asked >= 0 else TAKEN


def answers(patience: Patience, *scripted: Attempt) -> Callable[[], Attempt | None]:
    """Requests that are answered one after the other as a script says."""
    left = iter(scripted)

    def post() -> Attempt | None:
        if not patience.begin():
            return None
        answer = next(left)
        patience.note(answer)
        return answer

    return post


def test_one_at_a_time_asks_and_then_all_go_on() -> None:
    slept: list[float] = []
    patience, outage = Patience(config.delivery(), slept.append), Outage(asked=3)
    with ThreadPoolExecutor(CONNECTIONS) as threads:
        found = [
            threads.submit(patience.repeat, outage.connection(patience)) for _ in range(CONNECTIONS)
        ]
        assert [one.result() for one in found] == [Asked(TAKEN)] * CONNECTIONS
    assert outage.most == 1
    # One wait before each request that asks, and they grow.
    assert len(slept) == 4
    assert slept[0] < 1.0
    assert min(slept[1:]) >= 0.99
    assert max(slept) <= 4.5


def test_the_budget_is_that_of_all_connections() -> None:
    patience, outage = Patience(config.delivery(), lambda seconds: None), Outage(asked=10**6)
    with ThreadPoolExecutor(CONNECTIONS) as threads:
        found = [
            threads.submit(patience.repeat, outage.connection(patience)) for _ in range(CONNECTIONS)
        ]
        errors = [one.exception() for one in found]
    assert {type(error) for error in errors} == {BudgetSpentError}
    assert "http_503" in str(errors[0])
    budget = config.delivery().retry_budget_seconds
    assert 0.9 * budget < patience._lost <= budget + 1


def test_the_gate_is_closed_when_the_answer_is_known_not_when_it_is_written_down() -> None:
    patience = Patience(config.delivery(), lambda seconds: None)
    assert patience.begin()
    patience.note(LATER)
    assert not patience.begin()


def test_an_answer_to_a_request_under_way_does_not_open_it_and_may_prolong_it() -> None:
    slept: list[float] = []
    patience = Patience(config.delivery(), slept.append)
    assert patience.begin()
    patience.note(FAILED)
    with ThreadPoolExecutor(2) as others:
        for answer in (TAKEN, LATER):
            others.submit(patience.begin).result()
            others.submit(patience.note, answer).result()
    assert not patience.begin()
    assert patience.repeat(answers(patience, TAKEN)).attempt == TAKEN
    assert sum(slept) > 55


def test_a_batch_that_fails_while_a_probe_is_taken_is_at_fault() -> None:
    patience = Patience(config.delivery(), lambda seconds: None)
    batch = answers(patience, *[FAILED] * 4)
    asked = patience.repeat(batch, probe=answers(patience, FAILED, TAKEN))
    assert asked == Asked(FAILED, is_the_batch=True)


@pytest.mark.parametrize("answer", [AWAY, LATER])
def test_a_failure_without_an_answer_is_never_the_fault_of_a_batch(answer: Attempt) -> None:
    patience = Patience(config.delivery(), lambda seconds: None)
    batch = answers(patience, *[answer] * 1000)
    with pytest.raises(BudgetSpentError):
        patience.repeat(batch, probe=answers(patience), failures=1)


def test_a_wait_that_an_earlier_run_was_asked_for_comes_first() -> None:
    slept: list[float] = []
    patience = Patience(config.delivery(), slept.append)
    patience.hold(50, "an earlier run")
    assert patience.repeat(answers(patience, TAKEN)).attempt == TAKEN
    assert 49 < sum(slept) <= 50


def test_many_failures_in_a_row_outweigh_a_proof() -> None:
    patience = Patience(config.delivery(), lambda seconds: None)
    assert patience.begin()
    patience.note(TAKEN)
    failures = 0
    while patience.has_proof:
        assert patience.begin()
        patience.note(FAILED, closes=False)
        failures += 1
    assert failures == 10
    assert patience.begin()
    patience.note(AWAY, closes=False)
    assert not patience.begin(), "no answer is never the fault of what was sent"


def test_the_time_of_slow_failures_does_not_age_a_proof() -> None:
    patience = Patience(config.delivery(), lambda seconds: None)
    assert patience.begin()
    patience.note(TAKEN)
    for _ in range(3):
        assert patience.begin()
        patience.note(Attempt(FAILED.verdict, NOW, 15_000), closes=False)
    assert patience.has_proof
