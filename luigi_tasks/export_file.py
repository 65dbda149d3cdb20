"""The files of an export, and the check that a file must pass before a row of it is loaded.

The check reads a file once and finds what a CSV reader does not tell, or not with its line: bytes
that are not UTF-8, a header without the key, and quotation marks that are not in pairs. pyarrow
takes a stray quotation mark for a part of the text and swallows the rows up to the next one, so
Python's csv module, which is strict, looks at every line that has one.
"""

from __future__ import annotations

import csv
import hashlib
import io
import logging
import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from luigi_tasks.dictionary import Table
from luigi_tasks.errors import TerminalError

logger = logging.getLogger("luigi-interface.landing")

BOM = b"\xef\xbb\xbf"
CHUNK_BYTES = 4 << 20
LONGEST_LINE_BYTES = 1 << 20
MOST_BROKEN_LINES = 10_000
"""More lines with broken quoting than this, and the file is refused. Bounds the memory."""

QUOTE = re.compile(rb'"')
QUOTE_OR_LONE_RETURN = re.compile(rb'"|\r(?!\n)')
"""A quotation mark, or a carriage return that is not a part of CRLF; ten times slower."""

ENCODED_TWICE = b"\xc3\x83\xc2"
"""UTF-8 text that was read as Latin-1 and written as UTF-8 again: an u umlaut shows as two signs.
These bytes are the first of most such pairs in Western languages."""


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
        places: The beginnings of some rows, the first among them, about `CHUNK_BYTES` apart.
        lines: How many lines there are.
        is_multiline: Whether a value contains a line break.
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
    is_multiline: bool
    ends_with_newline: bool


def find(directory: Path, tables: tuple[Table, ...]) -> dict[Table, Path]:
    """Return the file of each table; upper and lower case make no difference.

    Raises:
        ExportRefusedError: The directory or a file is missing, or two files have the same name.
    """
    try:
        present = sorted(path for path in directory.iterdir() if path.is_file())
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
    return {table: paths[0] for table, paths in found.items()}


_hashes: dict[tuple[str, int, int, int], str] = {}


def content_hash(path: Path) -> str:
    """Return the SHA-256 of a file, remembered until its size or time of change differs.

    Raises:
        OSError: The file cannot be read.
    """
    status = path.stat()
    key = (str(path), status.st_ino, status.st_size, status.st_mtime_ns)
    if key not in _hashes:
        _hashes[key] = digest_of(path)
    return _hashes[key]


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal.

    Raises:
        OSError: The file cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def check(path: Path, table: Table, advance: Callable[[int], None] = lambda _: None) -> CheckedFile:
    """Read a whole file and tell whether it may be loaded. Memory does not grow with its size.

    Args:
        path: The file.
        table: The table that it fills.
        advance: Called with the number of bytes read since the call before.

    Raises:
        ExportRefusedError: The file is empty, has no key column or no row, is not UTF-8, or a
            quoted text in it does not end.
    """
    try:
        checked = _Check(path, table, advance).run()
    except OSError as error:
        raise ExportRefusedError(
            f"{path} cannot be read: {error.strerror}. Check the rights of the file, then run again"
        ) from error
    _warn_of_absent_columns(checked)
    return checked


def match_columns(header: Header, table: Table) -> dict[int, str]:
    """Return which columns of the file are columns of the table: position -> the table's name."""
    by_folded_name = {column.upper(): column for column in table.columns}
    return {
        position: by_folded_name[name.upper()]
        for position, name in enumerate(header.names)
        if name.upper() in by_folded_name
    }


class _Line(NamedTuple):
    """A line as it stands in the file, with its line break.

    Attributes:
        number: The first line of the file is 1.
        start: The byte at which it starts.
        raw: Its bytes; they are UTF-8.
    """

    number: int
    start: int
    raw: bytes


