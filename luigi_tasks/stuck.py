"""Stuck messages: Segment answers one message with 5xx, or not at all, and takes the others.

Such a message is sent alone, once per run, after the other messages of its page; of very many,
those with the fewest tries. While it is pending, the later messages of its user wait, and nobody
else's. After `[delivery] transient_days`
it is settled as rejected, under the code of the last answer, so that the watermark can pass it.

Nothing is kept for this but the attempts: a message is known by its requests in which no other
message was, and they count as far as Segment accepted others in the same hour.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from luigi_tasks import config, outbox
from luigi_tasks.ledger import Batch
from luigi_tasks.preflight import Ready
from luigi_tasks.segment import Attempt

MAX_TRIED = 300
"""So many of those that are known are tried in a run."""

MIN_TRIES = 3
"""Fewer tries do not settle a message, however long ago the first was."""


@dataclass(frozen=True)
class Stuck:
    """A message that Segment does not take now.

    Attributes:
        batch: The message, alone in its batch.
        attempt: Its last request.
        tries: Its requests in all runs, less those during an outage.
        since: When the first of them was made.
    """

    batch: Batch
    attempt: Attempt
    tries: int
    since: datetime

    @property
    def is_over(self) -> bool:
        """Tell whether it has been tried for long enough."""
        waited = self.attempt.started_at - self.since
        return self.tries >= MIN_TRIES and waited >= timedelta(
            days=config.delivery().transient_days
        )

    def __str__(self) -> str:
        row, verdict = self.batch.items[0].row, self.attempt.verdict
        return (
            f"the {row.event or row.call} of {row.entity} {row.entity_id}: {verdict.reason_code} "
            f"({verdict.detail}), {self.tries:,} tries since {self.since:%Y-%m-%d %H:%M} UTC"
        )


class StuckMessages:
    """Those of one cut; several threads may share it.

    Args:
        call: identify or track.
        cut: What the task sends.
    """

    def __init__(self, call: str, cut: outbox.Cut) -> None:
        known = outbox.failed_alone(call, cut) if cut.messages else []
        self._earlier = {found.message_id: found for found in known}
        self._suspects = {found.user for found in known}
        self._waiting = {found.user for found in known[MAX_TRIED:]}
        self._found: list[Stuck] = []
        self._lock = threading.Lock()

    @property
    def found(self) -> Sequence[Stuck]:
        """What this task could not deliver."""
        return self._found

    def is_suspect(self, user: str) -> bool:
        """Tell whether a message of a user failed alone in an earlier run."""
        return user in self._suspects

    def waits(self, user: str) -> bool:
        """Tell whether a user's messages wait for a stuck one."""
        return user in self._waiting

    def add(self, item: Ready, batch: Batch, attempt: Attempt) -> Stuck:
        """Set a message aside, whose last request was `attempt`."""
        earlier = self._earlier.get(item.row.message_id)
        tries, since = (earlier.tries, earlier.since) if earlier else (0, attempt.started_at)
        stuck = Stuck(batch, attempt, tries + 1, since)
        with self._lock:
            self._waiting.add(item.row.user)
            self._found.append(stuck)
        return stuck
