"""Several senders at the same time: each message once, in the order of its user, at one limit."""

import uuid
from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from luigi_tasks import BuildOutbox
from luigi_tasks.delivery import outbox as reader
from luigi_tasks.delivery import pace
from luigi_tasks.delivery.ledger import Ledger
from luigi_tasks.delivery.sender import Counts, Delivery
from luigi_tasks.runs import invocation, markers
from luigi_tasks.runs.lease import Lease
from luigi_tasks.runs.shards import Shard
from tests.conftest import LuigiServer, SegmentServer
from tests.integration.delivery import SLOT, Outbox, customers, orders, outbox
from tests.integration.test_luigi_sync import Luigi, luigi, wait_for
from tests.integration.test_sender_pace import arrivals, busiest_second

__all__ = ["luigi", "outbox"]

SHARDS = 4


def send(call: str, shard: int, shards: int = SHARDS) -> Counts:
    """Sends one shard of an outbox."""
    with (
        Lease(Shard(shard, shards)) as lease,
        Ledger(uuid.uuid4(), SLOT, call) as ledger,
    ):
        delivery = Delivery(call, "sandbox-write-key", ledger, lease)
        return delivery.drain(reader.cut(call, shard, shards))


def ids(call: str, shard: int, shards: int = SHARDS) -> list[str]:
    """The messages of a shard, in the order in which they are sent."""
    cut = reader.cut(call, shard, shards)
    return [row.message_id for page in reader.pages(call, cut, 7) for row in page]


def users_of(tables: Outbox, call: str, shard: int) -> set[str]:
    """The users in a shard."""
    found = ids(call, shard)
    return {
        user
        for message_id, user in tables.rows(
            f"select message_id, user_id || anonymous_id from {{db}}.segment_{call}_events"
        )
        if message_id.hex in found
    }


def watermark(tables: Outbox) -> datetime:
    [(until,)] = tables.rows("select max(settled_until) from {db}.segment_outbox_watermarks")
    assert isinstance(until, datetime)
    return until


def oldest_pending(tables: Outbox) -> datetime:
    [(oldest,)] = tables.rows("select min(enqueued_at) from {db}.segment_track_outbox")
    assert isinstance(oldest, datetime)
    return oldest


def test_shards_share_all_messages_and_keep_the_users_together(outbox: Outbox) -> None:
    everything = outbox.enqueue("track", [*orders(30), *orders(30)])
    events = f"{outbox.database}.segment_track_events"
    outbox.client.command(  # Some of them are guests, who have no user id.
        f"alter table {events} update anonymous_id = concat('store-', user_id), user_id = ''"
        " where toUInt32(entity_id) % 3 = 0 settings mutations_sync = 1"
    )
    parts = [ids("track", shard) for shard in range(SHARDS)]
    assert sorted(message for part in parts for message in part) == sorted(everything)
    for part in parts:
        assert part == [message for message in everything if message in part]
    users = [users_of(outbox, "track", shard) for shard in range(SHARDS)]
    assert all(users)
    assert sum(map(len, users)) == len(set.union(*users)) == 30
    assert reader.cut("track").messages == 60


def test_a_customer_is_in_the_shard_of_his_orders(outbox: Outbox) -> None:
    outbox.enqueue("track", orders(40))
    of_orders = [users_of(outbox, "track", shard) for shard in range(SHARDS)]
    outbox.enqueue("identify", customers(40))
    assert [users_of(outbox, "identify", shard) for shard in range(SHARDS)] == of_orders


def test_orders_wait_for_the_customers_of_their_own_shard_alone(
    outbox: Outbox, segment_server: SegmentServer
) -> None:
    outbox.enqueue("identify", customers(40))
    outbox.enqueue("track", orders(40))
    assert reader.cut("track", 0, SHARDS).messages == 0
    customers_sent = send("identify", 0).accepted
    assert reader.cut("track", 0, SHARDS).messages == customers_sent > 0
    assert reader.cut("track", 1, SHARDS).messages == 0


