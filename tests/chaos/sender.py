"""The sender as a process that can be watched and killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

from tests.processes import PROJECT

LONGEST_RUN_SECONDS = 60
LUIGI = ("--module", "luigi_tasks", "SendTrack", "--local-scheduler")


@dataclass
class Ended:
    """How a run ended.

    Attributes:
        status: Its exit code; negative: the signal that ended it.
        peak_bytes: The most memory it held; 0 when that was not measured.
    """

    status: int
    peak_bytes: int = 0


class Run:
    """One `luigi` command on its way."""

    def __init__(self, pid: int, wait: Callable[[], Ended]) -> None:
        self.pid = pid
        self._ended: list[Ended] = []
        self._waiter = Thread(target=lambda: self._ended.append(wait()), daemon=True)
        self._waiter.start()

    def wait(self, seconds: float) -> Ended | None:
        """Wait for the end; None when it is still running after so many seconds."""
        self._waiter.join(seconds)
        return self._ended[0] if self._ended else None

    def ended(self, seconds: float = LONGEST_RUN_SECONDS) -> Ended:
        """Wait for the end, at most so many seconds.

        Raises:
            AssertionError: It does not come.
        """
        ended = self.wait(seconds)
        if ended is None:
            # Which writes where it hangs into its log.
            self.kill(signal.SIGABRT)
            raise AssertionError(f"the sender still runs after {seconds:g} s; see its log")
        return ended

    def kill(self, with_signal: signal.Signals) -> bool:
        """Send a signal; tell whether the run was still there to get it."""
        if self._ended:
            return False
        try:
            os.killpg(self.pid, with_signal)
        except ProcessLookupError:
            return False
        return True


class Forks:
    """Starts runs as forks of one warm process, see `runner`."""

    def __init__(self, runner: subprocess.Popen[str], log: Path) -> None:
        self._runner = runner
        self._log = log

    def start(self, slot: str, *options: str) -> Run:
        """Start the sender for a slot."""
        assert self._runner.stdin
        # Luigi's lock goes by the command line, which all forks share.
        arguments = [*LUIGI, "--slot", slot, "--no-lock", *options]
        order = {"arguments": arguments, "log": str(self._log)}
        self._runner.stdin.write(json.dumps(order) + "\n")
        self._runner.stdin.flush()
        return Run(self._read()["pid"], lambda: Ended(**self._read()))

    def _read(self) -> dict[str, int]:
        assert self._runner.stdout
        line = self._runner.stdout.readline()
        assert line, "the runner ended"
        return dict(json.loads(line))


class Commands:
    """Starts runs as commands of their own, as cron does."""

    def __init__(self, env: dict[str, str], log: Path) -> None:
        self._env = env
        self._log = log

    def start(self, slot: str, *options: str) -> Run:
        """Start the sender for a slot."""
        with self._log.open("a") as log:
            running = subprocess.Popen(
                [sys.executable, "-m", "luigi", *LUIGI, "--slot", slot, *options],
                cwd=PROJECT,
                env=self._env | {"PYTHONFAULTHANDLER": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return Run(running.pid, lambda: Ended(running.wait()))


@contextmanager
def forks(env: dict[str, str], log: Path) -> Iterator[Forks]:
    """The warm process."""
    with log.open("a") as errors:
        runner = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.runner"],
            cwd=PROJECT,
            env=env | {"PYTHONFAULTHANDLER": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    with runner:
        yield Forks(runner, log)
