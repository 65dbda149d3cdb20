"""The moments at which a kill matters most, one by one."""

import logging
import signal
import time
from collections.abc import Iterator
from random import Random

import pytest

from tests.chaos.gate import Gate, Trap
from tests.chaos.invariants import check_instant, check_settled
from tests.chaos.sender import Ended, Forks, forks
from tests.chaos.world import BATCH_MESSAGES, MOST_HELD, World

logger = logging.getLogger(__name__)

pytestmark = pytest.mark.chaos

LEDGER_INSERT = "insert into [^ ]*segment_delivery_ledger"
BATCH = "^/v1/batch"


@pytest.fixture
def sender(world: World) -> Iterator[Forks]:
    """Starts runs."""
    with forks(world.env, world.log) as warm:
        yield warm


@pytest.fixture
def due(world: World) -> int:
    """Ten customers with twenty orders, in an outbox; how many messages that is."""
    world.enqueue(Random(7), users=10, tracks=20, poison=0)  # noqa: S311
    return 30


def kill_at(
    world: World, sender: Forks, gate: Gate, trap: Trap, by: signal.Signals = signal.SIGKILL
) -> tuple[str, Ended]:
    """Start the sender and kill it in a trap; return the slot and how it ended."""
    slot = world.new_slot()
    gate.set(trap)
    run = sender.start(slot, "--segment-host", world.segment_gate.url)
    assert trap.sprung.wait(20), "the sender did not come to the point"
    assert run.kill(by)
    if by is signal.SIGKILL:
        run.ended()
        trap.abandon()
    world.calm()
    return slot, run.ended()


def finish(world: World, sender: Forks, slot: str) -> None:
    """The next run is the recovery."""
    assert sender.start(slot).ended().status == 0
    check_settled(world)


def states(world: World) -> dict[str, int]:
    """How many arrivals are in each state."""
    found = [message.state for message in world.arrived()]
    return {state: found.count(state) for state in sorted(set(found))}


def test_between_the_answer_and_the_ledger(world: World, sender: Forks, due: int) -> None:
    slot, ended = kill_at(world, sender, world.clickhouse_gate, Trap(LEDGER_INSERT))
    assert ended.status == -signal.SIGKILL
    check_instant(world)
    sent = states(world)["accepted"]
    assert sent >= BATCH_MESSAGES
    assert (world.ledger(), len(world.pending())) == ([], due)
    finish(world, sender, slot)
    # The documented case: what was sent and not recorded goes out again; Segment knows the ids.
    assert states(world) == {"accepted": due, "duplicate": sent}


def test_between_the_ledger_and_its_answer(world: World, sender: Forks, due: int) -> None:
    slot, _ = kill_at(world, sender, world.clickhouse_gate, Trap(LEDGER_INSERT, forwarded=True))
    check_instant(world)
    # What was sent while the ledger was written goes out again, nothing else.
    sent = states(world)["accepted"] - len(world.ledger())
    assert 0 <= sent <= MOST_HELD
    assert len(world.ledger()) >= BATCH_MESSAGES
    finish(world, sender, slot)
    assert states(world).get("duplicate", 0) == sent


def test_between_the_arrival_and_the_answer(world: World, sender: Forks, due: int) -> None:
    trap = Trap(BATCH, number=2, forwarded=True)
    slot, _ = kill_at(world, sender, world.segment_gate, trap)
    check_instant(world)
    finish(world, sender, slot)
    assert states(world)["accepted"] == due


def test_sigterm_records_what_was_answered(world: World, sender: Forks, due: int) -> None:
    trap = Trap(BATCH, number=2)
    slot, ended = kill_at(world, sender, world.segment_gate, trap, signal.SIGTERM)
    assert ended.status != 0
    check_instant(world)
    assert len(world.ledger()) >= BATCH_MESSAGES
    finish(world, sender, slot)
    assert states(world).get("duplicate", 0) <= BATCH_MESSAGES


