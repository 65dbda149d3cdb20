"""The tasks as they are run: `luigi --module luigi_tasks ...` as a process."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from luigi_tasks.clickhouse import session
from luigi_tasks.runs.markers import MarkerTarget
from tests.conftest import LuigiServer, SegmentServer
from tests.integration.delivery import Outbox, customers, orders, outbox
from tests.processes import PROJECT, free_port

__all__ = ["outbox"]

LUIGI = Path(sys.executable).with_name("luigi")
PAST = "2026-01-31T1015"
KEY = "very-secret-key"

DBT_PROJECT = """
name: tiny
version: "1.0"
profile: retail_pro_segment
query-comment: "{{ query_comment(node) }}"
models:
  tiny:
    +materialized: view
"""
DBT_PROFILE = """
retail_pro_segment:
  target: embedded
  outputs:
    embedded:
      type: clickhouse
      host: "{{ env_var('CLICKHOUSE_HOST') }}"
      port: "{{ env_var('CLICKHOUSE_PORT') | int }}"
      user: "{{ env_var('CLICKHOUSE_USER') }}"
      password: "{{ env_var('CLICKHOUSE_PASSWORD') }}"
      schema: "{{ env_var('CLICKHOUSE_DATABASE') }}"
      custom_settings: {}
"""


class Luigi:
    """Runs `luigi` commands with the settings of a test."""

    def __init__(self, env: dict[str, str], directory: Path) -> None:
        self.env = env | {"SEGMENT_WRITE_KEY": KEY, "PYTHONPATH": _python_path()}
        self.directory = directory

    def run(self, task: str, *options: str, **changes: str) -> subprocess.CompletedProcess[str]:
        """Run a task; the default is the local scheduler."""
        if "--scheduler-port" not in options:
            options = (*options, "--local-scheduler")
        return subprocess.run(
            [LUIGI, "--module", "luigi_tasks", task, *options],
            cwd=PROJECT,
            env=self.env | changes,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def start(self, task: str, *options: str) -> subprocess.Popen[str]:
        """Start a task; the default is the local scheduler. Its output is one text."""
        if "--scheduler-port" not in options:
            options = (*options, "--local-scheduler")
        return subprocess.Popen(
            [LUIGI, "--module", "luigi_tasks", task, *options, "--no-lock"],
            cwd=PROJECT,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def use_dbt_project(self, model: str) -> None:
        """Let BuildOutbox build a project with one model instead of the real one."""
        project = self.directory / "project"
        (project / "models").mkdir(parents=True, exist_ok=True)
        (project / "macros").mkdir(exist_ok=True)
        comment = (PROJECT / "macros/clickhouse/query_comment.sql").read_text()
        (project / "macros" / "query_comment.sql").write_text(comment)
        (project / "dbt_project.yml").write_text(DBT_PROJECT)
        profiles = yaml.safe_load(DBT_PROFILE) | {"pinned_settings": session.settings()}
        (project / "profiles.yml").write_text(yaml.safe_dump(profiles))
        (project / "models" / "only.sql").write_text(model)
        self.env["DBT_PROJECT_DIR"] = str(project)


def _python_path() -> str:
    return ":".join([str(PROJECT), *sys.path])


@pytest.fixture
def luigi(outbox: Outbox, project_env: dict[str, str], tmp_path: Path) -> Luigi:
    """`luigi`, with an outbox that is built already for the slot PAST."""
    MarkerTarget(f"BuildOutbox/{PAST}", task_family="BuildOutbox").touch()
    return Luigi(project_env, tmp_path)


def markers(tables: Outbox) -> dict[str, int]:
    """Identity and rows of the markers."""
    return dict(tables.rows("select task_id, rows from {db}.luigi_markers final"))


def test_a_sync_sends_customers_then_orders_and_reports(
    luigi: Luigi, outbox: Outbox, segment_server: SegmentServer
) -> None:
    identify = outbox.enqueue("identify", customers(120))
    bad = '{"messageId": "ID", "type": "track", "event": "Order Completed", "properties": {}}'
    track = outbox.enqueue("track", [*orders(30), bad])
    hold(outbox)
    done = luigi.run("SyncToSegment", "--slot", PAST)
    assert done.returncode == 0, done.stderr
    arrived = [item["message"]["messageId"] for item in segment_server.messages()]
    assert arrived == identify + track[:-1]
    assert markers(outbox) == {
        f"BuildOutbox/{PAST}": 0,
        f"SendIdentify/{PAST}": 120,
        f"SendTrack/{PAST}": 31,
        f"ReportRun/{PAST}": 151,
    }
    assert "150 accepted, 1 rejected, 0 still pending, 3 held." in done.stdout
    assert "python -m luigi_tasks.status" in done.stdout
    assert "user_missing" in done.stdout
    assert segment_server.url in done.stdout
    assert KEY not in done.stdout + done.stderr
    [(runs,)] = outbox.rows("select uniqExact(run_id) from {db}.segment_delivery_attempts")
    assert runs == 1
    assert "still pending" not in luigi.run("SyncToSegment", "--slot", PAST).stdout


def hold(tables: Outbox) -> None:
    """Rows that break a rule: two orders and two customers, of whom one was dealt with."""
    for statement in (
        "unsendable_orders values ('1', 'Order Completed', 'a'), ('2', 'Order Refunded', 'a')",
        "customers values ('3', 'a', null), ('4', 'a', null), ('5', 'a', 'dummy'), ('6', '', null)",
        "segment_delivery_ledger (status, entity, entity_id, reason_code, enqueued_at)"
        " values ('resolved', 'customer', '4', 'a', now64(6))",
    ):
        tables.client.command(f"insert into {tables.database}.{statement}")


def test_tasks_in_forked_workers_share_the_run(
    luigi: Luigi, outbox: Outbox, segment_server: SegmentServer
) -> None:
    outbox.enqueue("identify", customers(3))
    outbox.enqueue("track", orders(3))
    done = luigi.run("SyncToSegment", "--slot", PAST, "--workers", "3")
    assert done.returncode == 0, done.stderr
    assert "6 accepted, 0 rejected, 0 still pending" in done.stdout
    [(runs,)] = outbox.rows("select uniqExact(run_id) from {db}.segment_delivery_ledger")
    assert runs == 1


def test_a_dry_run_shows_and_records_nothing(
    luigi: Luigi, outbox: Outbox, segment_server: SegmentServer
) -> None:
    outbox.enqueue("identify", customers(3))
    outbox.enqueue("track", orders(3))
    done = luigi.run("SyncToSegment", "--slot", PAST, SEGMENT_WRITE_KEY="")
    assert done.returncode == 0, done.stderr
    assert "Customer 0" in done.stdout
    assert "Order Refunded" in done.stdout
    assert "nothing was sent, 6 messages are pending" in done.stdout
    assert outbox.ledger() == {}
    assert outbox.attempts() == []
    assert segment_server.stats()["received"] == 0
    # And it does not pass for a delivery of that slot.
    assert luigi.run("SendTrack", "--slot", PAST).returncode == 0
    assert len(outbox.ledger()) == 6


def test_a_refused_key_fails_the_command_with_a_clear_message(
    luigi: Luigi, outbox: Outbox, segment_server: SegmentServer
) -> None:
    outbox.enqueue("identify", customers(3))
    segment_server.fault({"status": 401})
    done = luigi.run("SyncToSegment", "--slot", PAST)
    assert done.returncode == 30
    assert "refuses the write key" in done.stderr
    assert "Traceback" not in done.stderr
    assert KEY not in done.stdout + done.stderr
    # The next command takes it up where it stopped.
    assert luigi.run("SyncToSegment", "--slot", PAST).returncode == 0
    assert len(outbox.ledger()) == 3


def test_a_clickhouse_that_is_away_is_a_scheduling_error(luigi: Luigi) -> None:
    patience = ("--delivery-clickhouse-patience-seconds", "1")
    done = luigi.run("SendIdentify", "--slot", PAST, *patience, CLICKHOUSE_PORT=str(free_port()))
    assert done.returncode == 35
    assert "Start the local one with `make up`" in done.stderr


@pytest.mark.parametrize(
    "task", ["SyncToSegment", "ReportRun", "SendTrack", "SendIdentify", "BuildOutbox", "LoadExport"]
)
def test_every_task_and_parameter_is_described(task: str, luigi: Luigi) -> None:
    import luigi_tasks

    task_class = getattr(luigi_tasks, task)
    assert task_class.__doc__
    assert all(parameter.description for _, parameter in task_class.get_params())


def test_the_current_slot_stays_open_and_the_scheduler_shows_the_work(
    luigi: Luigi, outbox: Outbox, segment_server: SegmentServer, luigid: LuigiServer
) -> None:
    luigi.use_dbt_project("select 1 as one")
    outbox.enqueue("identify", customers(150))
    started = time.time()
    first = luigi.run("SyncToSegment", "--scheduler-port", str(luigid.port))
    assert first.returncode == 0, first.stderr
    assert f"http://127.0.0.1:{luigid.port}" in first.stdout
    tasks = scheduled(luigid, started)
    assert {task["name"]: task["status"] for task in tasks} == {
        **dict.fromkeys(["SyncToSegment", "ReportRun", "SendTrack"], "DONE"),
        **dict.fromkeys(["SendIdentify", "BuildOutbox"], "DONE"),
    }
    told = {task["name"]: task_status(luigid, task["taskId"]) for task in tasks}
    assert told["SendIdentify"]["progressPercentage"] == 100
    assert told["SendIdentify"]["statusMessage"].startswith("150 of 150 accepted, 2 requests")
    assert told["BuildOutbox"]["statusMessage"] == "1 nodes built and tested"
    assert (
        told["ReportRun"]["statusMessage"] == "150 accepted, 0 rejected, 0 still pending, 0 held."
    )

    outbox.enqueue("identify", customers(1))
    second = luigi.run("SyncToSegment")
    assert second.returncode == 0, second.stderr
    assert "1 accepted, 0 rejected, 0 still pending" in second.stdout
    assert segment_server.stats()["received"] == 151


def scheduled(server: LuigiServer, since: float) -> list[dict[str, Any]]:
    """The tasks that the scheduler has heard of since a time."""
    answer = httpx.get(f"{server.url}/api/task_list", params={"data": "{}"}, trust_env=False)
    tasks: dict[str, dict[str, Any]] = answer.json()["response"]
    return [
        {"taskId": task_id, **task}
        for task_id, task in tasks.items()
        if task["last_updated"] >= since
    ]


def task_status(server: LuigiServer, task_id: str) -> dict[str, Any]:
    """Progress and status message of a task, as the UI asks for them."""
    data = {"data": json.dumps({"task_id": task_id})}
    status: dict[str, Any] = {}
    for method in ("get_task_status_message", "get_task_progress_percentage"):
        answer = httpx.get(f"{server.url}/api/{method}", params=data, trust_env=False)
        status |= answer.json()["response"]
    return status


def test_a_failed_build_stops_the_sync_before_it_sends(
    luigi: Luigi, outbox: Outbox, segment_server: SegmentServer, tmp_path: Path
) -> None:
    luigi.use_dbt_project("select no_such_column from system.one")
    outbox.enqueue("identify", customers(1))
    done = luigi.run("SyncToSegment")
    assert done.returncode == 30
    assert "model.tiny.only: " in done.stderr
    assert "Traceback" not in done.stderr
    assert str(tmp_path / "logs" / "dbt.log") in done.stderr
    assert segment_server.stats()["received"] == 0
    assert outbox.pending("identify") == 1


@pytest.mark.timeout(180)
def test_two_syncs_at_once_without_a_scheduler_send_everything_once(
    luigi: Luigi, outbox: Outbox, segment_server: SegmentServer
) -> None:
    outbox.enqueue("identify", customers(800))
    outbox.enqueue("track", orders(800))
    both = [luigi.start("SyncToSegment", "--slot", PAST) for _ in range(2)]
    outputs = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    stats = segment_server.stats()
    assert (stats["received"], stats["duplicates"]) == (1600, 0)
    assert len(outbox.ledger()) == 1600


@pytest.mark.timeout(180)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_sync_that_is_stopped_records_what_was_answered(
    number: signal.Signals, luigi: Luigi, outbox: Outbox, segment_server: SegmentServer
) -> None:
    outbox.enqueue("identify", customers(3000))
    process = luigi.start("SendIdentify", "--slot", PAST)
    wait_for(lambda: segment_server.stats()["received"] >= 500)
    process.send_signal(number)
    process.communicate()
    answered = segment_server.stats()["received"]
    assert 500 <= answered < 3000
    # At most the batch under way had no answer yet.
    assert answered - 100 <= len(outbox.ledger()) <= answered
    [(released,)] = outbox.rows("select max(released) from {db}.segment_delivery_leases")
    assert released == 1


@pytest.mark.timeout(180)
def test_ctrl_c_ends_a_build_and_its_statement_and_the_next_command_works(
    luigi: Luigi, outbox: Outbox, luigid: LuigiServer
) -> None:
    slow = "select sum(sleepEachRow(1)) as one from numbers(90) settings max_block_size = 1"
    luigi.use_dbt_project("{{ config(materialized='table') }} " + slow)
    running = (
        "select count() from system.processes "
        'where query like \'/* {"app": "dbt"%{db}%sleepEachRow(1)%\''
    )
    scheduler = ("--scheduler-port", str(luigid.port))
    process = luigi.start("BuildOutbox", *scheduler)
    wait_for(lambda: outbox.rows(running) != [(0,)])
    asked_at = time.monotonic()
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate()
    assert time.monotonic() - asked_at < 15
    assert process.returncode == 30, output
    assert "Traceback" not in output
    assert "Nothing is lost" in output
    assert outbox.rows(running) == [(0,)]
    [(released,)] = outbox.rows("select max(released) from {db}.segment_delivery_leases")
    assert released == 1

    luigi.use_dbt_project("select 1 as one")
    done = luigi.run("BuildOutbox", *scheduler)
    assert done.returncode == 0, done.stderr


@pytest.mark.timeout(180)
def test_a_sync_that_was_killed_does_not_hold_up_the_next(
    luigi: Luigi, outbox: Outbox, segment_server: SegmentServer
) -> None:
    ids = outbox.enqueue("identify", customers(2000))
    process = luigi.start("SendIdentify", "--slot", PAST)
    wait_for(lambda: segment_server.stats()["received"] >= 500)
    process.kill()
    process.communicate()
    done = luigi.run("SendIdentify", "--slot", PAST)
    assert done.returncode == 0, done.stderr
    assert "identify messages may have arrived already" in done.stderr
    assert "Waiting for another run" not in done.stderr
    assert sorted(outbox.ledger()) == sorted(ids)
    stats = segment_server.stats()
    assert stats["unique"] == 2000
    # What was answered in the last second, and the batch under way.
    assert stats["duplicates"] <= 1200


def wait_for(condition: Callable[[], bool]) -> None:
    """Waits until something is so."""
    give_up_at = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < give_up_at, "it did not happen"
        time.sleep(0.05)
