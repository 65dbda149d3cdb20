"""The way to luigid, with real ones: away, restarted, with a password, and when it refuses."""

import logging
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import httpx
import pytest
from luigi import rpc

from luigi_tasks import BuildOutbox, SendIdentify
from luigi_tasks.errors import Stopped
from luigi_tasks.runs import central_scheduler, signals
from luigi_tasks.runs.central_scheduler import CentralScheduler
from luigi_tasks.runs.lease import Lease
from tests.conftest import LuigiServer, SegmentServer, running_luigid
from tests.integration.delivery import Outbox, customers, orders, outbox
from tests.integration.test_luigi_sync import LUIGI, PAST, Luigi, luigi, wait_for
from tests.processes import PROJECT, clean_environment, free_port, process

__all__ = ["luigi", "outbox"]

PASSWORD = "s3cret-ü"
TASK = "BuildOutbox_2026_01_31T1015_0123456789"


@pytest.fixture
def own_luigid(tmp_path: Path) -> Iterator[LuigiServer]:
    """A luigid with a password."""
    (tmp_path / "password").write_text(PASSWORD + "\n")
    with running_luigid(tmp_path, LUIGI_PASSWORD_FILE=str(tmp_path / "password")) as server:
        yield server


def test_luigis_commands_use_this_client() -> None:
    assert rpc.RemoteScheduler is CentralScheduler


def test_a_command_without_luigid_ends_soon_with_one_sentence(tmp_path: Path) -> None:
    port = free_port()
    command = [LUIGI, "--module", "luigi_tasks", "SyncToSegment", "--no-lock"]
    env = clean_environment() | {"LUIGI_PORT": str(port)}
    with process(command, tmp_path / "log", cwd=PROJECT, env=env) as run:
        assert run.wait(60) == 40
    lines = (tmp_path / "log").read_text().splitlines()
    [line] = [line for line in lines if line.startswith("ERROR")]
    assert f"luigid does not answer at http://127.0.0.1:{port}" in line
    assert "make up" in line
    assert "--local-scheduler" in line
    assert not [line for line in lines if "Traceback" in line or "NoneType" in line]


