"""The lease: who may load, build or send now, with or without a scheduler.

A sender leases its shard, a build leases the whole. Two leases stand against each other when their
shards can have a user in common: a build and any sender, two senders of the same shard. Only those
exclude each other, so the senders of different shards work at the same time. Loading an export has
a lease with a name of its own: it excludes other loads, and neither a build nor a sender.

A claim is a set of rows in `segment_delivery_leases`; its newest expiry counts. ClickHouse has no
compare-and-set, but on one server (and on a cluster with the settings of `cluster.py`) an insert
that was acknowledged is seen by every later query. That is enough, by the rule of two flags, in
which "other claims" are those that stand against one's own:

1. *Raise the flag, then look.* Who wants the lease inserts a claim, and only then reads all live
   claims. It holds the lease when it sees no other claim. Of two contenders, the one whose claim
   became visible last reads after both were visible, so it sees the other: never do both hold.
2. *Who sees another does not hold.* The lowest owner id looks on for a moment, because the others
   withdraw; everybody else withdraws, waits a while that differs by chance, and begins again.
3. *The flag never drops unnoticed.* A claim lives for a lifetime after its last sign of life. The
   holder counts it from the moment of sending; who contends counts it from the moment of seeing,
   which is later. A renewal counts only if it was acknowledged before the holder's deadline: then
   the claim was visible without a gap. Else the lease is lost for good, whatever the table says.

Both count by a clock of their own that is never set. What the server's clock says, `expires_at`,
decides nothing: when it is set ahead, all claims seem to have expired at once, and when it is set
back, a dead one seems to live for days. So a claim that nobody ended is looked at for its lifetime.
When it shows no sign of life in that time, that is recorded, and nobody has to wait for it again.

Those who wait stand in a queue in the same table, in the order in which they came. Nothing depends
on it but that nobody waits for ever: who does not renew its place for some seconds loses it.

A process that is paused and wakes after the deadline finds it passed (`require`, before every
request) and sends nothing more. Between that check and the socket remains an instant in which a
pause could let one batch out; its messages carry their own ids, which Segment recognises. Results
may be recorded without the lease: they are facts, and recording them twice does no harm.

A run that was killed does not hold up the next one on the same machine, where its process is seen
to be gone; on others it does for one lifetime.
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import socket
import threading
import time
from datetime import datetime, timezone
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import psutil

from luigi_tasks import config
from luigi_tasks.clickhouse import client as clickhouse
from luigi_tasks.clickhouse import cluster, queries
from luigi_tasks.errors import AnotherRunError, LeaseLostError, LedgerUnwrittenError
from luigi_tasks.runs import invocation, process_start
from luigi_tasks.runs.shards import WHOLE, Shard

logger = logging.getLogger("luigi-interface.lease")

NAME = "delivery"
"""The lease of everything that fills or empties the outbox; that of a shard has its numbers too."""

LANDING = "landing"
"""The lease of a load."""

WORK = {NAME: "building or sending", LANDING: "loading an export"}
"""What the holder of a lease is doing, for people."""

MARGIN = 0.1
"""This share of the lifetime is given away, for clocks that run at different speeds."""

SIGNS = 3
"""Signs of life in a lifetime."""

SHORTEST_ASK_SECONDS = 2.0
"""A busy ClickHouse gets so long to take a row, however short the lifetime is."""

CONTEST_SECONDS = 2.0
LONG_AGO = 86400.0

QUEUE_SECONDS = 9
"""Who waits renews its place three times in this time."""

HELD, GIVEN_BACK, IN_DOUBT, WAITS, WAITS_NO_MORE = range(5)
"""What a row says, in its column `released`. In doubt: ended, and results may be unrecorded."""

EPOCH = datetime.fromtimestamp(0, timezone.utc)


class Claim(NamedTuple):
    """A claim that nobody ended, or a place in the queue, as the table shows it.

    Attributes:
        process_start: What tells its process from others with the same number; empty where an
            older version wrote it.
        lifetime: Seconds that it outlives its last sign of life.
        sign: Another one after each sign of life.
        is_current: It has not expired by the server's clock.
    """

    owner: UUID
    machine: str
    pid: int
    process_start: str
    run_id: UUID
    since: datetime
    name: str = NAME
    lifetime: float = 0.0
    sign: tuple[int, datetime] = (0, EPOCH)
    is_current: bool = True

    def __str__(self) -> str:
        host = self.machine.partition(" ")[0]
        return f"process {self.pid} on {host}, since {self.since:%H:%M:%S} UTC"

    def is_against(self, name: str) -> bool:
        """Tell whether it stands against a lease of that name."""
        return are_against(self.name, name)

    def is_dead(self) -> bool:
        """Tell whether its process is certainly gone; only its own machine can know."""
        return self.machine == machine() and not process_start.is_running(
            self.pid, self.process_start
        )


class Watch:
    """Tells which claims have shown no sign of life for their lifetime, by this machine's clock."""

    def __init__(self) -> None:
        self._seen: dict[UUID, tuple[tuple[int, datetime], float]] = {}

    def is_silent(self, claim: Claim, looked_at: float) -> bool:
        """Tell whether a claim is dead.

        Args:
            claim: The claim as it is now.
            looked_at: When the table was asked for it, by `_now`.
        """
        sign, since = self._seen.get(claim.owner, (None, 0.0))
        if sign != claim.sign:
            self._seen[claim.owner] = (claim.sign, _now())
            return False
        return looked_at - since >= claim.lifetime


