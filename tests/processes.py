"""Starts the project's servers as real processes for the tests."""

import os
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
MAPPINGS = "tests/shop"
"""The mappings of the shop that the tests' exports are of, for RETAIL_PRO_MAPPINGS."""
START_SECONDS = 60
STOP_SECONDS = 20

_OWN_PREFIXES = ("CLICKHOUSE_", "SEGMENT_", "RETAIL_PRO_", "SANDBOX_", "LUIGI_", "DBT_")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


def clean_environment() -> dict[str, str]:
    """The environment without proxies and without anything that configures this project."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_OWN_PREFIXES) and name.lower() not in _PROXIES
    }
    return kept | {
        "DO_NOT_TRACK": "1",
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "PYTHONUNBUFFERED": "1",
    }


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def process(
    arguments: Sequence[str], log: Path, cwd: Path = PROJECT, env: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Runs a command with its stderr in ``log``; ends it with SIGTERM, then SIGKILL."""
    with log.open("a") as stderr:
        running = subprocess.Popen(
            arguments,
            cwd=cwd,
            env=env or clean_environment(),
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            start_new_session=True,
        )
    try:
        yield running
    finally:
        running.terminate()
        try:
            running.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()
        if running.stdout:
            running.stdout.close()


def wait_ready(running: subprocess.Popen[str], log: Path) -> str:
    """Waits for the line ``ready URL`` on stdout and returns the URL; more words may follow.

    Raises:
        AssertionError: The process ended or took too long; the text holds the end of its log.
    """
    assert running.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(running.stdout, selectors.EVENT_READ)
        ready = selector.select(START_SECONDS)
    line = running.stdout.readline() if ready else ""
    words = line.split()
    if words[:1] != ["ready"]:
        raise AssertionError(f"{running.args} did not get ready:\n{_tail(log)}")
    return words[1]


def wait_listening(running: subprocess.Popen[str], port: int, log: Path) -> None:
    """Waits until something listens on the port.

    Raises:
        AssertionError: The process ended or took too long; the text holds the end of its log.
    """
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and running.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"{running.args} does not listen on port {port}:\n{_tail(log)}")


@contextmanager
def sandbox_server(
    module: str, directory: Path, *options: str, port: int = 0
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Runs ``python -m MODULE`` over a directory; yields the process and its URL."""
    directory.mkdir(parents=True, exist_ok=True)
    log = directory / "server.log"
    command = [sys.executable, "-m", module, "--path", str(directory), "--host", "127.0.0.1"]
    with process([*command, "--port", str(port), *options], log) as running:
        yield running, wait_ready(running, log)


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-4000:] if log.exists() else "(no log)"
