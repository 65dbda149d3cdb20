"""Hostile text through everything that shows text: each command, and what luigid's page gets."""

import json
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import luigi
import pytest

import luigi_tasks
from luigi_tasks import explain, load_export, report, status, terminal
from luigi_tasks.clickhouse import queries
from luigi_tasks.delivery import outbox
from luigi_tasks.errors import ClickHouseUnavailableError, Stopped
from luigi_tasks.landing.tables import Loaded
from luigi_tasks.preview import dry_run, forecast
from luigi_tasks.runs import progress
from luigi_tasks.runs.task import PipelineTask
from tests.unit.hostile_text import ENDLESS, HOSTILE, assert_plain

AT = datetime(2026, 11, 1, 10, 0, 0, tzinfo=timezone.utc)


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[[], str]:
    """What a wide terminal shows."""
    monkeypatch.setenv("COLUMNS", "2000")
    return lambda: capsys.readouterr().out


def answer(monkeypatch: pytest.MonkeyPatch, **answers: list[Any]) -> None:
    """Let the queries give these rows, and all others none."""
    monkeypatch.setattr(queries, "rows", lambda name, **binds: answers.get(name, []))


def test_report(shown: Callable[[], str]) -> None:
    sent = report.Sent(
        call="identify",
        deliveries={HOSTILE: (1234, 1)},
        rejections=[(HOSTILE, HOSTILE, 3, ENDLESS)],
        requests=1,
        not_accepted=1,
        sent_bytes=10,
        seconds=1.0,
        pending={HOSTILE: 2},
        held={HOSTILE: 25},
    )
    there = terminal.Terminal()
    for table in (report.delivery_table, report.request_table, report.rejection_table):
        there.show(table([sent]))
    text = shown()
    assert_plain(text)
    assert "[/v1/batch]" in text
    assert "1,234" in text


def test_status(shown: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> None:
    answer(
        monkeypatch,
        delivery_summary=[(HOSTILE, HOSTILE, HOSTILE, 5, AT)],
        open_failures=[(HOSTILE, HOSTILE, HOSTILE, 5, ENDLESS)],
        last_runs=[("FailedRun", json.dumps({"began": AT.isoformat(), "why": HOSTILE}), AT)],
    )
    monkeypatch.setattr("sys.argv", ["status"])
    assert status.main() == 0
    text = shown()
    assert_plain(text)
    assert text.count("[/v1/batch]") == 8


def hostile_findings() -> explain.Findings:
    """An order of which everything that is known is hostile."""
    return explain.Findings(
        "order",
        HOSTILE,
        rows=[(HOSTILE, 1, AT)],
        due=[(HOSTILE, HOSTILE, None)],
        failures=[explain.Failure(HOSTILE, HOSTILE, HOSTILE, HOSTILE, resolved=False)],
        messages=[explain.Message(HOSTILE, AT, "ab" * 16, "rejected", AT, HOSTILE, HOSTILE)],
        attempts=[(AT, HOSTILE, 400, HOSTILE, HOSTILE)],
    )


@pytest.mark.parametrize("number", ["[/x]", HOSTILE])
@pytest.mark.parametrize("found", [[hostile_findings()], []])
def test_explain(
    number: str,
    found: list[explain.Findings],
    shown: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(explain, "find", lambda number: found)
    monkeypatch.setattr(explain, "unread", lambda number: [(HOSTILE, HOSTILE, 1, HOSTILE)])
    monkeypatch.setattr("sys.argv", ["explain", number])
    assert explain.main() == (0 if found else 1)
    text = shown()
    assert_plain(text)
    assert "[/" in text


@pytest.mark.parametrize("command", [status, explain])
def test_an_error_of_a_command(
    command: Any, shown: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **binds: object) -> None:
        raise ClickHouseUnavailableError(f"No answer: {HOSTILE}")

    monkeypatch.setattr(queries, "rows", fail)
    monkeypatch.setattr("sys.argv", ["command", *(["1"] if command is explain else [])])
    assert command.main() == 1
    text = shown()
    assert_plain(text)
    assert "[/v1/batch]" in text


@pytest.mark.parametrize("message", [HOSTILE, '{"a": "\\ud800\\u001b[2J\\u202e[/x]", "b": "\x9b"}'])
def test_plan_and_dry_run(
    message: str, shown: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    row = outbox.OutboxRow("ab" * 16, "identify", HOSTILE, HOSTILE, HOSTILE, message)
    change = forecast.Change(HOSTILE, HOSTILE, HOSTILE, [(HOSTILE, HOSTILE, HOSTILE)])
    monkeypatch.setattr(outbox, "pending_by_event", lambda call: [(HOSTILE, 1, AT)])
    monkeypatch.setattr(outbox, "samples", lambda call, samples: [row])
    monkeypatch.setattr(forecast, "changes", lambda call, samples: [change])
    monkeypatch.setattr(forecast, "lines", lambda call: [forecast.Line(HOSTILE, 1234)])
    monkeypatch.setattr(forecast, "cost", lambda plan: forecast.Cost(1, 1, 1.0, 1, 1, 0))
    monkeypatch.setattr("luigi_tasks.preview.brake.objections", lambda: [HOSTILE])
    dry_run.show("identify")
    dry_run.show_totals(terminal.Terminal())
    text = shown()
    assert_plain(text)
    assert "[/v1/batch]" in text
    assert "1,234" in text


def test_load(shown: Callable[[], str]) -> None:
    load_export._print([load_export.FileReport(HOSTILE, Loaded(1, 2, is_new=True), 1.0)])
    assert_plain(shown())


class ShownTask(PipelineTask):
    """A task with the callbacks that a scheduler gives it."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []
        self.set_progress_percentage = lambda percentage: None
        self.set_status_message = self.messages.append


def test_status_messages_and_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    task = ShownTask()
    with progress.TaskProgress(task, "send identify") as bar:
        bar.update(1, 2, ENDLESS)
        bar.finish(2, 2, ENDLESS)
    assert len(task.messages) == 2
    for message in task.messages:
        assert_plain(message)
        assert "<" not in message


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ClickHouseUnavailableError(f"No answer: {HOSTILE}"), "No answer: [/v1/batch]"),
        (KeyError(ENDLESS), "KeyError: "),
        (Stopped(130), "Nothing is lost"),
    ],
)
def test_what_luigid_is_told_of_a_failure(error: BaseException, said: str) -> None:
    explained = ShownTask().on_failure(error)
    assert said in explained
    assert "Traceback" not in explained
    assert "<" not in explained
    assert_plain(explained)


@pytest.mark.parametrize("name", luigi_tasks.__all__)
def test_every_task_tells_failures_so(name: str) -> None:
    task: type[luigi.Task] = getattr(luigi_tasks, name)
    assert task.on_failure is PipelineTask.on_failure


def test_an_encoding_without_the_letters_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "out").open("w", encoding="latin-1") as file:
        monkeypatch.setattr("sys.stdout", file)
        terminal.Terminal().say("李小龍 Müller")
    assert (tmp_path / "out").read_text(encoding="latin-1") == "\\u674e\\u5c0f\\u9f8d Müller\n"
