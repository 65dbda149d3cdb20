"""The dry run: shows what would go out, and records nothing.

The samples are shown as they would be sent, personal data included: this is the user's own
terminal, and a masked message would hide what is to be checked.
"""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from luigi_tasks import brake, config, forecast, outbox, preflight
from luigi_tasks.preflight import Refusal


def show(call: str, console: Console | None = None) -> int:
    """Print some of the messages that would be sent for `call`, and what some of them change.

    Returns:
        The number of pending messages.
    """
    console, samples = console or Console(), config.delivery().sample_messages
    pending = sum(messages for _, messages, _ in outbox.pending_by_event(call))
    console.print(f"{call}: {pending:,} messages would be sent", style="bold", highlight=False)
    if pending:
        console.print("Samples, with personal data as it would be sent:")
    for row in outbox.samples(call, samples):
        _show_message(console, row)
    for change in forecast.changes(call, samples):
        _show_change(console, change)
    return pending


def show_totals(console: Console) -> int:
    """Print counts, what sending would mean at Segment, and what the brake says.

    Returns:
        The number of pending messages.
    """
    plan = [forecast.lines(call) for call in forecast.CALLS]
    console.print(_table([line for lines in plan for line in lines]))
    cost, rate = forecast.cost(plan), config.delivery().events_per_second
    console.print(
        f"Expected at Segment: {cost.messages:,} messages in about {cost.requests:,} requests, "
        f"{cost.seconds:,.0f} s at {rate:,g} messages per second; {cost.users:,} users, "
        f"{cost.billed_users:,} of them for the first time this month (Segment bills each user "
        "once a month).",
        highlight=False,
    )
    for objection in brake.objections():
        console.print(f"The brake would refuse this run: {objection}", style="red", highlight=False)
    return cost.messages


def _table(lines: list[forecast.Line]) -> Table:
    table = Table()
    table.add_column("event")
    for name in ("new", "changed", "again", "unchanged", "held", "MB"):
        table.add_column(name, justify="right")
    for line in lines:
        counts = (line.new, line.changed, line.again, line.unchanged, line.held)
        table.add_row(line.event, *(f"{count:,}" for count in counts), f"{line.size / 1e6:,.2f}")
    if not lines:
        table.add_row("nothing", *"00000", "0.00")
    return table


def _show_message(console: Console, row: outbox.OutboxRow) -> None:
    checked = preflight.check(row)
    if isinstance(checked, Refusal):
        console.print(Text(f"Would be rejected, {checked.reason_code}: {checked.detail}"))
        console.print(Text(row.message))
    else:
        console.print_json(checked.row.message)


def _show_change(console: Console, change: forecast.Change) -> None:
    console.print(f"Changes {change.event} of {change.entity} {change.entity_id}", highlight=False)
    for field, before, now in change.fields:
        line = f"  {field}: {before or 'absent'} -> {now or 'absent'}"
        console.print(Text(line), soft_wrap=True)
