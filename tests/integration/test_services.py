"""``python -m sandbox up|down|status|logs`` with the real services."""

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from sandbox.private import read_password
from tests.processes import PROJECT, clean_environment, free_port

NAMES = ("clickhouse", "segment", "luigid", "docs")
VARIABLES = ("CLICKHOUSE_PORT", "SEGMENT_PORT", "LUIGI_PORT", "DOCS_PORT")


@dataclass(frozen=True)
class Setup:
    """A sandbox directory with ports of its own."""

    directory: Path
    ports: dict[str, int]

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Runs ``python -m sandbox`` with this directory and these ports."""
        own = {"SANDBOX_DIR": str(self.directory)}
        own |= {variable: str(port) for variable, port in self.ports.items()}
        return subprocess.run(
            [sys.executable, "-m", "sandbox", *arguments],
            cwd=PROJECT,
            env=clean_environment() | own | environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def record_file(self, name: str) -> Path:
        """The file that remembers a service's process."""
        return self.directory / "run" / f"{name}.json"

    def pids(self) -> dict[str, int]:
        """The process ids that are on record, by service."""
        files = {name: self.record_file(name) for name in NAMES}
        return {n: json.loads(f.read_text())["pid"] for n, f in files.items() if f.exists()}

    def get(self, variable: str, path: str) -> httpx.Response:
        """Asks the service whose port the variable sets."""
        url = f"http://127.0.0.1:{self.ports[variable]}{path}"
        return httpx.get(url, trust_env=False, follow_redirects=True)

    @property
    def password_file(self) -> Path:
        """Where the password of ClickHouse is."""
        return self.directory / "clickhouse" / "password"

    def select_one(self, password: str) -> int:
        """The status that ClickHouse answers a query with."""
        url = f"http://127.0.0.1:{self.ports['CLICKHOUSE_PORT']}/?query=select+1"
        return httpx.get(url, auth=("default", password), trust_env=False).status_code


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Setup]:
    ports: set[int] = set()
    while len(ports) < len(VARIABLES):
        ports.add(free_port())
    sandbox = Setup(tmp_path / "sandbox", dict(zip(VARIABLES, ports, strict=True)))
    yield sandbox
    sandbox.run("down")


def kill(pid: int) -> None:
    """Ends a process and waits until it is gone, whoever its parent is."""
    process = psutil.Process(pid)
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
            return
        time.sleep(0.02)
    raise AssertionError(f"process {pid} does not end")


def alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_up_status_logs_down(sandbox: Setup) -> None:
    assert sandbox.run("status").returncode == 1
    up = sandbox.run("up")
    assert up.returncode == 0, up.stderr
    assert up.stdout.count("running") == 4
    for port in sandbox.ports.values():
        assert f"http://127.0.0.1:{port}" in up.stdout

    assert sandbox.select_one(read_password(sandbox.password_file)) == 200
    assert "<title>Segment sandbox" in sandbox.get("SEGMENT_PORT", "/").text
    assert "Luigi" in sandbox.get("LUIGI_PORT", "/").text
    assert sandbox.get("LUIGI_PORT", "/history").status_code == 200
    assert "<title>dbt" in sandbox.get("DOCS_PORT", "/").text
    assert (sandbox.directory / "luigi" / "history.db").exists()

    pids = sandbox.pids()
    assert sandbox.run("up").returncode == 0
    assert sandbox.pids() == pids

    status = sandbox.run("status")
    assert status.returncode == 0
    assert all(str(pid) in status.stdout for pid in pids.values())
    logs = sandbox.run("logs", "segment", "--lines", "5").stdout
    assert "==> segment <==" in logs
    assert "ready http://127.0.0.1" in logs
    assert "luigid" not in logs

    down = sandbox.run("down")
    assert down.returncode == 0
    assert not any(alive(pid) for pid in pids.values())
    assert sandbox.pids() == {}
    assert sandbox.run("down").stdout == "Nothing was running.\n"


def test_what_it_keeps_is_private(sandbox: Setup) -> None:
    kept = [PROJECT / "target", PROJECT / "logs", sandbox.directory]
    for directory in kept:
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o755)
    up = sandbox.run("up", CLICKHOUSE_PASSWORD="of-production")
    assert (up.returncode, up.stderr) == (0, "")
    below = [path for path in sandbox.directory.rglob("*") if not path.is_symlink()]
    open_to_others = [path for path in [*kept, *below] if path.stat().st_mode & 0o077]
    assert open_to_others == []
    password = read_password(sandbox.password_file)
    assert sandbox.select_one("of-production") == 403
    assert sandbox.select_one(password) == 200
    for pid in sandbox.pids().values():
        assert password not in " ".join(psutil.Process(pid).cmdline())
    assert password not in sandbox.run("logs").stdout
    # The same directory keeps its password.
    assert sandbox.run("down").returncode == 0
    assert sandbox.run("prepare").returncode == 0
    assert read_password(sandbox.password_file) == password


