"""The brake: a run that looks like a mistake sends nothing until a person says go on.

A changed model, a mapping or a wrong export can make every customer due again, and Segment and the
destinations bill and act on each message. Two limits are checked before anything is sent, both
set in `[brake]` of luigi.cfg, and two signs that messages were sent before:

- *share of known customers*: how many of the customers that Segment knows would be sent again.
- *usual day*: how many messages of a call are pending, measured in usual days. A usual day is the
  median of the days of the last four weeks on which messages entered the outbox, without today.
  Days, not runs, so that what piled up during an outage passes; the median, so that the first
  load and the busiest day of the year do not count as usual. Not active until there are
  `history_days` such days. There is no lower limit: to send little does no harm, and what was
  missing is an alert (docs/operations.md).
- *lost ledger rows*: Segment accepted requests that the ledger does not know, since pending
  messages entered the outbox. A dropped partition looks like this.
- *older backup*: this machine has seen newer messages accepted (`restore_alarm`).

A first run is never refused: it has no known customers and no history. `--brake-go-on` lets through
all that is pending at that moment; this is remembered, so that a run that breaks off is finished by
the next scheduled one.
"""

from __future__ import annotations

import logging
from datetime import datetime

from luigi_tasks import config
from luigi_tasks.clickhouse import queries
from luigi_tasks.delivery import restore_alarm
from luigi_tasks.errors import BrakeError
from luigi_tasks.runs import markers

logger = logging.getLogger("luigi-interface.brake")

WHAT_TO_DO = (
    "Nothing was sent. Look at `luigi --module luigi_tasks PlanSync`. If this is what you want, "
    "run SyncToSegment once with --brake-go-on. If it is not, mend the export or the model; "
    "docs/operations.md says how to take messages out of the outbox."
)


def check() -> None:
    """Let the run go on, or refuse it.

    Raises:
        BrakeError: More is pending than a usual run would send. Nothing has been sent.
    """
    found = objections()
    if not found:
        return
    if not config.brake().go_on:
        raise BrakeError("\n".join([*found, WHAT_TO_DO]))
    logger.warning("Going on, as --brake-go-on says: %s", " ".join(found))
    _approval().touch(until=max(last for _, last in _pending().values()).isoformat())


def objections() -> list[str]:
    """Return what speaks against sending what is pending, one sentence each."""
    limit = config.brake().smallest_stop
    pending = {call: messages for call, (messages, _) in _pending().items() if messages >= limit}
    found = _restored(set(pending))
    if pending:
        found += _too_many(pending) + _unrecorded(limit)
    if "identify" in pending:
        found += _too_many_again()
    return found


def _pending() -> dict[str, tuple[int, datetime]]:
    return {
        call: (messages, last)
        for call, messages, last in queries.rows("brake_pending", approved_until=_approved_until())
    }


def _too_many(pending: dict[str, int]) -> list[str]:
    settings = config.brake()
    return [
        f"{pending[call]:,} {call} messages are pending, more than {settings.most_usual_days:g} "
        f"times the {usual:,.0f} of a usual day (median of {days} days)."
        for call, days, usual in queries.rows("brake_usual_days")
        if days >= settings.history_days and pending.get(call, 0) > settings.most_usual_days * usual
    ]


def _too_many_again() -> list[str]:
    limit = config.brake()
    [(known, again)] = queries.rows("brake_customers", approved_until=_approved_until())
    if again < limit.smallest_stop or again <= limit.most_resent_share * known:
        return []
    return [
        f"{again:,} of {known:,} customers that Segment knows would be sent again, more than "
        f"{limit.most_resent_share:.0%}."
    ]


def _unrecorded(limit: int) -> list[str]:
    """Count what would be sent again because ledger rows are missing."""
    return [
        f"{again:,} pending {call} messages were probably sent before: Segment has accepted "
        "requests whose ledger rows are missing. Restore the ledger first (docs/backup.md)."
        for call, again in queries.rows("brake_unrecorded", approved_until=_approved_until())
        if again >= limit
    ]


def _restored(stopping: set[str]) -> list[str]:
    """Return the restore alarms of calls with enough pending to stop for; warn of the others.

    The sandbox's data is removed by hand now and then, and nobody bills what it receives.
    """
    found = restore_alarm.warnings()
    is_sandbox = config.is_sandbox(config.segment().host)
    stops = [found[call] for call in found if call in stopping and not is_sandbox]
    for sentence in found.values():
        if sentence not in stops:
            logger.warning("%s", sentence)
    return stops


def _approval() -> markers.MarkerTarget:
    return markers.MarkerTarget("brake/go-on", task_family="brake")


def _approved_until() -> datetime:
    until = _approval().read().get("until")
    return datetime.fromisoformat(until) if until else markers.EPOCH
