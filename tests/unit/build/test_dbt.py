"""The dbt process: what its log and results mean, and that nothing of it is left behind."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from luigi_tasks.build import dbt
from luigi_tasks.build.dbt import BuildLog
from luigi_tasks.errors import BuildFailedError, ConfigurationError
from tests.processes import PROJECT


def event(name: str = "Other", level: str = "info", msg: str = "", **data: Any) -> str:
    info = {"name": name, "level": level, "msg": msg, "invocation_id": "build-1"}
    return json.dumps({"info": info, "data": data}) + "\n"


def read(*lines: str) -> tuple[BuildLog, list[tuple[int, int, str]]]:
    log, progress = BuildLog(), []
    for line in lines:
        dbt._read_line(line, log, lambda done, total, text: progress.append((done, total, text)))
    return log, progress


def results(directory: Path, *nodes: tuple[str, str, str], invocation_id: str = "build-1") -> None:
    content = {
        "metadata": {"invocation_id": invocation_id},
        "results": [
            {"unique_id": name, "status": status, "message": text} for name, status, text in nodes
        ],
    }
    (directory / "run_results.json").write_text(json.dumps(content))


def test_finished_nodes_move_the_progress() -> None:
    log, progress = read(
        event(msg="Running with dbt"),
        event("LogStartLine", index=1, total=2),
        event("LogModelResult", msg="1 of 2 OK", index=1, total=2),
        event("LogTestResult", msg="2 of 2 PASS", index=2, total=2),
    )
    assert progress == [(1, 2, "1 of 2 OK"), (2, 2, "2 of 2 PASS")]
    assert log.invocation_id == "build-1"
    assert not log.errors


def test_errors_are_kept_and_warnings_are_shown(caplog: pytest.LogCaptureFixture) -> None:
    log, _ = read(event(level="error", msg="Compilation Error"), event(level="warn", msg="Old"))
    assert log.errors == ["Compilation Error"]
    assert "dbt: Compilation Error" in caplog.text
    assert "dbt: Old" in caplog.text


@pytest.mark.parametrize("line", ["Traceback (most recent call last):\n", "[1]\n", "{}\n", "5\n"])
def test_a_line_that_is_no_event_is_kept(line: str) -> None:
    assert read(line)[0].errors == [line.strip()]


def test_a_good_build(tmp_path: Path) -> None:
    results(tmp_path, ("model.a", "success", ""), ("test.a", "pass", ""), ("test.b", "warn", "1"))
    checked = dbt._check(0, BuildLog("build-1"), tmp_path, tmp_path)
    assert (checked.invocation_id, checked.nodes) == ("build-1", 3)


def test_a_failed_build_names_nodes_and_log(tmp_path: Path) -> None:
    results(tmp_path, ("model.a", "success", ""), ("test.b", "fail", "Got 3 results"))
    with pytest.raises(BuildFailedError) as caught:
        dbt._check(1, BuildLog("build-1"), tmp_path, tmp_path / "logs")
    assert "test.b: Got 3 results" in str(caught.value)
    assert str(tmp_path / "logs" / "dbt.log") in str(caught.value)
    assert "model.a" not in str(caught.value)


def test_a_build_that_fails_early_shows_its_errors(tmp_path: Path) -> None:
    with pytest.raises(BuildFailedError, match="Compilation Error"):
        dbt._check(2, BuildLog("build-1", ["Compilation Error"]), tmp_path, tmp_path)


def test_results_of_another_command_do_not_count(tmp_path: Path) -> None:
    results(tmp_path, ("model.a", "success", ""), invocation_id="build-0")
    with pytest.raises(BuildFailedError):
        dbt._check(0, BuildLog("build-1"), tmp_path, tmp_path)


def test_exit_code_0_is_not_enough(tmp_path: Path) -> None:
    results(tmp_path, ("model.a", "error", "no space"))
    with pytest.raises(BuildFailedError, match="no space"):
        dbt._check(0, BuildLog("build-1"), tmp_path, tmp_path)


def test_the_password_is_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLICKHOUSE_PASSWORD", "very-secret-word")
    results(tmp_path, ("model.a", "error", "cannot log in with very-secret-word"))
    with pytest.raises(BuildFailedError) as caught:
        dbt._check(1, BuildLog("build-1"), tmp_path, tmp_path)
    assert "very-secret-word" not in str(caught.value)


def test_no_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBT_PROJECT_DIR", str(tmp_path))
    with pytest.raises(ConfigurationError, match="DBT_PROJECT_DIR"):
        dbt.build(lambda *progress: None)


@pytest.mark.parametrize(
    ("export_dir", "source", "expected"),
    [
        ("", "", ("", "")),
        ("seeds/sample", "", ("landing", "seeds/sample")),
        ("/app/seeds/sample/", "seeds", ("seeds", "seeds/sample")),
        ("/exports/today", "", ("landing", "")),
    ],
)
def test_an_export_is_read_from_the_landing_tables(
    export_dir: str, source: str, expected: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETAIL_PRO_EXPORT_DIR", export_dir)
    monkeypatch.setenv("RETAIL_PRO_SOURCE", source)
    given = dbt.environment()
    assert (given["RETAIL_PRO_SOURCE"], given["RETAIL_PRO_EXPORT_DIR"]) == expected


def test_settings_of_dbt_for_another_project_do_not_reach_a_sync(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("DBT_PROFILES_DIR", "DBT_EMPTY", "DBT_STATE", "DBT_WRITE_JSON", "DBT_PROFILE"):
        monkeypatch.setenv(name, "elsewhere")
    monkeypatch.setenv("DBT_TARGET", "server")
    monkeypatch.setenv("DBT_ENV_SECRET_TOKEN", "kept")
    environment = dbt.environment()
    assert "elsewhere" not in environment.values()
    assert environment["DBT_TARGET"] == "server"
    assert environment["DBT_ENV_SECRET_TOKEN"] == "kept"


def test_a_sync_has_the_profiles_of_the_project() -> None:
    command = dbt._command(dbt.config.dbt(), None, Path("/project"))
    assert command[command.index("--profiles-dir") + 1] == "/project"


def test_nothing_secret_is_on_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLICKHOUSE_PASSWORD", "very-secret-word")
    monkeypatch.setenv("SEGMENT_WRITE_KEY", "very-secret-key")
    assert "very-secret" not in " ".join(dbt._command(dbt.config.dbt(), None, Path()))


WATCHED = """
import sys
from pathlib import Path
from luigi_tasks.build import dbt
command = ["sh", "-c", "sleep 300 & echo $! $$; wait"]
with dbt._running(command, Path.cwd(), 5, dbt.BuildLog()) as process:
    print(process.stdout.readline(), end="", flush=True)
    process.wait()
