"""What can go wrong, by name: with Segment, with ClickHouse, and with the sender itself.

A deck hands each name out once before any comes again, so that a run of some length has seen
everything, whatever its seed.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Generic, TypeVar

import pytest

AT_LENGTH = pytest.mark.skipif(
    "CHAOS_KILLS" not in os.environ, reason="it takes long: `make chaos` runs it"
)
"""Of tests that have no short version."""

SEGMENT_TIMEOUT_SECONDS = 0.5
"""What the sender under test waits for an answer."""

REQUEST_SECONDS = 1.0
"""What the sender under test waits for a whole answer."""

_TOO_SLOW = SEGMENT_TIMEOUT_SECONDS + 0.3

SEGMENT_FAULTS: dict[str, dict[str, Any]] = {
    **{f"status {status}": {"status": status} for status in (401, 403, 404, 501, 505)},
    "redirect to a login page": {"redirect": "/"},
    "permanent redirect": {"status": 308, "redirect": "/v1/batch"},
    **{f"status {status}": {"status": status} for status in (408, 410, 460, 500, 502, 503, 504)},
    "status 429": {"status": 429},
    "status 429 with Retry-After": {"status": 429, "retry_after": 1},
    "stored, and answered with 503": {"status": 503, "accept": True},
    "stored, and answered with 429": {"status": 429, "accept": True},
    "reset before it is stored": {"reset": "before"},
    "reset after it is stored": {"reset": "after"},
    "answer cut off": {"truncate": True},
    "answer cut off, and not stored": {"truncate": True, "accept": False},
    "answer is no JSON": {"body": "<html>welcome</html>"},
    "answer is half a JSON": {"body": '{"success": tr'},
    "answer is empty": {"body": "", "accept": False},
    "200 without success": {"body": '{"success": false}', "accept": False},
    "200 without success, stored": {"body": '{"success": false}'},
    "slow answer": {"delay_s": 0.2},
    "answer trickles after it is stored": {"trickle_s": 0.05},
    "answer trickles, and not stored": {"trickle_s": 0.05, "accept": False},
    "time-out after it is stored": {"delay_s": _TOO_SLOW},
    "time-out before it is stored": {"delay_s": _TOO_SLOW, "accept": False},
    "outage, answered with 503": {"status": 503, "for_s": 0.5},
    "outage, connections reset": {"reset": "before", "for_s": 0.5},
    "outage, connections refused": {"refuse": True, "for_s": 0.5},
}
"""Steps of the sandbox's fault script. The first seven end a run."""

RATE_LIMIT = "rate limit"
"""A kind of its own: not a step, but a setting of the sandbox for a whole run."""

STUCK = "stuck-500"
"""In a message that Segment fails on during an attack, and takes afterwards."""

POISON_STATUSES = (400, 413, 422)
"""What Segment answers to a batch that holds a poison message."""


@dataclass(frozen=True)
class Point:
    """A request of the sender at which something can happen to it.

    Attributes:
        server: segment or clickhouse.
        name: For people.
        pattern: What tells the request from others; a regular expression, in lower case.
        forwarded: After the server has dealt with it; else before.
    """

    server: str
    name: str
    pattern: str
    forwarded: bool

    def __str__(self) -> str:
        return f"{'after' if self.forwarded else 'before'} the {self.name}"


_INSERTS = "insert into [^ ]*"
POINTS = [
    Point(server, name, pattern, forwarded)
    for server, name, pattern in (
        ("segment", "batch", "^/v1/batch"),
        ("clickhouse", "insert into the ledger", _INSERTS + "segment_delivery_ledger"),
        ("clickhouse", "insert into the attempts", _INSERTS + "segment_delivery_attempts"),
        ("clickhouse", "insert into the leases", _INSERTS + "segment_delivery_leases"),
        ("clickhouse", "insert into the markers", _INSERTS + "luigi_markers"),
        ("clickhouse", "page of the outbox", "limit {size:uint32}"),
    )
    for forwarded in (False, True)
]
"""Where the sender can be killed, besides at any time."""

BREAKABLE = [point for point in POINTS if point.server == "clickhouse"]
"""Where the connection to ClickHouse can break off."""

DAY = 86400.0


@dataclass(frozen=True)
class Step:
    """By how many seconds clocks are set, all at once; 0: that one stays right.

    Attributes:
        clickhouse: ClickHouse's clock.
        machine: The clock of the sender's machine.
        segment: Segment's clock, which is asked when a run starts.
    """

    clickhouse: float = 0.0
    machine: float = 0.0
    segment: float = 0.0

    def __str__(self) -> str:
        moved = [(name, seconds) for name, seconds in vars(self).items() if seconds]
        return ", ".join(f"{name} {seconds:+g} s" for name, seconds in moved)


CLOCK_STEPS = [
    Step(clickhouse=2 * DAY),
    Step(clickhouse=-3 * DAY),
    Step(clickhouse=10),
    Step(clickhouse=-10),
    Step(machine=2 * DAY),
    Step(machine=-3 * DAY),
    Step(machine=10),
    Step(machine=-10),
    Step(2 * DAY, 2 * DAY, 2 * DAY),
    Step(-3 * DAY, -3 * DAY, -3 * DAY),
]
"""The steps of ten seconds pass the comparison of the clocks when a run starts, as do the last two:
everything is on one machine, or kept right by one time server that is wrong."""

SIGNALS = (signal.SIGKILL, signal.SIGTERM)

T = TypeVar("T")


class Deck(Generic[T]):
    """Deals all cards in a random order before any comes again."""

    def __init__(self, cards: Sequence[T], random: Random) -> None:
        self._cards = list(cards)
        self._random = random
        self._left: list[T] = []

    def deal(self) -> T:
        """Return the next card."""
        if not self._left:
            self._left = self._random.sample(self._cards, len(self._cards))
        return self._left.pop()

    def put_back(self, card: T) -> None:
        """Take back a card that could not be played; it comes again at some time."""
        self._left.insert(self._random.randint(0, len(self._left)), card)

    def put_on_top(self, card: T) -> None:
        """Take back a card that comes again at once."""
        self._left.append(card)
