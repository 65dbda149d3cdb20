"""The rate limit: so many events within any second."""

import math
import time
from collections import deque
from collections.abc import Callable

_WINDOW_SECONDS = 1.0


class RateLimit:
    """Counts what was taken in the last second.

    A request with more events than the limit is taken when the second before it was empty: else
    it could never be sent at all.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._taken: deque[tuple[float, int]] = deque()

    def take(self, events: int, limit: float | None) -> int:
        """Take a request, or say how long it has to wait.

        Args:
            events: How many the request holds.
            limit: Most events per second; None for no limit.

        Returns:
            0 when it is taken, else the whole seconds after which it may be tried again.
        """
        if limit is None:
            return 0
        now = self._clock()
        while self._taken and self._taken[0][0] <= now - _WINDOW_SECONDS:
            self._taken.popleft()
        if self._taken and sum(count for _, count in self._taken) + events > limit:
            return max(1, math.ceil(self._taken[-1][0] + _WINDOW_SECONDS - now))
        self._taken.append((now, events))
        return 0
