"""The four services of the sandbox: what each is, and how they go up and down together."""

import fcntl
import http.client
import os
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from sandbox import private, processes
from sandbox.processes import Record

PROJECT = Path(__file__).resolve().parents[1]
HOST = "127.0.0.1"

_START_SECONDS = 60.0
_STOP_SECONDS = 15.0
_LOG_LINES_ON_FAILURE = 20


class SandboxError(Exception):
    """The sandbox cannot do what was asked; the text says why and what to do next."""


@dataclass(frozen=True)
class Service:
    """One background process that answers HTTP.

    Attributes:
        name: Short name, also of its record and its log.
        title: Name for people.
        variable: The environment variable that sets the port.
        port: The port on the loopback interface.
        command: What is run, in the project's root.
        health_path: A path that is asked to see whether the service works.
        health_text: A text in the answer that tells this service from any other.
        environment: Added to the environment of the process.
    """

    name: str
    title: str
    variable: str
    port: int
    command: tuple[str, ...]
    health_path: str
    health_text: str
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Where people find it."""
        return f"http://{HOST}:{self.port}"

    def healthy(self) -> bool:
        """Whether the service answers, and is the one that is meant."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=2)
        try:
            connection.request("GET", self.health_path)
            body = connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        return self.health_text.encode() in body

    def port_is_taken(self) -> bool:
        """Whether some program listens on the port, on the loopback interface or on all."""
        with socket.socket() as probe:
            # On macOS the bind below succeeds beside a program that listens on all interfaces.
            if probe.connect_ex((HOST, self.port)) == 0:
                return True
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, self.port))
            except OSError:
                return True
        return False


@dataclass(frozen=True)
class ServiceState:
    """How a service is at the moment."""

    service: Service
    state: str
    pid: int | None


def default_directory() -> Path:
    """The sandbox's directory: SANDBOX_DIR, else ``.sandbox`` in the project's root."""
    return Path(os.environ.get("SANDBOX_DIR") or PROJECT / ".sandbox").resolve()


def services(directory: Path, environment: Mapping[str, str] = os.environ) -> list[Service]:
    """The services, with ports from the environment.

    Raises:
        SandboxError: A variable does not hold a port.
    """
    clickhouse = _port(environment, "CLICKHOUSE_PORT", 8123)
    segment = _port(environment, "SEGMENT_PORT", 8765)
    luigi = _port(environment, "LUIGI_PORT", 8082)
    docs = _port(environment, "DOCS_PORT", 8081)
    return [
        Service(
            "clickhouse",
            "ClickHouse (embedded)",
            "CLICKHOUSE_PORT",
            clickhouse,
            _python("sandbox.clickhouse", clickhouse_directory(directory), clickhouse),
            health_path="/ping",
            health_text="Ok.",
            # The password of its file, whatever the environment says.
            environment={"CLICKHOUSE_PASSWORD": ""},
        ),
        Service(
            "segment",
            "Segment debugger",
            "SEGMENT_PORT",
            segment,
            _python("sandbox.segment", directory / "segment", segment),
            health_path="/health",
            health_text="sandbox.segment",
        ),
        _luigid(directory / "luigi", luigi),
        Service(
            "docs",
            "dbt docs",
            "DOCS_PORT",
            docs,
            _python("sandbox.docs_site", PROJECT / "target" / "docs", docs),
            health_path="/health",
            health_text="sandbox.docs_site",
        ),
    ]


def _port(environment: Mapping[str, str], variable: str, default: int) -> int:
    text = environment.get(variable) or str(default)
    if not text.isdecimal() or not 0 < int(text) < 65_536:
        raise SandboxError(f"{variable}={text} is not a port. Set it to a number from 1 to 65535.")
    return int(text)


def clickhouse_directory(directory: Path) -> Path:
    """Where ClickHouse's data and password lie in the sandbox's directory."""
    return directory / "clickhouse"


def _python(module: str, path: Path, port: int) -> tuple[str, ...]:
    address = ("--host", HOST, "--port", str(port))
    return (sys.executable, "-m", module, "--path", str(path), *address)


def _luigid(directory: Path, port: int) -> Service:
    return Service(
        "luigid",
        "Luigi scheduler",
        "LUIGI_PORT",
        port,
        (
            *(sys.executable, "-m", "luigi_tasks.luigid"),
            *("--address", HOST, "--port", str(port)),
        ),
        health_path="/static/visualiser/index.html",
        health_text="Luigi",
        # Read after the project's luigi.cfg, and so wins over it.
        # On loopback it needs no password, whatever the one of a real luigid may be.
        environment={
            "LUIGI_CONFIG_PATH": str(directory / "luigid.cfg"),
            "LUIGI_PASSWORD": "",
            "LUIGI_PASSWORD_FILE": "",
        },
    )