@pytest.mark.parametrize(
    ("by", "way"),
    [
        (signal.SIGTERM, ("--segment-transport", "sdk", "--delivery-connections", "3")),
        (signal.SIGINT, ("--segment-transport", "wire")),
    ],
    ids=["SIGTERM", "SIGINT"],
)
def test_a_signal_ends_a_run_whose_answers_trickle(
    by: signal.Signals, way: tuple[str, ...], world: World, sender: Forks, due: int
) -> None:
    """Also with a deadline of many minutes; the lease is given back when no request is left."""
    world.segment.fault(*[{"trickle_s": 0.1, "accept": False}] * 50)
    endless = ("--segment-timeout-seconds", "900", "--segment-request-seconds", "900")
    slot = world.new_slot()
    run = sender.start(slot, *endless, *way)
    for _ in range(2):  # The second one changes nothing.
        wait_for_request(world)
        assert run.kill(by)
    began = time.monotonic()
    ended = run.ended()
    assert time.monotonic() - began < 30
    assert ended.status not in (0, -by)
    assert len(world.ledger()) == 0
    [(released,)] = world.outbox.rows("select max(released) from {db}.segment_delivery_leases")
    assert released == 1
    world.calm()
    finish(world, sender, slot)


def wait_for_request(world: World) -> None:
    """Wait until Segment has got a request."""
    give_up_at = time.monotonic() + 20
    while not world.requests():
        assert time.monotonic() < give_up_at, "no request came"
        time.sleep(0.05)


def test_the_result_survives_clickhouse_being_away(world: World, sender: Forks, due: int) -> None:
    trap = Trap(LEDGER_INSERT, break_off=True, away_s=1)
    world.clickhouse_gate.set(trap)
    assert sender.start(world.new_slot()).ended().status == 0
    assert trap.sprung.is_set()
    check_settled(world)
    assert states(world) == {"accepted": due}


def test_a_ledger_row_whose_answer_was_lost_is_written_once(
    world: World, sender: Forks, due: int
) -> None:
    world.clickhouse_gate.set(Trap(LEDGER_INSERT, forwarded=True, break_off=True))
    assert sender.start(world.new_slot()).ended().status == 0
    check_settled(world)
    assert states(world) == {"accepted": due}


def test_after_the_dedupe_window_a_copy_gets_through(world: World, sender: Forks, due: int) -> None:
    """Why the next run must not be a day late."""
    slot, _ = kill_at(world, sender, world.clickhouse_gate, Trap(LEDGER_INSERT))
    sent = states(world)["accepted"]
    world.segment.configure(dedupe_window_s=0.2)
    time.sleep(0.3)
    assert sender.start(slot).ended().status == 0
    assert states(world) == {"accepted": due + sent}
    assert len({message.message_id for message in world.arrived()}) == due


def test_two_runs_at_once_send_everything_once(world: World, due: int) -> None:
    slots = [world.new_slot(), world.new_slot()]
    with forks(world.env, world.log) as one, forks(world.env, world.log) as other:
        runs = [warm.start(slot) for warm, slot in zip((one, other), slots, strict=True)]
        assert [run.ended().status for run in runs] == [0, 0]
    check_settled(world)
    assert states(world) == {"accepted": due}


def test_a_connection_to_clickhouse_that_passes_nothing_on(
    world: World, sender: Forks, due: int
) -> None:
    """The run ends by itself, says what it waits for, and the next one loses nothing."""
    trap = world.segment_gate.set(Trap(BATCH, number=2, forwarded=True))
    slot = world.new_slot()
    patience = ("--delivery-clickhouse-patience-seconds", "10")
    run = sender.start(slot, "--segment-host", world.segment_gate.url, *patience)
    assert trap.sprung.wait(20), "the sender did not come to the point"
    world.clickhouse_gate.freeze()
    trap.release()
    began = time.monotonic()
    assert run.ended(seconds=150).status == 30
    logger.info("A half-open connection ended a run after %.0f s", time.monotonic() - began)
    assert "ClickHouse has not answered for 10 s" in world.log.read_text()
    world.calm()
    check_instant(world)
    assert sender.start(slot).ended(seconds=150).status == 0
    check_settled(world)
