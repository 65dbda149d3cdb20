"""The lease: one holder at a time, proved with real processes that are paused and killed."""

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError
from clickhouse_connect.driver.httpclient import HttpClient
from luigi.configuration import get_config

from luigi_tasks.delivery import pace
from luigi_tasks.errors import AnotherRunError, ClickHouseUnavailableError, LeaseLostError
from luigi_tasks.runs import lease as leases
from luigi_tasks.runs import process_start
from luigi_tasks.runs.lease import Lease
from luigi_tasks.runs.shards import WHOLE, Shard
from tests.integration.delivery import Outbox, outbox
from tests.processes import PROJECT

__all__ = ["outbox"]

CONTENDER = """
import os, sys, time
from luigi_tasks.runs.lease import Lease
from luigi_tasks.runs.shards import Shard
times, path, number, of = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
def note(word):
    with open(path, "a") as file:
        file.write(f"{word} {number} {of} {os.getpid()}\\n")
for _ in range(times):
    with Lease(Shard(number, of), lifetime=30, wait=90):
        note("enter")
        time.sleep(0.05)
        note("leave")
"""

HOLDER = """
import sys, time
from luigi_tasks.errors import LeaseLostError
from luigi_tasks.runs.lease import Lease
with Lease(lifetime=float(sys.argv[1]), wait=5) as lease:
    print("held", flush=True)
    sys.stdin.readline()
    try:
        lease.require()
        print("still held", flush=True)
    except LeaseLostError:
        print("lost", flush=True)
"""


@contextmanager
def holder(lifetime: float) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lease; on a line of input it says whether it still does."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(lifetime)],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def ask(process: subprocess.Popen[str]) -> str:
    """What the holder says."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    "shards",
    [[WHOLE, WHOLE, WHOLE], [WHOLE, Shard(0, 2), Shard(1, 2), Shard(1, 4), Shard(3, 4)]],
    ids=["whole", "shards"],
)
def test_processes_that_contend_never_hold_it_together(
    shards: list[Shard], outbox: Outbox, tmp_path: Path
) -> None:
    notes = tmp_path / "notes"
    times = 5
    command = [sys.executable, "-c", CONTENDER, str(times), str(notes)]
    running = [
        subprocess.Popen([*command, str(shard.number), str(shard.of)], cwd=PROJECT)
        for shard in shards
    ]
    assert [process.wait() for process in running] == [0] * len(shards)
    lines = [line.split() for line in notes.read_text().splitlines()]
    assert len(lines) == 2 * times * len(shards)
    holders: dict[str, Shard] = {}
    for word, number, of, process in lines:
        shard = Shard(int(number), int(of))
        if word == "leave":
            assert holders.pop(process) == shard
        else:
            assert not any(shard.overlaps(other) for other in holders.values()), (shard, holders)
            holders[process] = shard


def test_senders_of_different_shards_hold_it_together_and_a_build_waits_for_all(
    outbox: Outbox,
) -> None:
    with Lease(Shard(0, 2), wait=0), Lease(Shard(1, 4), wait=0), Lease(Shard(3, 4), wait=0):
        for shard in (WHOLE, Shard(0, 2), Shard(2, 4), Shard(1, 2), Shard(2, 3)):
            with pytest.raises(AnotherRunError), Lease(shard, wait=0):
                pytest.fail(f"{shard} is held twice")
    with Lease(wait=5), pytest.raises(AnotherRunError), Lease(Shard(1, 2), wait=0):
        pytest.fail("a sender works beside a build")


def test_loads_exclude_each_other_and_neither_builds_nor_senders(outbox: Outbox) -> None:
    with Lease(purpose=leases.LANDING, wait=0):
        for shard in (WHOLE, Shard(1, 2)):
            with Lease(shard, wait=0) as lease:
                assert lease.shard == shard
        with (
            pytest.raises(AnotherRunError, match="Another run is loading an export"),
            Lease(purpose=leases.LANDING, wait=0),
        ):
            pytest.fail("two loads at the same time")


def test_the_time_since_the_last_holder_is_that_of_the_same_users(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Lease(Shard(1, 2), wait=0):
        pass
    with Lease(Shard(1, 2), wait=0) as lease:
        assert lease.vacant_for > 60  # Both were this process, which has one pace for both.
    with Lease(wait=0) as lease:
        assert lease.vacant_for < 60
    monkeypatch.setattr(leases, "machine", lambda: "elsewhere")
    with Lease(Shard(1, 2), wait=0) as lease:
        assert lease.vacant_for < 60


def test_a_claim_that_becomes_visible_late_does_not_win(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lowest id must not win against one who looked before it was visible."""
    first, second = Lease(lifetime=30, wait=0), Lease(lifetime=30, wait=0)
    first.owner, second.owner = sorted([first.owner, second.owner], reverse=True)
    monkeypatch.setattr(leases, "CONTEST_SECONDS", 0.2)
    with first, pytest.raises(AnotherRunError), second:
        pytest.fail("both hold the lease")


