"""Slots and the rule that says when a task is complete."""

from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from uuid import uuid4

import pytest

from luigi_tasks import SendTrack, SyncToSegment, config
from luigi_tasks.runs import invocation, markers
from luigi_tasks.runs.invocation import Invocation

START = datetime(2026, 1, 31, 10, 20, 30, 123000, tzinfo=timezone.utc)
SLOT = datetime(2026, 1, 31, 10, 15)


@pytest.fixture(autouse=True)
def started(monkeypatch: pytest.MonkeyPatch) -> Invocation:
    run = Invocation(run_id=uuid4(), started_at=START)
    monkeypatch.setattr(invocation, "current", run)
    return run


@pytest.mark.parametrize(
    ("minute", "slot_minute"), [(0, 0), (14, 0), (15, 15), (29, 15), (45, 45), (59, 45)]
)
def test_the_slot_of_a_time(minute: int, slot_minute: int) -> None:
    run = Invocation(uuid4(), START.replace(minute=minute))
    assert run.slot == datetime(2026, 1, 31, 10, slot_minute)


@pytest.mark.parametrize(
    ("slot", "over"),
    [
        (SLOT, False),
        (SLOT + timedelta(minutes=15), False),
        (SLOT - timedelta(minutes=15), True),
        (SLOT - timedelta(days=9), True),
    ],
)
def test_a_slot_is_over_when_it_ended_before_the_command_started(
    slot: datetime, over: bool
) -> None:
    assert invocation.current.is_over(slot) is over


def test_a_slot_ends_with_its_last_minute() -> None:
    run = Invocation(uuid4(), datetime(2026, 1, 31, 10, 30, tzinfo=timezone.utc))
    assert run.is_over(SLOT)


def test_in_the_current_slot_only_markers_of_this_command_count() -> None:
    assert markers.for_slot(SendTrack(slot=SLOT), SLOT).not_before == START


def test_hosts_that_share_a_run_count_every_marker_of_the_current_slot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(config, "sync", lambda: SimpleNamespace(once_per_slot=True))
    assert markers.for_slot(SendTrack(slot=SLOT), SLOT).not_before is None


def test_for_a_slot_that_is_over_every_marker_counts() -> None:
    slot = SLOT - timedelta(minutes=15)
    target = markers.for_slot(SendTrack(slot=slot), slot)
    assert target.not_before is None
    assert target.identity == "SendTrack/2026-01-31T1000"
    assert target.params["slot"] == "2026-01-31T1000"


def test_a_dry_run_has_an_identity_of_its_own_in_each_command() -> None:
    task = SendTrack(slot=SLOT)
    first = markers.for_slot(task, SLOT, dry_run=True).identity
    assert first != markers.for_slot(task, SLOT).identity
    assert str(invocation.current.run_id) in first


def test_the_slot_is_cut_to_its_beginning() -> None:
    assert SyncToSegment(slot=SLOT + timedelta(minutes=7)).slot == SLOT


def test_times_are_cut_to_milliseconds_as_markers_are() -> None:
    assert invocation.utc_now().microsecond % 1000 == 0
