"""The brake: a run that would send far more than usual sends nothing until it is told to."""

import subprocess
import sys
from pathlib import Path

import pytest

from luigi_tasks.errors import BrakeError
from luigi_tasks.preview import brake
from luigi_tasks.runs.markers import MarkerTarget
from tests.conftest import SegmentServer
from tests.integration.delivery import Outbox, customers, orders, outbox
from tests.processes import PROJECT

__all__ = ["outbox"]

PAST = "2026-01-31T1015"


def accept_everything(tables: Outbox, days_ago: int = 0) -> None:
    """Put all that is pending into the ledger, as if it had entered the outbox some days ago."""
    for call in ("identify", "track"):
        tables.client.command(
            f"insert into {tables.database}.segment_delivery_ledger"
            " (message_id, call, event, entity, entity_id, status, enqueued_at)"
            " select message_id, call, event, entity, entity_id, 'accepted',"
            f" enqueued_at - interval {days_ago} day"
            f" from {tables.database}.segment_{call}_outbox"
        )
        if days_ago:
            tables.client.command(f"truncate table {tables.database}.segment_{call}_events")


def usual_days(tables: Outbox, days: int, messages: int) -> None:
    """Make a history: so many days with so many orders each."""
    for days_ago in range(1, days + 1):
        tables.enqueue("track", orders(messages))
        accept_everything(tables, days_ago)


def test_a_first_run_is_never_refused(outbox: Outbox) -> None:
    outbox.enqueue("identify", customers(5000))
    outbox.enqueue("track", orders(5000))
    brake.check()


def test_a_first_run_that_broke_off_goes_on(outbox: Outbox) -> None:
    outbox.enqueue("identify", customers(1000))
    accept_everything(outbox)
    ids = outbox.enqueue("identify", customers(4000))
    # The customers of the second half are new: their ids do not occur among the first.
    outbox.client.command(
        f"alter table {outbox.database}.segment_identify_events update"
        " entity_id = concat('new-', entity_id) where message_id not in"
        f" (select message_id from {outbox.database}.segment_delivery_ledger)"
        " settings mutations_sync = 1"
    )
    assert outbox.pending("identify") == len(ids)
    brake.check()


def test_known_customers_are_not_sent_again_in_bulk(outbox: Outbox) -> None:
    outbox.enqueue("identify", customers(1000))
    accept_everything(outbox)
    outbox.enqueue("identify", customers(301))
    with pytest.raises(BrakeError, match=r"301 of 1,000 customers .* more than 30%") as caught:
        brake.check()
    assert "--brake-go-on" in str(caught.value)
    assert "PlanSync" in str(caught.value)


def test_a_usual_share_of_known_customers_passes(outbox: Outbox) -> None:
    outbox.enqueue("identify", customers(1000))
    accept_everything(outbox)
    outbox.enqueue("identify", customers(300))
    brake.check()


def test_customers_stay_known_when_the_ledger_was_purged(outbox: Outbox) -> None:
    outbox.enqueue("identify", customers(1000))
    outbox.client.command(
        f"insert into {outbox.database}.segment_outbox_watermarks"
        f" select 'identify', max(enqueued_at), now64(6)"
        f" from {outbox.database}.segment_identify_events"
    )
    outbox.client.command(
        f"insert into {outbox.database}.segment_identify_events"
        " select * replace (generateUUIDv4() as message_id, enqueued_at + interval 1 hour"
        f" as enqueued_at) from {outbox.database}.segment_identify_events"
    )
    with pytest.raises(BrakeError, match="1,000 of 1,000 customers"):
        brake.check()


def test_a_small_shop_may_change_altogether(outbox: Outbox) -> None:
    outbox.enqueue("identify", customers(99))
    accept_everything(outbox)
    outbox.enqueue("identify", customers(99))
    brake.check()


def test_the_usual_day_limits_what_is_pending(outbox: Outbox) -> None:
    usual_days(outbox, days=7, messages=12)
    outbox.enqueue("track", orders(120))
    brake.check()
    outbox.enqueue("track", orders(1))
    with pytest.raises(BrakeError, match=r"121 track messages .* 10 times the 12 of a usual day"):
        brake.check()


def test_without_a_history_there_is_no_usual_day(outbox: Outbox) -> None:
    usual_days(outbox, days=6, messages=12)
    outbox.enqueue("track", orders(1000))
    brake.check()


def test_one_huge_day_is_not_the_usual_day(outbox: Outbox) -> None:
    usual_days(outbox, days=7, messages=12)
    outbox.enqueue("track", orders(3000))
    accept_everything(outbox, days_ago=8)
    outbox.enqueue("track", orders(121))
    with pytest.raises(BrakeError, match="121 track"):
        brake.check()


def sync(env: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    """Run one sync as a process; the outbox is built already for the slot PAST."""
    MarkerTarget(f"BuildOutbox/{PAST}", task_family="BuildOutbox").touch()
    return subprocess.run(
        [
            *(Path(sys.executable).with_name("luigi"), "--module", "luigi_tasks"),
            *("SyncToSegment", "--slot", PAST, "--local-scheduler", *options),
        ],
        cwd=PROJECT,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_refused_run_sends_nothing_and_go_on_sends_it_once_and_for_all(
    outbox: Outbox, project_env: dict[str, str], segment_server: SegmentServer
) -> None:
    outbox.enqueue("identify", customers(200))
    accept_everything(outbox)
    outbox.enqueue("identify", customers(200))
    outbox.enqueue("track", orders(3))

    refused = sync(project_env)
    assert refused.returncode == 30
    assert "200 of 200 customers" in refused.stdout + refused.stderr
    assert segment_server.stats()["received"] == 0
    assert outbox.pending("identify") == 200

    # A run that was told to go on breaks off; the next one, without the word, finishes it.
    segment_server.fault({"status": 200}, *[{"status": 401}] * 5)
    assert sync(project_env, "--brake-go-on").returncode == 30
    assert outbox.pending("identify") == 100
    segment_server.fault()
    done = sync(project_env)
    assert done.returncode == 0, done.stderr
    assert outbox.pending("identify") == outbox.pending("track") == 0

    # What comes in later is not meant.
    outbox.enqueue("identify", customers(200))
    with pytest.raises(BrakeError):
        brake.check()
