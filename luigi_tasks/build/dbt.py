"""One `dbt build` as a process of its own: started, watched, and stopped with all its children.

A process and not dbt's Python runner, which is unsafe beside other work in one process; and not
Luigi's ExternalProgramTask, which publishes the environment when the program fails. Nothing secret
is on the command line: dbt reads passwords from the environment.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from luigi_tasks import config
from luigi_tasks.build import leash, violations
from luigi_tasks.clickhouse import advice, cluster
from luigi_tasks.clickhouse import client as clickhouse
from luigi_tasks.errors import BuildFailedError, ConfigurationError
from luigi_tasks.landing import origin
from luigi_tasks.runs import signals

logger = logging.getLogger("luigi-interface.dbt")

GOOD_STATUSES = frozenset({"success", "pass", "warn", "skipped", "no-op"})
"""With exit code 0 a node is skipped by design only, for example an empty seed selection."""

MOST_FAILURES_SHOWN = 10
LONGEST_MESSAGE = 600

STOP_INTERVAL_SECONDS = 0.5
"""How often statements of a build that is to stop are looked for."""

KILL_STATEMENTS = """
kill query $on_cluster
where startsWith(query, '/* {{"app": "dbt"') and position(query, '{build}') > 0
async
"""
"""Which statement is of which build stands in its comment, see the macro query_comment."""

PASSED_ON = frozenset({"DBT_TARGET", "DBT_SEND_ANONYMOUS_USAGE_STATS"})
"""Settings of dbt that are settings of this project too."""

KEPT_FROM_DBT = frozenset(
    {
        *("SEGMENT_WRITE_KEY", "SEGMENT_WRITE_KEY_FILE"),
        *("SEGMENT_OAUTH_CLIENT_ID", "SEGMENT_OAUTH_KEY_ID", "SEGMENT_OAUTH_KEY_FILE"),
        *("LUIGI_PASSWORD", "LUIGI_PASSWORD_FILE"),
        "CLICKHOUSE_PASSWORD_FILE",
    }
)
"""Secrets that are not dbt's, and the file of its own, which it would not read."""

OnProgress = Callable[[int, int, str], None]


@dataclass
class BuildLog:
    """What the log lines of a build have told.

    Attributes:
        invocation_id: dbt's id of the build.
        errors: The messages of error level, for a build that fails before it has results.
    """

    invocation_id: str = ""
    errors: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class BuildResult:
    """A build that went well: its id and the number of its nodes."""

    invocation_id: str
    nodes: int


def build(on_progress: OnProgress, selector: str | None = None) -> BuildResult:
    """Run `dbt build` and wait for it.

    Args:
        on_progress: Called with (nodes finished, nodes in all, what was finished).
        selector: A selector of selectors.yml; None builds everything.

    Raises:
        BuildFailedError: dbt failed; names the nodes and the log.
        ConfigurationError: dbt or the project is not where it should be.
    """
    settings = config.dbt()
    project = Path(settings.project_dir)
    if not (project / "dbt_project.yml").is_file():
        raise ConfigurationError(
            f"There is no dbt_project.yml in {project}. Set DBT_PROJECT_DIR to the directory of "
            "the dbt project."
        )
    log = BuildLog()
    command = _command(settings, selector, project)
    with _running(command, project, settings.stop_seconds, log) as process:
        for line in process.stdout or ():
            _read_line(line, log, on_progress)
        code = process.wait()
    return _check(code, log, project / settings.target_path, project / settings.log_path)


def _command(settings: config.dbt, selector: str | None, project: Path) -> list[str]:
    return [
        _executable(),
        "build",
        # They test the code, not the data, and belong to development: `dbt build` by hand and
        # `make test` run them.
        "--exclude-resource-type",
        "unit_test",
        "--profiles-dir",
        str(project),
        "--target-path",
        settings.target_path,
        "--log-path",
        settings.log_path,
        "--log-format",
        "json",
        "--no-use-colors",
        *(("--selector", selector) if selector else ()),
    ]


def _executable() -> str:
    """The dbt of this environment, else the first on the PATH."""
    beside_python = Path(sys.executable).with_name("dbt")
    found = str(beside_python) if beside_python.is_file() else shutil.which("dbt")
    if not found:
        raise ConfigurationError("dbt is not installed here. Run `make setup`.")
    return found


def environment() -> dict[str, str]:
    """This process's environment, with what luigi.cfg or the command line say of ClickHouse.

    Without dbt's own settings, such as DBT_PROFILES_DIR or DBT_EMPTY, which somebody has set for
    another project: a sync builds what this project says. dbt talks to ClickHouse only: it gets
    that password, and no other secret.
    """
    server, source = config.clickhouse(), config.retail_pro()
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in KEPT_FROM_DBT and not _is_of_dbt(name)
    }
    environment = inherited | {
        "CLICKHOUSE_HOST": server.host,
        "CLICKHOUSE_PORT": str(server.port),
        "CLICKHOUSE_USER": server.user,
        "CLICKHOUSE_PASSWORD": config.clickhouse_password(),
        "CLICKHOUSE_SECURE": str(server.secure).lower(),
        "CLICKHOUSE_DATABASE": server.database,
        "CLICKHOUSE_CLUSTER": server.cluster,
        "RETAIL_PRO_DATABASE": source.landing_database,
        "SEGMENT_NAMESPACE": config.segment().namespace,
    }
    if source.export_dir and not environment.get("RETAIL_PRO_SOURCE"):
        environment["RETAIL_PRO_SOURCE"] = "landing"
    # Of the directory dbt asks only whether it is the sample's, and by its name.
    is_sample = source.export_dir and origin.is_sample(source.export_dir)
    environment["RETAIL_PRO_EXPORT_DIR"] = origin.SAMPLE if is_sample else ""
    return environment


