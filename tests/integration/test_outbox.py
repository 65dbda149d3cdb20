"""The outbox as the sender reads it, in a real ClickHouse."""

from datetime import datetime, timedelta

import pytest

from luigi_tasks.delivery import outbox as reader
from luigi_tasks.errors import ClickHouseUnavailableError, OutboxMissingError
from tests.conftest import SegmentServer
from tests.integration.delivery import Outbox, Send, customers, orders, outbox, send, waits
from tests.processes import free_port

__all__ = ["outbox", "send", "waits"]


def test_messages_that_come_in_during_a_run_wait_for_the_next(outbox: Outbox, send: Send) -> None:
    outbox.enqueue("track", orders(2))
    cut = reader.cut("track")
    outbox.enqueue("track", orders(2))
    assert sum(len(page) for page in reader.pages("track", cut, 1)) == 2


def test_what_was_settled_is_not_read_again(outbox: Outbox) -> None:
    """A merge puts the new rows of the ledger into one part with the old ones."""
    outbox.client.command(
        f"insert into {outbox.database}.segment_delivery_ledger (message_id, call, enqueued_at) "
        "select generateUUIDv4(), 'track', "
        "now64(6) - interval 3 hour + interval number microsecond from numbers(20000)"
    )
    outbox.client.command(f"optimize table {outbox.database}.segment_delivery_ledger final")
    outbox.client.command(
        f"insert into {outbox.database}.segment_outbox_watermarks select 'track', "
        f"max(enqueued_at) - interval 100 microsecond, now() "
        f"from {outbox.database}.segment_delivery_ledger"
    )
    outbox.enqueue("track", orders(10))
    read = outbox.client.query(f"select count() from {outbox.database}.segment_track_outbox")
    assert read.result_rows == [(10,)]
    assert int(read.summary["read_rows"]) < 1000


def test_pages_neither_skip_nor_repeat(outbox: Outbox) -> None:
    ids = outbox.enqueue("track", orders(10))
    cut = reader.cut("track")
    for size in (1, 3, 5, 10, 11):
        pages = list(reader.pages("track", cut, size))
        assert [row.message_id for page in pages for row in page] == ids
        assert max(len(page) for page in pages) <= size


def test_orders_wait_for_their_own_customer(outbox: Outbox, send: Send) -> None:
    """Another run may have built after this one sent its customers, or one may be stuck."""
    ids = outbox.enqueue("track", orders(3))
    outbox.enqueue("identify", customers(1))
    cut = reader.cut("track")
    assert cut.messages == 2
    assert [row.message_id for page in reader.pages("track", cut, 10) for row in page] == ids[1:]
    assert send("track").accepted == 2
    assert send("identify").accepted == 1
    assert reader.cut("track").messages == 1


def test_the_watermark_moves_up_to_what_is_settled_and_never_back(
    outbox: Outbox, send: Send, segment_server: SegmentServer
) -> None:
    def watermark() -> datetime:
        [(until,)] = outbox.rows("select max(settled_until) from {db}.segment_outbox_watermarks")
        assert isinstance(until, datetime)
        return until

    outbox.enqueue("track", orders(3))
    [(first, last)] = outbox.rows(
        "select min(enqueued_at), max(enqueued_at) from {db}.segment_track_events"
    )
    reader.advance_watermark("track")
    assert watermark() == first - timedelta(microseconds=1)
    send()
    reader.advance_watermark("track")
    assert watermark() == last
    reader.advance_watermark("track")
    assert watermark() == last
    # `reconcile` has set it back: it comes to the same place once more.
    table = f"{outbox.database}.segment_outbox_watermarks"
    outbox.client.command(f"insert into {table} values ('track', '{first:%F %T.%f}', now64(6))")
    outbox.client.command(
        f"alter table {table} delete where settled_until > '{first:%F %T.%f}'"
        " settings mutations_sync = 2"
    )
    assert watermark() == first
    reader.advance_watermark("track")
    assert watermark() == last
    assert outbox.rows(
        "select count() from {db}.segment_outbox_watermarks where call = 'identify'"
    ) == [(0,)]


def test_the_watermark_stays_behind_the_clock(outbox: Outbox, send: Send) -> None:
    outbox.enqueue("track", orders(1))
    events = f"{outbox.database}.segment_track_events"
    outbox.client.command(
        f"insert into {events} select * replace(now64(6, 'UTC') as enqueued_at) from {events}"
    )
    send()
    reader.advance_watermark("track")
    [(lag,)] = outbox.rows(
        "select dateDiff('second', max(settled_until), now64(6, 'UTC')) "
        "from {db}.segment_outbox_watermarks"
    )
    assert 3600 <= lag < 3660


def test_a_missing_outbox_is_named(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLICKHOUSE_DATABASE", "not_there")
    with pytest.raises(OutboxMissingError, match="dbt build"):
        reader.cut("track")


def test_a_missing_server_is_named(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLICKHOUSE_PORT", str(free_port()))
    with pytest.raises(ClickHouseUnavailableError, match="make up"):
        reader.cut("track")
