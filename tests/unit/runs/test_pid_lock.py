"""The same command runs once at a time per pipeline, not once per machine."""

import subprocess
import sys
from pathlib import Path

import pytest

from luigi_tasks.runs import pid_lock
from tests.processes import PROJECT, clean_environment

LOCKED = """
import sys
import luigi_tasks
from luigi import lock
from luigi.interface import core
print(lock.acquire_for(core().lock_pid_dir), flush=True)
sys.stdin.readline()
"""


def test_each_setting_of_a_pipeline_has_locks_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {pid_lock.directory()}
    for variable, _, _ in pid_lock.PIPELINE:
        with monkeypatch.context() as patch:
            patch.setenv(variable, "another")
            found.add(pid_lock.directory())
    assert len(found) == 1 + len(pid_lock.PIPELINE)
    # What the environment leaves out is that of luigi.cfg.
    monkeypatch.setenv("CLICKHOUSE_DATABASE", "")
    assert pid_lock.directory() in found


def test_one_command_line_runs_for_two_databases_and_not_twice_for_one(tmp_path: Path) -> None:
    def start(database: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", LOCKED],
            cwd=PROJECT,
            env=clean_environment() | {"CLICKHOUSE_DATABASE": database, "TMPDIR": str(tmp_path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    got = []
    running = []
    for database in ("one", "other", "one"):
        running.append(start(database))
        assert running[-1].stdout
        got.append(running[-1].stdout.readline().splitlines())
    for process in running:
        process.communicate("\n")
    assert got[0] == got[1] == ["True"]
    assert got[2] != ["True"]