def curls() -> list[str]:
    """Every curl command of the guides."""
    found = []
    for file in (PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))):
        lines = iter(file.read_text().splitlines())
        for line in lines:
            if match := re.match(r"\s*(?:\$ )?(curl .*)", line):
                command = match[1]
                while not is_whole(command):
                    command += f"\n{next(lines)}"
                found.append(command)
    return found


def is_whole(command: str) -> bool:
    try:
        shlex.split(command)
    except ValueError:
        return False
    return True


def test_every_curl_of_the_guides_works_in_an_activated_shell(
    sandbox: Setup, tmp_path: Path
) -> None:
    assert sandbox.run("up").returncode == 0
    (tmp_path / "query.sql").write_text("select 4711")
    commands = curls()
    assert len(commands) >= 4
    for command in commands:
        here = command.replace(":8123", f":{sandbox.ports['CLICKHOUSE_PORT']}")
        here = here.replace(":8765", f":{sandbox.ports['SEGMENT_PORT']}")
        done = subprocess.run(
            [
                "bash",
                "-ec",
                f". '{PROJECT}/sandbox/activate.sh'; {here} --fail --no-progress-meter",
            ],
            cwd=tmp_path,
            env=clean_environment()
            | {"VIRTUAL_ENV": "/nowhere/.venv", "SANDBOX_DIR": str(sandbox.directory)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), here
        assert "query.sql" not in here or "4711" in done.stdout


def test_a_password_file_that_cannot_be_used(sandbox: Setup) -> None:
    assert sandbox.run("prepare").returncode == 0
    sandbox.password_file.write_text("\n")
    up = sandbox.run("up")
    assert up.returncode == 1
    assert f"{sandbox.password_file} is empty. Delete it" in up.stderr
    assert "Traceback" not in up.stderr


def test_a_dead_service_is_started_again(sandbox: Setup) -> None:
    sandbox.run("up")
    before = sandbox.pids()
    kill(before["segment"])
    status = sandbox.run("status")
    assert status.returncode == 1
    assert "stopped" in status.stdout
    assert sandbox.run("up").returncode == 0
    after = sandbox.pids()
    assert {name for name in NAMES if before[name] != after[name]} == {"segment"}


def test_two_ups_at_once_start_everything_once(sandbox: Setup) -> None:
    with ThreadPoolExecutor(2) as pool:
        runs = list(pool.map(lambda _: sandbox.run("up"), range(2)))
    assert [run.returncode for run in runs] == [0, 0]
    assert set(sandbox.pids()) == set(NAMES)


def test_a_taken_port_is_named_and_nothing_is_started(sandbox: Setup) -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", sandbox.ports["LUIGI_PORT"]))
        stranger.listen()
        up = sandbox.run("up")
        status = sandbox.run("status").stdout
    assert up.returncode == 1
    assert f"Port {sandbox.ports['LUIGI_PORT']} is taken by another program" in up.stderr
    assert "Luigi scheduler" in up.stderr
    assert "LUIGI_PORT" in up.stderr
    assert "Traceback" not in up.stderr
    assert sandbox.pids() == {}
    assert status.count("stopped") == 3
    assert "port taken" in status


def test_a_service_that_does_not_start_shows_its_log_and_takes_the_rest_down(
    sandbox: Setup,
) -> None:
    (sandbox.directory / "segment").mkdir(parents=True)
    (sandbox.directory / "segment" / "segment.sqlite").write_text("not a database " * 100)
    up = sandbox.run("up")
    assert up.returncode == 1
    assert "Segment debugger ended while it was starting" in up.stderr
    assert "file is not a database" in up.stderr
    assert sandbox.pids() == {}
    assert sandbox.run("status").stdout.count("stopped") == 4


def test_a_pid_that_now_belongs_to_another_process(sandbox: Setup) -> None:
    sandbox.run("up")
    old = sandbox.pids()["segment"]
    kill(old)
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        file = sandbox.record_file("segment")
        record = json.loads(file.read_text())
        # The same id, started at another time.
        file.write_text(json.dumps(record | {"pid": stranger.pid, "start": "another boot 1"}))
        assert "stopped" in sandbox.run("status").stdout
        assert sandbox.run("down").returncode == 0
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_port_changed_while_running(sandbox: Setup) -> None:
    sandbox.run("up")
    up = sandbox.run("up", SEGMENT_PORT=str(free_port()))
    assert up.returncode == 1
    assert "already runs on port" in up.stderr
    assert "make down" in up.stderr
    assert set(sandbox.pids()) == set(NAMES)


@pytest.mark.parametrize("text", ["abc", "0", "70000", "-1"])
def test_a_variable_that_is_no_port(sandbox: Setup, text: str) -> None:
    up = sandbox.run("up", DOCS_PORT=text)
    assert up.returncode == 1
    assert f"DOCS_PORT={text}" in up.stderr


def test_an_unknown_service_in_logs(sandbox: Setup) -> None:
    ended = sandbox.run("logs", "nope")
    assert ended.returncode == 1
    assert "clickhouse, segment, luigid, docs" in ended.stderr
