"""When to repeat a request, and when to give up: the circuit breaker of a task.

A passing failure closes the gate for the whole task, not for one batch of it, at the moment at
which the answer is known. Who waits for the rate limit then is asked again before it goes out.
While the gate is closed, one request at a time asks whether Segment is back. The waits grow to a
few seconds, and none ends before a Retry-After that any connection was given. When a request is
taken, the gate opens, and the requests that failed meanwhile are repeated.

What ends it is a budget of lost seconds per task, failed requests and waits together: a Segment
that is away for good costs a run minutes, however much is pending.

Not every failure is an outage: Segment, or something in between, may fail for one message only. So
after a few failures of a batch the question is asked with a single other message (a *probe*). It
costs a Segment that is away nothing more. If it is taken and the batch fails again, the fault lies
in the batch (`Asked.is_the_batch`), and `delivery` looks for the message.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from luigi_tasks import config
from luigi_tasks.segment.endpoint import Attempt, Outcome

logger = logging.getLogger("luigi-interface.delivery")

FAILURES_BEFORE_PROBE = 3
"""So often a batch is repeated as it is; most outages are short."""

MAX_FAILURES_WITH_PROOF = 10
"""After so many failures in a row it is not known any more whether Segment is there."""

PROOF_SECONDS = 5.0
"""For so long an accepted request proves that it is, less the time that failed ones took since."""

Post = Callable[[], Attempt | None]
"""Makes one request, between `Patience.begin` and `Patience.note`; None when it may not begin."""


class Asked(NamedTuple):
    """How a request ended.

    Attributes:
        attempt: The last request.
        is_the_batch: It failed, while a request that began after its failure before was accepted.
    """

    attempt: Attempt
    is_the_batch: bool = False


class BudgetSpentError(Exception):
    """Segment stayed away for longer than a task waits; says what the last answer was."""


class Patience:
    """One task's patience; its budget is shared by all batches and connections of the task.

    Args:
        settings: The section of luigi.cfg.
        sleep: Waits so many seconds.
    """

    def __init__(self, settings: config.delivery, sleep: Callable[[float], None]) -> None:
        self._budget = settings.retry_budget_seconds
        self._first_wait = settings.retry_first_wait_seconds
        self._longest_wait = settings.retry_longest_wait_seconds
        self._sleep = sleep
        self._lost = 0.0
        self._turn = threading.Lock()
        """Held by the connection that asks whether Segment is back."""
        self._lock = threading.Lock()
        """For everything below."""
        self._closed = False
        self._asker: int | None = None
        self._ask_at = 0.0
        self._why = ""
        self._failed = 0
        self._in_a_row = 0
        self._proven = 0
        self._accepted_at = -PROOF_SECONDS
        self._of_thread = threading.local()

    @property
    def has_proof(self) -> bool:
        """Tell whether a request was accepted just now, and not too many have failed since."""
        recent = time.monotonic() - self._accepted_at < PROOF_SECONDS
        return recent and self._in_a_row < MAX_FAILURES_WITH_PROOF

    @property
    def is_spent(self) -> bool:
        """Tell whether a task has lost as much time as it may."""
        return self._lost > self._budget

    def hold(self, seconds: float, why: str) -> None:
        """Close the gate for `seconds`, which an earlier run was asked to wait."""
        with self._lock:
            self._closed, self._ask_at, self._why = True, time.monotonic() + seconds, why

    def begin(self) -> bool:
        """Tell whether a request may begin now; asked right before it does."""
        with self._lock:
            self._of_thread.began = self._failed
            return not self._closed or self._asker == threading.get_ident()

    def note(self, attempt: Attempt, *, closes: bool = True) -> None:
        """Take the answer of a request as soon as it is known, before anything else is done.

        Args:
            attempt: The request.
            closes: A failure closes the gate, even if it may be the fault of what was sent.
        """
        verdict = attempt.verdict
        with self._lock:
            counts = not self._closed or self._asker == threading.get_ident()
            if verdict.may_retry:
                self._note_failure(attempt, counts=counts, closes=closes)
                return
            if verdict.outcome is Outcome.ACCEPTED:
                self._accepted_at = time.monotonic()
                self._proven = max(self._proven, self._of_thread.began)
            if counts:
                self._closed, self._in_a_row = False, 0

    def _note_failure(self, attempt: Attempt, *, counts: bool, closes: bool) -> None:
        verdict, now, seconds = attempt.verdict, time.monotonic(), attempt.duration_ms / 1000
        self._failed += 1
        self._of_thread.failure = self._failed
        if not counts:  # It was under way when another one closed the gate.
            self._ask_at = max(self._ask_at, now + verdict.retry_after)
            return
        self._in_a_row += 1
        self._lost += seconds
        self._accepted_at += seconds
        if verdict.may_be_the_content and not closes:
            return
        self._closed = True
        self._ask_at = now + max(self._backoff(), verdict.retry_after)
        self._why = f"{verdict.reason_code} ({verdict.detail})"

    def _backoff(self) -> float:
        doubled = self._first_wait * 2 ** min(self._in_a_row - 1, 30)
        jitter = random.uniform(0, self._first_wait)  # noqa: S311 - no secret, only chance
        return min(self._longest_wait, doubled) + jitter

    def repeat(self, post: Post, probe: Post | None = None, failures: int = 0) -> Asked:
        """Make a request until it is accepted or rejected, or the fault is seen to lie in it.

        Args:
            post: Makes the request.
            probe: Makes another one with a single message, and settles it.
            failures: Return after so many failures that may lie in the content; 0: never.

        Raises:
            BudgetSpentError: Segment stayed away.
        """
        failed, last = 0, 0
        while True:
            if probe and failed >= FAILURES_BEFORE_PROBE and self._proven < last:
                self._in_turn(probe)
                continue
            attempt = self._in_turn(post)
            if attempt is None:
                continue
            if not attempt.verdict.may_retry:
                return Asked(attempt)
            if attempt.verdict.may_be_the_content:
                failed += 1
                if failed > 1 and self._proven >= last:
                    return Asked(attempt, is_the_batch=True)
                if failed == failures:
                    return Asked(attempt)
            last = self._of_thread.failure

    def _in_turn(self, post: Post) -> Attempt | None:
        """Make a request; while the gate is closed, alone and after a wait."""
        if not self._closed:
            return post()
        with self._turn:
            if not self._closed:
                return None
            self._pause()
            self._asker = threading.get_ident()
            try:
                return post()
            finally:
                self._asker = None

    def _pause(self) -> None:
        """Wait until one may ask; longer when another answer asks for it meanwhile."""
        now = time.monotonic()
        while (seconds := self._ask_at - now) > 0:
            if self._lost + seconds > self._budget:
                raise BudgetSpentError(self._why)
            self._lost += seconds
            logger.warning("Segment: %s. Asking again in %.1f s.", self._why, seconds)
            self._sleep(seconds)
            now += seconds
