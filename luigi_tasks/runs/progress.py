"""Progress of a task: in the Luigi UI, and as a bar when a person is watching a terminal."""

from __future__ import annotations

import logging
import time
from types import TracebackType

import luigi
from luigi.rpc import RPCError

from luigi_tasks.plain_text import for_page, plain
from luigi_tasks.terminal import progress_bar

logger = logging.getLogger("luigi-interface.progress")

SECONDS_BETWEEN_REPORTS = 1.0
"""Each report is one request to the scheduler."""

SECONDS_WITHOUT_REPORTS = 30.0
"""After one that failed. Each may cost a time-out, and the work matters more than its picture."""


class Scheduler:
    """The Luigi UI's view of a running task.

    Luigi sets its callbacks only while a scheduler runs the task; without them nothing is reported.
    """

    def __init__(self, task: luigi.Task) -> None:
        self._set_percentage = task.set_progress_percentage
        self._set_message = task.set_status_message
        self._silent_until = 0.0

    def report(self, percentage: int, message: str) -> None:
        """Show the progress and the status message of the task."""
        if time.monotonic() < self._silent_until:
            return
        try:
            if self._set_percentage is not None:
                self._set_percentage(percentage)
            if self._set_message is not None:
                self._set_message(for_page(message))
        except RPCError as error:
            logger.warning("The Luigi scheduler takes no progress at the moment: %s", error)
            self._silent_until = time.monotonic() + SECONDS_WITHOUT_REPORTS


class TaskProgress:
    """Reports how far a task is; a context manager, because the bar needs an end.

    Args:
        task: The task that is running.
        label: What the bar says.
        bar: Draw a bar. Several tasks that run at the same time would draw theirs on one line.
    """

    def __init__(self, task: luigi.Task, label: str, *, bar: bool = True) -> None:
        self._scheduler = Scheduler(task)
        self._reported_at = 0.0
        self._bar = progress_bar()
        self._bar.disable = self._bar.disable or not bar
        self._line = self._bar.add_task(label, total=None, message="")

    def __enter__(self) -> TaskProgress:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def update(self, done: int, total: int, message: str) -> None:
        """Say that `done` of `total` is finished; most calls only move the bar."""
        self._move(done, total, message)
        now = time.monotonic()
        if now - self._reported_at >= SECONDS_BETWEEN_REPORTS:
            self._reported_at = now
            self._report(done, total, message)

    def finish(self, done: int, total: int, message: str) -> None:
        """Report the last state, whenever the one before was."""
        self._move(done, total, message)
        self._report(done, total, message)

    def _move(self, done: int, total: int, message: str) -> None:
        self._bar.update(self._line, completed=done, total=total, message=plain(message, 80))

    def _report(self, done: int, total: int, message: str) -> None:
        percentage = 100 if total <= 0 else min(100, done * 100 // total)
        self._scheduler.report(percentage, message)
