"""The lease: who may build or send now, with or without a scheduler.

A sender leases its shard, a build leases the whole. Two leases stand against each other when their
shards can have a user in common: a build and any sender, two senders of the same shard. Only those
exclude each other, so the senders of different shards work at the same time.

A claim is a set of rows in `segment_delivery_leases`; its newest expiry counts. ClickHouse has no
compare-and-set, but on one server (and on a cluster with the settings of `cluster.py`) an insert
that was acknowledged is seen by every later query. That is enough, by the rule of two flags, in
which "other claims" are those that stand against one's own:

1. *Raise the flag, then look.* Who wants the lease inserts a claim, and only then reads all live
   claims. It holds the lease when it sees no other claim. Of two contenders, the one whose claim
   became visible last reads after both were visible, so it sees the other: never do both hold.
2. *Who sees another does not hold.* The lowest owner id looks on for a moment, because the others
   withdraw; everybody else withdraws, waits a while that differs by chance, and begins again.
3. *The flag never drops unnoticed.* The server's clock sets the expiry when the insert runs, which
   is later than the holder's clock at sending; so the holder's own deadline, counted from sending,
   is the earlier one. A renewal counts only if it was acknowledged before that deadline: then the
   claim was visible without a gap. Else the lease is lost for good, whatever the table says.

A process that is paused and wakes after the deadline finds it passed (`require`, before every
request) and sends nothing more. Between that check and the socket remains an instant in which a
pause could let one batch out; its messages carry their own ids, which Segment recognises. Results
may be recorded without the lease: they are facts, and recording them twice does no harm.

A run that was killed does not hold up the next one: on the same machine its process is seen to be
gone, and on others its lease expires.
"""

from __future__ import annotations

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

from luigi_tasks import clickhouse, cluster, config, invocation, queries
from luigi_tasks.errors import AnotherRunError, LeaseLostError, LedgerUnwrittenError
from luigi_tasks.shards import WHOLE, Shard

logger = logging.getLogger("luigi-interface.lease")

NAME = "delivery"
"""The lease of everything that fills or empties the outbox; that of a shard has its numbers too."""

MARGIN = 0.1
"""This share of the lifetime is given away, for clocks that run at different speeds, and on a
cluster for replicas whose clocks differ."""

CONTEST_SECONDS = 2.0
LONG_AGO = 86400.0
HELD, GIVEN_BACK, IN_DOUBT = 0, 1, 2
"""What a row says, in its column `released`. In doubt: ended, and results are not recorded."""

EPOCH = datetime.fromtimestamp(0, timezone.utc)


class Claim(NamedTuple):
    """A live claim, as the table shows it."""

    owner: UUID
    machine: str
    pid: int
    process_started_at: float
    run_id: UUID
    since: datetime
    name: str = NAME

    def __str__(self) -> str:
        host = self.machine.partition(" ")[0]
        return f"process {self.pid} on {host}, since {self.since:%H:%M:%S} UTC"

    def is_against(self, shard: Shard) -> bool:
        """Tell whether it stands against a lease of `shard`."""
        return shard_of(self.name).overlaps(shard)

    def is_dead(self) -> bool:
        """Tell whether its process is certainly gone; only its own machine can know."""
        if self.machine != machine():
            return False
        try:
            process = psutil.Process(self.pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                return True
            # Another process may have the number by now.
            return abs(process.create_time() - self.process_started_at) > 2
        except psutil.NoSuchProcess:
            return True
        except psutil.AccessDenied:
            return False


class Lease:
    """Holds the lease while it is entered.

    Args:
        shard: What is leased.
        lifetime: Seconds that the lease outlives its last sign of life.
        wait: Seconds to wait for another holder.

    Attributes:
        shard: What is leased.
        owner: The id of this claim.
        vacant_for: For so many seconds at least, when the lease was got, no other process held one
            that stands against it.
    """

    def __init__(
        self, shard: Shard = WHOLE, *, lifetime: float | None = None, wait: float | None = None
    ) -> None:
        settings = config.lease()
        self.shard = shard
        self.owner = uuid4()
        self._lifetime = settings.seconds if lifetime is None else lifetime
        self._wait = settings.wait_seconds if wait is None else wait
        self.vacant_for = 0.0
        self._deadline = 0.0
        self._sending: tuple[str, datetime, datetime] = ("", EPOCH, EPOCH)
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._signs_of_life = threading.Thread(target=self._keep, name="lease", daemon=True)

    def __enter__(self) -> Lease:
        """Wait for the lease.

        Raises:
            AnotherRunError: Another run holds it for longer than this one waits.
        """
        database, statement = config.clickhouse().database, queries.text("create_leases")
        cluster.create(clickhouse.connect(), database, "segment_delivery_leases", statement)
        self._acquire()
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
        while not self._contend():
            others = self._others()
            if others and not told:
                logger.info("Waiting for another run to finish: %s", others[0])
                told = True
            if _now() >= give_up_at:
                raise AnotherRunError(
                    f"Another run is building or sending ({others[0] if others else 'unknown'}). "
                    "This one leaves; what it would have sent goes with that run or the next."
                )
            time.sleep(random.uniform(0.1, 1.0))  # noqa: S311 - no secret, only chance

    def _contend(self) -> bool:
        """Claim the lease; tell whether it was got. See rules 1 and 2 above."""
        if self._others():
            return False
        self._deadline = float("inf")
        # On a cluster a claim is refused while that of another contender is being written.
        for attempt in clickhouse.patiently(CONTEST_SECONDS):
            with attempt:
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
        """The live claims of others that stand against this one, if their process may be alive."""
        claims = [Claim(*row) for row in queries.rows("lease_claims")]
        return [
            claim
            for claim in claims
            if claim.owner != self.owner and claim.is_against(self.shard) and not claim.is_dead()
        ]

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
            if (other := shard_of(name)).overlaps(self.shard)
            and not (is_own and other.of == self.shard.of)
        ]
        return min(ended, default=LONG_AGO)

    def _keep(self) -> None:
        """Give signs of life until the end, more often while they do not get through."""
        pause = self._lifetime / 3
        while not self._ended.wait(pause):
            try:
                self._renew()
                pause = self._lifetime / 3
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

    def _write(self, state: int) -> None:
        call, first, last = self._sending
        process = psutil.Process()
        binds: dict[str, Any] = {
            "database": config.clickhouse().database,
            "lease": lease_name(self.shard),
            "owner": self.owner,
            "released": state,
            "machine": machine(),
            "pid": process.pid,
            "process_started_at": process.create_time(),
            "run_id": invocation.current.run_id,
            "call": call,
            "first_enqueued_at": first,
            "last_enqueued_at": last,
            "lifetime_ms": round(self._lifetime * 1000),
        }
        clickhouse.connect().command(queries.text("lease_write"), binds)


def lease_name(shard: Shard) -> str:
    """Return the name of the lease of a shard, as the table has it."""
    return NAME if shard == WHOLE else f"{NAME}/{shard.number}/{shard.of}"


def shard_of(name: str) -> Shard:
    """Return what the lease of that name stands for."""
    _, *numbers = name.split("/")
    return Shard(*map(int, numbers))


def machine() -> str:
    """Return what tells this machine, or this container, from all others."""
    return " ".join([socket.gethostname(), *_kernel_ids()])


def _kernel_ids() -> list[str]:
    """The boot and the process namespace, between which process numbers mean different things."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return [file.read().strip(), os.readlink("/proc/self/ns/pid")]
    except OSError:  # Not Linux.
        return [str(int(psutil.boot_time()))]


def _now() -> float:
    """Seconds that also pass while the machine sleeps, where the system has such a clock."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
