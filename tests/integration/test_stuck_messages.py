"""One message that Segment does not take: everybody else's go out, its user's wait, and it ends."""

import contextlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from luigi_tasks import config
from luigi_tasks.clickhouse import queries
from luigi_tasks.delivery import outbox as reader
from luigi_tasks.errors import SegmentUnavailableError
from tests.conftest import SegmentServer
from tests.integration.delivery import Outbox, Send, customers, orders, outbox, send, waits
from tests.integration.test_luigi_sync import PAST, Luigi, luigi

__all__ = ["luigi", "outbox", "send", "waits"]

POISON = "7150"
"""The order that Segment fails on."""


def fails_on(*order_ids: str, **fault: Any) -> list[dict[str, Any]]:
    """Faults for the requests that hold an order."""
    return [{"match": f'"order_id": "{each}"', **(fault or {"status": 500})} for each in order_ids]


def age_attempts(tables: Outbox, by: timedelta) -> None:
    """Move all requests into the past."""
    table = f"{tables.database}.segment_delivery_attempts"
    tables.client.command(f"create table {table}_old as {table}")
    moved = f"started_at - toIntervalSecond({int(by.total_seconds())}) as started_at"
    tables.client.command(f"insert into {table}_old select * replace ({moved}) from {table}")
    tables.client.command(f"exchange tables {table}_old and {table}")
    tables.client.command(f"drop table {table}_old")


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 500},
        {"status": 503},
        {"reset": "before"},
        {"body": "<html>", "accept": False},
        {"trickle_s": 0.05, "accept": False},
    ],
    ids=["500", "503", "reset", "unreadable", "trickle"],
)
def test_everything_else_goes_out(
    fault: dict[str, Any],
    outbox: Outbox,
    send: Send,
    segment_server: SegmentServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(config.segment(), "request_seconds", 1.0)
    ids = outbox.enqueue("track", [*orders(400), *orders(151)])
    segment_server.fault(*fails_on(POISON, **fault))
    counts = send()
    # The order itself, and the same user's later one.
    assert outbox.pending("track") == 2
    assert (counts.accepted, counts.stuck) == (549, 1)
    # Six for the good batches, the others to find the message.
    assert counts.requests <= 6 + 20
    ledger = outbox.ledger()
    assert {ids[150], ids[550]}.isdisjoint(ledger)
    assert {row[0] for row in ledger.values()} == {"accepted"}
    assert segment_server.stats()["duplicates"] == 0

    waits_for = queries.rows("explain_waits_for", sid="550", events="segment_track_events")
    assert [(entity, sid) for _, entity, sid, _ in waits_for] == [("order", "150")]

    before = counts.requests
    again = send()
    assert (again.accepted, again.stuck) == (0, 1)
    assert again.requests == 1, f"the first run needed {before} requests to find it"

    segment_server.fault()
    assert send().accepted == 2
    arrived = [item["message"]["messageId"] for item in segment_server.messages()]
    assert arrived[-2:] == [ids[150], ids[550]]


def test_several_of_them_in_one_batch(
    outbox: Outbox, send: Send, segment_server: SegmentServer
) -> None:
    outbox.enqueue("track", orders(100))
    bad = [str(7000 + number) for number in (0, 1, 2, 3, 50, 98, 99)]
    segment_server.fault(*fails_on(*bad))
    counts = send()
    assert (counts.accepted, counts.stuck) == (93, 7)
    assert send().requests == 7


@pytest.mark.parametrize("connections", ["1", "4"])
def test_nothing_else_is_pending(
    connections: str,
    outbox: Outbox,
    send: Send,
    segment_server: SegmentServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whether it is an outage cannot be told, so the task leaves it, and the next one shows."""
    monkeypatch.setenv("SEGMENT_CONNECTIONS", connections)
    outbox.enqueue("track", orders(1))
    segment_server.fault({"status": 500, "times": 1000})
    counts = send()
    assert (counts.accepted, counts.stuck) == (0, 1)
    assert counts.requests < 20


def test_an_outage_is_not_halved(
    outbox: Outbox, send: Send, segment_server: SegmentServer, waits: list[float]
) -> None:
    outbox.enqueue("track", orders(300))
    segment_server.fault({}, {"status": 503, "times": 10_000})
    with pytest.raises(SegmentUnavailableError, match="http_503"):
        send()
    sizes = [messages for *_, messages in outbox.attempts()[1:]]
    assert sizes[:3] == [100, 100, 100]
    assert set(sizes[3:]) == {1}
    # One request after each wait, and the waits are long.
    assert len(sizes) <= len(waits) + 1
    assert sum(waits) > 250
    assert len(outbox.ledger()) == 100
    segment_server.fault()
    assert send().accepted == 200


def test_each_document_of_a_stores_guests_stands_alone(
    outbox: Outbox, send: Send, segment_server: SegmentServer
) -> None:
    outbox.enqueue("track", orders(50))
    events = f"{outbox.database}.segment_track_events"
    outbox.client.command(
        f"alter table {events} update anonymous_id = 'retail-pro-store-1', user_id = ''"
        " where true settings mutations_sync = 1"
    )
    segment_server.fault(*fails_on("7005"))
    counts = send()
    assert (counts.accepted, counts.stuck) == (49, 1)


def test_after_some_days_it_is_rejected_and_the_watermark_moves(
    outbox: Outbox, send: Send, segment_server: SegmentServer
) -> None:
    ids = outbox.enqueue("track", orders(20))
    segment_server.fault(*fails_on("7004"))
    for _ in range(3):
        outbox.enqueue("track", orders(1))
        assert send().stuck == 1
        age_attempts(outbox, timedelta(days=1))
    assert outbox.pending("track") == 1
    outbox.enqueue("track", orders(1))
    counts = send()
    assert (counts.rejected, counts.stuck) == (1, 0)
    status, reason, http_status, tries = outbox.ledger()[ids[4]]
    assert (status, reason, http_status) == ("rejected", "http_500", 500)
    assert tries >= 4
    reader.advance_watermark("track")
    [(settled,)] = outbox.rows(
        "select max(settled_until) >= (select max(enqueued_at) from {db}.segment_track_events) "
        "from {db}.segment_outbox_watermarks"
    )
    assert settled


def test_days_of_outage_reject_nothing(
    outbox: Outbox, send: Send, segment_server: SegmentServer
) -> None:
    outbox.enqueue("track", orders(5))
    segment_server.fault({"status": 503, "times": 100_000})
    for _ in range(4):
        # Of so few messages each has asked alone whether Segment is there.
        with contextlib.suppress(SegmentUnavailableError):
            send()
        age_attempts(outbox, timedelta(days=1))
    segment_server.fault(*fails_on("7001"))
    counts = send()
    assert (counts.accepted, counts.rejected, counts.stuck) == (4, 0, 1)


@pytest.mark.timeout(180)
def test_a_stuck_customer_holds_up_nobody_else_and_the_run_ends_red(
    luigi: Luigi, outbox: Outbox, segment_server: SegmentServer, tmp_path: Path
) -> None:
    beat = tmp_path / "beat"
    [stuck, *_] = outbox.enqueue("identify", customers(3))
    outbox.enqueue("track", orders(30))
    segment_server.fault({"status": 500, "match": "Customer 0"})
    done = luigi.run("SyncToSegment", "--slot", PAST, RUN_EVERY_HEARTBEAT=str(beat))
    assert done.returncode == 30, done.stderr
    assert outbox.pending("identify") == 1
    assert outbox.pending("track") == 1, "only that customer's order waits"
    assert "identify of customer 0" in done.stderr
    assert stuck in done.stderr
    assert "http_500" in done.stderr
    assert "2 still pending" in done.stdout
    assert beat.exists(), "all that could be sent was sent"


@pytest.mark.timeout(180)
@pytest.mark.parametrize("task", ["SendIdentify", "SendTrack"])
def test_a_send_task_that_is_asked_for_ends_red_itself(
    task: str, luigi: Luigi, outbox: Outbox, segment_server: SegmentServer
) -> None:
    [stuck, *_] = outbox.enqueue("identify", customers(3))
    outbox.enqueue("track", orders(30))
    segment_server.fault({"status": 500, "match": "Customer 0"})
    done = luigi.run(task, "--slot", PAST)
    assert done.returncode == 30, done.stderr
    assert "identify of customer 0 (http_500" in done.stderr
    assert stuck in done.stderr
    assert outbox.pending("identify") == 1
    assert outbox.pending("track") == (1 if task == "SendTrack" else 30)


def test_a_run_that_sends_nothing_gives_no_sign_of_life(
    luigi: Luigi, outbox: Outbox, segment_server: SegmentServer, tmp_path: Path
) -> None:
    outbox.enqueue("identify", customers(3))
    segment_server.fault({"status": 401, "times": 1000})
    beat = tmp_path / "beat"
    done = luigi.run("SyncToSegment", "--slot", PAST, RUN_EVERY_HEARTBEAT=str(beat))
    assert done.returncode == 30, done.stderr
    assert not beat.exists()
