"""The dry run: shows what would go out, and records nothing.

The samples are shown as they would be sent, personal data included: this is the user's own
terminal, and a masked message would hide what is to be checked.
"""

from __future__ import annotations

import json

from rich.console import Console
from rich.table import Table
from rich.text import Text

from luigi_tasks import config, outbox, preflight
from luigi_tasks.preflight import Refusal


def show(call: str, console: Console | None = None) -> int:
    """Print what is pending for `call`: counts per event, then a few messages.

    Returns:
        The number of pending messages.
    """
    console = console or Console()
    pending = outbox.pending_by_event(call)
    console.print(f"Dry run, SEGMENT_WRITE_KEY is not set: {call} messages that would be sent")
    console.print(_table(call, pending))
    if pending:
        console.print("Samples, with personal data as it would be sent:")
    for row in outbox.samples(call, config.delivery().sample_messages):
        checked = preflight.check(row)
        if isinstance(checked, Refusal):
            console.print(Text(f"Would be rejected, {checked.reason_code}: {checked.detail}"))
            console.print(Text(row.message))
        else:
            console.print_json(json.dumps(checked.body))
    return sum(messages for _, messages, _ in pending)


def _table(call: str, pending: list[tuple[str, int, int]]) -> Table:
    table = Table()
    table.add_column("event")
    table.add_column("messages", justify="right")
    table.add_column("MB", justify="right")
    for event, messages, size in pending:
        table.add_row(event or call, f"{messages:,}", f"{size / 1e6:,.2f}")
    if not pending:
        table.add_row("nothing", "0", "0.00")
    return table
