"""Run a command at fixed times of the clock, one run after the other.

    python deploy/run_every.py --minutes 15 -- luigi --module luigi_tasks SyncToSegment

The first run starts at once, every later one at the next full multiple of `--minutes` (UTC). Runs
never overlap: a run that takes longer than its slot delays the next start to the next multiple, and
the slots in between are left out. A failed run does not end the loop; the next slot is the retry.

A run that takes longer than `--max-minutes` gets SIGTERM, and SIGKILL a minute later if it still
runs: whatever holds it must not stop the schedule for ever. The next slot goes on where it stopped.

A run is well when it ends with code 0, or when it touches the file that RUN_EVERY_HEARTBEAT names:
the sync does so as soon as it has sent all that could be sent, and may still end red to name what
could not. `--heartbeat` chooses that file, for a health check that looks at its time.

With `--give-up-after` the loop itself ends, with code 1, when no run has been well for so long:
whoever supervises it (`restart:` of Docker Compose) starts it afresh. A run under way is never cut
off by that.

The command's output is passed through untouched. SIGTERM and SIGINT stop the loop: a running
command gets SIGINT, and SIGKILL a minute later, then the loop ends with code 0.

Containers use this instead of cron, which hides the environment and the output of its jobs.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

log = logging.getLogger("run_every")

GRACE_SECONDS = 60.0
"""From a signal that ends the command to SIGKILL; the sync needs half of it."""

HEARTBEAT = "RUN_EVERY_HEARTBEAT"
"""The variable that names the file to the command, see luigi_tasks/runs/heartbeat.py."""

MAX_MINUTES = 240.0
"""Longer than a first load of some millions of messages takes."""


def next_start(now: float, period: float) -> float:
    """Return the first multiple of `period` seconds after `now`, which counts from the epoch."""
    return (now // period + 1) * period


class Runner:
    """Starts the command and remembers whether to go on.

    Args:
        command: The program and its arguments.
        heartbeat: A file that is touched by each run that is well.
        limit: Seconds that a run may take.
        grace: Seconds from a signal to SIGKILL.
        give_up_after: Seconds without such a run after which the loop ends; None: it goes on.
    """

    def __init__(
        self,
        command: list[str],
        heartbeat: Path,
        limit: float,
        grace: float,
        give_up_after: float | None = None,
    ) -> None:
        self._command = command
        self._heartbeat = heartbeat
        self._limit = limit
        self._grace = grace
        self._give_up_after = give_up_after
        self._well_at = time.monotonic()
        self._child: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()

    def stop(self, signal_number: int, _frame: object) -> None:
        """Handle a signal: begin no further run, and interrupt the one under way."""
        log.info("received %s, stopping", signal.Signals(signal_number).name)
        self._stopping.set()
        if self._child is not None:
            self._child.send_signal(signal.SIGINT)

    def run_once(self) -> int:
        """Run the command to its end and return its exit code."""
        began = time.monotonic()
        before = self._beat_at()
        # The command is the operator's own.
        self._child = subprocess.Popen(
            self._command, env={**os.environ, HEARTBEAT: str(self._heartbeat)}
        )
        if self._stopping.is_set():  # the signal came before there was a child to pass it to
            self._child.send_signal(signal.SIGINT)
        code = self._wait(self._child)
        self._child = None
        log.info("exit code %d after %.1f s", code, time.monotonic() - began)
        if code == 0:
            self._heartbeat.touch()
        # Another time, not a later one: the clock may be set back.
        if self._beat_at() != before:
            self._well_at = time.monotonic()
        return code

    def _beat_at(self) -> int | None:
        """The time of the heartbeat; None when there was none yet."""
        try:
            return self._heartbeat.stat().st_mtime_ns
        except FileNotFoundError:
            return None

    def _wait(self, child: subprocess.Popen[bytes]) -> int:
        """Wait for the command; end it when it takes too long, or too long to stop."""
        give_up_at = time.monotonic() + self._limit
        while child.poll() is None:
            if self._stopping.is_set():
                return self._wait_or_kill(child)
            left = give_up_at - time.monotonic()
            if left <= 0:
                log.error("still running after %.0f s, ending it with SIGTERM", self._limit)
                child.terminate()
                return self._wait_or_kill(child)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(min(left, 1.0))
        return child.returncode

    def _wait_or_kill(self, child: subprocess.Popen[bytes]) -> int:
        try:
            return child.wait(self._grace)
        except subprocess.TimeoutExpired:
            log.error("still running %.0f s later, ending it with SIGKILL", self._grace)
            child.kill()
            return child.wait()

    def gives_up(self) -> bool:
        """Tell whether no run has been well for too long."""
        return (
            self._give_up_after is not None
            and time.monotonic() - self._well_at >= self._give_up_after
        )

    def loop(self, period: float) -> int:
        """Run now, then at each multiple of `period` seconds, until `stop` is called.

        Returns:
            The exit code: 0, or 1 when it gave up.
        """
        while not self._stopping.is_set():
            self.run_once()
            if self._stopping.is_set():
                break
            if self.gives_up():
                log.error("no run has been well for %.0f s: giving up", self._give_up_after)
                return 1
            start = next_start(time.time(), period)
            log.info("next start %s", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(start)))
            self._stopping.wait(min(period, max(0.0, start - time.time())))
        return 0


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Read the command line; everything after `--` is the command."""
    parser = argparse.ArgumentParser(description="Run a command every so many minutes.")
    parser.add_argument("--minutes", type=float, required=True, help="length of a slot")
    parser.add_argument(
        "--max-minutes",
        type=float,
        default=MAX_MINUTES,
        help="a longer run is ended (default: %(default)g)",
    )
    parser.add_argument(
        "--grace-seconds",
        type=float,
        default=GRACE_SECONDS,
        help="from a signal to SIGKILL (default: %(default)g)",
    )
    parser.add_argument("--heartbeat", type=Path, help="file that each run touches that is well")
    parser.add_argument(
        "--give-up-after",
        type=float,
        metavar="MINUTES",
        help="end with code 1 after a failed run when none has been well for so long",
    )
    parser.add_argument("command", nargs="+", help="the command, after --")
    options = parser.parse_args(arguments)
    if options.minutes <= 0 or options.max_minutes <= 0:
        parser.error("--minutes must be more than 0, and --max-minutes too")
    return options


def main() -> None:
    """Run the loop until a signal ends it."""
    options = parse_arguments(sys.argv[1:])
    logging.Formatter.converter = time.gmtime
    logging.basicConfig(
        stream=sys.stdout,
        level=logging.INFO,
        format="%(asctime)sZ %(name)s: %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%S",
    )
    limit = options.max_minutes * 60
    give_up_after = None if options.give_up_after is None else options.give_up_after * 60
    with tempfile.TemporaryDirectory() as own:
        # Absolute: the command may change its directory.
        heartbeat = (options.heartbeat or Path(own, "heartbeat")).absolute()
        runner = Runner(options.command, heartbeat, limit, options.grace_seconds, give_up_after)
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signal_number, runner.stop)
        sys.exit(runner.loop(options.minutes * 60))


if __name__ == "__main__":
    main()