class _Check:
    """One pass over one file."""

    def __init__(self, path: Path, table: Table, advance: Callable[[int], None]) -> None:
        self._path = path
        self._table = table
        self._advance = advance
        self._digest = hashlib.sha256()
        self._offset = 0
        self._lines = 0
        self._ends_with_newline = False
        self._encoded_twice = 0
        self._header: Header | None = None
        self._is_multiline = False
        self._broken: list[BrokenLine] = []
        self._places: list[Place] = []
        self._record: list[_Line] = []  # the lines of the record that is being read
        self._again: deque[_Line] = deque()  # lines that follow a broken one
        self._exhausted = False

    def run(self) -> CheckedFile:
        source = self._suspicious_lines()
        while not self._exhausted:
            self._read_records(source)
        if self._header is None:
            raise ExportRefusedError(
                f"{self._path} is empty. Nothing was loaded. An export has a header even when it "
                "has no rows: check why the exporter wrote nothing, then export again."
            )
        self._refuse_without_rows(self._header)
        self._refuse_cut_end()
        if self._encoded_twice:
            logger.warning(
                "%s: %s places look like text that was encoded twice (a letter with an accent "
                "shows as two signs). They are loaded as they stand; correct the export.",
                self._path,
                self._encoded_twice,
            )
        return CheckedFile(
            path=self._path,
            table=self._table,
            size=self._offset,
            content_hash=self._digest.hexdigest(),
            header=self._header,
            broken=tuple(self._broken),
            places=(Place(self._header.end, self._header.lines + 1), *self._places),
            lines=self._lines,
            is_multiline=self._is_multiline,
            ends_with_newline=self._ends_with_newline,
        )

    def _read_records(self, source: Iterator[_Line]) -> None:
        """Read records up to the end of the file, or up to one that is broken."""
        reader = csv.reader((_readable(line.raw) for line in self._feed(source)), strict=True)
        while True:
            self._record.clear()
            try:
                row = next(reader, None)
            except csv.Error as error:
                self._reject(error)
                return
            if row is None:
                return
            if self._header is None:
                self._read_header(row)
            elif self._record[-1].raw.endswith(b"\r\r\n"):
                self._reject(csv.Error("two carriage returns before the line feed"))
                return
            self._is_multiline |= len(self._record) > 1

    def _feed(self, source: Iterator[_Line]) -> Iterator[_Line]:
        """Give the lines of records that need a strict reader; the others would be a waste."""
        while True:
            line = self._again.popleft() if self._again else next(source, None)
            if line is None:
                self._exhausted = True
                return
            if self._record or self._header is None or _suspicious(line.raw).search(line.raw):
                self._record.append(line)
                yield line

    def _suspicious_lines(self) -> Iterator[_Line]:
        """Give every line until the header is known, and then those that need a strict reader.

        The lines after such a line follow for as long as its record goes on.
        """
        for start, chunk in self._chunks():
            number = self._lines
            self._lines += chunk.count(b"\n") + (not chunk.endswith(b"\n"))
            self._ends_with_newline = chunk.endswith(b"\n")
            if not self._record and self._header is not None:
                self._places.append(Place(start, number + 1))
                if self._reads_well(chunk):
                    continue
            yield from self._suspicious_lines_of(start, chunk, number)

    def _suspicious_lines_of(self, start: int, chunk: bytes, number: int) -> Iterator[_Line]:
        """Give the lines of a chunk that starts at the byte `start`, after the line `number`."""
        suspicious = _suspicious(chunk)
        at = 0
        while at < len(chunk):
            if not self._record and self._header is not None:
                found = suspicious.search(chunk, at)
                if found is None:
                    return
                line_start = max(at, chunk.rfind(b"\n", at, found.start()) + 1)
                number += chunk.count(b"\n", at, line_start)
                at = line_start
            end = chunk.find(b"\n", at) + 1 or len(chunk)
            number += 1
            yield _Line(number, start + at, chunk[at:end])
            at = end

    def _reads_well(self, chunk: bytes) -> bool:
        """Tell whether the strict reader takes a chunk as a whole.

        Where most lines have a quotation mark, this is twice as fast as looking at each.
        """
        if chunk.count(b'"') < chunk.count(b"\n") or _suspicious(chunk) is not QUOTE:
            return False
        reader = csv.reader(io.StringIO(_readable(chunk), newline="\n"), strict=True)
        try:
            rows = sum(1 for _ in reader)
        except csv.Error:  # or a row that goes on in the next chunk: line by line, then
            return False
        self._is_multiline |= rows < reader.line_num
        return True

    def _chunks(self) -> Iterator[tuple[int, bytes]]:
        """Give the file in pieces of whole lines, each with its offset, without a byte order mark.

        They are known to be UTF-8.
        """
        with self._path.open("rb") as file:
            if file.read(len(BOM)) == BOM:
                self._take(BOM)
            else:
                file.seek(0)
            while chunk := file.read(CHUNK_BYTES):
                if not chunk.endswith(b"\n"):
                    rest = file.readline(LONGEST_LINE_BYTES)
                    self._refuse_endless_line(chunk, rest)
                    chunk += rest
                start = self._offset
                self._take(chunk)
                self._refuse_bad_bytes(start, chunk)
                self._encoded_twice += chunk.count(ENCODED_TWICE)
                yield start, chunk

    def _take(self, data: bytes) -> None:
        self._digest.update(data)
        self._offset += len(data)
        self._advance(len(data))

    def _read_header(self, row: list[str]) -> None:
        if not row:  # a blank line
            return
        last = self._record[-1]
        names = [name.strip().strip("\ufeff").strip() for name in row]
        self._refuse_repeated_names(names)
        self._header = Header(
            names=tuple(name or f"column_{n}" for n, name in enumerate(names, start=1)),
            end=last.start + len(last.raw),
            lines=last.number,
        )
        self._refuse_without_key(self._header)

    def _reject(self, error: csv.Error) -> None:
        """Set the first line of the broken record aside, and read on with the line after it.

        Where a quotation mark is wrong, nobody knows where the record was meant to end. The lines
        after the first are read again, so that a stray mark costs its own line only.
        """
        first, *rest = self._record
        where = f"{self._path}, line {first.number}"
        if self._exhausted or sum(len(line.raw) for line in self._record) > csv.field_size_limit():
            limit = "the end of the file" if self._exhausted else f"{csv.field_size_limit()} signs"
            raise ExportRefusedError(
                f"{where}: a quotation mark is opened in this row and not closed before {limit}. "
                "Nothing was loaded. Either the file was cut off while it was written, or a "
                "quotation mark inside a text is not doubled. Export the file again."
            )
        if self._header is None:
            raise ExportRefusedError(
                f"{where}: the header is not CSV ({error}). Nothing was loaded. Lines end with LF "
                "or CRLF, and quotation marks come in pairs: export the file again."
            )
        if len(self._broken) == MOST_BROKEN_LINES:
            raise ExportRefusedError(
                f"{where}: this is the {MOST_BROKEN_LINES + 1:,}th line that is not CSV ({error}). "
                "Nothing was loaded. Let the exporter put texts with quotation marks or line "
                "breaks between quotation marks and double those inside (RFC 4180)."
            )
        text = first.raw.rstrip(b"\r\n").decode()
        end = first.start + len(first.raw.removesuffix(b"\n"))
        row = RejectedRow(first.number, text, f"not CSV: {error}")
        self._broken.append(BrokenLine(first.start, end, row))
        self._again.extendleft(reversed(rest))

    def _refuse_repeated_names(self, names: list[str]) -> None:
        seen: set[str] = set()
        for name in filter(None, (name.upper() for name in names)):
            if name in seen:
                raise ExportRefusedError(
                    f"{self._path}, line {self._record[0].number}: the column {name} is there "
                    "twice. Nothing was loaded. Export each column once."
                )
            seen.add(name)

    def _refuse_without_key(self, header: Header) -> None:
        present = match_columns(header, self._table).values()
        missing = [key for key in self._table.keys if key not in present]
        if missing:
            hint = " Columns are separated by commas." if len(header.names) == 1 else ""
            raise ExportRefusedError(
                f"{self._path}, line {header.lines}: the header has no column "
                f"{' and no column '.join(missing)}. Nothing was loaded. The header is: "
                f"{_shortened(', '.join(header.names))}. Export the file with its header and with "
                f"the key column.{hint}"
            )

    def _refuse_without_rows(self, header: Header) -> None:
        with self._path.open("rb") as file:
            file.seek(header.end)
            while chunk := file.read(CHUNK_BYTES):
                if chunk.strip(b"\r\n"):
                    return
        raise ExportRefusedError(
            f"{self._path} has a header and no rows. Nothing was loaded. An empty export is most "
            "often a failed one: check the exporter, then export again."
        )

    def _refuse_cut_end(self) -> None:
        if self._broken and self._broken[-1].end == self._offset:
            raise cut_end_error(self._path, self._broken[-1].row)

    def _refuse_bad_bytes(self, start: int, chunk: bytes) -> None:
        try:
            chunk.decode()
        except UnicodeDecodeError as error:
            line = self._lines + chunk.count(b"\n", 0, error.start) + 1
            shown = chunk[error.start : error.start + 4].hex(" ")
            raise ExportRefusedError(
                f"{self._path}, line {line}: the bytes {shown} at offset {start + error.start} are "
                "not UTF-8. Nothing was loaded. Export as UTF-8 (in Excel: CSV UTF-8); a file that "
                "was converted by hand may have lost letters."
            ) from error

    def _refuse_endless_line(self, chunk: bytes, rest: bytes) -> None:
        if len(rest) == LONGEST_LINE_BYTES and not rest.endswith(b"\n"):
            line = self._lines + chunk.count(b"\n") + 1
            raise ExportRefusedError(
                f"{self._path}, line {line}: the line is longer than {LONGEST_LINE_BYTES:,} bytes. "
                "Nothing was loaded. Lines end with LF or CRLF: export the file again."
            )


