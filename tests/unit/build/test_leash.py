"""A program on the leash dies with its parent, however that ends."""

import os
import subprocess
import sys
import time

import psutil
import pytest

from luigi_tasks.build import leash

PARENT = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-I", sys.argv[1], str(os.getpid()), "/bin/sleep", "60"])
print(child.pid, flush=True)
time.sleep(60)
"""


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux does it")
def test_it_dies_when_its_parent_is_killed() -> None:
    command = [sys.executable, "-c", PARENT, leash.__file__]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        while psutil.Process(pid).name() != "sleep":
            time.sleep(0.01)
        parent.kill()
        parent.wait()
    give_up_at = time.monotonic() + 5
    while is_running(pid) and time.monotonic() < give_up_at:
        time.sleep(0.01)
    assert not is_running(pid)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux does it")
def test_it_does_not_start_when_its_parent_is_gone_already() -> None:
    done = subprocess.run(
        [sys.executable, "-I", leash.__file__, "1", "/bin/echo", "started"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "the parent is gone" in done.stderr


def test_the_exit_code_is_that_of_the_program() -> None:
    command = [sys.executable, "-I", leash.__file__, str(os.getpid()), "/bin/sh", "-c", "exit 7"]
    done = subprocess.run(command, check=False)
    assert done.returncode == 7
