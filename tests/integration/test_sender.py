"""The sender against a real ClickHouse and a Segment that misbehaves on demand."""

import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from clickhouse_connect.driver.exceptions import OperationalError
from luigi.configuration import get_config

from luigi_tasks.clickhouse import client as clickhouse
from luigi_tasks.delivery import outbox as reader
from luigi_tasks.delivery import sender
from luigi_tasks.delivery.ledger import Ledger
from luigi_tasks.errors import (
    ConfigurationError,
    CredentialsRefusedError,
    EverythingRejectedError,
    LeaseLostError,
    LedgerUnwrittenError,
    SegmentUnavailableError,
)
from luigi_tasks.runs.lease import Lease
from luigi_tasks.runs.markers import MarkerTarget
from tests.conftest import ClickHouseServer, SegmentServer
from tests.integration.delivery import SLOT, Outbox, Send, customers, orders, outbox, send, waits
from tests.processes import free_port

__all__ = ["outbox", "send", "waits"]

SetSetting = Callable[[str, str, float], None]


@pytest.fixture
def settings() -> Iterator[SetSetting]:
    """Changes a setting of luigi.cfg for the test."""
    parser, before = get_config(), []

    def change(section: str, name: str, value: float) -> None:
        before.append((section, name, parser.get(section, name)))
        parser.set(section, name, str(value))

    yield change
    for section, name, value in before:
        parser.set(section, name, value)


def test_everything_arrives_and_is_recorded(
    outbox: Outbox, send: Send, segment_server: SegmentServer
) -> None:
    ids = outbox.enqueue("track", orders(250))
    counts = send()
    assert (counts.accepted, counts.rejected, counts.requests) == (250, 0, 3)
    arrived = [item["message"]["messageId"] for item in segment_server.messages()]
    assert arrived == ids
    assert outbox.ledger() == dict.fromkeys(ids, ("accepted", "", 200, 1))
    assert outbox.attempts() == [
        ("accepted", "", 200, 100),
        ("accepted", "", 200, 100),
        ("accepted", "", 200, 50),
    ]
    assert outbox.pending("track") == 0


def test_a_second_run_sends_nothing(
    outbox: Outbox, send: Send, segment_server: SegmentServer
) -> None:
    outbox.enqueue("track", orders(3))
    send()
    assert send().requests == 0
    assert segment_server.stats()["received"] == 3


def test_nothing_leaves_for_a_suppressed_user(
    outbox: Outbox, send: Send, segment_server: SegmentServer, settings: SetSetting
) -> None:
    settings("delivery", "page_messages", 2)
    settings("delivery", "watermark_lag_seconds", 0)
    ids = outbox.enqueue("track", orders(4))
    outbox.client.command(
        f"insert into {outbox.database}.suppressed_users values ('5001'), (' 5003 ')"
    )
    counts = send()
    assert (counts.accepted, counts.suppressed, counts.settled) == (2, 2, 4)
    arrived = [item["message"]["messageId"] for item in segment_server.messages()]
    assert arrived == [ids[0], ids[2]]
    assert {outbox.ledger()[ids[number]] for number in (1, 3)} == {("resolved", "suppressed", 0, 0)}
    assert outbox.pending("track") == 0
    reader.advance_watermark("track")
    assert reader.watermark("track").settled_until > reader.EPOCH


def test_who_is_suppressed_while_a_page_is_sent_is_found_on_the_next_one(
    outbox: Outbox, send: Send, segment_server: SegmentServer, settings: SetSetting
) -> None:
    settings("delivery", "page_messages", 1)
    outbox.enqueue("track", [message | {"userId": "5000"} for message in orders(8)])
    insert = f"insert into {outbox.database}.suppressed_users values ('5000')"
    counts = send(on_change=lambda _: outbox.client.command(insert))
    # Meanwhile one page waits for its turn and one is read.
    assert counts.accepted <= 4
    assert counts.suppressed == 8 - counts.accepted
    assert outbox.pending("track") == 0


