"""Progress on Luigi's page, and what happens while luigid is away."""

import luigi
import pytest
from luigi.rpc import RPCError

from luigi_tasks.runs import progress


class _Task(luigi.Task):
    pass


def test_a_luigid_that_is_away_is_left_alone_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    asked: list[int] = []
    is_away = True

    def set_percentage(percentage: int) -> None:
        asked.append(percentage)
        if is_away:
            raise RPCError("luigid does not answer")

    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    task = _Task()
    task.set_progress_percentage = set_percentage
    shown = progress.Scheduler(task)
    shown.report(10, "")
    shown.report(20, "")
    clock[0] += progress.SECONDS_WITHOUT_REPORTS - 1
    shown.report(30, "")
    assert asked == [10], "each report that fails costs a sender its time-out"
    is_away = False
    clock[0] += 1
    shown.report(40, "")
    shown.report(50, "")
    assert asked == [10, 40, 50]
