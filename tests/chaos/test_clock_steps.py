"""Clocks that are set while the sender works: ClickHouse's, this machine's, and all at once.

ClickHouse's time is set in the queries that pass the gate, this machine's in the process of the
sender (`runner`), Segment's by a setting of the sandbox.
"""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Iterator
from itertools import groupby
from random import Random

import pytest

from tests.chaos.faults import AT_LENGTH, CLOCK_STEPS, DAY, Step
from tests.chaos.gate import Trap
from tests.chaos.invariants import check_copies, check_instant, check_settled
from tests.chaos.sender import Forks, forks
from tests.chaos.world import World

logger = logging.getLogger(__name__)

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]

LEDGER_INSERT = "insert into [^ ]*segment_delivery_ledger"
ORDERS = {
    "a batch": r'^/v1/batch[\s\S]*"type": ?"track"',
    "a row of the ledger": LEDGER_INSERT + r"[\s\S]*\ttrack\t",
    "a row of the lease": r"param_call=track[\s\S]*insert into [^ ]*segment_delivery_leases",
    "a page of the outbox": r"param_call=track[\s\S]*limit {size:uint32}",
}
"""Moments in the last task of a run: each task compares the clocks when it begins."""

MOST_SECONDS = 60
"""Every run ends within this time, on a busy machine too. Who waits for a lease leaves after 20."""

LIFETIME_SECONDS = 5
"""`[lease] seconds` of the world."""

FAILED = 30
TOGETHER = [step for step in CLOCK_STEPS if step.segment]
APART = [step for step in CLOCK_STEPS if not step.segment]
REFUSED = [step for step in APART if abs(step.clickhouse + step.machine) > DAY]
"""What differs by so much that no task begins; those under way go on."""


@pytest.fixture
def sender(world: World) -> Iterator[Forks]:
    """Starts runs."""
    with forks(world.env, world.log) as warm:
        yield warm


def enqueue(world: World, seed: int) -> None:
    """Six customers with 24 orders, under the clock that ClickHouse has."""
    world.enqueue(Random(seed), users=6, tracks=24, poison=0)  # noqa: S311


def copies(world: World) -> set[str]:
    """What arrived more than once."""
    return {found.message_id for found in world.arrived() if found.state == "duplicate"}


def test_under_a_clock_that_is_wrong_nothing_is_sent(world: World, sender: Forks) -> None:
    enqueue(world, 1)
    slot = world.new_slot()
    for step in REFUSED[::3]:
        world.set_clocks(step)
        before = len(world.log.read_text())
        assert sender.start(slot).ended().status == FAILED
        assert "Nothing was loaded, built or sent. Set the clock" in world.log.read_text()[before:]
    assert world.requests() == []
    world.calm()
    assert sender.start(slot).ended(MOST_SECONDS).status == 0
    check_settled(world)
    assert copies(world) == set()


@AT_LENGTH
@pytest.mark.parametrize("moment", ORDERS)
def test_clocks_that_are_set_during_a_run(moment: str, world: World, sender: Forks) -> None:
    """The run ends well, and the next ones too, in what the wrong clocks have left."""
    longest = 0.0
    gate = world.segment_gate if moment == "a batch" else world.clickhouse_gate
    for seed, step in enumerate(CLOCK_STEPS):
        enqueue(world, seed)
        trap = gate.set(Trap(ORDERS[moment]))
        began = time.monotonic()
        run = sender.start(world.new_slot(), "--segment-host", world.segment_gate.url)
        assert trap.sprung.wait(MOST_SECONDS), "the sender did not come to the point"
        world.set_clocks(step)
        trap.release()
        assert run.ended(MOST_SECONDS).status == 0, step
        longest = max(longest, time.monotonic() - began)
        enqueue(world, 100 + seed)
        world.calm()
        check_instant(world)
        assert sender.start(world.new_slot()).ended(MOST_SECONDS).status == 0, step
        check_settled(world)
    assert copies(world) == set()
    logger.info(
        "Set at %s: %d steps, %d messages, the longest run took %.1f s",
        *(moment, len(CLOCK_STEPS), len(world.due), longest),
    )


@AT_LENGTH
@pytest.mark.parametrize("step", TOGETHER, ids=str)
def test_a_run_that_dies_under_clocks_that_are_set_right_afterwards(
    step: Step, world: World, sender: Forks
) -> None:
    """The next run does not wait for its lease, and says what may have arrived."""
    world.set_clocks(step)
    enqueue(world, 1)
    trap = world.clickhouse_gate.set(Trap(LEDGER_INSERT))
    run = sender.start(world.new_slot())
    assert trap.sprung.wait(MOST_SECONDS), "the sender did not come to the point"
    assert run.kill(signal.SIGKILL)
    run.ended()
    trap.abandon()
    world.calm()
    check_instant(world)
    sent = {message.message_id for message in world.arrived()}
    enqueue(world, 2)
    began = time.monotonic()
    assert sender.start(world.new_slot()).ended(MOST_SECONDS).status == 0
    logger.info("%s: %d sent again, after %.1f s", step, len(sent), time.monotonic() - began)
    check_settled(world)
    assert copies(world) == sent
    check_copies(world, interrupted=1)
    assert "may have arrived already" in world.log.read_text()


@AT_LENGTH
@pytest.mark.parametrize("step", [step for step in APART if not abs(step.machine) > DAY], ids=str)
def test_a_contender_waits_while_a_lease_is_held_whatever_clocks_are_set(
    step: Step, world: World
) -> None:
    enqueue(world, 1)
    slots = [world.new_slot() for _ in range(3)]
    trap = world.clickhouse_gate.set(Trap(LEDGER_INSERT))
    with forks(world.env, world.log) as one, forks(world.env, world.log) as other:
        holder = one.start(slots[0])
        assert trap.sprung.wait(MOST_SECONDS), "the sender did not come to the point"
        contender = other.start(slots[1])
        wait_until_said(world, "Waiting for another run to finish")
        requests = len(world.requests())
        world.set_clocks(step)
        time.sleep(1.5 * LIFETIME_SECONDS)
        assert holder.wait(0) is contender.wait(0) is None
        assert len(world.requests()) == requests, "a second run sends"
        trap.release()
        began = time.monotonic()
        # The tasks under way end well; that of the orders begins under the clocks as they are set.
        status = FAILED if step in REFUSED else 0
        assert holder.ended(MOST_SECONDS).status == status
        assert contender.ended(MOST_SECONDS).status == status
        logger.info("%s: both had ended after %.1f s", step, time.monotonic() - began)
        check_instant(world)
        world.calm()
        assert one.start(slots[2]).ended(MOST_SECONDS).status == 0
    check_settled(world)
    assert copies(world) == set()
    check_one_at_a_time(world)


def wait_until_said(world: World, words: str) -> None:
    """Wait for words in the log."""
    give_up_at = time.monotonic() + MOST_SECONDS
    while words not in world.log.read_text():
        assert time.monotonic() < give_up_at, f"the log does not say: {words}"
        time.sleep(0.05)


def check_one_at_a_time(world: World) -> None:
    """Check that what runs sent of a call did not mix."""
    rows = world.outbox.rows("select message_id, run_id, call from {db}.segment_delivery_ledger")
    senders = {message_id.hex: (run_id, call) for message_id, run_id, call in rows}
    blocks = [sent_by for sent_by, _ in groupby(senders[m.message_id] for m in world.arrived())]
    assert len(blocks) == len(set(blocks)), "two runs sent at the same time"
