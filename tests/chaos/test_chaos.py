"""The sender against a world that breaks: whatever happens, the books are right at the end.

Messages are put into the outbox, and the sender is started again and again, with either transport
and one or several connections, with faults of Segment, of ClickHouse and of the network, and with
clocks that are set. It is killed, at any time or at a chosen moment such as between Segment's
answer and the row in the ledger. After every run the invariants that hold at any instant are
checked; now and then a run is left in peace, and then those of a finished delivery.

    CHAOS_SEED     replays the plan of a run; a failure names it
    CHAOS_KILLS    how many kills; the default keeps the test short
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random, SystemRandom

import pytest

from tests.chaos.faults import (
    BREAKABLE,
    CLOCK_STEPS,
    POINTS,
    RATE_LIMIT,
    SEGMENT_FAULTS,
    SIGNALS,
    Deck,
    Point,
    Step,
)
from tests.chaos.gate import Trap
from tests.chaos.invariants import check_copies, check_instant, check_settled
from tests.chaos.sender import Commands, Forks, Run, forks
from tests.chaos.world import BATCH_MESSAGES, CONNECTIONS, World, poison_rules, stuck_rules

logger = logging.getLogger(__name__)

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(7200)]

KILLS = int(os.environ.get("CHAOS_KILLS", "20"))
SEED = int(os.environ.get("CHAOS_SEED", SystemRandom().randrange(10**9)))

DONE = 0
FAILED = (25, 30, 35)
"""Exit codes: a task was not run, has failed, or could not be asked whether it is done."""

WAYS = [
    ("--segment-transport", transport, "--delivery-connections", str(connections))
    for transport in ("sdk", "wire")
    for connections in (1, CONNECTIONS)
]
"""How a run sends; a run may go on with what another one has sent in another way."""

FEWEST_PENDING = 15
MOST_FAULTS = 7
SHARE_OF_RECOVERIES = 0.2
SHARE_OF_BREAKS = 0.25
SHARE_OF_STEPS = 0.25
SHARE_OF_KILLS = 0.8
LONGEST_TO_A_KILL_SECONDS = 1.0


@dataclass
class Tally:
    """What was done to the sender so far."""

    kills: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    breaks: Counter[str] = field(default_factory=Counter)
    steps: Counter[str] = field(default_factory=Counter)
    runs: Counter[int] = field(default_factory=Counter)

    @property
    def killed(self) -> int:
        """How many runs were killed."""
        return sum(self.kills.values())

    @property
    def lost(self) -> int:
        """How often the connection to ClickHouse was lost."""
        return sum(self.breaks.values())

    def unseen(self) -> set[str]:
        """The faults of Segment whose turn has not come yet."""
        return {name for name in (*SEGMENT_FAULTS, RATE_LIMIT) if not self.faults[name]}

    def __str__(self) -> str:
        lines = [f"{sum(self.runs.values())} runs, exit codes {dict(self.runs)}"]
        for title, counts in (
            ("kills", self.kills),
            ("faults of Segment", self.faults),
            ("lost connections to ClickHouse", self.breaks),
            ("steps of clocks", self.steps),
        ):
            lines.append(f"{sum(counts.values())} {title}")
            lines += [f"  {count:4} {name}" for name, count in sorted(counts.items())]
        return "\n".join(lines)


class Attack:
    """Runs the sender and disturbs it, by a plan that a seed determines."""

    def __init__(self, world: World, senders: Sequence[Forks | Commands], random: Random) -> None:
        self.world = world
        self.tally = Tally()
        self._senders = senders
        self._random = random
        self._faults = Deck([*SEGMENT_FAULTS, RATE_LIMIT], random)
        self._breaks = Deck(BREAKABLE, random)
        self._steps = Deck(CLOCK_STEPS, random)
        anytime: list[Point | None] = [None] * 4
        self._slot = world.new_slot()
        self._limited = 0
        self._kills = Deck([(s, p) for s in SIGNALS for p in (*POINTS, *anytime)], random)

    def step(self) -> None:
        """Disturb one run, and look; from time to time let the next one come to its end."""
        if len(self.world.pending()) < FEWEST_PENDING:
            self._enqueue()
        self._disturbed_run()
        check_instant(self.world)
        if self._random.random() < SHARE_OF_RECOVERIES:
            self.recover()

    def recover(self) -> None:
        """Let the next run finish what the others left: that is all there is to recovery."""
        if self._only_poison_is_left():
            # Segment refusing everything would speak against the key, not against the messages.
            self._enqueue(poison=0)
        # A task that has sent all but a stuck message is done for its slot.
        self._slot = self.world.new_slot()
        ended = self._senders[0].start(self._slot, *self._random.choice(WAYS)).ended()
        self.tally.runs[ended.status] += 1
        assert ended.status == DONE, f"the undisturbed run ended with {ended.status}"
        check_settled(self.world)
        check_copies(self.world, self.tally.killed + self.tally.lost)
        self._slot = self.world.new_slot()

    def _enqueue(self, poison: int | None = None) -> None:
        random = self._random
        bad = random.choice((0, 0, 1, 3)) if poison is None else poison
        if random.random() < SHARE_OF_STEPS:
            self.world.set_clocks(self._step())
        self.world.enqueue(random, random.randrange(3, 25), random.randrange(5, 60), bad)
        self.world.set_clocks(Step())
        self._slot = self.world.new_slot()

    def _step(self) -> Step:
        step = self._steps.deal()
        self.tally.steps[str(step)] += 1
        logger.info("Clocks: %s", step)
        return step

    def _step_meanwhile(self) -> threading.Timer:
        """Set the clocks in a moment, when a run has begun or is about to compare them."""
        moment = self._random.uniform(0, LONGEST_TO_A_KILL_SECONDS / 2)
        timer = threading.Timer(moment, self.world.set_clocks, [self._step()])
        timer.start()
        return timer

    def _disturbed_run(self) -> None:
        random, world = self._random, self.world
        steps = self._script_faults()
        breaking = self._break_clickhouse() if random.random() < SHARE_OF_BREAKS else None
        kill, point = self._kills.deal() if random.random() < SHARE_OF_KILLS else (None, None)
        through_gate = point is not None and point.server == "segment"
        way = random.choice(WAYS)
        stepping = self._step_meanwhile() if random.random() < SHARE_OF_STEPS else None
        run = random.choice(self._senders).start(
            self._slot,
            "--segment-host",
            world.segment_gate.url if through_gate else world.segment.url,
            *way,
        )
        if kill:
            self._kill(run, kill, point)
        ended = run.ended()
        self.tally.runs[ended.status] += 1
        if stepping:
            stepping.join()
        self._count_faults(steps)
        if breaking:
            self._count_break(*breaking)
        world.calm()
        logger.info(
            "Exit code %d: %s, faults %s, connection lost %s, %s %s",
            *(ended.status, " ".join(way), [step for step in steps if step]),
            *(breaking and str(breaking[0]), kill and kill.name, point),
        )
        assert ended.status in (DONE, *FAILED) or kill, f"exit code {ended.status}"

    def _script_faults(self) -> list[str]:
        """Script some faults for the next run; return their names, empty for a normal answer."""
        steps: list[str] = []
        for _ in range(self._random.randrange(MOST_FAULTS)):
            steps += [""] * self._random.choice((0, 0, 1, 2)) + [self._faults.deal()]
        if RATE_LIMIT in steps:
            self.world.api("PATCH", "settings", json={"events_per_second": BATCH_MESSAGES})
        script = [SEGMENT_FAULTS.get(step, {}) for step in steps]
        rules = [*poison_rules(), *stuck_rules()]
        self.world.api("POST", "faults", json={"script": [*rules, *script]})
        return steps

    def _break_clickhouse(self) -> tuple[Point, Trap]:
        point = self._breaks.deal()
        number, away = self._random.randrange(1, 3), self._random.choice((0, 0, 0.5))
        trap = Trap(point.pattern, number, point.forwarded, break_off=True, away_s=away)
        return point, self.world.clickhouse_gate.set(trap)

    def _kill(self, run: Run, kill: signal.Signals, point: Point | None) -> None:
        if point is None:
            run.wait(self._random.uniform(0, LONGEST_TO_A_KILL_SECONDS))
            if run.kill(kill):
                self.tally.kills[f"{kill.name} at any time"] += 1
            return
        world = self.world
        gate = world.segment_gate if point.server == "segment" else world.clickhouse_gate
        trap = gate.set(Trap(point.pattern, self._random.choice((1, 1, 2, 3)), point.forwarded))
        while not trap.sprung.wait(0.01) and not run.wait(0):
            pass
        if trap.sprung.is_set() and run.kill(kill):
            self.tally.kills[f"{kill.name} {point}"] += 1
        else:
            self._kills.put_back((kill, point))
        if kill is signal.SIGKILL:
            run.ended()
            trap.abandon()
        else:
            trap.release()

    def _count_faults(self, steps: list[str]) -> None:
        used = len(steps) - self.world.faults_left()
        limited_before, self._limited = self._limited, self._limited_requests()
        for number, name in reversed(list(enumerate(steps))):
            if not name:
                continue
            if self._limited > limited_before if name == RATE_LIMIT else number < used:
                self.tally.faults[name] += 1
            else:
                self._faults.put_on_top(name)

    def _limited_requests(self) -> int:
        """How many requests were refused because of their rate."""
        return sum(status == 429 and not fault for _, status, fault in self.world.requests())

    def _count_break(self, point: Point, trap: Trap) -> None:
        if trap.sprung.is_set():
            self.tally.breaks[str(point)] += 1
        else:
            self._breaks.put_back(point)

    def _only_poison_is_left(self) -> bool:
        left = [self.world.due[name] for name in self.world.pending()]
        good = {message.call for message in left if not message.reason}
        return bool({message.call for message in left} - good)


def test_the_books_are_right_whatever_breaks(world: World) -> None:
    """The test that this directory is for."""
    logger.info("To replay the plan: CHAOS_SEED=%s CHAOS_KILLS=%s", SEED, KILLS)
    with forks(world.env, world.log) as warm:
        senders = [*[warm] * 9, Commands(world.env, world.log)]
        attack = Attack(world, senders, Random(SEED))  # noqa: S311 - no secret, a plan
        while attack.tally.killed < KILLS or attack.tally.unseen():
            attack.step()
        attack.recover()
    logger.info("%s", attack.tally)