def test_the_watermark_never_passes_what_another_shard_has_still_to_send(
    outbox: Outbox, segment_server: SegmentServer
) -> None:
    outbox.enqueue("track", orders(40))
    [(youngest,)] = outbox.rows("select max(enqueued_at) from {db}.segment_track_events")
    for shard in (2, 0, 3):
        send("track", shard)
        reader.advance_watermark("track")
        assert watermark(outbox) == oldest_pending(outbox) - timedelta(microseconds=1)
    # Its messages have their place before that of others which are settled.
    assert reader.cut("track", 1, SHARDS).messages == outbox.pending("track") > 0
    send("track", 1)
    reader.advance_watermark("track")
    assert watermark(outbox) == youngest


def test_a_proposal_that_is_recorded_late_does_no_harm(
    outbox: Outbox, segment_server: SegmentServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sender works out its watermark, another one is quicker to record a higher one."""
    outbox.enqueue("track", orders(40))
    send("track", 0)
    query = reader._query

    def overtaken(name: str, call: str, **binds: Any) -> list[Any]:
        rows = query(name, call, **binds)
        if name == "watermark_proposal":
            monkeypatch.setattr(reader, "_query", query)
            send("track", 1)
            reader.advance_watermark("track")
        return rows

    monkeypatch.setattr(reader, "_query", overtaken)
    reader.advance_watermark("track")
    assert watermark(outbox) == oldest_pending(outbox) - timedelta(microseconds=1)


def test_a_sender_that_works_at_another_shard_raises_no_doubts(outbox: Outbox) -> None:
    outbox.enqueue("track", orders(40))
    mine, other = (reader.cut("track", shard, SHARDS) for shard in (0, 1))
    with Lease(Shard(0, SHARDS)) as lease, Lease(Shard(1, SHARDS)) as of_another:
        of_another.begin("track", other.first, other.last)
        assert reader.in_doubt("track", lease.owner, 0, SHARDS).messages == 0
        assert mine.messages > 0


def test_what_a_sender_left_is_told_in_its_shard_and_with_other_numbers_of_shards(
    outbox: Outbox,
) -> None:
    outbox.enqueue("track", orders(40))
    cut = reader.cut("track", 1, SHARDS)
    with Lease(Shard(1, SHARDS)) as lease:
        lease.begin("track", cut.first, cut.last)
        doubts = [
            reader.in_doubt("track", uuid.uuid4(), shard, SHARDS).messages
            for shard in range(SHARDS)
        ]
        assert doubts[0] == doubts[2] == doubts[3] == 0
        assert 0 < doubts[1] <= cut.messages
        assert reader.in_doubt("track", uuid.uuid4()).messages == doubts[1]
        assert reader.in_doubt("track", uuid.uuid4(), 1, 2).messages == doubts[1]
        assert reader.in_doubt("track", uuid.uuid4(), 0, 2).messages == 0


def test_a_sender_gets_the_share_of_its_shard_of_the_limit(outbox: Outbox) -> None:
    with Lease(Shard(1, SHARDS)) as lease, Ledger(uuid.uuid4(), SLOT, "track") as ledger:
        delivery = Delivery("track", "sandbox-write-key", ledger, lease)
    assert delivery._pace is pace.shared(250)


def running(server: LuigiServer, since: float) -> dict[str, str]:
    """Task id: worker, of the tasks that run."""
    answer = httpx.get(
        f"{server.url}/api/task_list",
        params={"data": '{"status": "RUNNING", "upstream_status": ""}'},
        trust_env=False,
    )
    tasks: dict[str, dict[str, Any]] = answer.json()["response"]
    return {
        task_id: str(task["worker_running"])
        for task_id, task in tasks.items()
        if task["last_updated"] >= since
    }


@pytest.mark.timeout(300)
def test_several_commands_share_the_shards_and_the_limit(
    luigi: Luigi, outbox: Outbox, segment_server: SegmentServer, luigid: LuigiServer
) -> None:
    """As on three hosts: the same command three times; one of them has already built."""
    limit, count = 200, 200
    slot = invocation.begin().slot
    markers.for_slot(BuildOutbox(slot=slot), slot).touch()
    identify = outbox.enqueue("identify", customers(count))
    track = outbox.enqueue("track", [order for _ in range(3) for order in orders(count)])
    started = datetime.now().timestamp()
    options = (
        *("SyncToSegment", "--slot", f"{slot:%Y-%m-%dT%H%M}", "--shards", str(SHARDS)),
        *("--scheduler-port", str(luigid.port)),
        *("--worker-keep-alive", "--sync-once-per-slot", "true"),
        *("--delivery-events-per-second", str(limit)),
    )
    # A build holds the lease of the whole, so nobody sends before all have come.
    with Lease():
        commands = [luigi.start(*options, "--workers", workers) for workers in "121"]
        wait_for(lambda: len(set(running(luigid, started).values())) == len(commands))
    outputs = [command.communicate()[0] for command in commands]
    # None of them has run everything, so Luigi ends with 10 or 25, or with 0 where it knows better.
    assert {command.returncode for command in commands} <= {0, 10, 25}, outputs
    report = markers.MarkerTarget(f"ReportRun/{slot:%Y-%m-%dT%H%M}")
    assert report.exists(), outputs

    stats = segment_server.stats()
    assert (stats["received"], stats["duplicates"]) == (len(identify) + len(track), 0)
    assert sorted(outbox.ledger()) == sorted(identify + track)
    total = f"{len(identify) + len(track):,} accepted, 0 rejected, 0 still pending, 0 held."
    assert sum(output.count(total) for output in outputs) == 1, outputs
    # Each user's customer data came first, then his orders in their order.
    arrived: dict[str, list[str]] = defaultdict(list)
    for item in segment_server.messages():
        arrived[item["message"]["userId"]].append(item["message"]["messageId"])
    expected = {
        str(5000 + number): [identify[number], *track[number::count]] for number in range(count)
    }
    assert arrived == expected
    # All commands had a part in it.
    [(runs,)] = outbox.rows("select uniqExact(run_id) from {db}.segment_delivery_ledger")
    assert runs == len(commands)
    assert busiest_second(arrivals(segment_server)) <= limit


@pytest.mark.timeout(180)
def test_one_command_sends_the_shards_in_parallel_without_a_scheduler(
    luigi: Luigi, outbox: Outbox, segment_server: SegmentServer
) -> None:
    identify = outbox.enqueue("identify", customers(100))
    track = outbox.enqueue("track", orders(100))
    options = ("--slot", "2026-01-31T1015", "--shards", "4", "--workers", "4")
    done = luigi.run("SyncToSegment", *options)
    assert done.returncode == 0, done.stderr
    assert "200 accepted, 0 rejected, 0 still pending" in done.stdout
    assert sorted(outbox.ledger()) == sorted(identify + track)
    assert segment_server.stats()["duplicates"] == 0
    families = "countIf(task_family = 'SendIdentify'), countIf(task_family = 'SendTrack')"
    [counts] = outbox.rows(f"select {families} from {{db}}.luigi_markers final")
    assert counts == (4, 4)


@pytest.mark.timeout(180)
def test_the_brake_counts_all_shards_together(
    luigi: Luigi, outbox: Outbox, segment_server: SegmentServer
) -> None:
    """Each of the shards alone would be too small to be stopped."""
    outbox.enqueue("identify", customers(40))
    for shard in range(SHARDS):
        assert send("identify", shard).accepted < 25
    outbox.enqueue("identify", customers(40))
    options = ("--slot", "2026-01-31T1015", "--shards", "4", "--brake-smallest-stop", "25")
    done = luigi.run("SyncToSegment", *options)
    assert done.returncode == 30
    assert "40 of 40 customers that Segment knows would be sent again" in done.stderr
    assert segment_server.stats()["received"] == 40


@pytest.mark.timeout(180)
def test_a_dry_run_of_several_shards_shows_everything_once(
    luigi: Luigi, outbox: Outbox, segment_server: SegmentServer
) -> None:
    outbox.enqueue("identify", customers(30))
    options = ("--slot", "2026-01-31T1015", "--shards", "3")
    done = luigi.run("SyncToSegment", *options, SEGMENT_WRITE_KEY="")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("identify: 30 messages would be sent") == 1
    assert segment_server.stats()["received"] == 0


def test_a_number_of_shards_that_cannot_be_is_refused(luigi: Luigi) -> None:
    done = luigi.run("SyncToSegment", "--shards", "0")
    assert done.returncode == 35
    assert "There is no shard 0 of 0" in done.stderr
