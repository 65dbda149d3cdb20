"""Background processes that are known by a record of theirs: start, recognise, stop.

A record holds the process id and the time the process started. An id alone proves nothing: after a
crash or a reboot it may belong to a stranger, who must be neither trusted nor stopped.
"""

import json
import os
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

_SAME_START_SECONDS = 5.0
"""Two readings of one start time differ a little when the system's clock is set."""


@dataclass(frozen=True)
class Record:
    """What is remembered of a started process."""

    pid: int
    started_at: float
    port: int

    @classmethod
    def read(cls, file: Path) -> "Record | None":
        """Reads a record; None when there is none, or when it is damaged."""
        try:
            return cls(**json.loads(file.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def write(self, file: Path) -> None:
        """Writes the record in one step: a reader never sees half of it."""
        partial = file.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(self)))
        partial.replace(file)

    def process(self) -> psutil.Process | None:
        """The process, if it still runs and is not another one under the same id."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started_at) < _SAME_START_SECONDS
            alive = same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return None
        return process if alive else None


def start(
    command: Sequence[str], cwd: Path, log: Path, environment: Mapping[str, str]
) -> psutil.Process:
    """Starts a process that outlives this one, with all of its output in ``log``."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    return psutil.Process(process.pid)


def stop(processes: Iterable[psutil.Process], grace_seconds: float) -> None:
    """Ends processes: SIGTERM to all, and SIGKILL to those left after the grace period."""
    running = list(processes)
    for process in running:
        _signal(process.terminate)
    _, left = psutil.wait_procs(running, timeout=grace_seconds)
    for process in left:
        _signal(process.kill)
    psutil.wait_procs(left, timeout=grace_seconds)


def _signal(send: Callable[[], None]) -> None:
    try:
        send()
    except psutil.NoSuchProcess:
        return


def tail(log: Path, lines: int) -> str:
    """The last lines of a log; empty when there is none."""
    if not log.exists():
        return ""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
