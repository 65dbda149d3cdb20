"""The files of an export, and what the check finds out about one of them."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from luigi_tasks.errors import TerminalError
from luigi_tasks.landing.dictionary import Table

CHUNK_BYTES = 1 << 18
"""How much of a file is hashed at a time."""


HEADER_AGAIN = "the header again: files were joined"
"""Why a line that repeats the header is in `rejected_rows`."""

END_MARK = b"\x1a"
"""Ctrl-Z, with which programs of DOS end a text."""


class ExportRefusedError(TerminalError):
    """The export cannot be loaded. Correct the file, or export it again, then run again."""


class RejectedRow(NamedTuple):
    """A row that could not be read.

    Attributes:
        line: The line on which it starts; the first line of a file is 1.
        text: The row as it stands in the file.
        reason: Why it could not be read.
    """

    line: int
    text: str
    reason: str


class BrokenLine(NamedTuple):
    """A rejected line that the reader must not see.

    Attributes:
        start: The byte at which it starts.
        end: The byte of its line feed, or the end of the file.
        row: What it is rejected as.
    """

    start: int
    end: int
    row: RejectedRow


class Place(NamedTuple):
    """Where a row begins, or where the file ends.

    Attributes:
        offset: The byte.
        line: The line.
    """

    offset: int
    line: int


@dataclass(frozen=True)
class Header:
    """The first row of a file.

    Attributes:
        names: The column names, trimmed, in the order of the file. A column without a name is
            called `column_` and its position, counted from 1.
        end: The byte at which the rows begin.
        lines: The lines before the rows.
    """

    names: tuple[str, ...]
    end: int
    lines: int


@dataclass(frozen=True)
class CheckedFile:
    """A file that may be loaded.

    Attributes:
        path: The file.
        table: The table that it fills.
        size: In bytes.
        content_hash: SHA-256 of its bytes, in hexadecimal, as `sha256sum` prints it.
        header: The first row.
        broken: Lines with broken quoting; the reader leaves them out.
        places: The beginnings of some rows, the first among them, a few megabytes apart.
        lines: How many lines there are.
        ends_with_newline: Whether the last line is finished.
    """

    path: Path
    table: Table
    size: int
    content_hash: str
    header: Header
    broken: tuple[BrokenLine, ...]
    places: tuple[Place, ...]
    lines: int
    ends_with_newline: bool


def find(directory: Path, tables: tuple[Table, ...]) -> dict[Table, Path]:
    """Return the file of each table; upper and lower case make no difference.

    Raises:
        ExportRefusedError: The directory or a file is missing, two files have the same name, or
            one is a link or no file at all.
    """
    try:
        present = sorted(directory.iterdir())
    except OSError as error:
        raise ExportRefusedError(
            f"The directory {directory} cannot be read: {error.strerror}. Give the directory of "
            "the export with --directory or RETAIL_PRO_EXPORT_DIR."
        ) from error
    found = {
        table: [path for path in present if path.name.lower() == table.file_name]
        for table in tables
    }
    if missing := [table.file_name for table, paths in found.items() if not paths]:
        raise ExportRefusedError(
            f"{directory} has no file {', '.join(missing)}. Nothing was loaded. An export consists "
            f"of {', '.join(table.file_name for table in tables)}: export what is missing."
        )
    for table, paths in found.items():
        if len(paths) > 1:
            raise ExportRefusedError(
                f"{directory} has several files for the table {table.name}: "
                f"{', '.join(path.name for path in paths)}. Keep one of them."
            )
    for paths in found.values():
        _refuse_irregular(paths[0], paths[0].lstat())
    return {table: paths[0] for table, paths in found.items()}


def open_file(path: Path) -> BinaryIO:
    """Open a file of an export: a regular file in the directory itself, and nothing else.

    Whoever may write into the directory could otherwise have any file read that this process may
    read, and see it in an error message or at Segment. What is opened is what is checked, so that
    nothing can take its place in between. The directory itself may be a link: an operator names it.

    Raises:
        ExportRefusedError: It is a link, a pipe, a device or a file of somebody else.
        OSError: It cannot be opened.
    """
    flags = os.O_RDONLY
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY", "O_BINARY"):
        flags |= getattr(os, name, 0)
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        if error.errno == errno.ELOOP:
            _refuse_irregular(path, path.lstat())
        raise
    try:
        _refuse_irregular(path, os.fstat(descriptor))
    except ExportRefusedError:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "rb")


def _refuse_irregular(path: Path, status: os.stat_result) -> None:
    is_linked = status.st_nlink > 1 and status.st_uid != path.parent.stat().st_uid
    if stat.S_ISREG(status.st_mode) and not is_linked:
        return
    what = "a link" if is_linked or stat.S_ISLNK(status.st_mode) else "no regular file"
    raise ExportRefusedError(
        f"{path} is {what}. Nothing was loaded. Only files that lie in the directory of the export "
        "are read: put a copy there, or name the directory of the file itself with --directory or "
        "RETAIL_PRO_EXPORT_DIR."
    )


class FileState(NamedTuple):
    """What changes when a file is written to, or another one takes its place."""

    path: str
    inode: int
    size: int
    changed_at: int


_hashes: dict[FileState, str] = {}


def file_state(path: Path, file: BinaryIO | None = None) -> FileState:
    """Return the state of a file, or of the one that was opened by this path.

    Raises:
        OSError: There is no such file.
    """
    status = os.fstat(file.fileno()) if file else path.lstat()
    return FileState(str(path), status.st_ino, status.st_size, status.st_mtime_ns)


def remember_hash(state: FileState, content_hash: str) -> None:
    """Save `content_hash` the reading of a file that was just read."""
    _hashes[state] = content_hash


def content_hash(path: Path) -> str:
    """Return the SHA-256 of a file, remembered until its size or time of change differs.

    Raises:
        ExportRefusedError: As `open_file`.
        OSError: The file cannot be read.
    """
    state = file_state(path)
    if state not in _hashes:
        _hashes[state] = digest_of(path)
    return _hashes[state]


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal.

    Raises:
        ExportRefusedError: As `open_file`.
        OSError: The file cannot be read.
    """
    digest = hashlib.sha256()
    with open_file(path) as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def match_columns(header: Header, table: Table) -> dict[int, str]:
    """Return which columns of the file are columns of the table: position -> the table's name."""
    by_folded_name = {column.upper(): column for column in table.columns}
    return {
        position: by_folded_name[name.upper()]
        for position, name in enumerate(header.names)
        if name.upper() in by_folded_name
    }