def test_a_run_waits_for_another_one(outbox: Outbox) -> None:
    with holder(lifetime=30) as process:
        began = time.monotonic()
        with pytest.raises(AnotherRunError, match=f"process {process.pid} on "), Lease(wait=1.5):
            pytest.fail("both hold the lease")
        assert time.monotonic() - began >= 1.5
        ask(process)
        with Lease(wait=5):
            pass


def test_a_killed_run_on_this_machine_does_not_hold_up_the_next(outbox: Outbox) -> None:
    with holder(lifetime=600) as process:
        process.kill()  # It stays a zombie until it is waited for.
        began = time.monotonic()
        with Lease(wait=10):
            assert time.monotonic() - began < 2


def test_a_killed_run_on_another_machine_expires(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    with holder(lifetime=3) as process:
        process.kill()
        monkeypatch.setattr(leases, "machine", lambda: "elsewhere")
        with pytest.raises(AnotherRunError), Lease(wait=0):
            pytest.fail("the lease had not expired")
        began = time.monotonic()
        with Lease(wait=10):
            assert time.monotonic() - began < 5


def test_a_run_that_was_paused_for_too_long_knows_that_it_lost_the_lease(outbox: Outbox) -> None:
    with holder(lifetime=2) as process:
        process.send_signal(signal.SIGSTOP)
        with Lease(wait=10) as lease:
            process.send_signal(signal.SIGCONT)
            time.sleep(1)  # Time for signs of life, which must not bring it back.
            assert ask(process) == "lost"
            lease.require()
            with pytest.raises(AnotherRunError), Lease(wait=0):
                pytest.fail("both hold the lease")


def test_signs_of_life_prolong_it(outbox: Outbox) -> None:
    with holder(lifetime=2.5) as process:
        time.sleep(5)
        assert ask(process) == "still held"


def test_it_is_lost_when_clickhouse_stays_away(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Lease(lifetime=1.5, wait=5) as lease:
        monkeypatch.setenv("CLICKHOUSE_PORT", "9")
        lease.require()
        time.sleep(2)
        with pytest.raises(LeaseLostError, match="run the same command again"):
            lease.require()


def test_process_numbers_are_compared_on_one_machine_only(outbox: Outbox) -> None:
    claim = leases.Claim(
        owner=Lease().owner,
        machine=leases.machine(),
        pid=os.getpid(),
        process_start="another boot 1",
        run_id=Lease().owner,
        since=leases.EPOCH,
    )
    assert claim.is_dead()  # The number belongs to another process by now.
    assert not claim._replace(machine="elsewhere").is_dead()
    assert not claim._replace(process_start=process_start.mark(os.getpid())).is_dead()
    # An older version did not say when its process had started.
    assert not claim._replace(process_start="").is_dead()
    assert claim._replace(process_start="", pid=2**22 + 1).is_dead()


class Elsewhere:
    """A run on another machine, by the rows that it leaves in the table.

    Args:
        outbox: The tables.
        ago: For how many seconds it shows no sign of life, by ClickHouse's clock.
        lifetime: Of its lease, in seconds.
        released: What its first row says.
    """

    def __init__(
        self, outbox: Outbox, ago: float, lifetime: float = 1.5, released: int = 0
    ) -> None:
        with Lease(wait=0):
            pass  # Makes the table.
        self._outbox, self._owner, self._lifetime = outbox, uuid.uuid4(), lifetime
        self.show_life(ago, released=released)

    def show_life(self, ago: float = 0.0, *, released: int = 0) -> None:
        """One more row, such as a sign of life."""
        at = f"now64(6, 'UTC') - toIntervalMillisecond({round(ago * 1000)})"
        self._outbox.client.command(
            f"insert into {self._outbox.database}.segment_delivery_leases"
            " (name, owner, released, machine, pid, recorded_at, expires_at)"
            f" select 'delivery', toUUID('{self._owner}'), {released}, 'elsewhere', 1, {at},"
            f" {at} + toIntervalMillisecond({round(self._lifetime * 1000)})"
        )


TWO_DAYS = 172_800.0


@pytest.mark.parametrize("ago", [-TWO_DAYS, TWO_DAYS], ids=["set back since", "set ahead since"])
def test_a_dead_lease_is_waited_for_by_its_lifetime_whatever_clickhouse_clock_says(
    outbox: Outbox, ago: float
) -> None:
    Elsewhere(outbox, ago)
    began = time.monotonic()
    with Lease(wait=10) as lease:
        assert 1.5 <= time.monotonic() - began < 5
        assert 0 <= lease.vacant_for < 60
    began = time.monotonic()
    with Lease(wait=10):  # That it is dead is known by now.
        assert time.monotonic() - began < 1.5


@pytest.mark.parametrize("ago", [-TWO_DAYS, TWO_DAYS], ids=["set back since", "set ahead since"])
def test_a_lease_with_signs_of_life_is_held_whatever_clickhouse_clock_says(
    outbox: Outbox, ago: float
) -> None:
    other = Elsewhere(outbox, ago, lifetime=2.0)
    got = threading.Event()

    def contend() -> None:
        with Lease(wait=30):
            got.set()

    contender = threading.Thread(target=contend)
    contender.start()
    for _ in range(6):
        assert not got.wait(0.5)
        other.show_life(ago)
    assert got.wait(10)  # It died.
    contender.join()


def test_no_wait_is_longer_than_a_second_when_the_clock_was_set_back(outbox: Outbox) -> None:
    Elsewhere(outbox, -TWO_DAYS, released=leases.GIVEN_BACK)
    waits: list[float] = []
    with Lease(wait=5) as lease:
        assert lease.vacant_for == 0
        pace.Pace(1000, sleep=waits.append).follow(lease.vacant_for)
    pace.Pace(1000, sleep=waits.append).follow(-TWO_DAYS)
    assert waits == [1.0, 1.0]


def test_those_who_wait_are_served_in_the_order_in_which_they_came(outbox: Outbox) -> None:
    Elsewhere(outbox, ago=0, lifetime=4)
    served: list[int] = []

    def contend(number: int) -> None:
        with Lease(wait=60):
            served.append(number)
            time.sleep(0.2)

    waiting = [threading.Thread(target=contend, args=[number]) for number in range(4)]
    for thread in waiting:
        thread.start()
        time.sleep(0.7)
    for thread in waiting:
        thread.join()
    assert served == [0, 1, 2, 3]


def test_who_gives_up_waiting_holds_up_nobody(outbox: Outbox) -> None:
    with Lease(wait=5), pytest.raises(AnotherRunError), Lease(wait=0.5):
        pytest.fail("both hold the lease")
    began = time.monotonic()
    with Lease(wait=0):
        assert time.monotonic() - began < 2


@pytest.mark.parametrize("ago", [-TWO_DAYS, 20.0], ids=["set back since", "silent"])
def test_who_died_while_waiting_holds_up_nobody(outbox: Outbox, ago: float) -> None:
    Elsewhere(outbox, ago, released=leases.WAITS)
    with Lease(wait=0):
        pass


def test_a_table_of_an_older_version_goes_on_working(outbox: Outbox) -> None:
    Elsewhere(outbox, ago=0, lifetime=60)
    table = f"{outbox.database}.segment_delivery_leases"
    outbox.client.command(f"alter table {table} drop column process_start")
    with pytest.raises(AnotherRunError), Lease(wait=0):
        pytest.fail("the old version's run has not ended")
    outbox.client.command(f"truncate table {table}")
    with Lease(wait=0):
        assert outbox.rows(
            "select uniqExact(process_start != '') from {db}.segment_delivery_leases"
        )


def test_a_transient_error_in_the_lease_is_waited_for(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    refusals = iter([True, True])
    query = HttpClient.query

    def short_of_memory(self: HttpClient, *arguments: Any, **options: Any) -> Any:
        if "segment_delivery_leases" in str(arguments) and next(refusals, False):
            raise DatabaseError("memory limit exceeded", code=241, name="MEMORY_LIMIT_EXCEEDED")
        return query(self, *arguments, **options)

    monkeypatch.setattr(HttpClient, "query", short_of_memory)
    with Lease(wait=5):
        pass
    assert caplog.text.count("Trying again") == 2


def test_a_transient_error_that_stays_is_explained(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def short_of_memory(self: HttpClient, *arguments: Any, **options: Any) -> Any:
        raise DatabaseError("memory limit exceeded", code=241, name="MEMORY_LIMIT_EXCEEDED")

    parser = get_config()
    before = parser.get("delivery", "clickhouse_patience_seconds")
    parser.set("delivery", "clickhouse_patience_seconds", "0.5")
    monkeypatch.setattr(HttpClient, "query", short_of_memory)
    sentence = r"\(lease_.*run the same command"
    try:
        with pytest.raises(ClickHouseUnavailableError, match=sentence), Lease(wait=5):
            pytest.fail("the lease was not asked for")
    finally:
        parser.set("delivery", "clickhouse_patience_seconds", before)
