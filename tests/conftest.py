"""Real servers for the tests, one of each per session, and an environment that points at them."""

import json
import os
import signal
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import clickhouse_connect
import httpx
import pytest
from clickhouse_connect.driver.client import Client
from xdist.scheduler import LoadFileScheduling

from sandbox.private import read_password
from tests.processes import (
    MAPPINGS,
    PROJECT,
    clean_environment,
    free_port,
    process,
    sandbox_server,
    wait_listening,
)

# Nothing that runs under the tests reports home, and nothing of it goes through a proxy.
os.environ["DO_NOT_TRACK"] = "1"
os.environ["DBT_SEND_ANONYMOUS_USAGE_STATS"] = "false"
os.environ["no_proxy"] = os.environ["NO_PROXY"] = "*"

# A shell that starts the tests in the background makes its children ignore SIGINT.
signal.signal(signal.SIGINT, signal.default_int_handler)


SHARE_THE_SAMPLE = ("test_integrity.py", "test_tracking_plan_messages.py", "test_transports.py")
"""Files whose tests use the fixture `sample_build`, which costs a dbt build."""


class _Scheduling(LoadFileScheduling):
    """Keeps what shares a fixture in one process: the tests of a file, and those of a build."""

    def _split_scope(self, nodeid: str) -> str:
        file = str(super()._split_scope(nodeid))
        return "sample_build" if file.endswith(SHARE_THE_SAMPLE) else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _Scheduling:
    return _Scheduling(config, log)


@pytest.fixture(scope="session", autouse=True)
def _own_temporary_directory(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Luigi refuses a command that runs already, by a file there; other test processes have it."""
    os.environ["TMPDIR"] = str(tmp_path_factory.mktemp("tmp"))


def own_database(client: Client, name: str) -> str:
    """Return the name of a database of this test process, which does not exist (any more).

    The same name each time, so that `shared_parse` is of use.
    """
    database = f"test_{name}_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    client.command(f"drop database if exists {database}")
    return database


def shared_parse(target: Path, database: str) -> Path:
    """Return a target directory in which dbt finds what it parsed before for this database.

    dbt parses the whole project again when anything of the connection is another: five seconds.
    """
    target.mkdir(parents=True, exist_ok=True)
    link = target / "partial_parse.msgpack"
    if not link.is_symlink():
        link.symlink_to(Path(os.environ["TMPDIR"]) / f"{database}.msgpack")
    return target


@dataclass(frozen=True)
class ClickHouseServer:
    """A ClickHouse server: the embedded one, or the one that TEST_CLICKHOUSE_URL names."""

    host: str
    port: int
    user: str = "default"
    password: str = ""

    @property
    def url(self) -> str:
        """Address of the HTTP interface, with the credentials if there are any."""
        login = f"{self.user}:{self.password}@" if self.password else ""
        return f"http://{login}{self.host}:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """Variables that point dbt and the tasks at this server."""
        return {
            "CLICKHOUSE_HOST": self.host,
            "CLICKHOUSE_PORT": str(self.port),
            "CLICKHOUSE_USER": self.user,
            "CLICKHOUSE_PASSWORD": self.password,
        }

    def connect(self, **options: Any) -> Client:
        """Return a client for this server."""
        return clickhouse_connect.get_client(
            host=self.host, port=self.port, username=self.user, password=self.password, **options
        )


@dataclass(frozen=True)
class SegmentServer:
    """The Segment sandbox. Numbers in messages come back as exact decimals."""

    url: str
    port: int

    def messages(self, **filters: Any) -> list[dict[str, Any]]:
        """Every message that matches, in the order of arrival, duplicates and dropped ones too.

        Each has ``message`` (what was sent), ``raw`` (its text), ``state``, ``code``, ``request``.
        """
        found: list[dict[str, Any]] = []
        total = 1
        while len(found) < total:
            page = {"limit": 10_000, "offset": len(found), **filters}
            answer = httpx.get(f"{self.url}/api/messages", params=page, trust_env=False)
            answer.raise_for_status()
            parsed = json.loads(answer.text, parse_float=Decimal)
            total = parsed["total"]
            found += parsed["messages"]
        return found

    def stats(self) -> dict[str, Any]:
        """Counts: received, unique, duplicates, dropped, by_type, by_event, by_code, and others."""
        answer = httpx.get(f"{self.url}/api/stats", trust_env=False)
        answer.raise_for_status()
        return dict(answer.json())

    def requests(self) -> list[dict[str, Any]]:
        """The tracking requests, the latest first, up to 10,000."""
        answer = httpx.get(f"{self.url}/api/requests", params={"limit": 10_000}, trust_env=False)
        answer.raise_for_status()
        return list(answer.json()["requests"])

    def fault(self, *steps: dict[str, Any]) -> None:
        """Scripts how the next tracking requests are answered, one step for each."""
        answer = httpx.post(f"{self.url}/api/faults", json={"script": steps}, trust_env=False)
        assert answer.status_code == 200, answer.text

    def configure(self, **settings: Any) -> None:
        """Changes how the workspace is set up, until `reset`: a rate, known keys and others."""
        answer = httpx.patch(f"{self.url}/api/settings", json=settings, trust_env=False)
        assert answer.status_code == 200, answer.text

    def reset(self) -> None:
        """Forgets everything that arrived, the fault script, and changed settings."""
        for path in ("/api/messages", "/api/faults", "/api/settings"):
            httpx.delete(self.url + path, trust_env=False).raise_for_status()


@dataclass(frozen=True)
class LuigiServer:
    """Luigi's central scheduler."""

    url: str
    port: int


@pytest.fixture(scope="session")
def clickhouse_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseServer]:
    """One ClickHouse for the session; use a database of your own in it.

    TEST_CLICKHOUSE_URL names a server, TEST_ENGINE the directory of another release of chDB.
    """
    if url := os.environ.get("TEST_CLICKHOUSE_URL"):
        yield _server(url)
        return
    with ExitStack() as stack:
        module, directory = "sandbox.clickhouse", tmp_path_factory.mktemp("clickhouse")
        with pytest.MonkeyPatch.context() as patch:
            if release := os.environ.get("TEST_ENGINE"):
                module = "tests.engine"
                patch.setenv("PYTHONPATH", str(PROJECT / release))
            _, url = stack.enter_context(sandbox_server(module, directory))
        yield _server(url, read_password(directory / "password"))