class Sandbox:
    """The services under one directory.

    Records are kept in ``run/``, logs in ``logs/``; each service has its own data directory.
    """

    def __init__(self, directory: Path, members: list[Service]) -> None:
        self._directory = directory
        self._services = members

    @property
    def names(self) -> list[str]:
        """The names of the services."""
        return [service.name for service in self._services]

    def prepare(self) -> None:
        """Makes the directories, private to their owner, and the password of ClickHouse.

        Raises:
            SandboxError: Something there belongs to another user.
        """
        try:
            for path in (self._directory, PROJECT / "target", PROJECT / "logs"):
                private.make_directory(path)
            for name in ("run", "logs", "luigi", "clickhouse"):
                (self._directory / name).mkdir(exist_ok=True)
            private.password_file(clickhouse_directory(self._directory))
        except private.PrivateFileError as error:
            raise SandboxError(str(error)) from error
        luigi = str(self._directory / "luigi").replace("%", "%%")
        (self._directory / "luigi" / "luigid.cfg").write_text(
            f"[scheduler]\nstate_path={luigi}/state.pickle\n"
            f"[task_history]\ndb_connection=sqlite:///{luigi}/history.db\n"
        )

    def up(self) -> None:
        """Starts the services that do not run yet and waits until all of them answer.

        Raises:
            SandboxError: A port is taken, or a service did not start. What this call started is
                stopped again.
        """
        self.prepare()
        with self._alone():
            missing = [service for service in self._services if not self._is_running(service)]
            _refuse_taken_ports(missing)
            started: list[psutil.Process] = []
            try:
                for service in missing:
                    started.append(self._start(service))
                self._wait_healthy()
            except BaseException:
                processes.stop(started, _STOP_SECONDS)
                for service in missing:
                    self._record_file(service).unlink(missing_ok=True)
                raise

    def down(self) -> list[Service]:
        """Stops the services that run; returns them."""
        self.prepare()
        with self._alone():
            found = {service.name: self._process(service) for service in self._services}
            processes.stop([process for process in found.values() if process], _STOP_SECONDS)
            for service in self._services:
                self._record_file(service).unlink(missing_ok=True)
        return [service for service in self._services if found[service.name]]

    def status(self) -> list[ServiceState]:
        """How each service is: running, not answering, stopped, or its port taken by another."""
        return [self._state(service) for service in self._services]

    def log(self, name: str, lines: int) -> str:
        """The last lines of a service's log."""
        return processes.tail(self._log_file(name), lines)

    def _state(self, service: Service) -> ServiceState:
        process = self._process(service)
        if process:
            state = "running" if service.healthy() else "not answering"
        else:
            state = "port taken" if service.port_is_taken() else "stopped"
        return ServiceState(service, state, process.pid if process else None)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Two calls at once would start everything twice: the second one waits."""
        with (self._directory / "run" / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _process(self, service: Service) -> psutil.Process | None:
        record = Record.read(self._record_file(service))
        return record.process() if record else None

    def _is_running(self, service: Service) -> bool:
        """Whether the service runs on the port that is asked for.

        Raises:
            SandboxError: It runs on another port.
        """
        record = Record.read(self._record_file(service))
        if record is None or record.process() is None:
            return False
        if record.port != service.port:
            raise SandboxError(
                f"{service.title} already runs on port {record.port}, but {service.variable} asks"
                f" for {service.port}. Run `make down` first."
            )
        return True

    def _start(self, service: Service) -> psutil.Process:
        log = self._log_file(service.name)
        environment = {"PYTHONUNBUFFERED": "1", **service.environment}
        try:
            process = processes.start(service.command, PROJECT, log, environment)
        except OSError as error:
            raise SandboxError(
                f"{service.title} cannot be started: {error}."
                " Install the project with its sandbox extra: pip install -e '.[sandbox]'"
            ) from error
        Record.of(process, service.port).write(self._record_file(service))
        return process

    def _wait_healthy(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        waiting = list(self._services)
        while waiting:
            for service in waiting:
                if self._process(service) is None:
                    raise self._failure(service, "ended while it was starting")
            if time.monotonic() > deadline:
                raise self._failure(waiting[0], f"did not answer within {_START_SECONDS:.0f} s")
            waiting = [service for service in waiting if not service.healthy()]
            time.sleep(0.05 if waiting else 0)

    def _failure(self, service: Service, what: str) -> SandboxError:
        log = self._log_file(service.name)
        end = processes.tail(log, _LOG_LINES_ON_FAILURE) or "(nothing)"
        return SandboxError(f"{service.title} {what}. The end of {log}:\n{end}")

    def _record_file(self, service: Service) -> Path:
        return self._directory / "run" / f"{service.name}.json"

    def _log_file(self, name: str) -> Path:
        return self._directory / "logs" / f"{name}.log"


def _refuse_taken_ports(missing: list[Service]) -> None:
    taken = [service for service in missing if service.port_is_taken()]
    if taken:
        lines = [
            f"Port {service.port} is taken by another program; {service.title} needs it."
            f" End that program, or set {service.variable} to a free port."
            for service in taken
        ]
        raise SandboxError("\n".join([*lines, "Nothing was started."]))