"""


def is_alive(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="reads /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_task_leaves_no_process_behind(number: signal.Signals) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", WATCHED],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert parent.stdout is not None
    children = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(children) == 2
    assert all(is_alive(pid) for pid in children)
    parent.send_signal(number)
    parent.wait(20)
    parent.stdout.close()
    deadline = time.monotonic() + 5
    while any(is_alive(pid) for pid in children) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(is_alive(pid) for pid in children)


def test_dbt_gets_the_password_of_clickhouse_and_no_other_secret(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text("from-the-file\n")
    monkeypatch.delenv("CLICKHOUSE_PASSWORD", raising=False)
    monkeypatch.setenv("CLICKHOUSE_PASSWORD_FILE", str(tmp_path / "password"))
    monkeypatch.setenv("SEGMENT_WRITE_KEY", "hidden-key")
    monkeypatch.setenv("SEGMENT_OAUTH_KEY_FILE", "/hidden/key.pem")
    monkeypatch.setenv("LUIGI_PASSWORD", "hidden-password")
    monkeypatch.setenv("MY_OWN", "stays")
    environment = dbt.environment()
    assert environment["CLICKHOUSE_PASSWORD"] == "from-the-file"
    assert environment["MY_OWN"] == "stays"
    assert "hidden" not in str(environment)
    assert "CLICKHOUSE_PASSWORD_FILE" not in environment


def test_the_variables_with_secrets_are_kept_from_dbt() -> None:
    """Each variable of .env.example that names a secret, but for dbt's own."""
    example = (PROJECT / ".env.example").read_text()
    names = set(re.findall(r"(?m)^(?:# )?(\w+(?:KEY|PASSWORD)(?:_FILE)?)=", example))
    assert {"SEGMENT_WRITE_KEY", "LUIGI_PASSWORD"} <= names
    assert names - {"CLICKHOUSE_PASSWORD"} <= dbt.KEPT_FROM_DBT
