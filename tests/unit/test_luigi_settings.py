"""Settings that hold wherever a command is started, and those that nobody can have meant."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from luigi.configuration import get_config

from luigi_tasks import PlanSync, config
from luigi_tasks.errors import ConfigurationError
from tests.processes import clean_environment

LUIGI = str(Path(sys.executable).with_name("luigi"))
NOBODY = {"CLICKHOUSE_HOST": "127.0.0.1", "CLICKHOUSE_PORT": "1"}
"""A port that nobody listens at."""

IMPATIENT = ("--delivery-clickhouse-patience-seconds", "0")
"""ClickHouse is not waited for."""


def plan(directory: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command of luigi in a directory, without a scheduler."""
    return subprocess.run(
        [
            *(LUIGI, "--module", "luigi_tasks", "PlanSync", "--local-scheduler", "--no-lock"),
            *IMPATIENT,
        ],
        cwd=directory,
        env=clean_environment() | NOBODY | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_failure_has_its_exit_code_and_one_sentence_from_any_directory(tmp_path: Path) -> None:
    done = plan(tmp_path)
    assert done.returncode == 35, done.stderr
    assert "ClickHouse does not answer at 127.0.0.1:1: nothing listens there." in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert "DEBUG" not in done.stderr, "[core] log_level of luigi.cfg"


def test_a_file_of_settings_there_wins_where_it_says_something(tmp_path: Path) -> None:
    (tmp_path / "luigi.cfg").write_text("[retcode]\nscheduling_error=77\n")
    done = plan(tmp_path)
    assert done.returncode == 77, done.stderr
    assert "DEBUG" not in done.stderr


def test_a_control_character_ends_the_command_before_it_asks_anybody(tmp_path: Path) -> None:
    done = plan(tmp_path, CLICKHOUSE_DATABASE="retail\r", SEGMENT_NAMESPACE="shop\r")
    assert done.returncode == 40, done.stderr
    assert "the environment variable CLICKHOUSE_DATABASE, SEGMENT_NAMESPACE." in done.stderr
    assert "CRLF" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def parser() -> Iterator[object]:
    """Luigi's settings, which are as before afterwards."""
    settings = get_config()
    before = {name: dict(settings.items(name, raw=True)) for name in settings.sections()}
    yield settings
    for name, options in before.items():
        for option, value in options.items():
            settings.set(name, option, value)


def test_only_what_is_not_set_comes_from_the_checkout(parser: object) -> None:
    settings = get_config()
    settings.remove_option("retcode", "task_failed")
    settings.set("retcode", "not_run", "99")
    config.use_luigi_cfg_of_the_checkout()
    assert settings.getint("retcode", "task_failed") == 30
    assert settings.getint("retcode", "not_run") == 99


@pytest.mark.parametrize(
    "name",
    ["CLICKHOUSE_HOST", "CLICKHOUSE_PASSWORD", "SEGMENT_WRITE_KEY", "LUIGI_PORT", "DBT_TARGET"],
)
@pytest.mark.parametrize("character", ["\r", "\n", "\x1b", "\x9b"])
def test_variables_with_a_control_character_are_refused_by_name(
    name: str, character: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, f"value{character}")
    for use in (config.write_key, config.clickhouse_password, PlanSync):
        with pytest.raises(ConfigurationError, match=f"variable {name}\\."):
            use()
    if name != "CLICKHOUSE_HOST":
        monkeypatch.delenv("CLICKHOUSE_HOST", raising=False)
    with pytest.raises((ConfigurationError, ValueError)) as caught:
        config.clickhouse()
    assert name in str(caught.value) + str(caught.value.__cause__)


def test_variables_of_others_may_have_them(monkeypatch: pytest.MonkeyPatch) -> None:
    config.refuse_control_characters({"PS1": "\x1b[32m$", "BASH_FUNC": "a\nb"})
    monkeypatch.setitem(os.environ, "PS1", "\x1b[32m$")
    config.refuse_control_characters()


def test_a_setting_of_the_file_or_the_command_line_is_refused_too() -> None:
    with pytest.raises(ConfigurationError, match=r"CLICKHOUSE_DATABASE.*retail\\r"):
        config.clickhouse(database="retail\r")