def test_the_ledger_holds_what_the_outbox_said(outbox: Outbox, send: Send) -> None:
    outbox.enqueue("identify", customers(1))
    send("identify")
    [row] = outbox.rows(
        "select call, event, entity, entity_id, payload_hash, dbt_invocation_id, slot, "
        "sent_at <= recorded_at from {db}.segment_delivery_ledger"
    )
    slot = SLOT.replace(tzinfo=timezone.utc)
    assert row == ("identify", "", "customer", "0", "hash", "build-1", slot, True)
    [same] = outbox.rows(
        "select (select (enqueued_at, message_bytes) from {db}.segment_delivery_ledger) = "
        "(select (enqueued_at, message_bytes) from {db}.segment_identify_events)"
    )
    assert same == (True,)


def test_a_passing_failure_is_repeated(
    outbox: Outbox, send: Send, segment_server: SegmentServer, waits: list[float]
) -> None:
    ids = outbox.enqueue("track", orders(2))
    segment_server.fault({"status": 500}, {"status": 503}, {})
    counts = send()
    assert (counts.accepted, counts.requests, counts.repeated) == (2, 3, 2)
    assert [attempt[:3] for attempt in outbox.attempts()] == [
        ("retryable", "http_500", 500),
        ("retryable", "http_503", 503),
        ("accepted", "", 200),
    ]
    assert set(outbox.ledger().values()) == {("accepted", "", 200, 3)}
    assert [item["message"]["messageId"] for item in segment_server.messages()] == ids
    assert 0.5 <= max(waits) <= 2


def test_retry_after_is_honoured_and_costs_no_attempt(
    outbox: Outbox, send: Send, segment_server: SegmentServer, waits: list[float]
) -> None:
    outbox.enqueue("track", orders(2))
    segment_server.fault(*[{"status": 429, "retry_after": 9}] * 8, {})
    assert send().accepted == 2
    assert len([seconds for seconds in waits if seconds > 8]) == 8
    [row] = outbox.rows("select max(retry_after_s) from {db}.segment_delivery_attempts")
    assert row == (9.0,)


def test_a_lost_answer_is_unknown_and_sent_again_with_the_same_ids(
    outbox: Outbox, send: Send, segment_server: SegmentServer
) -> None:
    ids = outbox.enqueue("track", orders(5))
    segment_server.fault({"reset": "after"})
    counts = send()
    assert (counts.accepted, counts.repeated) == (5, 1)
    assert [attempt[0] for attempt in outbox.attempts()] == ["unknown", "accepted"]
    stats = segment_server.stats()
    assert (stats["received"], stats["unique"], stats["duplicates"]) == (10, 5, 5)
    assert sorted(outbox.ledger()) == sorted(ids)


@pytest.mark.parametrize(
    ("fault", "verdict"),
    [
        ({"reset": "before"}, ("unknown", "connection_lost")),
        ({"status": 200, "body": '{"success": fal'}, ("unknown", "answer_unreadable")),
        ({"status": 200, "body": "<html>"}, ("unknown", "answer_unreadable")),
        ({"status": 200, "body": '{"success": false}'}, ("retryable", "success_false")),
    ],
)
def test_what_is_not_confirmed_is_not_accepted(
    fault: dict[str, object],
    verdict: tuple[str, str],
    outbox: Outbox,
    send: Send,
    segment_server: SegmentServer,
) -> None:
    outbox.enqueue("track", orders(1))
    segment_server.fault(fault)
    assert send().accepted == 1
    assert outbox.attempts()[0][:2] == verdict
    assert [row[3] for row in outbox.ledger().values()] == [2]


