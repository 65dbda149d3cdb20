"""A ledger that lost rows is noticed before the same messages are sent again."""

import json
import logging
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from luigi_tasks.delivery import restore_alarm
from luigi_tasks.errors import BrakeError
from luigi_tasks.preview import brake
from tests.integration.delivery import Outbox, customers, orders, outbox, send, waits
from tests.integration.delivery import Send as SendIt

__all__ = ["outbox", "send", "waits"]


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks that only a real workspace needs are on; nothing is sent under this name."""
    monkeypatch.setattr("luigi_tasks.config.is_sandbox", lambda host: False)


def drop_ledger(tables: Outbox, call: str) -> None:
    tables.client.command(
        f"alter table {tables.database}.segment_delivery_ledger delete where call = '{call}'"
        " settings mutations_sync = 2"
    )


def note(tables: Outbox) -> dict[str, dict[str, str]]:
    del tables
    path = restore_alarm._path()
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def test_what_would_be_sent_again_without_its_ledger_rows_stops_the_run(
    outbox: Outbox, send: SendIt
) -> None:
    outbox.enqueue("track", orders(150))
    send("track")
    drop_ledger(outbox, "track")
    outbox.enqueue("track", orders(10))
    with pytest.raises(BrakeError, match=r"150 pending track messages were probably sent before"):
        brake.check()


def test_a_run_that_broke_off_before_its_requests_were_recorded_is_no_lost_ledger(
    outbox: Outbox, send: SendIt
) -> None:
    outbox.enqueue("track", orders(150))
    send("track")
    outbox.client.command(f"truncate table {outbox.database}.segment_delivery_attempts")
    outbox.enqueue("track", orders(150))
    brake.check()


def test_an_older_backup_is_noticed(
    outbox: Outbox, send: SendIt, live: None, caplog: pytest.LogCaptureFixture
) -> None:
    outbox.enqueue("track", orders(120))
    send("track")
    restore_alarm.remember("track")
    assert restore_alarm.warnings() == {}

    # The backup is of before the delivery: neither ledger nor requests know of it.
    drop_ledger(outbox, "track")
    outbox.client.command(f"truncate table {outbox.database}.segment_delivery_attempts")
    with pytest.raises(BrakeError, match=r"(?s)restored from an older backup.*--brake-go-on"):
        brake.check()

    # Too few to stop for: the log says it.
    outbox.client.command(
        f"alter table {outbox.database}.segment_track_events delete where entity_id > '1'"
        " settings mutations_sync = 2"
    )
    with caplog.at_level(logging.WARNING):
        brake.check()
    assert "restored from an older backup" in caplog.text


def test_the_alarm_ends_with_the_next_message_that_is_settled(outbox: Outbox, live: None) -> None:
    outbox.enqueue("identify", customers(1))
    settle(outbox, datetime.now(timezone.utc))
    restore_alarm.remember("identify")
    drop_ledger(outbox, "identify")
    assert list(restore_alarm.warnings()) == ["identify"]
    settle(outbox, datetime.now(timezone.utc))
    assert restore_alarm.warnings() == {}


def test_a_purged_ledger_is_no_alarm(outbox: Outbox, live: None) -> None:
    settle(outbox, datetime.now(timezone.utc) - timedelta(days=50))
    restore_alarm.remember("identify")
    drop_ledger(outbox, "identify")
    outbox.client.command(
        f"insert into {outbox.database}.segment_delivery_purges"
        " select 'identify', now64(6) - interval 40 day, now64(3), 0"
    )
    assert restore_alarm.warnings() == {}


def test_another_database_or_namespace_has_a_note_of_its_own(
    outbox: Outbox, live: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle(outbox, datetime.now(timezone.utc))
    restore_alarm.remember("identify")
    drop_ledger(outbox, "identify")
    monkeypatch.setenv("SEGMENT_NAMESPACE", "another")
    assert restore_alarm.warnings() == {}
    settle(outbox, datetime.now(timezone.utc))
    restore_alarm.remember("identify")
    assert len(note(outbox)) == 2, "the other note is kept"


@pytest.mark.parametrize("text", ["", "[]", '{"a": 1}', '{"a": {"track": "soon"}}', "\x00"])
def test_a_damaged_note_warns_and_stops_nothing(
    outbox: Outbox, live: None, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    path: Path = restore_alarm._path()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    assert restore_alarm.warnings() == {}
    assert "cannot be read" in caplog.text
    settle(outbox, datetime.now(timezone.utc))
    restore_alarm.remember("identify")
    assert len(note(outbox)) == 1


def settle(tables: Outbox, enqueued_at: datetime) -> None:
    """Put an accepted message into the ledger."""
    tables.client.insert(
        "segment_delivery_ledger",
        [["identify", "accepted", enqueued_at]],
        column_names=["call", "status", "enqueued_at"],
        database=tables.database,
    )