class Lease:
    """Holds the lease while it is entered.

    Args:
        shard: What is leased.
        purpose: NAME or LANDING.
        lifetime: Seconds that the lease outlives its last sign of life.
        wait: Seconds to wait for another holder.

    Attributes:
        shard: What is leased.
        name: The name of the lease, as the table has it.
        owner: The id of this claim.
        vacant_for: For so many seconds at least, when the lease was got, no other process held one
            that stands against it.
    """

    def __init__(
        self,
        shard: Shard = WHOLE,
        *,
        purpose: str = NAME,
        lifetime: float | None = None,
        wait: float | None = None,
    ) -> None:
        settings = config.lease()
        self.shard = shard
        self.name = lease_name(shard, purpose)
        self._work = WORK[purpose]
        self.owner = uuid4()
        self._lifetime = settings.seconds if lifetime is None else lifetime
        self._wait = config.lease_wait_seconds() if wait is None else wait
        self.vacant_for = 0.0
        self._deadline = 0.0
        self._sending: tuple[str, datetime, datetime] = ("", EPOCH, EPOCH)
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._watch = Watch()
        self._place: UUID | None = None
        self._place_renewed_at = 0.0
        self._signs_of_life = threading.Thread(target=self._keep, name="lease", daemon=True)

    def __enter__(self) -> Lease:
        """Wait for the lease.

        Raises:
            AnotherRunError: Another run holds it for longer than this one waits.
        """
        for attempt in clickhouse.patiently(config.delivery().clickhouse_patience_seconds):
            with attempt:
                _create_table()
        try:
            self._acquire()
        finally:
            self._leave_queue()
        self._signs_of_life.start()
        self.vacant_for = self._vacancy()
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        """Give the lease back; what may have arrived unrecorded stays known to the next run."""
        self._ended.set()
        # A sign of life that is under way may come after the end: a claim that was given back stays
        # so.
        self._signs_of_life.join(CONTEST_SECONDS)
        try:
            self._write(IN_DOUBT if isinstance(error, LedgerUnwrittenError) else GIVEN_BACK)
        except clickhouse.ERRORS as failure:
            logger.warning("The lease could not be given back and will expire: %s", failure)

    def require(self) -> None:
        """Go on only with the lease.

        Raises:
            LeaseLostError: It expired, or may have.
        """
        if _now() >= self._deadline:
            raise LeaseLostError(
                f"This run lost its lease: for {self._lifetime:g} s it could not show that it "
                "lives, because it was paused or ClickHouse was away. Another run may have begun. "
                "What is left stays in the outbox: run the same command again."
            )

    def begin(self, call: str, first: datetime, last: datetime) -> None:
        """Note which messages are about to go out, by their entry into the outbox.

        If this process dies, the next run knows which ones may have arrived.
        """
        self._sending = (call, first, last)
        for attempt in clickhouse.patiently(config.delivery().clickhouse_patience_seconds):
            with attempt:
                self._renew()
        self.require()

    def _acquire(self) -> None:
        give_up_at = _now() + self._wait
        told = False
        while not (self._is_first() and self._contend()):
            others = self._others()
            if others and not told:
                logger.info("Waiting for another run to finish: %s", others[0])
                told = True
            # One that has expired by the server's clock is about to be found dead.
            blocks = [claim for claim in others if claim.is_current] or not others
            if blocks and _now() >= give_up_at:
                raise AnotherRunError(
                    f"Another run is {self._work} ({others[0] if others else 'unknown'}). "
                    "This one leaves; what it would have done that run does, or the next."
                )
            self._stand_in_queue()
            time.sleep(random.uniform(0.1, 0.5))  # noqa: S311 - no secret, only chance

    def _is_first(self) -> bool:
        """Tell whether nobody has waited for longer who stands against this one."""
        for place in [Claim(*row) for row in queries.rows("lease_queue", patience=QUEUE_SECONDS)]:
            if place.owner == self._place:
                return True
            if place.is_against(self.name) and not place.is_dead():
                return False
        return True

    def _stand_in_queue(self) -> None:
        """Take a place in the queue, or show that it is still wanted."""
        if self._place and _now() - self._place_renewed_at < QUEUE_SECONDS / 3:
            return
        self._place = self._place or uuid4()
        self._place_renewed_at = _now()
        self._write(WAITS, owner=self._place)

    def _leave_queue(self) -> None:
        if self._place:
            try:
                self._write(WAITS_NO_MORE, owner=self._place)
            except clickhouse.ERRORS as failure:
                logger.warning("The place in the queue could not be given back: %s", failure)

    def _contend(self) -> bool:
        """Claim the lease; tell whether it was got. See rules 1 and 2 above."""
        if self._others():
            return False
        self._deadline = float("inf")
        self._renew()
        until = _now() + CONTEST_SECONDS
        while others := self._others():
            if self.owner > min(claim.owner for claim in others) or _now() >= until:
                self._write(GIVEN_BACK)
                self.owner = uuid4()
                return False
            time.sleep(0.05)
        self.require()
        return True

    def _others(self) -> list[Claim]:
        """The claims of others that stand against this one, if their process may be alive."""
        looked_at = _now()
        claims = [Claim(*row) for row in queries.rows("lease_claims")]
        others = [
            claim
            for claim in claims
            if claim.owner != self.owner and claim.is_against(self.name) and not claim.is_dead()
        ]
        return [claim for claim in others if not self._is_found_dead(claim, looked_at)]

    def _is_found_dead(self, claim: Claim, looked_at: float) -> bool:
        """Tell whether a claim has been silent for its lifetime, and record that."""
        if not self._watch.is_silent(claim, looked_at):
            return False
        logger.warning("No sign of life for %g s: %s. It is gone.", claim.lifetime, claim)
        _ask("lease_found_dead", {"dead": claim.owner}, self._lifetime)
        return True

    def _vacancy(self) -> float:
        """For how many seconds no other process has certainly held the lease, or a part of it.

        A shard that this process had before counts too, unless it was of the same number: then
        both share one pace.
        """
        rows = queries.rows(
            "lease_ends",
            lifetime=self._lifetime,
            owner=self.owner,
            machine=machine(),
            pid=os.getpid(),
        )
        ended = [
            ago
            for name, is_own, ago in rows
            if are_against(name, self.name) and not (is_own and shard_of(name).of == self.shard.of)
        ]
        return min(ended, default=LONG_AGO)

    def _keep(self) -> None:
        """Give signs of life until the end, more often while they do not get through."""
        began = _now()
        with contextlib.suppress(*clickhouse.ERRORS):
            clickhouse.connect()  # Of this thread; it may take a while.
        pause = max(0.0, self._lifetime / SIGNS - (_now() - began))
        while not self._ended.wait(pause):
            try:
                self._renew()
                pause = self._lifetime / SIGNS
            except clickhouse.ERRORS as failure:
                logger.warning("The lease could not be renewed: %s", failure)
                pause = self._lifetime / 20
            if _now() >= self._deadline:
                return

    def _renew(self) -> None:
        """Prolong the claim, if it was visible all the time; see rule 3 above."""
        asked_at = _now()
        if asked_at >= self._deadline:
            return
        self._write(HELD)
        with self._lock:
            if _now() < self._deadline:
                prolonged = asked_at + self._lifetime * (1 - MARGIN)
                first = self._deadline == float("inf")
                self._deadline = prolonged if first else max(self._deadline, prolonged)

    def _write(self, state: int, *, owner: UUID | None = None) -> None:
        call, first, last = self._sending
        process = psutil.Process()
        binds: dict[str, Any] = {
            "lease": self.name,
            "owner": owner or self.owner,
            "released": state,
            "machine": machine(),
            "pid": process.pid,
            "process_started_at": process.create_time(),
            "process_start": process_start.mark(process.pid),
            "run_id": invocation.current.run_id,
            "call": call,
            "first_enqueued_at": first,
            "last_enqueued_at": last,
            "lifetime_ms": round(self._lifetime * 1000),
        }
        _ask("lease_write", binds, self._lifetime)


