"""The dry run: shows what would go out, and records nothing.

The samples are shown as they would be sent, personal data included: this is the user's own
terminal, and a masked message would hide what is to be checked.
"""

from __future__ import annotations

from rich.table import Table

from luigi_tasks import config
from luigi_tasks.delivery import outbox, preflight
from luigi_tasks.delivery.preflight import Refusal
from luigi_tasks.preview import brake, forecast
from luigi_tasks.terminal import Terminal, number, table


def show(call: str, terminal: Terminal | None = None) -> int:
    """Print some of the messages that would be sent for `call`, and what some of them change.

    Returns:
        The number of pending messages.
    """
    terminal, samples = terminal or Terminal(), config.delivery().sample_messages
    pending = sum(messages for _, messages, _ in outbox.pending_by_event(call))
    terminal.say(f"{call}: {pending:,} messages would be sent", style="bold")
    if pending:
        terminal.say("Samples, with personal data as it would be sent:")
    for row in outbox.samples(call, samples):
        _show_message(terminal, row)
    for change in forecast.changes(call, samples):
        _show_change(terminal, change)
    return pending


def show_totals(terminal: Terminal) -> int:
    """Print counts, what sending would mean at Segment, and what the brake says.

    Returns:
        The number of pending messages.
    """
    plan = [forecast.lines(call) for call in forecast.CALLS]
    lines = [line for lines in plan for line in lines]
    terminal.show(_table(lines))
    say_what_is_held(terminal, sum(line.held for line in lines))
    cost, rate = forecast.cost(plan), config.delivery().events_per_second
    terminal.say(
        f"Expected at Segment: {cost.messages:,} messages in about {cost.requests:,} requests, "
        f"{cost.seconds:,.0f} s at {rate:,g} messages per second; {cost.users:,} users, "
        f"{cost.billed_users:,} of them for the first time this month (Segment bills each user "
        "once a month)."
    )
    if cost.billed_guests:
        terminal.say(
            f"{cost.billed_guests:,} of the users to be billed are guests who are known by their "
            "e-mail address: Segment bills one monthly tracked user per guest e-mail and month. "
            "With the variable guest_orders: store_only the guests of a store are one user, and "
            "their addresses are not sent."
        )
    for objection in brake.objections():
        terminal.say(f"The brake would refuse this run: {objection}", style="red")
    return cost.messages


def say_what_is_held(terminal: Terminal, held: int) -> None:
    """Say where to look when something should go out and breaks a rule."""
    if held:
        terminal.say(
            f"{held:,} held, until the data or the mapping is fixed. Each with the reason and what "
            "to do: python -m luigi_tasks.status, or the view segment_failed_events."
        )


def _table(lines: list[forecast.Line]) -> Table:
    names = ("new", "changed", "again", "unchanged", "held", "MB")
    rows: list[tuple[object, ...]] = [
        (
            line.event,
            line.new,
            line.changed,
            line.again,
            line.unchanged,
            line.held,
            f"{line.size / 1e6:,.2f}",
        )
        for line in lines
    ]
    empty = ("nothing", 0, 0, 0, 0, 0, "0.00")
    return table("", ("event", *map(number, names)), rows or [empty])


def _show_message(terminal: Terminal, row: outbox.OutboxRow) -> None:
    checked = preflight.check(row)
    if isinstance(checked, Refusal):
        terminal.say(f"Would be rejected, {checked.reason_code}: {checked.detail}")
        terminal.say(row.message)
    else:
        terminal.show_json(checked.row.message)


def _show_change(terminal: Terminal, change: forecast.Change) -> None:
    terminal.say(f"Changes {change.event} of {change.entity} {change.entity_id}")
    for field, before, now in change.fields:
        line = f"  {field}: {before or 'absent'} -> {now or 'absent'}"
        terminal.say(line)
