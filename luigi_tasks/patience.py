"""When to repeat a request, and when to give up: the circuit breaker of a task.

A passing failure stops the whole task, not one batch of it: nothing else goes out while Segment is
away, and one request at a time asks whether it is back. The waits grow to a few seconds and no
further, so an outage costs its own length and those few seconds. Retry-After is honoured however
long it is.

What ends it is a budget of lost seconds per task, failed requests and waits together: a Segment
that is away for good costs a run minutes, however much is pending.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from tenacity import RetryCallState, Retrying, retry_if_result
from tenacity.wait import wait_exponential, wait_random

from luigi_tasks import config
from luigi_tasks.segment import Attempt

logger = logging.getLogger("luigi-interface.delivery")


class Patience:
    """One task's patience; its budget is shared by all batches of the task.

    Args:
        settings: The section of luigi.cfg.
        sleep: Waits so many seconds.
    """

    def __init__(self, settings: config.delivery, sleep: Callable[[float], None]) -> None:
        self._budget = settings.retry_budget_seconds
        self._lost = 0.0
        self._sleep = sleep
        first = settings.retry_first_wait_seconds
        self._backoff = wait_exponential(
            multiplier=first, max=settings.retry_longest_wait_seconds
        ) + wait_random(0, first)

    def repeat(self, post_once: Callable[[], Attempt]) -> Attempt:
        """Make a request until it is accepted or rejected, or the budget is spent."""
        retrying: Any = Retrying(
            retry=retry_if_result(lambda attempt: attempt.verdict.may_retry),
            wait=self._wait,
            stop=self._is_spent,
            before_sleep=self._before_wait,
            sleep=self._sleep,
            retry_error_callback=_last,
        )
        attempt: Attempt = retrying(post_once)
        return attempt

    def _wait(self, state: RetryCallState) -> float:
        return max(self._backoff(state), _last(state).verdict.retry_after)

    def _is_spent(self, state: RetryCallState) -> bool:
        self._lost += _last(state).duration_ms / 1000
        return self._lost + state.upcoming_sleep > self._budget

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
