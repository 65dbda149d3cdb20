"""Runs `luigi` commands, each in a fork of a process that has imported everything.

    {"arguments": ["--module", "luigi_tasks", "SendTrack", ...], "log": "/path"}     one line in
    {"pid": 4711}                                                                    two lines out
    {"status": 0, "peak_bytes": 12345}

The command is the same code as `luigi ...`, without the second that its start takes. A negative
status is the signal that ended it, as `subprocess` has it.

CHAOS_CLOCK names a file with the seconds by which this machine's clock is ahead. It is read
whenever a command asks for the time, so it can be set meanwhile; clocks that only count go on as
they are.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

import luigi.cmdline

import luigi_tasks
from luigi_tasks.runs import invocation
from luigi_tasks.segment import transport


def main() -> None:
    """Serve commands until the end of the input."""
    assert luigi_tasks.SendTrack
    with contextlib.suppress(ImportError):
        # clickhouse_connect looks for it at the first insert.
        importlib.import_module("pandas")
    if clock := os.environ.get("CHAOS_CLOCK"):
        _set_clock(lambda: float(Path(clock).read_text()))
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _run(order["arguments"], order["log"])
        _say(pid=pid)
        _, status, usage = os.wait4(pid, 0)
        peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        _say(status=os.waitstatus_to_exitcode(status), peak_bytes=peak)


def _set_clock(ahead: Callable[[], float]) -> None:
    """Make this machine's clock be ahead by what a function returns."""
    right = time.time
    time.time = lambda: right() + ahead()

    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + timedelta(seconds=ahead())

    for module in (invocation, transport):
        module.datetime = Clock  # type: ignore[attr-defined]


def _run(arguments: list[str], log: str) -> None:
    """Become the command; never returns."""
    os.setsid()
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(output, stream)
    invocation.current = invocation.begin()
    status = 1
    try:
        luigi.cmdline.luigi_run(arguments)
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _say(**words: int) -> None:
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
