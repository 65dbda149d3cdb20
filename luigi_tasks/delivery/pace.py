"""The speed limit: never more than so many events in any second, at the receiver.

Two rules decide when the next request may start:

- *window*: what arrived within the last second plus the next batch must not exceed the limit.
  When a request arrives is not known, only when it started and when its answer came. So it counts
  as arrived at the latest moment that is possible: at its answer, less the round trip that every
  request takes. Were it counted from its start, a request that the network held up would fall into
  one second with the later ones. One that is under way on another connection has not arrived yet
  as far as anyone knows, so it counts until it is answered.
- *spacing*: batches go out evenly, not all at the beginning of a second. What was lost to a slow
  answer or to a write is made up for, a little at a time, within the first rule.

A 429 lowers the rate by a third; it then grows back by a hundredth of the limit per second.

No library does this: those on PyPI count requests when they start, so a held-up request breaks the
limit, and none of them gives way to a 429.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

WINDOW = 1.0
"""Seconds."""

MOST_CATCH_UP = 0.25
"""Seconds by which the spacing may be behind and still be made up for."""

SLOW_DOWN = 2 / 3
SPEED_UP = 0.01
LOWEST_SHARE = 0.02

ROUND_TRIPS = 10
"""So many are seen before the shortest one is believed to be what every request takes ..."""

BELIEVED_SHARE = 0.9
"""... or rather a little less."""


@dataclass
class Slot:
    """One request.

    Attributes:
        events: How many messages it carries.
        ended_at: When it was answered, or failed; never, until then.
        answered: Set by the user: there was an answer, so its round trip may be the shortest.
    """

    events: int
    ended_at: float = math.inf
    answered: bool = False


class Pace:
    """Lets requests go when the limit allows; several threads may share it.

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
        self._limit = events_per_second
        self._clock = clock
        self._sleep = sleep
        self._slots: list[Slot] = []
        self._turn = threading.Lock()
        self._changed = threading.Condition()
        self._next_at = clock()
        self._shortest = float("inf")
        self._round_trips = 0
        self._lowered_to = events_per_second
        self._lowered_at = clock()

    @property
    def rate(self) -> float:
        """Events per second now: the limit, or less for a while after a 429."""
        grown = (self._clock() - self._lowered_at) * SPEED_UP * self._limit
        return min(self._limit, self._lowered_to + grown)

    def slow_down(self) -> None:
        """Take a 429 for what it says."""
        lowest = LOWEST_SHARE * self._limit
        self._lowered_to, self._lowered_at = max(lowest, self.rate * SLOW_DOWN), self._clock()

    @contextmanager
    def slot(self, events: int) -> Iterator[Slot]:
        """Wait until `events` more may go out; make the request inside."""
        with self._turn:
            self._wait_for(events)
            started = self._clock()
            slot = Slot(events)
            with self._changed:
                if self._limit > 0:
                    self._slots.append(slot)
                    behind = max(self._next_at, started - MOST_CATCH_UP)
                    self._next_at = behind + events / self.rate
        try:
            yield slot
        finally:
            with self._changed:
                slot.ended_at = self._clock()
                if slot.answered:
                    self._shortest = min(self._shortest, slot.ended_at - started)
                    self._round_trips += 1
                self._changed.notify()

    def _wait_for(self, events: int) -> None:
        while self._limit > 0:
            with self._changed:
                delay = self._delay(events)
                if math.isinf(delay):
                    self._changed.wait()
                    continue
            if delay <= 0:
                return
            self._sleep(delay)

    def follow(self, vacant_for: float) -> None:
        """Let a second pass between another process and this one, whatever the other has sent.

        Args:
            vacant_for: Seconds for which no other process can have sent anything; less than none
                when the clock was set back.
        """
        if self._limit > 0 and vacant_for < WINDOW:
            self._sleep(min(WINDOW, WINDOW - vacant_for))

    def _delay(self, events: int) -> float:
        now = self._clock()
        self._slots = sorted(
            (slot for slot in self._slots if self._leaves_at(slot) > now), key=self._leaves_at
        )
        return max(self._next_at, self._window_opens_at(events, now)) - now

    def _window_opens_at(self, events: int, now: float) -> float:
        """When enough of the last second's requests are more than a second old."""
        over = sum(slot.events for slot in self._slots) + events - self.rate * WINDOW
        opens_at = now
        for slot in self._slots:
            if over <= 0:
                break
            over -= slot.events
            opens_at = self._leaves_at(slot)
        return opens_at

    def _leaves_at(self, slot: Slot) -> float:
        """When a request is certainly more than a second older than one that starts then."""
        known = self._round_trips >= ROUND_TRIPS
        return slot.ended_at + WINDOW - (self._shortest * BELIEVED_SHARE if known else 0.0)


_shared: dict[tuple[int, float], Pace] = {}


def shared(events_per_second: float) -> Pace:
    """Return this process's pace, which outlives a task: all calls share one limit."""
    return _shared.setdefault((os.getpid(), events_per_second), Pace(events_per_second))
