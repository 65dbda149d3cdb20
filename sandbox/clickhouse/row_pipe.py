"""An INSERT that takes its rows in chunks, in constant memory.

The engine reads the rows out of a pipe, as ``INSERT ... FROM INFILE`` reads a file. chDB's
``send_insert`` is no way to do it: it tells errors of reading the rows, but none of writing them (a
full disk, a violated constraint, too many parts), and reports such an insert as done.
"""

from __future__ import annotations

import fcntl
import os
import struct
import termios
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

from sandbox.clickhouse.errors import CANNOT_READ_ALL_DATA, ClickHouseError

_T = TypeVar("_T")
_LOOK_AGAIN_S = 0.05
_PIPE_BYTES = 1 << 20


class RowPipe(Generic[_T]):
    """Runs an INSERT in a thread of its own and feeds it.

    Args:
        run: Runs the INSERT on the rows in the file that it is given, to the end.
        kill: Ends the query that reads this file; tells whether there is one.
    """

    def __init__(self, run: Callable[[str], _T], kill: Callable[[str], bool]) -> None:
        self._source, self._sink = os.pipe()
        _enlarge(self._source)
        # The engine opens the pipe by this name, so no other program can come between.
        self._name = f"/dev/fd/{self._source}"
        self._kill = kill
        self._result: _T | None = None
        self._error: BaseException | None = None
        self._unread = 0
        self._thread = threading.Thread(target=self._run, args=(run,), daemon=True)
        self._thread.start()

    def _run(self, run: Callable[[str], _T]) -> None:
        try:
            self._result = run(self._name)
        except BaseException as error:  # raised in the thread that feeds
            self._error = error
        finally:
            self._unread = _bytes_in(self._source)
            os.close(self._source)  # a writer that still waits gets BrokenPipeError

    def append(self, chunk: bytes) -> None:
        """Hand over bytes of the input format; waits while the engine is behind.

        Raises:
            ClickHouseError: The engine refused the rows.
        """
        rest = memoryview(chunk)
        try:
            while rest:
                rest = rest[os.write(self._sink, rest) :]
        except BrokenPipeError:
            self._unread += len(rest)
            self.finish()

    def finish(self) -> _T:
        """End the rows, wait until they are stored, and return what ``run`` returned.

        Raises:
            ClickHouseError: The rows were not stored, or not all of them were read.
        """
        self._end()
        if self._error is not None:
            raise self._error
        if self._unread:
            raise ClickHouseError.of(
                CANNOT_READ_ALL_DATA,
                f"Cannot read all data: {self._unread} bytes follow what was read as rows",
            )
        if self._result is None:
            raise AssertionError("an INSERT without an error has a result")
        return self._result

    def cancel(self) -> None:
        """Give the INSERT up; blocks that are already written stay, as in a server."""
        # An end of the rows would look like a good one, so the query must be dying before it.
        while self._thread.is_alive() and not self._kill(self._name):
            self._thread.join(_LOOK_AGAIN_S)
        self._end()

    def _end(self) -> None:
        if self._sink >= 0:
            os.close(self._sink)
            self._sink = -1
        self._thread.join()


def _enlarge(pipe: int) -> None:
    """Let the pipe hold as much as the engine reads at once, where that can be had."""
    resize = getattr(fcntl, "F_SETPIPE_SZ", None)  # Linux
    if resize is not None:
        with suppress(PermissionError):  # the user has many pipes; a small one works too
            fcntl.fcntl(pipe, resize, _PIPE_BYTES)


def _bytes_in(pipe: int) -> int:
    """How many bytes nobody has read yet."""
    answer = fcntl.ioctl(pipe, termios.FIONREAD, struct.pack("i", 0))
    return int(struct.unpack("i", answer)[0])