def test_something_else_on_the_port_is_named(
    luigid: LuigiServer, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(SystemExit):
        CentralScheduler(f"{luigid.url}/static/visualiser")
    assert f"{luigid.url}/static/visualiser is not luigid" in caplog.text


def test_the_password_gets_through_and_is_never_logged(
    own_luigid: LuigiServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("LUIGI_PASSWORD", PASSWORD)
    scheduler = CentralScheduler(own_luigid.url)
    assert scheduler.ping(worker="w") == {"rpc_messages": []}
    monkeypatch.setenv("LUIGI_PASSWORD", "wrong-password")
    with pytest.raises(SystemExit):
        CentralScheduler(own_luigid.url)
    assert "refuses the password. Set LUIGI_PASSWORD" in caplog.text
    assert PASSWORD not in caplog.text
    assert "wrong-password" not in caplog.text
    monkeypatch.setenv("LUIGI_PASSWORD", "")
    monkeypatch.setenv("LUIGI_PASSWORD_FILE", "/nowhere/password")
    with pytest.raises(SystemExit):
        CentralScheduler(own_luigid.url)
    assert "LUIGI_PASSWORD_FILE is '/nowhere/password', which cannot be read" in caplog.text
    page = httpx.get(f"{own_luigid.url}/history", trust_env=False)
    assert page.status_code == 401
    assert page.headers["WWW-Authenticate"].startswith("Basic ")


def test_a_luigid_that_is_restarted_is_waited_for_and_remembers(tmp_path: Path) -> None:
    port = free_port()
    with running_luigid(tmp_path, port=port, disconnect_delay=3) as server:
        scheduler = CentralScheduler(server.url)
        scheduler.add_task(worker="w", task_id=TASK, family="BuildOutbox", params={})
    reached: list[str] = []
    asking = threading.Thread(
        target=lambda: reached.append(scheduler.get_work(worker="w")["task_id"])
    )
    asking.start()
    assert scheduler.ping(worker="w") is None
    with pytest.raises(rpc.RPCError, match="luigid does not answer"):
        scheduler.set_task_status_message(TASK, "3 of 4 sent")
    assert asking.is_alive()
    time.sleep(3)  # It is away for longer than it waits for a worker.
    with running_luigid(tmp_path, port=port, disconnect_delay=3):
        asking.join(30)
    assert reached == [TASK]


def test_a_luigid_that_stays_away_ends_the_run_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(central_scheduler, "RESTART_SECONDS", 1.0)
    with running_luigid(tmp_path) as server:
        scheduler = CentralScheduler(server.url)
    with pytest.raises(SystemExit):
        scheduler.get_work(worker="w")
    assert "This run cannot go on. Run the same command again." in caplog.text


def test_a_run_that_is_stopped_does_not_wait_long_for_luigid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(central_scheduler, "START_SECONDS", 1.0)
    with running_luigid(tmp_path) as server:
        scheduler = CentralScheduler(server.url)
    with signals.terminated_as_exception():
        with pytest.raises(Stopped):
            signal.raise_signal(signal.SIGTERM)
        began = time.monotonic()
        with pytest.raises(SystemExit):
            scheduler.add_task(worker="w", task_id=TASK, status="FAILED")
        assert time.monotonic() - began < central_scheduler.RESTART_SECONDS / 2


def test_a_command_that_gets_no_work_says_why(
    luigid: LuigiServer, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = CentralScheduler(luigid.url), CentralScheduler(luigid.url)
    for scheduler, worker in ((first, "worker-1"), (second, "worker-2")):
        root = {"task_id": "Sync_1", "family": "Sync", "params": {}, "deps": [TASK]}
        scheduler.add_task(worker=worker, **root)
        scheduler.add_task(worker=worker, task_id=TASK, family="BuildOutbox", params={})
    assert first.get_work(worker="worker-1")["task_id"] == TASK
    assert second.get_work(worker="worker-2")["task_id"] is None
    second.close()
    assert "BuildOutbox() is being run by worker-1 since " in caplog.text
    caplog.clear()
    first.add_task(worker="worker-1", task_id=TASK, status="FAILED")
    assert second.get_work(worker="worker-2")["task_id"] is None
    second.close()
    assert "BuildOutbox() failed, here or elsewhere" in caplog.text
    caplog.clear()
    first.close()
    assert "nothing more to do" not in caplog.text
    second.disable_worker(worker="worker-2")
    second.get_work(worker="worker-2")
    second.close()
    assert "this worker was disabled on luigid's page" in caplog.text


@pytest.mark.timeout(180)
def test_status_names_the_reason_of_a_run_that_did_not_end_well(
    luigi: Luigi, outbox: Outbox, segment_server: SegmentServer, luigid: LuigiServer
) -> None:
    def status() -> str:
        command = [sys.executable, "-m", "luigi_tasks.status"]
        env = luigi.env | {"COLUMNS": "2000"}
        return subprocess.run(
            command, cwd=PROJECT, env=env, capture_output=True, text=True, check=False, timeout=60
        ).stdout

    outbox.enqueue("identify", customers(1))
    assert "The last " not in status()
    away = str(free_port())
    assert luigi.run("SyncToSegment", "--scheduler-port", away).returncode == 40
    assert re.search(r"^The last run began at .* UTC and did not end well, .*: luigid ", status())
    with Lease():
        held = luigi.run("SendIdentify", "--slot", PAST, "--lease-wait-seconds", "0")
        assert held.returncode == 30, held.stderr
    assert "UTC: SendIdentify: Another run" in status()

    scheduler = CentralScheduler(luigid.url)
    task = SendIdentify(slot=datetime(2026, 1, 31, 10, 15))
    root = {"family": task.task_family, "params": {}}
    scheduler.add_task(worker="elsewhere", task_id=task.task_id, **root)
    assert scheduler.get_work(worker="elsewhere")["task_id"] == task.task_id
    port = str(luigid.port)
    refused = luigi.run("SyncToSegment", "--slot", PAST, "--scheduler-port", port)
    assert refused.returncode == 10, refused.stderr
    assert "is being run by elsewhere since" in status()

    assert luigi.run("SyncToSegment", "--slot", PAST).returncode == 0
    assert status().startswith("The last sync ended well at ")


def test_the_resources_of_luigid_stop_nothing(luigid: LuigiServer) -> None:
    for resource in ("dbt", "segment", "landing", "segment-0-of-4"):
        taken = {"data": f'{{"resource": "{resource}", "amount": 0}}'}
        httpx.get(f"{luigid.url}/api/update_resource", params=taken, trust_env=False)
    scheduler = CentralScheduler(luigid.url)
    task = BuildOutbox()
    scheduler.add_task(
        worker="w",
        task_id=task.task_id,
        family=task.task_family,
        params={},
        resources=task.process_resources(),
    )
    assert scheduler.get_work(worker="w")["task_id"] == task.task_id
    scheduler.add_task(worker="w", task_id=task.task_id, status="DONE")


@pytest.mark.timeout(180)
def test_a_run_goes_on_sending_while_luigid_is_restarted(
    luigi: Luigi, outbox: Outbox, segment_server: SegmentServer, tmp_path: Path
) -> None:
    segment_server.reset()
    sent = outbox.enqueue("track", orders(200))
    port = free_port()
    options = (
        *("SyncToSegment", "--slot", PAST, "--scheduler-port", str(port)),
        *("--delivery-events-per-second", "30"),
    )
    with running_luigid(tmp_path, port=port):
        run = luigi.start(*options)
        wait_for(lambda: segment_server.stats()["received"] > 0)
    before = segment_server.stats()["received"]
    wait_for(lambda: segment_server.stats()["received"] > before)
    assert run.poll() is None
    with running_luigid(tmp_path, port=port):
        output, _ = run.communicate(timeout=120)
    assert run.returncode == 0, output
    assert f"luigid at http://127.0.0.1:{port} does not answer. This run goes on." in output
    assert sorted(outbox.ledger()) == sorted(sent)
    assert segment_server.stats()["duplicates"] == 0
