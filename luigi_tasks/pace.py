"""The speed limit: so many events per second, on average and nearly so at any moment."""

from __future__ import annotations

import time
from collections.abc import Callable


class Pace:
    """Spreads batches evenly, so that a limit per second is kept without bursts.

    Args:
        events_per_second: The limit; 0 or less means none.
        clock: Seconds, never going back.
        sleep: Waits so many seconds.
    """

    def __init__(
        self,
        events_per_second: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._seconds_per_event = 1 / events_per_second if events_per_second > 0 else 0.0
        self._clock = clock
        self._sleep = sleep
        self._free_at = clock()

    def wait(self, events: int) -> None:
        """Wait until `events` more may go out, and count them."""
        now = self._clock()
        if self._free_at > now:
            self._sleep(self._free_at - now)
        self._free_at = max(self._free_at, now) + events * self._seconds_per_event
