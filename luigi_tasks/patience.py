"""When to repeat a request, and when to give up: the circuit breaker of a task.

A passing failure stops the whole task, not one batch of it: nothing else goes out while Segment is
away, and one request at a time asks whether it is back. The waits grow to a few seconds and no
further, so an outage costs its own length and those few seconds. Retry-After is honoured however
long it is.

With several connections the requests that were under way when the outage began fail too. They queue
up: the first one asks alone, the others repeat theirs when it has got through.

What ends it is a budget of lost seconds per task, failed requests and waits together: a Segment
that is away for good costs a run minutes, however much is pending.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tenacity import RetryCallState, Retrying, retry_if_result
from tenacity.wait import wait_exponential, wait_random

from luigi_tasks import config
from luigi_tasks.segment import Attempt

logger = logging.getLogger("luigi-interface.delivery")


class Patience:
    """One task's patience; its budget is shared by all batches and connections of the task.

    Args:
        settings: The section of luigi.cfg.
        sleep: Waits so many seconds.
    """

    def __init__(self, settings: config.delivery, sleep: Callable[[float], None]) -> None:
        self._budget = settings.retry_budget_seconds
        self._lost = 0.0
        self._sleep = sleep
        self._outage = threading.Lock()
        first = settings.retry_first_wait_seconds
        self._backoff = wait_exponential(
            multiplier=first, max=settings.retry_longest_wait_seconds
        ) + wait_random(0, first)

    def repeat(self, post_once: Callable[[], Attempt]) -> Attempt:
        """Make a request until it is accepted or rejected, or the budget is spent."""
        with self._outage:
            pass  # Nothing new goes out while another connection asks whether Segment is back.
        attempt = post_once()
        if not attempt.verdict.may_retry:
            return attempt
        with self._turn() as waited:
            first = iter([attempt])
            return self._retrying(waited)(lambda: next(first, None) or post_once())

    @contextmanager
    def _turn(self) -> Iterator[float]:
        """Take one's turn to ask; yields the seconds for which others asked before, 0 for none."""
        if self._outage.acquire(blocking=False):
            waited = 0.0
        else:
            began = time.monotonic()
            self._outage.acquire()
            waited = time.monotonic() - began
        try:
            yield waited
        finally:
            self._outage.release()

    def _retrying(self, waited: float) -> Any:
        """Return what repeats a request that failed `waited` seconds ago."""

        def wait(state: RetryCallState) -> float:
            seconds = max(self._backoff(state), _last(state).verdict.retry_after)
            return seconds if state.attempt_number > 1 else max(0.0, seconds - waited)

        def is_spent(state: RetryCallState) -> bool:
            if not (waited and state.attempt_number == 1):
                # Else it failed while another one did, whose time is counted.
                self._lost += _last(state).duration_ms / 1000
            return self._lost + state.upcoming_sleep > self._budget

        return Retrying(
            retry=retry_if_result(lambda attempt: attempt.verdict.may_retry),
            wait=wait,
            stop=is_spent,
            before_sleep=self._before_wait,
            sleep=self._sleep,
            retry_error_callback=_last,
        )

    def _before_wait(self, state: RetryCallState) -> None:
        self._lost += state.upcoming_sleep
        verdict = _last(state).verdict
        logger.warning(
            "Segment: %s (%s). The same batch again in %.1f s.",
            verdict.reason_code,
            verdict.detail,
            state.upcoming_sleep,
        )


def _last(state: RetryCallState) -> Attempt:
    if state.outcome is None:
        raise RuntimeError("tenacity asked before the first attempt")
    attempt: Attempt = state.outcome.result()
    return attempt