def _server(url: str, password: str = "") -> ClickHouseServer:
    parts = urlsplit(url)
    assert parts.hostname, f"no host in {url}"
    user = parts.username or "default"
    return ClickHouseServer(parts.hostname, parts.port or 8123, user, parts.password or password)


@pytest.fixture(scope="session")
def segment_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SegmentServer]:
    """One Segment sandbox for the session. It keeps what arrived: `reset()` where that matters."""
    with sandbox_server("sandbox.segment", tmp_path_factory.mktemp("segment")) as (_, url):
        port = urlsplit(url).port
        assert port is not None
        yield SegmentServer(url, port)


@pytest.fixture(scope="session")
def luigid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LuigiServer]:
    """One luigid for the session, with task history."""
    with running_luigid(tmp_path_factory.mktemp("luigid")) as server:
        yield server


@contextmanager
def running_luigid(
    path: Path, *, port: int = 0, disconnect_delay: int = 15, **settings: str
) -> Iterator[LuigiServer]:
    """Run luigid with its files in a directory, and more environment variables."""
    port = port or free_port()
    config = path / "luigi.cfg"
    config.write_text(
        "[scheduler]\nrecord_task_history = true\nstable_done_cooldown_secs = 0\n"
        f"state_path = {path / 'state.pickle'}\nworker_disconnect_delay = {disconnect_delay}\n"
        f"[task_history]\ndb_connection = sqlite:///{path / 'history.db'}\n"
    )
    command = [sys.executable, "-m", "luigi_tasks.luigid", "--port", str(port)]
    log = path / "server.log"
    env = clean_environment() | {"LUIGI_CONFIG_PATH": str(config)} | settings
    with process(command, log, cwd=path, env=env) as running:
        wait_listening(running, port, log)
        yield LuigiServer(f"http://127.0.0.1:{port}", port)


@pytest.fixture
def project_env(
    clickhouse_server: ClickHouseServer, segment_server: SegmentServer, tmp_path: Path
) -> dict[str, str]:
    """Environment for dbt, luigi and the sender: these servers, and databases of the test's own.

    dbt's target and log directories are the test's own too. A test that needs the central scheduler
    adds LUIGI_PORT from `luigid`.
    """
    own = uuid.uuid4().hex[:12]
    return (
        clean_environment()
        | clickhouse_server.environment
        | {
            "CLICKHOUSE_DATABASE": f"retail_{own}",
            "RETAIL_PRO_DATABASE": f"retail_pro_{own}",
            "RETAIL_PRO_MAPPINGS": MAPPINGS,
            "SEGMENT_HOST": segment_server.url,
            "SEGMENT_WRITE_KEY": "sandbox-write-key",
            "LUIGI_CONFIG_PATH": str(PROJECT / "luigi.cfg"),
            "DBT_TARGET_PATH": str(tmp_path / "target"),
            "DBT_LOG_PATH": str(tmp_path / "logs"),
        }
    )
