"""How large a message is in a request, by how it is posted.

As ClickHouse rendered it, in UTF-8 and without blanks, is the smallest form: what is too large in
it cannot be sent at all. The SDK writes ASCII with blanks after separators, so a message in Greek
takes three times as much there. What is too large in that form only is posted as it was rendered.
"""

from __future__ import annotations

import json
from typing import Any

from segment.analytics.consumer import MAX_MSG_SIZE

MAX_MESSAGE_BYTES: int = MAX_MSG_SIZE
"""What Segment takes of one message."""


def rendered_bytes(message: str) -> int:
    """Return the bytes of a message as it was rendered."""
    return len(message) if message.isascii() else len(message.encode(errors="replace"))


def sdk_bytes(body: dict[str, Any]) -> int:
    """Return the bytes of a message as the SDK encodes it."""
    return len(json.dumps(body))


def most_sdk_bytes(message: str) -> int:
    """Return what a message takes at most as the SDK encodes it, without reading its JSON.

    An escaped character takes 6 bytes instead of 2 or 3, or 12 instead of 4; commas and colons in
    texts are counted as if they were separators.
    """
    size = len(message) + message.count(",") + message.count(":")
    return size + 5 * (rendered_bytes(message) - len(message))


def is_too_large_for_the_sdk(message: str) -> bool:
    """Tell whether the SDK would make more of a message than Segment takes."""
    return (
        most_sdk_bytes(message) > MAX_MESSAGE_BYTES
        and sdk_bytes(json.loads(message)) > MAX_MESSAGE_BYTES
    )