def cut_end_error(path: Path, row: RejectedRow) -> ExportRefusedError:
    """Return the error for a file whose last line is neither whole nor ended."""
    return ExportRefusedError(
        f"{path}, line {row.line}: the last row is cut off ({row.reason}, and no line break after "
        f"it): {_shortened(row.text)!r}. Nothing was loaded. The export was not finished, or is "
        "still being written: export the file again."
    )


def _readable(data: bytes) -> str:
    """Return the text without NUL, which is no structure, but which csv refuses in Python 3.10."""
    return data.decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


def _suspicious(data: bytes) -> re.Pattern[bytes]:
    """Return the pattern of what a line must not have to be taken as it is."""
    has_lone_return = b"\r" in data and data.count(b"\r") != data.count(b"\r\n")
    return QUOTE_OR_LONE_RETURN if has_lone_return else QUOTE


def _shortened(text: str, length: int = 300) -> str:
    return text if len(text) <= length else f"{text[:length]}…"


def _warn_of_absent_columns(checked: CheckedFile) -> None:
    table = checked.table
    present = match_columns(checked.header, table).values()
    absent = [name for name in table.columns if name not in present and name not in table.optional]
    if absent:
        logger.warning(
            "%s has no column %s: empty in all its rows.", checked.path, ", ".join(absent)
        )