def _is_of_dbt(name: str) -> bool:
    return name.startswith("DBT_") and name not in PASSED_ON and not name.startswith("DBT_ENV_")


@contextlib.contextmanager
def _running(
    command: list[str], directory: Path, stop_seconds: float, log: BuildLog
) -> Iterator[subprocess.Popen[str]]:
    """Start a process in a session of its own; whatever happens, none of it is left behind.

    `leash` sees to it also when this process is killed.
    """
    with signals.terminated_as_exception():
        process = subprocess.Popen(
            [sys.executable, "-I", leash.__file__, str(os.getpid()), *command],
            cwd=directory,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                _interrupt(process, stop_seconds, log)
            _kill(process)


def _interrupt(process: subprocess.Popen[str], seconds: float, log: BuildLog) -> None:
    """Ask dbt to stop, and ClickHouse to end dbt's statements, for which dbt would wait.

    None may be left: the next build begins as soon as the lease is given back.
    """
    os.killpg(process.pid, signal.SIGINT)
    give_up_at = time.monotonic() + seconds
    is_over = False
    while not is_over and time.monotonic() < give_up_at:
        has_statements = _kill_statements(log.invocation_id)
        with contextlib.suppress(subprocess.TimeoutExpired):
            # It also reads what dbt writes: dbt would wait for that at the end.
            process.communicate(timeout=STOP_INTERVAL_SECONDS)
        is_over = process.poll() is not None and not has_statements


def _kill_statements(build: str) -> bool:
    """Ask ClickHouse to end the statements of a build; tell whether there were any."""
    if not build:
        return False
    statement = cluster.ddl(KILL_STATEMENTS.format(build=UUID(build)))
    try:
        ended = clickhouse.connect().command(statement)
    except clickhouse.ERRORS as error:
        logger.warning("ClickHouse did not end the statements of the build: %s", error)
        return False
    return isinstance(ended, str | list) and bool(ended)


def _kill(process: subprocess.Popen[str]) -> None:
    """Kill what is left of the process group."""
    with contextlib.suppress(ProcessLookupError):  # Nothing is left: the usual case.
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdout:
        process.stdout.close()


def _read_line(line: str, log: BuildLog, on_progress: OnProgress) -> None:
    """Take in one line of the JSON log; other lines are warnings of Python or a crash."""
    try:
        event = json.loads(line)
        info, data = event["info"], event.get("data", {})
    except (ValueError, KeyError, TypeError):
        if line.strip():
            logger.warning("dbt: %s", line.rstrip())
            log.errors.append(line.strip())
        return
    log.invocation_id = info.get("invocation_id", log.invocation_id)
    message = str(info.get("msg", "")).strip()
    if info.get("level") == "error" and message:
        logger.error("dbt: %s", message)
        log.errors.append(message)
    elif info.get("level") == "warn" and message:
        logger.warning("dbt: %s", message)
    if info.get("name", "").endswith("Result") and "index" in data and "total" in data:
        on_progress(int(data["index"]), int(data["total"]), message)


def _check(code: int, log: BuildLog, target: Path, log_path: Path) -> BuildResult:
    """Exit code 0 is not enough: the results must be of this build, and every node well."""
    results = _results(target / "run_results.json", log.invocation_id)
    failed = [node for node in results if node["status"] not in GOOD_STATUSES]
    failures = [_describe(node) for node in failed]
    if code == 0 and results and not failures:
        return BuildResult(log.invocation_id, len(results))
    reasons = failures or [_shorten(message) for message in log.errors[-MOST_FAILURES_SHOWN:]]
    shown = reasons[:MOST_FAILURES_SHOWN]
    for place, node in enumerate(failed[:MOST_FAILURES_SHOWN]):
        shown[place] = "\n    ".join([shown[place], *violations.first_rows(node)])
    if len(reasons) > len(shown):
        shown.append(f"and {len(reasons) - len(shown)} more")
    sentences = advice.about("\n".join(reasons)) or "Put it right and run again."
    raise BuildFailedError(
        "\n  ".join([f"dbt build failed (exit code {code}), so nothing was sent:", *shown])
        + f"\n{sentences} The whole log: {log_path / 'dbt.log'}"
    )


def _describe(node: dict[str, Any]) -> str:
    return f"{node['unique_id']}: {_shorten(node.get('message') or node['status'])}"


def _results(path: Path, invocation_id: str) -> list[dict[str, Any]]:
    """The results of this build; none when the file is missing or left by another command."""
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    if results["metadata"]["invocation_id"] != invocation_id:
        return []
    nodes: list[dict[str, Any]] = results["results"]
    return nodes


def _shorten(message: str) -> str:
    """One line without the password, should a driver have put it into its message."""
    text = " ".join(message.split())
    if password := config.clickhouse_password():
        text = text.replace(password, "[password]")
    return text if len(text) <= LONGEST_MESSAGE else text[: LONGEST_MESSAGE - 1] + "…"
