"""Batches: as many messages as one request may carry, by count and by bytes."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone

from luigi_tasks.delivery.preflight import Ready

MOST_MESSAGES = 2500
"""Above this number Segment answers 200 and drops the batch."""

SEPARATOR_BYTES = len(", ")

# Six digits of microseconds: Python leaves them out at a full second, so this is the longest form.
LONGEST_SENT_AT = datetime(2000, 1, 1, microsecond=1, tzinfo=timezone.utc).isoformat()


@dataclass(frozen=True)
class Limits:
    """What one request may carry.

    Attributes:
        messages: Most messages; never above 2,500, whatever is asked for.
        body_bytes: Most bytes of the whole body.
        envelope_bytes: Bytes of the body around the messages.
        events_per_second: The speed limit; 0 or less means none.
    """

    messages: int
    body_bytes: int
    envelope_bytes: int
    events_per_second: float = 0

    @property
    def capped_messages(self) -> int:
        """The number of messages that may really be used.

        A whole number of batches makes up a second's worth: of 300 events per second, three
        batches of 80 would leave 60 unused.
        """
        most = max(1, min(self.messages, MOST_MESSAGES))
        if self.events_per_second <= 0:
            return most
        per_second = math.ceil(self.events_per_second / most)
        return max(1, min(most, math.floor(self.events_per_second / per_second)))


def envelope_bytes(write_key: str) -> int:
    """Return the size of a body without messages, as the SDK encodes it."""
    return len(json.dumps({"batch": [], "sentAt": LONGEST_SENT_AT, "writeKey": write_key}))


def body_bytes(batch: list[Ready], envelope: int) -> int:
    """Return the size of the request body of a batch, or a little more."""
    return envelope + sum(item.size for item in batch) + SEPARATOR_BYTES * (len(batch) - 1)


def pack(messages: Iterable[Ready], limits: Limits) -> Iterator[list[Ready]]:
    """Group messages in order. A message that is too large for the limit goes alone."""
    batch: list[Ready] = []
    size = limits.envelope_bytes
    for item in messages:
        added = item.size + SEPARATOR_BYTES
        if batch and (len(batch) >= limits.capped_messages or size + added > limits.body_bytes):
            yield batch
            batch, size = [], limits.envelope_bytes
        batch.append(item)
        size += added
    if batch:
        yield batch
