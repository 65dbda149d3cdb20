"""Stuck messages: Segment answers one message with 5xx, or not at all, and takes the others.

Such a message is sent alone, once per run, after the other messages of its page; of very many,
those with the fewest tries. While it is pending, the later messages of its user wait, and nobody
else's. After `[delivery] transient_days`
it is settled as rejected, under the code of the last answer, so that the watermark can pass it.

What is left of them at the end ends a run red, in the task that the command asked for.

Nothing is kept for this but the attempts: a message is known by its requests in which no other
message was, and they count as far as Segment accepted others in the same hour.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from luigi_tasks import config
from luigi_tasks.clickhouse import queries
from luigi_tasks.delivery import outbox
from luigi_tasks.delivery.ledger import Batch
from luigi_tasks.delivery.preflight import Ready
from luigi_tasks.errors import MessagesStuckError
from luigi_tasks.segment.endpoint import Attempt

MAX_TRIED = 300
"""So many of those that are known are tried in a run."""

MIN_TRIES = 3
"""Fewer tries do not settle a message, however long ago the first was."""

MAX_NAMED = 5
"""So many stuck messages does the error of a run name."""


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


class StuckMessage(NamedTuple):
    """A pending message that Segment did not take when it was alone in a request."""

    message_id: str
    event: str
    entity: str
    entity_id: str
    requests: int
    since: datetime
    reason_code: str
    detail: str

    def __str__(self) -> str:
        said = f"{self.reason_code} {self.detail}".strip()
        return (
            f"{self.event} of {self.entity} {self.entity_id} ({said}; {self.requests:,} requests "
            f"since {self.since:%Y-%m-%d %H:%M} UTC; message id {self.message_id})"
        )


def of_runs(call: str, run_ids: Sequence[UUID], started_at: datetime) -> list[StuckMessage]:
    """Return the pending messages that these runs sent alone and Segment did not take.

    Args:
        call: identify or track.
        run_ids: The runs.
        started_at: Requests before this do not count as theirs.
    """
    rows = queries.rows(
        "run_stuck",
        call=call,
        run_ids=list(run_ids),
        started_at=started_at,
        outbox=f"segment_{call}_outbox",
        days=outbox.days_of_attempts(),
    )
    return [StuckMessage(*row) for row in rows]


def refuse(messages: Sequence[StuckMessage]) -> None:
    """Let the run fail when messages are stuck; everything else has been sent by then.

    Raises:
        MessagesStuckError: There are some; names the oldest.
    """
    if not messages:
        return
    named = "; ".join(map(str, messages[:MAX_NAMED]))
    more = f"; and {len(messages) - MAX_NAMED:,} more" if len(messages) > MAX_NAMED else ""
    raise MessagesStuckError(
        f"Segment does not take {len(messages):,} of the messages, though it was asked for each of "
        f"them alone: {named}{more}. They stay in the outbox, and so does what their users have "
        "behind them; all others were sent. Each run tries them again. One that Segment does not "
        f"take for {config.delivery().transient_days} days while it takes others is recorded as "
        "rejected. To give one up now: dbt run-operation withdraw."
    )
