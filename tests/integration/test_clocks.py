"""The clocks of a run, and what is left in the tables by one that was wrong."""

import logging
from datetime import datetime, timedelta, timezone

import pytest

from luigi_tasks.delivery import outbox as reader
from luigi_tasks.delivery import soundness
from luigi_tasks.errors import ConfigurationError
from luigi_tasks.runs import clocks
from luigi_tasks.runs.markers import MarkerTarget
from tests.conftest import SegmentServer
from tests.integration.delivery import Outbox, Send, customers, orders, outbox, send, waits
from tests.processes import free_port

__all__ = ["outbox", "send", "waits"]

pytestmark = pytest.mark.usefixtures("outbox")
TWO_DAYS = 172_800


def clickhouse_is_ahead(seconds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put ClickHouse's clock wrong for the question that asks it."""
    shifted = f"now64(6, 'UTC') + toIntervalSecond({seconds})"
    monkeypatch.setattr(clocks, "CLOCK", clocks.CLOCK.replace("now64(6, 'UTC')", shifted))


def test_clocks_that_agree_pass(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        clocks.check()
    assert "ClickHouse's clock is +0 s from this machine's" in caplog.text
    assert "This machine's clock is +0 s from that of http://127.0.0.1" in caplog.text
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("offset", [-TWO_DAYS, TWO_DAYS])
def test_a_wrong_clock_of_clickhouse_is_refused(
    offset: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clickhouse_is_ahead(offset, monkeypatch)
    with pytest.raises(ConfigurationError, match="ClickHouse's clock is") as caught:
        clocks.check()
    assert f"{offset:+,} s" in str(caught.value)
    assert "Nothing was loaded, built or sent" in str(caught.value)


@pytest.mark.parametrize("offset", [-300, 300])
def test_a_clock_that_is_not_segments_is_refused(
    offset: int, segment_server: SegmentServer
) -> None:
    segment_server.configure(clock_offset_s=offset)
    with pytest.raises(ConfigurationError, match=r"clock is [+-](299|300|301) s from that of"):
        clocks.check()


def test_a_dry_run_does_not_ask_segment(
    segment_server: SegmentServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment_server.configure(clock_offset_s=300)
    monkeypatch.setenv("SEGMENT_WRITE_KEY", "")
    clocks.check()
    clickhouse_is_ahead(TWO_DAYS, monkeypatch)
    with pytest.raises(ConfigurationError, match="ClickHouse's clock"):
        clocks.check()


def test_a_segment_that_is_away_is_reported(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SEGMENT_HOST", f"http://127.0.0.1:{free_port()}")
    clocks.check()
    assert "cannot be reached" in caplog.text


def put_watermark(tables: Outbox, call: str, until: str) -> None:
    """Set a watermark, as a sync did while the clock was ahead."""
    tables.client.command(
        f"insert into {tables.database}.segment_outbox_watermarks select '{call}', {until}, {until}"
    )


def test_a_sync_without_trouble_has_no_concerns(outbox: Outbox, send: Send) -> None:
    assert soundness.concerns() == []
    outbox.enqueue("track", orders(3))
    send()
    reader.advance_watermark("track")
    assert soundness.concerns() == []


def test_what_was_left_behind_is_said(outbox: Outbox, send: Send) -> None:
    """As an older version left it, under a watermark of two days later."""
    outbox.enqueue("identify", customers(5))
    send("identify")
    put_watermark(outbox, "identify", "now64(6) + interval 2 day")
    put_watermark(outbox, "track", "now64(6)")
    outbox.enqueue("identify", customers(4))
    outbox.enqueue("track", orders(1))
    assert outbox.pending("identify") == outbox.pending("track") == 0

    behind, ahead, track = soundness.concerns()
    assert behind.startswith("4 identify messages lie below the watermark and were never settled")
    assert "dbt run-operation reconcile" in behind
    assert "The watermark of identify is" in ahead
    assert "48.0 hours ahead of ClickHouse's clock" in ahead
    assert track.startswith("1 track messages")

    # What entered before a purge has lost its ledger rows there.
    outbox.client.command(
        f"insert into {outbox.database}.segment_delivery_purges"
        " select 'track', now64(6), now64(3), 0"
    )
    assert soundness.concerns() == [behind, ahead]


def test_only_the_last_two_months_are_read(outbox: Outbox) -> None:
    outbox.enqueue("track", orders(1))
    events = f"{outbox.database}.segment_track_events"
    outbox.client.command(
        f"insert into {events} select * replace (generateUUIDv4() as message_id,"
        " enqueued_at - interval age day as enqueued_at)"
        f" from {events} array join [40, 80] as age"
    )
    put_watermark(outbox, "track", "now64(6)")
    assert reader.left_behind("track").messages == 2


def test_the_watermark_follows_messages_that_are_ahead_of_the_clock(outbox: Outbox) -> None:
    outbox.enqueue("track", orders(2))
    events = f"{outbox.database}.segment_track_events"
    outbox.client.command(
        f"insert into {events} select * replace (enqueued_at + interval 3 day as enqueued_at)"
        f" from {events}"
    )
    outbox.client.command(
        f"insert into {outbox.database}.segment_delivery_ledger (message_id, call, enqueued_at)"
        f" select message_id, call, enqueued_at from {events}"
    )
    put_watermark(outbox, "track", "now64(6) + interval 2 day")

    def behind() -> int:
        [(seconds,)] = outbox.rows(
            "select dateDiff('second', max(settled_until), (select max(enqueued_at) from"
            " {db}.segment_track_events)) from {db}.segment_outbox_watermarks"
        )
        return int(seconds)

    reader.advance_watermark("track")
    assert behind() == 3600, "the lag, behind the place of new messages"
    # A merge keeps the record with the latest time, which must be the last one.
    outbox.client.command(f"optimize table {outbox.database}.segment_outbox_watermarks final")
    assert behind() == 3600


def test_a_marker_counts_when_the_clock_was_set_back_meanwhile(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    started_at = datetime.now(timezone.utc) + timedelta(days=2)
    marker = MarkerTarget("BuildOutbox/now", not_before=started_at)
    assert not marker.exists()
    marker.touch()
    assert marker.exists()
