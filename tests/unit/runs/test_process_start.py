"""A process is recognised by what does not move with the clock."""

import os
import subprocess
import sys

import psutil
import pytest

from luigi_tasks.runs import process_start
from sandbox.processes import Record


def test_the_clock_does_not_change_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Psutil works the start time out from that of the boot, which moves when the clock is set."""
    before, record = process_start.mark(os.getpid()), Record.of(psutil.Process(), 1)
    create_time = psutil.Process.create_time
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: create_time(self) + 172_800)
    monkeypatch.setattr(psutil, "boot_time", lambda: 0.0)
    assert process_start.is_running(os.getpid(), before)
    assert record.process() == psutil.Process()


def test_another_process_under_the_number_is_another_one() -> None:
    start = process_start.mark(os.getpid())
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        assert process_start.is_running(other.pid, process_start.mark(other.pid))
        assert not process_start.is_running(other.pid, start)
        assert Record(other.pid, start, 1).process() is None
        mark = process_start.mark(other.pid)
        other.kill()
        assert other.stdin
        other.stdin.close()
        psutil.wait_procs([psutil.Process(other.pid)], timeout=0.1)
    assert not process_start.is_running(other.pid, mark)
    assert not process_start.is_running(other.pid, "")


@pytest.mark.skipif(sys.platform != "linux", reason="the name is in /proc/PID/stat")
def test_a_name_with_parentheses_is_read(tmp_path: object) -> None:
    program = f"{tmp_path}/a) (b 1 2"
    os.symlink(sys.executable, program)
    with subprocess.Popen([program, "-c", "input()"], stdin=subprocess.PIPE) as process:
        boot_id, ticks = process_start.mark(process.pid).split()
        assert boot_id == process_start.boot_id()
        assert int(ticks) >= int(process_start.mark(os.getpid()).split()[1])
