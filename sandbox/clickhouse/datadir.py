"""One process per data directory: two engines on the same files would destroy them."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sandbox import private


class DataDirectoryBusyError(Exception):
    """Another server has the data directory open."""


@contextmanager
def locked(path: Path) -> Iterator[Path]:
    """Make the directory, for its owner only, and hold it until the end.

    The lock is the kernel's: it is gone when the process is, even after kill -9.

    Yields:
        The absolute path.

    Raises:
        DataDirectoryBusyError: Another process holds it.
        PrivateFileError: It belongs to another user.
    """
    private.make_directory(path)
    lock_file = path / "server.lock"
    with lock_file.open("a+", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            raise DataDirectoryBusyError(
                f"The data directory {path.resolve()} is in use by process {holder}. "
                "Use that server, stop it first, or give another directory with --path."
            ) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield path.resolve()
