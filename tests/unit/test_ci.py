"""Continuous integration: the script stops at a failure, and the workflow runs the script."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from luigi_tasks.clickhouse import unreachable

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / ".ci" / "run"
WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"
PROGRAMS = ("chromium", "docker-compose", "git", "systemd-analyze", "zsh")


def run_script(
    directory: Path, make: str, programs: tuple[str, ...] = PROGRAMS
) -> subprocess.CompletedProcess[str]:
    """Run a copy of the script among stand-ins: `make` does what is given, `programs` exist."""
    commands = directory / "bin"
    commands.mkdir()
    scripts = {"make": make, **dict.fromkeys(programs, "exit 0")}
    scripts["apt-get"] = 'echo "apt-get $*"'
    scripts["sudo"] = 'shift; exec "$@"'
    for name, text in scripts.items():
        (commands / name).write_text(f"#!/bin/bash\n{text}\n")
        (commands / name).chmod(0o755)
    for name in ("bash", "dirname", "id", "env"):
        path = shutil.which(name)
        assert path
        (commands / name).symlink_to(path)
    (commands / "python3").symlink_to(sys.executable)
    (directory / ".ci").mkdir()
    shutil.copy(SCRIPT, directory / ".ci" / "run")
    return subprocess.run(
        [str(directory / ".ci" / "run")],
        env={"PATH": str(commands)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_tests_run_last(tmp_path: Path) -> None:
    result = run_script(tmp_path, 'echo "make $*"')
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == ["make lint", "make test"]


@pytest.mark.parametrize("failing", ["lint", "test"])
def test_a_failure_is_passed_on(tmp_path: Path, failing: str) -> None:
    result = run_script(tmp_path, f'echo "make $*"; [ "$1" != {failing} ] || exit 2')
    assert result.returncode == 2
    assert result.stdout.splitlines()[-1] == f"make {failing}"


def test_only_what_is_missing_is_installed(tmp_path: Path) -> None:
    result = run_script(tmp_path, 'echo "make $*"', programs=("git", "docker-compose", "zsh"))
    assert result.returncode == 0, result.stderr
    update, install = re.findall(r"(?m)^apt-get .*$", result.stdout)
    assert update.startswith("apt-get update")
    assert install.endswith("--no-install-recommends chromium systemd")


@pytest.fixture(scope="module")
def jobs() -> dict[str, Any]:
    return yaml.safe_load(WORKFLOW.read_text())["jobs"]


def test_the_workflow_follows_its_schema() -> None:
    check = subprocess.run(
        [
            *(sys.executable, "-m", "check_jsonschema"),
            *("--builtin-schema", "vendor.github-workflows", str(WORKFLOW)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert check.returncode == 0, check.stdout + check.stderr


def test_the_workflow_runs_the_script_on_every_supported_python(jobs: dict[str, Any]) -> None:
    job = jobs["test"]
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]
    assert os.access(SCRIPT, os.X_OK)
    lowest, beyond = re.findall(
        r'requires-python = ">=3\.(\d+),<3\.(\d+)"', (ROOT / "pyproject.toml").read_text()
    )[0]
    supported = [f"3.{minor}" for minor in range(int(lowest), int(beyond))]
    assert job["strategy"]["matrix"]["python"] == supported


def test_a_real_server_of_the_production_release_is_tried(jobs: dict[str, Any]) -> None:
    job = jobs["clickhouse-server"]
    (default,) = re.findall(
        r"clickhouse-server:\$\{CLICKHOUSE_VERSION:-([\d.]+)\}",
        (ROOT / "docker-compose.yml").read_text(),
    )
    tried = job["strategy"]["matrix"]["clickhouse"]
    assert ".".join(default.split(".")[:2]) in tried
    oldest = ".".join(str(part) for part in unreachable.OLDEST)
    assert oldest in tried
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(rf"^ENGINES := {re.escape(oldest)}\.\d", makefile, re.MULTILINE)
    assert f"ClickHouse {oldest} or later" in (ROOT / "README.md").read_text()
    assert "/ping" in job["services"]["clickhouse"]["options"]
