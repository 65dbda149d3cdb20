"""What tells a process from another one that had its number, and does not move with the clock.

A start time in seconds will not do: Linux keeps it in ticks since the boot, so when the clock is
set the same process seems to have started at another time.
"""

from __future__ import annotations

import sys
from pathlib import Path

import psutil

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_STARTED_AT = 19
"""The place of `starttime`, the 22nd field, among those after the process's name; see proc(5)."""


def mark(pid: int) -> str:
    """Return the start of a process: equal for the same process, different for all others.

    Raises:
        NoSuchProcess: There is no process with that number.
    """
    if sys.platform != "linux":
        # Kept as the process was started, and not worked out from a time of boot.
        return repr(psutil.Process(pid).create_time())
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError) as error:
        raise psutil.NoSuchProcess(pid) from error
    # The name may have blanks and parentheses itself.
    ticks = stat.rpartition(")")[2].split()[_STARTED_AT]
    return f"{boot_id()} {ticks}"


def boot_id() -> str:
    """Return what tells this boot of Linux from all others; empty on other systems."""
    return _BOOT_ID.read_text(encoding="ascii").strip() if sys.platform == "linux" else ""


def is_running(pid: int, start: str) -> bool:
    """Tell whether the process that was marked so is running; when in doubt it is.

    Args:
        pid: Its number.
        start: Its mark. Empty: any process with that number may be the one.
    """
    try:
        if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return False
        return not start or mark(pid) == start
    except psutil.NoSuchProcess:
        return False
    except (psutil.AccessDenied, PermissionError):
        return True
