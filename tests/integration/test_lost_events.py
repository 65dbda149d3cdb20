"""Clocks that were ahead, and events tables that lost what was sent: nothing is lost or sent again.

One story in order, since each step starts from what the step before has left.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import pytest

from tests.integration.hostile_rows import Batch
from tests.integration.incremental import BUILD, CHANGES, RUN, Models, land
from tests.integration.test_incremental import make_models, sales

__all__ = ["make_models"]

pytestmark = pytest.mark.filterwarnings("ignore:invalid escape sequence:DeprecationWarning")

NOW = datetime.now(timezone.utc)
AHEAD = NOW + timedelta(days=2)
ONLY_THIS = ("run", "--select", "segment_track_events")


def sale(models: Models, sid: str, total: str, at: datetime) -> None:
    """A sale as another pipeline brings it, at a time by that pipeline's clock."""
    amounts = {"SALE_SUBTOTAL": total, "SALE_TOTAL_AMT": total}
    batch = sales({"SID": sid, "CURRENCY_NAME": "US DOLLARS", **amounts})
    for delivery in batch.deliveries:
        delivery.at = at
    land(models.client, models.landing, Batch(batch.deliveries, []))


def outbox(models: Models) -> list[tuple[str, str]]:
    """(event, SID) of what is to be sent."""
    return [
        (event, entity_id)
        for event, entity_id in models.rows(
            "select event, entity_id from {db}.segment_track_outbox order by enqueued_at"
        )
    ]


def deliver(models: Models) -> None:
    """Settle what is to be sent, as the sender does, and move the watermark."""
    models.client.command(
        f"insert into {models.database}.segment_delivery_ledger"
        " (message_id, call, event, entity, entity_id, status, payload_hash, enqueued_at)"
        " select message_id, call, event, entity, entity_id, 'accepted', payload_hash, enqueued_at"
        f" from {models.database}.segment_track_outbox"
    )
    settle(models, "(select max(enqueued_at) from {db}.segment_track_events)")


def settle(models: Models, until: str) -> None:
    """Move the watermark of track."""
    until = until.format(db=models.database)
    models.client.command(
        f"insert into {models.database}.segment_outbox_watermarks select 'track', {until}, now64(6)"
    )


def refusal(models: Models, *command: str) -> str:
    """What a command of dbt says that must fail."""
    done = models.dbt(*command)
    assert not done.success
    return "\n".join(str(message) for _, message in done.failures())


def test_what_was_settled_is_never_sent_again(make_models: Callable[..., Models]) -> None:
    models = make_models()
    sale(models, "11", "5", NOW - timedelta(hours=6))
    models.build(*BUILD)
    assert outbox(models) == [("Order Completed", "11")]

    # ClickHouse's clock and the pipeline's are two days ahead for one sync, then right again.
    sale(models, "12", "5", AHEAD)
    models.build(*CHANGES)
    deliver(models)
    settle(models, "now64(6) + interval 2 day")
    sale(models, "11", "6", NOW - timedelta(hours=3))
    models.build(*CHANGES)
    assert outbox(models) == [("Order Updated", "11")]
    [(placed, entered)] = models.rows(
        "select enqueued_at, entered_at from {db}.segment_track_outbox"
    )
    assert placed > entered + timedelta(days=1)
    assert abs(entered - datetime.now(timezone.utc).replace(tzinfo=entered.tzinfo)) < timedelta(
        hours=1
    )
    deliver(models)
    sale(models, "11", "7", NOW - timedelta(hours=2))
    models.build(*CHANGES)
    deliver(models)
    known = models.rows("select message_id, enqueued_at from {db}.segment_track_events order by 1")
    assert len(known) == 4

    # The table is emptied by accident: no build goes on, and none enters the history again.
    models.client.command(f"truncate table {models.database}.segment_track_events")
    for command in (CHANGES, (*ONLY_THIS, "--full-refresh")):
        assert "has lost messages: 4 that the ledger knows" in refusal(models, *command)
    assert outbox(models) == []

    models.build("run-operation", "restore_events")
    assert known == models.rows(
        "select message_id, enqueued_at from {db}.segment_track_events order by 1"
    )

    # One row of many is missed too, below the watermark.
    models.client.command(
        f"alter table {models.database}.segment_track_events delete where entity_id = '12'"
        " settings mutations_sync = 2"
    )
    assert "has lost messages: 1 that" in refusal(models, *ONLY_THIS)
    models.build("run-operation", "restore_events")
    assert models.value("select count() from {db}.segment_track_events") == 4

    # A change goes on where the chain was: with 6 again, the first Order Updated must not return.
    sale(models, "11", "6", NOW - timedelta(hours=1))
    models.build(*RUN)
    assert models.value("select is_rebuild from {db}.int_build_scope"), "what was pending was lost"
    assert outbox(models) == [("Order Updated", "11")]
    # Only the texts of what came back are lost.
    assert set(models.violations()) == {"a sale's last message says what the mart says"}
    deliver(models)

    # What a purge left is known to the events table only: 2 of 3 are gone, and in no ledger.
    models.client.command(
        f"insert into {models.database}.segment_delivery_purges"
        " select 'track', min(enqueued_at), now64(3), 3"
        f" from {models.database}.segment_track_events"
    )
    assert "and 2 of before the last purge" in refusal(models, *ONLY_THIS)
    restored = models.dbt("run-operation", "restore_events")
    assert not restored.success
    models.build("run-operation", "restore_events", "--args", "{give_up_purged: true}")
    models.build(*ONLY_THIS)

    models.client.command(f"drop table {models.database}.segment_track_events sync")
    assert "has lost messages: 4 that the ledger knows as settled, and 1 of before" in refusal(
        models, *ONLY_THIS
    )
