"""Ctrl-C and SIGTERM as an exception, so that `finally` runs.

What is held is recorded, dbt is stopped, a lease is given back.

Luigi reports a task that ends with `Stopped` to the scheduler as failed, so that the next command
does not wait for it. (A KeyboardInterrupt would end the worker without a word to luigid, where the
task goes on running for as long as the worker may be alive.) The worker begins nothing more. With
several workers the tasks run in child processes, and their parent passes the signal on.

Requests under way get a few seconds, and the process ends within half a minute in any case: where
ClickHouse or the network holds it, without giving the lease back, which then runs out.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

from luigi.worker import TaskProcess

from luigi_tasks.errors import Stopped
from luigi_tasks.runs import deadline

logger = logging.getLogger("luigi-interface.signals")

SIGNALS = (signal.SIGINT, signal.SIGTERM)

MAX_SECONDS = 28.0
"""From the first signal to the end of the process."""

SECONDS_FOR_REQUESTS = 10.0
"""What a request under way gets of them; nothing when the signal is repeated."""

SECONDS_BEFORE_FORCE = 2.0
"""A signal this soon after the first is the same one: a terminal and a supervisor may send both."""


class _Stop:
    """What a process does when it is asked to stop."""

    def __init__(self) -> None:
        self.asked_at: float | None = None
        self._end: threading.Timer | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if multiprocessing.parent_process() is not None and number == signal.SIGINT:
            return  # A terminal sends it to the parent too, which passes SIGTERM on.
        if self.asked_at is None:
            self.asked_at = time.monotonic()
            self._tell(number)
            self._end = _end_later(number)
            deadline.hurry(SECONDS_FOR_REQUESTS)
        elif time.monotonic() - self.asked_at < SECONDS_BEFORE_FORCE:
            return
        else:
            deadline.hurry(0)
        _ask_for_no_more_work(frame)
        children = [each.pid for each in multiprocessing.active_children() if _runs_a_task(each)]
        for child in filter(None, children):
            os.kill(child, signal.SIGTERM)
        if not children:
            raise Stopped(128 + number)

    def forget(self) -> None:
        """Let the process live on: what was asked to stop has stopped."""
        if self._end:
            self._end.cancel()

    def _tell(self, number: int) -> None:
        if multiprocessing.parent_process() is None:
            logger.warning(
                "Stopping (%s). Nothing is lost: what Segment took is recorded, the rest stays in "
                "the outbox. Run the same command again whenever you like.",
                "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name,
            )


def _end_later(number: int) -> threading.Timer:
    timer = threading.Timer(MAX_SECONDS, _end, [number])
    timer.daemon = True
    timer.start()
    return timer


def _end(number: int) -> None:
    logger.error(
        "Still not stopped after %g s: the process ends now. What Segment has answered and "
        "ClickHouse has not recorded goes out again with the same ids.",
        MAX_SECONDS,
    )
    os._exit(128 + number)


def _runs_a_task(process: Any) -> bool:
    return isinstance(process, TaskProcess)


def _ask_for_no_more_work(frame: FrameType | None) -> None:
    """Call what Luigi has installed for SIGUSR1, with which a worker takes no other task."""
    handler = signal.getsignal(signal.SIGUSR1)
    if callable(handler):
        handler(signal.SIGUSR1, frame)


def install() -> None:
    """Be asked to stop by Ctrl-C and SIGTERM, from now to the end of the process."""
    if threading.current_thread() is threading.main_thread() and not _is_installed():
        _install()


def _install() -> _Stop:
    stop = _Stop()
    for number in SIGNALS:
        signal.signal(number, stop)
    return stop


def _is_installed() -> bool:
    return isinstance(signal.getsignal(signal.SIGTERM), _Stop)


def is_stopping() -> bool:
    """Tell whether this process was asked to stop."""
    handler = signal.getsignal(signal.SIGTERM)
    return isinstance(handler, _Stop) and handler.asked_at is not None


@contextlib.contextmanager
def terminated_as_exception() -> Iterator[None]:
    """Turn the signals into `Stopped` for a while; only the main thread can.

    Raises:
        Stopped: A signal came.
    """
    if threading.current_thread() is not threading.main_thread() or _is_installed():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    stop = _install()
    try:
        yield
    finally:
        stop.forget()
        for number, handler in before.items():
            signal.signal(number, handler)


def say_instead_of_traceback() -> None:
    """Let a Ctrl-C that no task has seen end the process with a line."""
    usual = sys.excepthook

    def show(kind: type[BaseException], error: BaseException, trace: Any) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.stderr.write("Stopped (Ctrl-C). Nothing was lost.\n")
        else:
            usual(kind, error, trace)

    sys.excepthook = show
