"""Rows of the outbox for tests that need no database."""

import json
from typing import Any

from luigi_tasks.delivery.outbox import OutboxRow

MESSAGE_ID = "0123456789abcdef0123456789abcdef"


def body(**changes: Any) -> dict[str, Any]:
    """A correct track message, with changes; a value of None stays, `...` removes the field."""
    message = {
        "messageId": MESSAGE_ID,
        "type": "track",
        "event": "Order Completed",
        "userId": "5001",
        "timestamp": "2026-01-31T10:00:00.000Z",
        "properties": {"order_id": "7001", "total": 12.5},
        **changes,
    }
    return {name: value for name, value in message.items() if value is not ...}


def row(message: str | None = None, call: str = "track", **changes: Any) -> OutboxRow:
    """A row with the given message text, or with `body(**changes)`."""
    text = message if message is not None else json.dumps(body(type=call, **changes))
    return OutboxRow(MESSAGE_ID, call, "Order Completed", "order", "7001", text)
