"""What must be true of a delivery, at every instant and at its end."""

from __future__ import annotations

import json
from collections import Counter

from tests.chaos.world import MOST_HELD, World


def check_instant(world: World) -> None:
    """Check what holds whenever no sender runs, whatever happened to the last one.

    - Every due message is in exactly one of: accepted, rejected, still in the outbox.
    - What the ledger calls accepted has arrived; what it calls rejected is poison.
    - Nothing is twice in the ledger, nothing is published twice, nothing came from nowhere.
    """
    ledger, pending, arrived = world.ledger(), world.pending(), world.arrived()
    accepted = {row[0] for row in ledger if row[1] == "accepted"}
    rejected = {row[0]: row[2] for row in ledger if row[1] == "rejected"}
    published = [message for message in arrived if message.state == "accepted"]

    books = Counter([*accepted, *rejected, *pending])
    assert set(books) == set(world.due), "a message was lost, or one came from nowhere"
    assert max(books.values(), default=1) == 1, "a message is in two places of the books"
    assert len(ledger) == len(accepted) + len(rejected), "a message is twice in the ledger"

    received = {message.message_id for message in published}
    assert len(received) == len(published), "a message was published twice"
    assert accepted <= received, "the ledger calls a message accepted that Segment does not have"
    assert received <= set(world.due), "Segment has a message that was not due"
    assert not any(message.state == "dropped" for message in arrived), "Segment dropped a message"
    expected = {name: message.reason for name, message in world.due.items() if message.reason}
    assert rejected.items() <= expected.items(), "a good message was rejected"
    assert not received & set(expected), "a poison message was published"


def check_settled(world: World) -> None:
    """Check what holds when the sender has said that it is done."""
    check_instant(world)
    assert world.pending() == []
    good = {name for name, message in world.due.items() if not message.reason}
    published = [message for message in world.arrived() if message.state == "accepted"]
    assert {message.message_id for message in published} == good, "received set is not due set"
    for message in published:
        assert json.loads(message.raw) == json.loads(world.due[message.message_id].text)
    _check_order(world, [message.message_id for message in published])


def _check_order(world: World, published: list[str]) -> None:
    """A user's identify precedes his events; his events go in the order of the outbox."""
    place = {name: number for number, name in enumerate(published)}
    last: dict[str, int] = {}
    for name, message in world.due.items():
        if name in place:
            assert last.get(message.user, -1) < place[name], f"{message.user}: order of arrival"
            last[message.user] = place[name]


def check_copies(world: World, interrupted: int) -> None:
    """Check that no message went out more often than the failures explain.

    A message is sent again only when its last request was not answered with a plain success, or
    when the run that sent it ended before it could write what it held into the ledger.

    Args:
        world: The world.
        interrupted: How many runs were killed or could not write into ClickHouse.
    """
    plain = {number for number, status, fault in world.requests() if status == 200 and not fault}
    arrivals = Counter(item.message_id for item in world.arrived() if item.request_id in plain)
    copies = sum(count - 1 for count in arrivals.values())
    assert copies <= interrupted * MOST_HELD, "messages were sent again without a reason"
