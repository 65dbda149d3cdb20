"""What the tasks of one `luigi` command share: its id, its start, its slot.

The values are made when the package is imported. Worker processes are forked from there and
inherit them, so all tasks of a command agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from uuid import UUID, uuid4

SLOT_LENGTH = timedelta(minutes=15)


@dataclass(frozen=True)
class Invocation:
    """One run of the `luigi` command.

    Attributes:
        run_id: Goes into the ledger and the attempts.
        started_at: Aware UTC, cut to milliseconds as the markers are.
    """

    run_id: UUID
    started_at: datetime

    @property
    def slot(self) -> datetime:
        """The slot in which the command was started: naive UTC, as Luigi's parameters are."""
        start = self.started_at.replace(tzinfo=None, second=0, microsecond=0)
        return start - timedelta(minutes=start.minute % 15)

    def is_over(self, slot: datetime) -> bool:
        """Tell whether `slot` had ended when the command was started."""
        return slot.replace(tzinfo=timezone.utc) + SLOT_LENGTH <= self.started_at


def utc_now() -> datetime:
    """Return the time as aware UTC, cut to milliseconds."""
    now = datetime.now(timezone.utc)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def begin() -> Invocation:
    """Make a new invocation that starts now."""
    return Invocation(run_id=uuid4(), started_at=utc_now())


current = begin()
