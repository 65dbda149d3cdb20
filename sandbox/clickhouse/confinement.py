"""What the process of the embedded ClickHouse may do, told to the kernel by Landlock.

The rights that SQL has in the engine leave gaps: the scalar function ``file()``, for one, needs
none. Here the kernel closes them, whatever the SQL: the process writes below its data directory and
nowhere else, reads there and where its program lies, starts no other program, and connects to
nobody. Landlock needs Linux 5.19 or later (6.7 for connections) and no privileges.

https://docs.kernel.org/userspace-api/landlock.html
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # system calls, the same everywhere
_VERSION_FLAG = 1
_PATH_BENEATH = 1
_NO_NEW_PRIVILEGES = 38  # of prctl

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIRECTORY = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_TRUNCATE = 1 << 14
# Actions on files that each version of Landlock knows. The first forbids to link files across
# directories, which the engine cannot do without; the third adds truncation.
_FILE_ACTIONS = {2: (1 << 14) - 1, 3: (1 << 15) - 1}
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE
_BIND_AND_CONNECT = 0b11
_FIRST_WITH_CONNECTIONS = 4


def confine(directory: Path) -> bool:
    """Confine this thread, and all that it starts from now on, to a directory.

    Sockets and files that are open stay usable.

    Args:
        directory: What it may write to.

    Returns:
        Whether the kernel does so; False on other systems and on old kernels.
    """
    version = _landlock_version()
    if version < min(_FILE_ACTIONS):
        return False
    actions = _FILE_ACTIONS[min(version, max(_FILE_ACTIONS))]
    connections = _BIND_AND_CONNECT if version >= _FIRST_WITH_CONNECTIONS else 0
    attributes = struct.pack("=QQ", actions, connections)[: 16 if connections else 8]
    ruleset = _call(_CREATE_RULESET, attributes, len(attributes), 0)
    try:
        _allow(ruleset, _program(), (_READ_FILE | _READ_DIRECTORY) & actions)
        _allow(ruleset, [directory, Path(os.devnull)], actions & ~_EXECUTE)
        _prctl_no_new_privileges()
        _call(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)
    return True


def _program() -> list[Path]:
    """Where Python, its packages and the system's libraries lie, and what they look up."""
    package = Path(__file__).resolve().parents[1]
    prefixes = {sys.prefix, sys.base_prefix, *sysconfig.get_paths().values()}
    packages = {path for path in sys.path if path.endswith("-packages")}
    system = ("/usr", "/lib", "/lib64", "/sys", "/dev/urandom", "/etc/hosts", "/etc/localtime")
    # Where the C library finds the size of a thread's stack.
    memory_map = "/proc/self/maps"
    return [package, *map(Path, [*sorted(prefixes | packages), *system, memory_map])]


def _allow(ruleset: int, paths: Iterable[Path], actions: int) -> None:
    for path in paths:
        if not path.exists():
            continue
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            is_directory = stat.S_ISDIR(os.fstat(handle).st_mode)
            allowed = actions if is_directory else actions & _OF_FILES
            rule = struct.pack("=Qi", allowed, handle)
            _call(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0)
        finally:
            os.close(handle)


def _landlock_version() -> int:
    if sys.platform != "linux":
        return 0
    try:
        return _call(_CREATE_RULESET, None, 0, _VERSION_FLAG)
    except OSError:  # not in this kernel, or turned off
        return 0


def _call(number: int, *arguments: int | bytes | None) -> int:
    """Make a system call.

    Raises:
        OSError: It failed.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    words = [ctypes.c_long(item) if isinstance(item, int) else item for item in arguments]
    result = int(libc.syscall(ctypes.c_long(number), *words))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def _prctl_no_new_privileges() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
