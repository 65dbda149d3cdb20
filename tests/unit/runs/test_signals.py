"""Ctrl-C and SIGTERM: quick, tidy, without a traceback, and nothing else is begun."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from luigi_tasks.errors import Stopped
from luigi_tasks.runs import signals
from tests.processes import clean_environment

LUIGI = str(Path(sys.executable).with_name("luigi"))
TASKS = """
import time
from pathlib import Path
import luigi
from luigi_tasks.runs.task import PipelineTask

HERE = Path(__file__).parent


class Sleep(PipelineTask):
    number = luigi.IntParameter()

    def complete(self):
        return False

    def run(self):
        (HERE / f"begun-{self.number}").touch()
        try:
            time.sleep(100)
        finally:
            (HERE / f"tidied-{self.number}").touch()


class All(PipelineTask):
    count = luigi.IntParameter()

    def requires(self):
        return [Sleep(number=number) for number in range(self.count)]


class Slow(PipelineTask):
    def complete(self):
        (HERE / "begun-0").touch()
        time.sleep(100)
"""
SURVIVOR = """
import os, signal, time
from luigi_tasks.runs import signals
signals.MAX_SECONDS = 0.2
try:
    with signals.terminated_as_exception():
        os.kill(os.getpid(), signal.SIGTERM)
except signals.Stopped:
    pass
time.sleep(1)
print("alive")
"""
STUCK = """
import sys, time
from luigi_tasks.runs import signals
signals.MAX_SECONDS = 0.5
signals.install()
while True:
    try:
        print("ready", flush=True)
        time.sleep(60)
    except BaseException:
        print("held", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_an_exception_for_a_while(number: signal.Signals) -> None:
    before = [signal.getsignal(each) for each in signals.SIGNALS]
    with signals.terminated_as_exception(), pytest.raises(Stopped) as caught:
        os.kill(os.getpid(), number)
    assert caught.value.code == 128 + number
    assert [signal.getsignal(each) for each in signals.SIGNALS] == before


def test_the_same_signal_twice_does_not_end_the_tidying() -> None:
    with signals.terminated_as_exception():
        with pytest.raises(Stopped):
            os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)


def test_a_later_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "SECONDS_BEFORE_FORCE", 0.0)
    with signals.terminated_as_exception():
        with pytest.raises(Stopped):
            os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(Stopped):
            os.kill(os.getpid(), signal.SIGINT)


def interrupted(
    directory: Path, number: signal.Signals, *arguments: str, begun: int = 1
) -> tuple[int, str]:
    """Start luigi and send the signal to all its processes, as a terminal does."""
    (directory / "sleeping_tasks.py").write_text(TASKS)
    command = [LUIGI, "--module", "sleeping_tasks", *arguments, "--local-scheduler", "--no-lock"]
    process = subprocess.Popen(
        command,
        cwd=directory,
        env=clean_environment() | {"PYTHONPATH": str(directory)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        give_up_at = time.monotonic() + 60
        while len(list(directory.glob("begun-*"))) < begun and time.monotonic() < give_up_at:
            time.sleep(0.05)
        time.sleep(0.2)
        os.killpg(process.pid, number)
        output, _ = process.communicate(timeout=30)
    finally:
        process.kill()
    return process.returncode, output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("workers", [1, 2])
def test_tasks_are_tidied_up_and_no_other_is_begun(
    workers: int, number: signal.Signals, tmp_path: Path
) -> None:
    code, output = interrupted(
        tmp_path, number, "All", "--count", "3", "--workers", str(workers), begun=workers
    )
    assert code == 30, output
    assert "Traceback" not in output
    assert output.count("Stopping (") == 1
    assert "Nothing is lost" in output
    begun = {path.name.partition("-")[2] for path in tmp_path.glob("begun-*")}
    assert begun == {path.name.partition("-")[2] for path in tmp_path.glob("tidied-*")}
    assert len(begun) == workers


def test_before_the_first_task_there_is_no_traceback_either(tmp_path: Path) -> None:
    code, output = interrupted(tmp_path, signal.SIGINT, "Slow")
    assert code == 130, output
    assert "Traceback" not in output
    assert "Nothing is lost" in output


@pytest.mark.parametrize("number", signals.SIGNALS)
def test_a_process_that_something_holds_ends_all_the_same(number: signal.Signals) -> None:
    command = [sys.executable, "-c", STUCK]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        began = time.monotonic()
        process.send_signal(number)
        assert process.stdout.readline() == "held\n"
        assert process.wait(20) == 128 + number
    assert time.monotonic() - began < 20


def test_a_process_goes_on_after_what_was_stopped() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SURVIVOR], capture_output=True, text=True, check=False
    )
    assert done.stdout == "alive\n", done.stderr


def test_the_bound_is_below_half_a_minute() -> None:
    assert signals.SECONDS_FOR_REQUESTS < signals.MAX_SECONDS < 30