def _ask(name: str, binds: dict[str, Any], lifetime: float) -> None:
    """Write to the table; several attempts must fit into the time between two signs of life."""
    database = {"database": config.clickhouse().database}
    # On a cluster a row is refused while that of another contender is being written.
    for attempt in clickhouse.patiently(CONTEST_SECONDS):
        within = max(SHORTEST_ASK_SECONDS, lifetime / SIGNS / 2)
        with attempt, clickhouse.asking("the lease", within=within) as client:
            client.command(queries.text(name), database | binds)


def _create_table() -> None:
    """Make the table, or bring one of an older version up to date."""
    client, database = clickhouse.connect(), config.clickhouse().database
    table, names = "segment_delivery_leases", {"database": database}
    cluster.create(client, database, table, queries.text("create_leases"))
    if not client.command(queries.text("lease_columns"), names):
        client.command(cluster.ddl(queries.text("lease_add_columns")), names)


def lease_name(shard: Shard, purpose: str = NAME) -> str:
    """Return the name of the lease of a shard, as the table has it."""
    return purpose if shard == WHOLE else f"{purpose}/{shard.number}/{shard.of}"


def are_against(name: str, other: str) -> bool:
    """Tell whether two leases must not be held at the same time."""
    same_purpose = name.partition("/")[0] == other.partition("/")[0]
    return same_purpose and shard_of(name).overlaps(shard_of(other))


def shard_of(name: str) -> Shard:
    """Return what the lease of that name stands for."""
    _, *numbers = name.split("/")
    return Shard(*map(int, numbers))


def machine() -> str:
    """Return what tells this machine, or this container, from all others."""
    return " ".join([socket.gethostname(), *_kernel_ids()])


def _kernel_ids() -> list[str]:
    """The boot and the process namespace, between which process numbers mean different things."""
    if boot_id := process_start.boot_id():
        return [boot_id, os.readlink("/proc/self/ns/pid")]
    return []


def _now() -> float:
    """Seconds that also pass while the machine sleeps, where the system has such a clock."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
