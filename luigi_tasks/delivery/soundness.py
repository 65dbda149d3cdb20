"""What a sync says of the outbox itself: what no sync would send, and a watermark in the future.

Both are rare and neither stops a run, which sends everything else. Messages are left behind when
ledger rows are lost, or when an older version put new messages below a watermark that had been set
while ClickHouse's clock was ahead. Since then new messages are placed above the watermark (the dbt
macro outbox_end), so that one in the future hides nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from luigi_tasks import config
from luigi_tasks.delivery import outbox

CALLS = ("identify", "track")
TIME = "%Y-%m-%d %H:%M:%S"


def concerns() -> list[str]:
    """Return what a person should look at, one sentence or two each; empty when all is well."""
    return [concern for call in CALLS for concern in (*_left_behind(call), *_ahead(call))]


def _left_behind(call: str) -> Iterator[str]:
    found = outbox.left_behind(call)
    if found.messages:
        yield (
            f"{found.messages:,} {call} messages lie below the watermark and were never settled, "
            f"the oldest of {found.oldest:{TIME}} UTC: no sync sends them. Run dbt run-operation "
            "reconcile; see docs/operations.md, Prove that nothing is left behind."
        )


def _ahead(call: str) -> Iterator[str]:
    watermark = outbox.watermark(call)
    ahead = watermark.settled_until - watermark.now
    if ahead > timedelta(seconds=config.readiness().longest_clock_offset_seconds):
        yield (
            f"The watermark of {call} is {watermark.settled_until:{TIME}} UTC, "
            f"{ahead.total_seconds() / 3600:,.1f} hours ahead of ClickHouse's clock, which was "
            "wrong in an earlier run. New messages are placed after it and are sent."
        )
