"""The speed limit, looked at where messages arrive; and an outage in the middle of a run."""

import threading
import time
import uuid
from collections.abc import Iterator
from datetime import datetime

import pytest
from luigi.configuration import get_config

from luigi_tasks.delivery import outbox as reader
from luigi_tasks.delivery import pace
from luigi_tasks.delivery.ledger import Ledger
from luigi_tasks.delivery.sender import Counts, Delivery
from luigi_tasks.errors import SegmentUnavailableError
from luigi_tasks.runs.lease import Lease
from tests.conftest import SegmentServer
from tests.integration.delivery import SLOT, Outbox, customers, orders, outbox

__all__ = ["outbox"]


def send(call: str) -> Counts:
    """Sends an outbox in real time."""
    with Lease() as lease, Ledger(uuid.uuid4(), SLOT, call) as ledger:
        return Delivery(call, "sandbox-write-key", ledger, lease).drain(reader.cut(call))


@pytest.fixture
def limit(request: pytest.FixtureRequest) -> Iterator[float]:
    """Events per second in luigi.cfg."""
    parser = get_config()
    before = parser.get("delivery", "events_per_second")
    parser.set("delivery", "events_per_second", str(request.param))
    yield request.param
    parser.set("delivery", "events_per_second", before)


def arrivals(server: SegmentServer) -> list[tuple[float, int]]:
    """When each accepted request arrived, and its messages."""
    return sorted(
        (datetime.fromisoformat(item["receivedAt"][:-1]).timestamp(), item["messages"])
        for item in server.requests()
        if item["status"] == 200
    )


def busiest_second(found: list[tuple[float, int]]) -> int:
    """Most messages in any second; arrival times are cut to milliseconds."""
    return max(sum(count for at, count in found if 0 <= at - first < 0.999) for first, _ in found)


@pytest.mark.parametrize("limit", [1000, 250], indirect=True)
def test_the_limit_is_kept_in_any_second(
    limit: float, outbox: Outbox, segment_server: SegmentServer
) -> None:
    """The limit is that of both calls together. How well it is used: benchmarks/pace.py."""
    outbox.enqueue("identify", customers(round(limit * 8)))
    outbox.enqueue("track", orders(round(limit * 2)))
    send("identify")
    send("track")
    everything = arrivals(segment_server)
    assert sum(count for _, count in everything) == limit * 10
    assert busiest_second(everything) <= limit


@pytest.mark.parametrize("limit", [600], indirect=True)
def test_a_segment_that_takes_less_is_given_less(
    limit: float, outbox: Outbox, segment_server: SegmentServer
) -> None:
    segment_server.configure(events_per_second=300)
    outbox.enqueue("track", orders(3000))
    counts = send("track")
    assert counts.accepted == 3000
    assert counts.repeated <= 6
    assert pace.shared(limit).rate < limit


@pytest.mark.timeout(180)
@pytest.mark.parametrize("limit", [1000], indirect=True)
@pytest.mark.parametrize(
    "fault", [{"status": 503, "for_s": 10}, {"refuse": True, "for_s": 10}], ids=["503", "refused"]
)
def test_an_outage_is_waited_for_with_few_requests(
    fault: dict[str, object], limit: float, outbox: Outbox, segment_server: SegmentServer
) -> None:
    outbox.enqueue("track", orders(2000))
    outage = threading.Timer(1, segment_server.fault, [fault])
    outage.start()
    counts = send("track")
    assert counts.accepted == 2000
    assert 2 <= counts.repeated <= 15
    assert outbox.pending("track") == 0


def received(server: SegmentServer) -> list[tuple[float, int]]:
    """When each request arrived, and its status; 0 for a connection that was reset."""
    return sorted(
        (datetime.fromisoformat(item["receivedAt"][:-1]).timestamp(), item["status"])
        for item in server.requests()
    )


@pytest.mark.timeout(180)
@pytest.mark.parametrize("limit", [1000], indirect=True)
@pytest.mark.parametrize(
    "fault",
    [
        {"status": 429, "retry_after": 4},
        {"status": 503, "retry_after": 4},
        {"status": 503, "for_s": 4},
        {"reset": "before", "for_s": 4},
    ],
    ids=["429", "503 with Retry-After", "503", "reset"],
)
def test_several_connections_stop_when_the_first_answer_says_so(
    fault: dict[str, object],
    limit: float,
    outbox: Outbox,
    segment_server: SegmentServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connections = 4
    monkeypatch.setenv("SEGMENT_CONNECTIONS", str(connections))
    outbox.enqueue("track", orders(3000))
    segment_server.fault(*[{}] * 8, fault)
    counts = send("track")
    assert (counts.accepted, counts.stuck) == (3000, 0)
    arrived = received(segment_server)
    began = next(at for at, status in arrived if status != 200)
    # Without Retry-After it asks after 0.5 to 1, 1 to 1.5 and 2 to 2.5 seconds more.
    asked = 0 if "retry_after" in fault else 3
    during = [at for at, _ in arrived if 0 < at - began < 3.9]
    assert len(during) <= connections - 1 + asked
    assert segment_server.stats()["unique"] == 3000


def test_the_next_run_respects_what_this_one_was_asked(
    outbox: Outbox, segment_server: SegmentServer
) -> None:
    outbox.enqueue("track", orders(3))
    segment_server.fault({"status": 429, "retry_after": 3600})
    with pytest.raises(SegmentUnavailableError, match="http_429"):
        send("track")
    for _ in range(2):
        with pytest.raises(SegmentUnavailableError, match="Retry-After"):
            send("track")
    assert len(segment_server.requests()) == 1

    def move(seconds: int) -> None:
        table = f"{outbox.database}.segment_delivery_attempts"
        moved = f"started_at - toIntervalSecond({seconds}) as started_at"
        outbox.client.command(f"create table {table}_moved as {table}")
        outbox.client.command(f"insert into {table}_moved select * replace({moved}) from {table}")
        outbox.client.command(f"exchange tables {table}_moved and {table}")
        outbox.client.command(f"drop table {table}_moved")

    # A clock that was ahead: what lies in the future says nothing about now.
    move(-86_400)
    assert outbox.rows("select started_at > now() from {db}.segment_delivery_attempts") == [(1,)]
    with Lease() as lease, Ledger(uuid.uuid4(), SLOT, "track") as ledger:
        assert ledger.asked_to_wait()[0] <= 0
        assert lease.owner
    move(86_400 + 3_598)
    began = time.monotonic()
    assert send("track").accepted == 3
    assert time.monotonic() - began > 0.5