def test_a_slow_answer_is_unknown(
    outbox: Outbox, send: Send, segment_server: SegmentServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox.enqueue("track", orders(1))
    segment_server.fault({"delay_s": 2})
    settings = sender.config.segment()
    monkeypatch.setattr(settings, "timeout_seconds", 0.3)
    assert send().accepted == 1
    assert outbox.attempts()[0][:2] == ("unknown", "read_timeout")


def test_a_poison_message_is_isolated_and_the_rest_delivered(
    outbox: Outbox, send: Send, segment_server: SegmentServer
) -> None:
    ids = outbox.enqueue("track", orders(8))
    no, yes = {"status": 400}, {}
    # [0-7] no, [0-3] yes, [4-7] no, [4-5] no, [4] yes, [5] no, [6-7] yes
    segment_server.fault(no, yes, no, no, yes, no, yes)
    counts = send()
    assert (counts.accepted, counts.rejected, counts.requests) == (7, 1, 7)
    ledger = outbox.ledger()
    assert ledger.pop(ids[5])[:3] == ("rejected", "http_400", 400)
    assert {row[0] for row in ledger.values()} == {"accepted"}
    assert outbox.pending("track") == 0


def test_poison_at_the_very_beginning_is_recorded_once_something_was_accepted(
    outbox: Outbox, send: Send, segment_server: SegmentServer
) -> None:
    ids = outbox.enqueue("track", orders(2))
    segment_server.fault({"status": 400}, {"status": 400}, {})
    assert send().rejected == 1
    assert outbox.ledger()[ids[0]][0] == "rejected"


def test_when_everything_is_rejected_nothing_is_recorded(
    outbox: Outbox, send: Send, segment_server: SegmentServer
) -> None:
    outbox.enqueue("track", orders(4))
    segment_server.fault(*[{"status": 400}] * 7)
    with pytest.raises(EverythingRejectedError, match="SEGMENT_WRITE_KEY"):
        send()
    assert outbox.ledger() == {}
    assert outbox.pending("track") == 4


def test_a_few_messages_alone_are_rejected_only_if_the_key_was_good_lately(
    outbox: Outbox, send: Send, segment_server: SegmentServer
) -> None:
    [first] = outbox.enqueue("track", orders(1))
    segment_server.fault({"status": 400})
    with pytest.raises(EverythingRejectedError, match="SEGMENT_WRITE_KEY"):
        send()
    assert outbox.pending("track") == 1
    assert send().accepted == 1

    few = outbox.enqueue("track", orders(3))
    segment_server.fault(*[{"status": 400}] * 5)
    assert send().rejected == 3
    ledger = outbox.ledger()
    assert ledger[first][0] == "accepted"
    assert {ledger[message_id][0] for message_id in few} == {"rejected"}

    outbox.enqueue("track", orders(11))
    segment_server.fault(*[{"status": 400}] * 21)
    with pytest.raises(EverythingRejectedError, match="SEGMENT_WRITE_KEY"):
        send()
    assert outbox.pending("track") == 11


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_stops_the_run_and_rejects_nothing(
    status: int, outbox: Outbox, send: Send, segment_server: SegmentServer
) -> None:
    outbox.enqueue("track", orders(200))
    segment_server.fault({"status": status})
    with pytest.raises(CredentialsRefusedError, match="SEGMENT_WRITE_KEY"):
        send()
    assert outbox.ledger() == {}
    assert outbox.pending("track") == 200
    assert len(outbox.attempts()) == 1


def test_a_redirect_is_not_followed(
    outbox: Outbox, send: Send, segment_server: SegmentServer
) -> None:
    outbox.enqueue("track", orders(1))
    segment_server.fault({"redirect": f"{segment_server.url}/"})
    with pytest.raises(ConfigurationError, match="SEGMENT_HOST"):
        send()
    assert outbox.attempts() == [("rejected", "redirect", 302, 1)]
    assert outbox.ledger() == {}


def test_when_the_retries_are_used_up_the_rest_waits_for_the_next_run(
    outbox: Outbox, send: Send, segment_server: SegmentServer, settings: SetSetting
) -> None:
    settings("delivery", "retry_budget_seconds", 20)
    outbox.enqueue("track", orders(150))
    segment_server.fault({}, *[{"status": 502}] * 100)
    with pytest.raises(SegmentUnavailableError, match="100 of 150 accepted"):
        send()
    segment_server.fault()
    assert outbox.pending("track") == 50
    assert send().accepted == 50
    assert outbox.pending("track") == 0
    assert segment_server.stats()["duplicates"] == 0


def test_a_segment_that_is_away_costs_the_budget_and_one_request_at_a_time(
    outbox: Outbox,
    send: Send,
    waits: list[float],
    settings: SetSetting,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings("delivery", "retry_budget_seconds", 60)
    outbox.enqueue("track", orders(500))
    monkeypatch.setenv("SEGMENT_HOST", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(SegmentUnavailableError, match="run the same command again"):
        send()
    tried = outbox.attempts()
    assert set(tried) == {("retryable", "connection_failed", 0, 100)}
    assert 55 < sum(wait for wait in waits if wait >= 0.5) <= 60
    assert max(waits) <= 4.5
    assert outbox.pending("track") == 500


def test_a_wait_beyond_the_budget_is_not_begun(
    outbox: Outbox, send: Send, segment_server: SegmentServer, waits: list[float]
) -> None:
    outbox.enqueue("track", orders(1))
    segment_server.fault(*[{"status": 429, "retry_after": 120}] * 3)
    with pytest.raises(SegmentUnavailableError):
        send()
    assert len([seconds for seconds in waits if seconds > 110]) == 2


def test_a_message_that_segment_would_drop_is_not_sent(
    outbox: Outbox, send: Send, segment_server: SegmentServer
) -> None:
    bad = '{"messageId": "ID", "type": "track", "event": "Order Completed", "properties": {}}'
    ids = outbox.enqueue("track", [*orders(2), bad, *orders(1)])
    counts = send()
    assert (counts.accepted, counts.rejected) == (3, 1)
    assert outbox.ledger()[ids[2]] == ("rejected", "user_missing", 0, 0)
    assert segment_server.stats()["received"] == 3
    assert outbox.pending("track") == 0


def test_numbers_arrive_as_they_were_written(
    outbox: Outbox, send: Send, segment_server: SegmentServer
) -> None:
    template = '{"messageId": "ID", "type": "track", "event": "Order Completed", "userId": "1", '
    numbers = ["0.1", "12.50", "1234567.89", "99999999999.99", "9007199254740993"]
    texts = [template + f'"properties": {{"total": {number}}}}}' for number in numbers]
    ids = outbox.enqueue(
        "track", [*texts, template + '"properties": {"total": 0.1234567890123456789}}']
    )
    assert send().rejected == 1
    arrived = [item["message"]["properties"]["total"] for item in segment_server.messages()]
    assert [str(number) for number in arrived] == ["0.1", "12.5", *numbers[2:]]
    assert outbox.ledger()[ids[-1]][:2] == ("rejected", "number_inexact")


def test_an_order_in_time_survives_rejections_and_retries(
    outbox: Outbox, send: Send, segment_server: SegmentServer
) -> None:
    """One customer's orders, with poison among them and a lost answer: the good ones in order."""
    messages = [
        {
            "userId": "5000",
            "event": "Order Completed",
            "properties": {"order_id": f"{name}{number}"},
        }
        for number in range(60)
        for name in ["poison" if number in {0, 7, 41} else "good"]
    ]
    ids = outbox.enqueue("track", messages)
    segment_server.fault(
        {"reset": "after"}, {"status": 500}, {"status": 400, "match": "poison", "times": 1000}
    )
    counts = send()
    assert (counts.accepted, counts.rejected) == (57, 3)
    good = [found for number, found in enumerate(ids) if number not in {0, 7, 41}]
    # The reset came after the batch had arrived; what counts is when each was accepted first.
    assert [item["message"]["messageId"] for item in segment_server.messages(state="accepted")][
        -57:
    ] == good
    assert {found for found, row in outbox.ledger().items() if row[0] == "rejected"} == {
        ids[0],
        ids[7],
        ids[41],
    }


def test_what_had_no_clear_answer_goes_first_in_the_next_run_and_is_told(
    outbox: Outbox,
    send: Send,
    segment_server: SegmentServer,
    settings: SetSetting,
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings("delivery", "retry_budget_seconds", 2)
    first = outbox.enqueue("track", orders(100))
    segment_server.fault({"reset": "after", "times": 1000})
    with pytest.raises(SegmentUnavailableError):
        send()
    assert {attempt[0] for attempt in outbox.attempts()} == {"unknown"}
    segment_server.reset()
    later = outbox.enqueue("track", orders(50))
    caplog.clear()
    assert send().accepted == 150
    assert "100 track messages may have arrived already" in caplog.text
    assert "dedupe window" not in caplog.text
    arrived = [item["message"]["messageId"] for item in segment_server.messages()]
    assert arrived == first + later
    caplog.clear()
    outbox.enqueue("track", orders(1))
    send()
    assert "may have arrived" not in caplog.text


def test_old_doubts_are_told_as_such(
    outbox: Outbox,
    send: Send,
    segment_server: SegmentServer,
    settings: SetSetting,
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings("delivery", "retry_budget_seconds", 1)
    outbox.enqueue("track", orders(3))
    segment_server.fault({"reset": "before", "times": 1000})
    with pytest.raises(SegmentUnavailableError):
        send()
    attempts = f"{outbox.database}.segment_delivery_attempts"
    outbox.client.command(
        f"insert into {attempts} select * replace(started_at - interval 25 hour as started_at) "
        f"from {attempts}"
    )
    segment_server.reset()
    send()
    assert "3 of them are older than Segment's dedupe window (1 day, 0:00:00)" in caplog.text


def test_what_a_run_was_sending_when_it_died_is_told(
    outbox: Outbox, send: Send, caplog: pytest.LogCaptureFixture
) -> None:
    outbox.enqueue("track", orders(30))
    cut = reader.cut("track")
    with Lease() as lease:
        lease.begin("track", cut.first, cut.last)
    outbox.client.command(
        f"alter table {outbox.database}.segment_delivery_leases delete where released settings "
        "mutations_sync = 1"
    )
    # Its process is another one, which is gone.
    outbox.client.command(
        f"alter table {outbox.database}.segment_delivery_leases update process_start = '1' "
        "where 1 settings mutations_sync = 1"
    )
    outbox.enqueue("identify", customers(2))
    send("identify")
    assert "may have arrived" not in caplog.text
    send()
    assert "30 track messages may have arrived already" in caplog.text


def test_what_a_run_elsewhere_was_sending_when_it_died_is_told(
    outbox: Outbox, send: Send, settings: SetSetting, caplog: pytest.LogCaptureFixture
) -> None:
    settings("lease", "seconds", 1.5)
    outbox.enqueue("track", orders(30))
    cut = reader.cut("track")
    with Lease() as lease:
        lease.begin("track", cut.first, cut.last)
    table = f"{outbox.database}.segment_delivery_leases"
    now = "settings mutations_sync = 1"
    outbox.client.command(f"alter table {table} delete where released {now}")
    outbox.client.command(f"alter table {table} update machine = 'elsewhere' where 1 {now}")
    send()
    assert "No sign of life for 1.5 s" in caplog.text
    assert "30 track messages may have arrived already" in caplog.text


def test_results_are_held_while_clickhouse_is_away(
    outbox: Outbox, send: Send, clickhouse_server: ClickHouseServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox.enqueue("track", orders(300))
    away = iter([True, True, True])

    def insert_lines_once(*arguments: Any, **options: Any) -> None:
        if next(away, False):
            raise OperationalError("away")
        insert(*arguments, **options)

    insert = clickhouse.insert_lines_once
    monkeypatch.setattr(clickhouse, "insert_lines_once", insert_lines_once)
    assert send().accepted == 300
    assert set(outbox.ledger().values()) == {("accepted", "", 200, 1)}


def test_what_could_not_be_recorded_is_said_and_goes_out_again_with_the_same_ids(
    outbox: Outbox,
    send: Send,
    segment_server: SegmentServer,
    settings: SetSetting,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ids = outbox.enqueue("track", orders(150))
    settings("delivery", "clickhouse_patience_seconds", 1)
    with monkeypatch.context() as patch:

        def insert_lines_once(*arguments: Any, **options: Any) -> None:
            raise OperationalError("away")

        patch.setattr(clickhouse, "insert_lines_once", insert_lines_once)
        with pytest.raises(LedgerUnwrittenError, match="150 track messages within 1 s, 150 of"):
            send()
    assert outbox.pending("track") == 150
    assert send().accepted == 150
    stats = segment_server.stats()
    assert (stats["unique"], stats["duplicates"]) == (150, 150)
    assert sorted(outbox.ledger()) == sorted(ids)


def test_a_ledger_that_refuses_rows_ends_the_run_and_what_is_in_doubt_is_told(
    outbox: Outbox,
    send: Send,
    segment_server: SegmentServer,
    settings: SetSetting,
    caplog: pytest.LogCaptureFixture,
) -> None:
    ids = outbox.enqueue("track", orders(300))
    ledger = f"{outbox.database}.segment_delivery_ledger"
    refused = f"message_id != toUUID('{uuid.UUID(ids[199])}')"
    outbox.client.command(f"alter table {ledger} add constraint disk check {refused}")
    settings("delivery", "connections", 1)
    settings("delivery", "ledger_rows", 100)
    with pytest.raises(LedgerUnwrittenError, match=r"Constraint `disk`|VIOLATED_CONSTRAINT"):
        send()
    recorded = outbox.ledger()
    arrived = [item["message"]["messageId"] for item in segment_server.messages()]
    assert set(recorded) < set(arrived)
    assert outbox.pending("track") == 300 - len(recorded)
    outbox.client.command(f"alter table {ledger} drop constraint disk")
    caplog.clear()
    assert send().accepted == 300 - len(recorded)
    assert "track messages may have arrived already" in caplog.text
    assert sorted(outbox.ledger()) == sorted(ids)
    assert segment_server.stats()["unique"] == 300


def test_an_append_that_was_taken_although_its_answer_was_lost_counts_once(
    outbox: Outbox, send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = outbox.enqueue("track", orders(250))
    lost = iter([True, True])

    def insert_lines_once(*arguments: Any, **options: Any) -> None:
        insert(*arguments, **options)
        if next(lost, False):
            raise OperationalError("the answer was lost")

    insert = clickhouse.insert_lines_once
    monkeypatch.setattr(clickhouse, "insert_lines_once", insert_lines_once)
    assert send().accepted == 250
    assert sorted(outbox.ledger()) == sorted(ids)
    assert len(outbox.attempts()) == 3


def test_without_the_lease_nothing_is_sent(
    outbox: Outbox, segment_server: SegmentServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox.enqueue("track", orders(3))
    with Lease(lifetime=1) as lease, Ledger(uuid.uuid4(), SLOT, "track") as ledger:
        monkeypatch.setattr(lease, "_deadline", 0.0)
        delivery = sender.Delivery("track", "sandbox-write-key", ledger, lease)
        with pytest.raises(LeaseLostError):
            delivery.drain(reader.cut("track"))
    assert segment_server.stats()["received"] == 0


def test_markers_make_their_own_table(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLICKHOUSE_DATABASE", f"{outbox.database}_new")
    marker = MarkerTarget("Load/1", task_family="Load", params={"directory": "a"})
    try:
        assert not marker.exists()
        assert marker.read() == {}
        marker.touch(3, run_id="r")
        assert marker.exists()
        assert marker.read() == {"directory": "a", "run_id": "r"}
        assert not MarkerTarget("Load/2").exists()
        soon = datetime.now(timezone.utc) + timedelta(seconds=1)
        assert not MarkerTarget("Load/1", not_before=soon).exists()
    finally:
        outbox.client.command(f"drop database if exists {outbox.database}_new")
