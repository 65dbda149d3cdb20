"""A ClickHouse whose disk is small and can be made full, in a mount that only it sees."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.processes import process, wait_ready

IN_A_SMALL_FILE_SYSTEM = 'mount -t tmpfs -o size="$1" tmpfs "$2" && shift 2 && exec "$@"'

LEFT_BYTES = 256 * 1024
"""What remains on a full disk: less than the megabyte that ClickHouse reserves for an insert."""


@dataclass(frozen=True)
class SmallDisk:
    """The disk of a server, which another program fills.

    Attributes:
        url: The server.
        ballast: The file of the other program.
    """

    url: str
    ballast: Path

    def fill(self) -> None:
        """Leave less than an insert needs."""
        space = os.statvfs(self.ballast.parent)
        with self.ballast.open("ab") as file:
            size = space.f_bavail * space.f_frsize - LEFT_BYTES
            os.posix_fallocate(file.fileno(), file.tell(), size)

    def free(self) -> None:
        """Give the space back."""
        self.ballast.unlink()


@contextmanager
def server_with_a_small_disk(directory: Path, megabytes: int) -> Iterator[SmallDisk]:
    """Run the embedded ClickHouse with a data directory of so many megabytes.

    The test is skipped where a user may not mount a file system.
    """
    unshare = shutil.which("unshare")
    command = [str(unshare), "--user", "--map-root-user", "--mount", "sh", "-c"]
    probe = [*command, IN_A_SMALL_FILE_SYSTEM, "sh", "1m", "/mnt", "true"]
    if unshare is None or subprocess.run(probe, check=False).returncode:
        pytest.skip("this machine does not let a user mount a file system")
    directory.mkdir()
    log = directory.with_name("server.log")
    serve = [sys.executable, "-m", "sandbox.clickhouse", "--no-password", "--port", "0"]
    arguments = [*command, IN_A_SMALL_FILE_SYSTEM, "sh", f"{megabytes}m", str(directory)]
    with process([*arguments, *serve, "--path", str(directory)], log) as running:
        url = wait_ready(running, log)
        # The directory as the server sees it.
        yield SmallDisk(url, Path(f"/proc/{running.pid}/root{directory}/ballast"))
