"""What a sync would send and cost, told from the tables alone."""

import uuid
from typing import Any

import pytest

from luigi_tasks.preview import dry_run, forecast
from luigi_tasks.preview.forecast import Change, Line
from luigi_tasks.terminal import Terminal
from tests.integration.delivery import Outbox, customers, orders, outbox

__all__ = ["outbox"]


def settle(tables: Outbox, call: str) -> None:
    """Let Segment have accepted all that is pending, just now."""
    tables.client.command(
        f"insert into {tables.database}.segment_delivery_ledger"
        " (message_id, call, event, entity, entity_id, status, enqueued_at, sent_at)"
        " select message_id, call, event, entity, entity_id, 'accepted', enqueued_at, now64(3)"
        f" from {tables.database}.segment_{call}_outbox"
    )


def set_payload(tables: Outbox, call: str, expression: str) -> None:
    """Give the messages of an events table a payload_hash; `number` is that of the entity."""
    tables.client.command(
        f"alter table {tables.database}.segment_{call}_events update payload_hash = {expression}"
        f" where message_id in (select message_id from {tables.database}.segment_{call}_outbox)"
        " settings mutations_sync = 1"
    )


def named(count: int, **traits: Any) -> list[dict[str, Any]]:
    """Customers with the same traits."""
    return [{"userId": str(5000 + n), "traits": {"n": n, **traits}} for n in range(count)]


def test_new_changed_requeued_and_unchanged_are_told_apart(outbox: Outbox) -> None:
    outbox.enqueue("identify", named(10, city="Ghent"))
    settle(outbox, "identify")
    # 0 and 1 changed, 2 requeued; 3 to 9 unchanged; 10 and 11 new.
    outbox.enqueue("identify", named(3, city="Bruges"))
    set_payload(outbox, "identify", "if(entity_id = '2', 'hash', 'other')")
    outbox.client.command(
        f"insert into {outbox.database}.segment_identify_events"
        " select * replace (generateUUIDv4() as message_id, concat('1', entity_id) as entity_id)"
        f" from {outbox.database}.segment_identify_outbox where user_id in ('5000', '5001')"
    )
    [line] = forecast.lines("identify")
    assert (line.new, line.changed, line.again, line.unchanged) == (2, 2, 1, 7)
    assert line.messages == outbox.pending("identify") == 5


def test_what_is_held_is_counted_with_its_event(outbox: Outbox) -> None:
    held = {
        "unsendable_orders": [
            {"entity_id": "1", "event_type": "Order Refunded", "error_code": "sid_malformed"},
            {"entity_id": "2", "event_type": "Order Refunded", "error_code": "currency_unmapped"},
        ],
        "customers": [
            {"source_sid": "1", "failure_code": "sid_malformed", "exclusion_reason": None},
            {"source_sid": "2", "failure_code": "sid_malformed", "exclusion_reason": "inactive"},
            {"source_sid": "3", "failure_code": None, "exclusion_reason": None},
        ],
        "segment_delivery_ledger": [
            {
                **{"message_id": uuid.uuid4(), "call": "track", "event": "", "entity": "order"},
                **{"entity_id": "2", "status": "resolved", "reason_code": "currency_unmapped"},
            }
        ],
    }
    for table, rows in held.items():
        outbox.client.insert(
            table,
            [list(row.values()) for row in rows],
            column_names=list(rows[0]),
            database=outbox.database,
        )
    assert forecast.lines("identify") == [Line("Identify", held=1)]
    assert forecast.lines("track") == [Line("Order Refunded", held=1)]


def test_an_updated_order_is_a_change_of_the_order(outbox: Outbox) -> None:
    outbox.enqueue("track", [{"event": "Order Completed", "properties": {"total": 5}}])
    settle(outbox, "track")
    outbox.enqueue("track", [{"event": "Order Updated", "properties": {"total": 4}}])
    set_payload(outbox, "track", "'other'")
    lines = {line.event: line for line in forecast.lines("track")}
    assert (lines["Order Updated"].changed, lines["Order Updated"].new) == (1, 0)
    assert forecast.changes("track", 5) == [
        Change(
            "Order Updated",
            "order",
            "0",
            [
                ("event", '"Order Completed"', '"Order Updated"'),
                ("properties.total", "5", "4"),
            ],
        )
    ]


def test_changes_show_what_a_field_was_and_is(outbox: Outbox) -> None:
    outbox.enqueue("identify", named(3, city="Ghent", phone="1"))
    settle(outbox, "identify")
    outbox.enqueue("identify", named(3, city="Bruges"))
    set_payload(outbox, "identify", "'other'")
    found = forecast.changes("identify", 2)
    assert [change.entity_id for change in found] == ["0", "1"]
    assert found[0].fields == [
        ("traits.city", '"Ghent"', '"Bruges"'),
        ("traits.phone", '"1"', ""),
    ]


def test_the_cost_counts_messages_requests_time_and_users(outbox: Outbox) -> None:
    outbox.enqueue("identify", customers(150))
    settle(outbox, "identify")
    outbox.enqueue("identify", customers(120))
    outbox.enqueue("track", orders(201))
    cost = forecast.cost([forecast.lines(call) for call in forecast.CALLS])
    assert (cost.messages, cost.requests) == (321, 2 + 3)
    assert cost.seconds == pytest.approx(0.321)
    # 5000 to 5149 had a message this month, the orders' 5150 to 5200 did not.
    assert (cost.users, cost.billed_users) == (201, 51)


def test_guests_who_are_billed_for_their_address_are_counted(
    outbox: Outbox, capsys: pytest.CaptureFixture[str]
) -> None:
    known, anew = "retail-pro-guest-1", "retail-pro-guest-2"
    order = {"event": "Order Completed", "properties": {"total": 5}}
    outbox.enqueue("track", [{"anonymousId": known, **order}])
    settle(outbox, "track")
    ids = (known, anew, anew, "retail-pro-store-1")
    outbox.enqueue("track", [{"anonymousId": each, **order} for each in ids])
    cost = forecast.cost([forecast.lines(call) for call in forecast.CALLS])
    assert (cost.users, cost.billed_users, cost.billed_guests) == (3, 2, 1)
    dry_run.show_totals(Terminal())
    said = " ".join(capsys.readouterr().out.split())
    assert "1 of the users to be billed are guests who are known by their e-mail address" in said
    assert "one monthly tracked user per guest e-mail and month" in said
    assert "guest_orders: store_only" in said


def test_who_got_a_message_last_month_is_billed_again(outbox: Outbox) -> None:
    outbox.enqueue("identify", customers(3))
    outbox.client.command(
        f"insert into {outbox.database}.segment_delivery_ledger"
        " (message_id, call, status, enqueued_at, sent_at)"
        " select message_id, call, 'accepted', enqueued_at, toStartOfMonth(now('UTC')) - 1"
        f" from {outbox.database}.segment_identify_outbox"
    )
    outbox.enqueue("identify", customers(3))
    cost = forecast.cost([forecast.lines(call) for call in forecast.CALLS])
    assert (cost.users, cost.billed_users) == (3, 3)
