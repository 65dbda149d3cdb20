"""Background processes that are known by a record of theirs: start, recognise, stop.

A record holds the process id and a mark of its start. An id alone proves nothing: after a crash or
a reboot it may belong to a stranger, who must be neither trusted nor stopped.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Record:
    """What is remembered of a started process."""

    pid: int
    start: str
    port: int

    @classmethod
    def of(cls, process: psutil.Process, port: int) -> "Record":
        """The record of a process that was just started.

        Raises:
            psutil.NoSuchProcess: It has ended already.
        """
        return cls(process.pid, _start_of(process.pid), port)

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
            same = _start_of(self.pid) == self.start
            alive = same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return None
        return process if alive else None


def _start_of(pid: int) -> str:
    """What tells a process from others that had its number, and does not move with the clock.

    As luigi_tasks/runs/process_start.py has it, which this package does not import: that would take
    all of Luigi for a look at four processes.
    """
    if sys.platform != "linux":
        return repr(psutil.Process(pid).create_time())
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError) as error:
        raise psutil.NoSuchProcess(pid) from error
    # The 22nd field, of which those after the name, the second, are left here.
    return f"{_BOOT_ID.read_text().strip()} {stat.rpartition(')')[2].split()[19]}"


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
