"""Lanes: several connections at work on one page, without breaking the order per user.

Each user belongs to one lane, and each lane sends its messages one batch after the other. When one
lane fails, or the task is told to end, the others finish the request that they have under way, so
that its answer is recorded, and begin no other one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed, wait
from typing import Generic, TypeVar

T = TypeVar("T")

MOST_LANES = 10
"""So many connections does the SDK's session keep open."""


class _Stopped(Exception):  # noqa: N818 - not an error: another one is the reason
    """This lane ends because another one failed."""


class Lanes(Generic[T]):
    """Runs the lanes of one page at a time. A context manager.

    Args:
        count: How many.
        work: Sends the items of a lane; calls `go_on` before every request.
    """

    def __init__(self, count: int, work: Callable[[Sequence[T]], None]) -> None:
        self.count = max(1, min(count, MOST_LANES))
        self._work = work
        self._stopped = threading.Event()
        self._running: list[Future[None]] = []
        self._threads = ThreadPoolExecutor(self.count, thread_name_prefix="lane")

    def __enter__(self) -> Lanes[T]:
        return self

    def __exit__(self, *error: object) -> None:
        self._stopped.set()
        wait(self._running)
        self._threads.shutdown()

    def go_on(self) -> None:
        """Return to where it is called, unless the lane is to end."""
        if self._stopped.is_set():
            raise _Stopped

    def pause(self, seconds: float) -> None:
        """Sleep, but no longer than the lanes run."""
        self._stopped.wait(seconds)

    def start(self, lanes: Iterable[Sequence[T]]) -> None:
        """Let each lane begin; those before must be finished."""
        self._running = [self._threads.submit(self._run, lane) for lane in lanes]

    def finish(self) -> None:
        """Wait for all lanes; raise what the first one raises that fails."""
        for lane in as_completed(self._running):
            error = lane.exception()
            if error and not isinstance(error, _Stopped):
                raise error
        self._running = []

    def _run(self, lane: Sequence[T]) -> None:
        try:
            self._work(lane)
        except BaseException:
            self._stopped.set()
            raise
