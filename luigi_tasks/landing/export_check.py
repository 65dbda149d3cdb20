"""The check that a file must pass before a row of it is loaded.

It reads a file once and finds what a CSV reader does not tell, or not with its line: bytes that
are not UTF-8, a header without the key, no rows, an end that was cut off, and broken quoting.
"""

from __future__ import annotations

import csv
import hashlib
import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from luigi_tasks.landing.dictionary import Table
from luigi_tasks.landing.export_columns import COLUMN_NAME
from luigi_tasks.landing.export_file import (
    END_MARK,
    CheckedFile,
    ExportRefusedError,
    Header,
    Place,
    RejectedRow,
    file_state,
    match_columns,
    open_file,
    remember_hash,
)
from luigi_tasks.landing.export_records import (
    Piece,
    long_text_error,
    open_quote_error,
    readable,
    scan,
)

logger = logging.getLogger("luigi-interface.landing")

BOM = b"\xef\xbb\xbf"
PIECE_BYTES = 1 << 18
"""How much is looked at at a time; small enough for the processor's cache."""

LONGEST_LINE_BYTES = 1 << 20

CESU_8 = re.compile(rb"\xed[\xa0-\xaf][\x80-\xbf]\xed[\xb0-\xbf][\x80-\xbf]")
"""The two halves of a character above U+FFFF, each written as a character of its own."""

SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}
"""What other exports have between their columns."""

ENCODED_TWICE = b"\xc3\x83\xc2"
"""UTF-8 text that was read as Latin-1 and written as UTF-8 again: an u umlaut shows as two signs.
These bytes are the first of most such pairs in Western languages."""


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
        with open_file(path) as file:
            checked = _Check(path, table, file, advance).run()
    except OSError as error:
        raise ExportRefusedError(
            f"{path} cannot be read: {error.strerror}. Check the rights of the file, then run again"
        ) from error
    return checked


class _Check:
    """One pass over one file."""

    def __init__(
        self, path: Path, table: Table, file: BinaryIO, advance: Callable[[int], None]
    ) -> None:
        self._path = path
        self._table = table
        self._file = file
        self._advance = advance
        self._state = file_state(path, file)
        self._digest = hashlib.sha256()
        self._offset = 0
        self._lines = 0
        self._ends_with_newline = False
        self._has_rows = False
        self._has_ended = False
        self._encoded_twice = 0
        self._header_text = ""

    def run(self) -> CheckedFile:
        header = self._read_header()
        records = scan(self._path, self._pieces())
        if not self._has_rows:
            raise ExportRefusedError(
                f"{self._path} has a header and no rows. Nothing was loaded. An empty export is "
                "most often a failed one: check the exporter, then export again."
            )
        if records.broken and records.broken[-1].end == self._offset:
            raise cut_end_error(self._path, records.broken[-1].row)
        self._warn_of_text_encoded_twice()
        content_hash = self._digest.hexdigest()
        if file_state(self._path) == self._state:
            remember_hash(self._state, content_hash)
        return CheckedFile(
            path=self._path,
            table=self._table,
            size=self._offset,
            content_hash=content_hash,
            header=header,
            broken=tuple(records.broken),
            places=tuple(records.places),
            lines=self._lines,
            ends_with_newline=self._ends_with_newline,
        )

    def _read_header(self) -> Header:
        """Read up to the end of the first row that is not blank."""
        before = self._lines
        reader = csv.reader(self._header_lines(), strict=True)
        try:
            for row in reader:
                if row:
                    return self._header(row, before + 1)
                before = self._lines
        except csv.Error as error:
            raise self._header_error(error, before + 1) from error
        raise ExportRefusedError(
            f"{self._path} is empty. Nothing was loaded. An export has a header even when it "
            "has no rows: check why the exporter wrote nothing, then export again."
        )

    def _header_lines(self) -> Iterator[str]:
        if self._file.read(len(BOM)) == BOM:
            self._take(BOM)
        else:
            self._file.seek(0)
        while line := self._file.readline(LONGEST_LINE_BYTES):
            self._refuse_endless_line(b"", line)
            text = readable(self._take_lines(line).data)
            self._header_text += text
            yield text
        self._has_ended = True

    def _pieces(self) -> Iterator[Piece]:
        """Give the rest of the file in pieces of whole lines."""
        while data := self._file.read(PIECE_BYTES):
            if not data.endswith(b"\n"):
                rest = self._file.readline(LONGEST_LINE_BYTES)
                self._refuse_endless_line(data, rest)
                data += rest
            piece = self._take_lines(data)
            self._has_rows = self._has_rows or bool(piece.data.strip(b"\r\n"))
            yield piece

    def _take_lines(self, data: bytes) -> Piece:
        """Count whole lines in, when they are UTF-8."""
        place = Place(self._offset, self._lines + 1)
        if not data.isascii():
            self._refuse_bad_bytes(data, place)
            self._encoded_twice += data.count(ENCODED_TWICE)
        self._take(data)
        if self._offset == self._state.size:
            data = data.rstrip(END_MARK)
        if not data:
            return Piece(place, data)
        self._ends_with_newline = data.endswith(b"\n")
        self._lines += data.count(b"\n") + (not self._ends_with_newline)
        return Piece(place, data)

    def _take(self, data: bytes) -> None:
        self._digest.update(data)
        self._offset += len(data)
        self._advance(len(data))

    def _header(self, row: list[str], line: int) -> Header:
        names = [name.strip().strip("\ufeff").strip() for name in row]
        self._refuse_repeated_names(names, line)
        header = Header(
            names=tuple(name or f"column_{n}" for n, name in enumerate(names, start=1)),
            end=self._offset,
            lines=self._lines,
        )
        self._refuse_without_key(header)
        return header

    def _header_error(self, error: csv.Error, line: int) -> ExportRefusedError:
        if self._has_ended:
            return open_quote_error(self._path, line)
        if self._offset > csv.field_size_limit():
            return long_text_error(self._path, line)
        if separators := _other_separators(self._header_text):
            return ExportRefusedError(
                f"{self._path}, line {line}: the columns are separated by {separators}. Nothing "
                "was loaded. Export the file with commas between the columns."
            )
        return ExportRefusedError(
            f"{self._path}, line {line}: the header is not CSV ({error}). Nothing was loaded. "
            "Lines end with LF or CRLF, and quotation marks come in pairs: export the file again."
        )

    def _refuse_repeated_names(self, names: list[str], line: int) -> None:
        seen: set[str] = set()
        for name in filter(None, (name.upper() for name in names)):
            if name in seen:
                shown = name if COLUMN_NAME.fullmatch(name) else "(no name)"
                raise ExportRefusedError(
                    f"{self._path}, line {line}: the column {shown} is there twice. Nothing was "
                    "loaded. Export each column once."
                )
            seen.add(name)

    def _refuse_without_key(self, header: Header) -> None:
        present = match_columns(header, self._table).values()
        missing = [key for key in self._table.keys if key not in present]
        if missing:
            raise ExportRefusedError(
                f"{self._path}, line {header.lines}: the header has no column "
                f"{' and no column '.join(missing)}. Nothing was loaded. {_columns_of(header)} "
                "Export the file with its header and with the key column."
            )

    def _refuse_bad_bytes(self, data: bytes, place: Place) -> None:
        try:
            data.decode()
        except UnicodeDecodeError as error:
            line = place.line + data.count(b"\n", 0, error.start)
            shown = data[error.start : error.start + 4].hex(" ")
            found = (
                f"{self._path}, line {line}: the bytes {shown} at offset "
                f"{place.offset + error.start} are not UTF-8"
            )
            if CESU_8.match(data, error.start):
                raise ExportRefusedError(
                    f"{found}, but CESU-8, as Oracle's character set UTF8 writes emoji and rare "
                    "letters: as two characters of three bytes. Nothing was loaded. Export with "
                    "the character set AL32UTF8, for example NLS_LANG=.AL32UTF8."
                ) from error
            raise ExportRefusedError(
                f"{found}. Nothing was loaded. Export as UTF-8 (in Excel: CSV UTF-8); a file that "
                "was converted by hand may have lost letters."
            ) from error

    def _refuse_endless_line(self, data: bytes, rest: bytes) -> None:
        if len(rest) == LONGEST_LINE_BYTES and not rest.endswith(b"\n"):
            line = self._lines + data.count(b"\n") + 1
            reason = (
                "Lines end with LF or CRLF: export the file again."
                if line == 1 or b"\r" in data[data.rfind(b"\n") + 1 :] + rest
                else "One of its values is far longer than any column of Retail Pro: correct it, "
                "or leave the column out, and export the file again."
            )
            raise ExportRefusedError(
                f"{self._path}, line {line}: the line is longer than {LONGEST_LINE_BYTES:,} bytes. "
                f"Nothing was loaded. {reason}"
            )

    def _warn_of_text_encoded_twice(self) -> None:
        if self._encoded_twice:
            logger.warning(
                "%s: %s places look like text that was encoded twice (a letter with an accent "
                "shows as two signs). They are loaded as they stand; correct the export.",
                self._path,
                self._encoded_twice,
            )


def cut_end_error(path: Path, row: RejectedRow) -> ExportRefusedError:
    """Return the error for a file whose last line is neither whole nor ended."""
    return ExportRefusedError(
        f"{path}, line {row.line}: the last row is cut off ({row.reason}, and no line break after "
        f"it): {_shortened(row.text)!r}. Nothing was loaded. The export was not finished, or is "
        "still being written: export the file again."
    )


def _columns_of(header: Header) -> str:
    """Say which columns a file has, without its content, should it be no export at all."""
    if len(header.names) == 1:
        found = _other_separators(header.names[0])
        not_by = f", not by {found}" if found else ""
        return f"It is one column; columns are separated by commas{not_by}."
    names = [name for name in header.names if COLUMN_NAME.fullmatch(name)]
    others = len(header.names) - len(names)
    shown = f"Its columns are: {_shortened(', '.join(names))}" if names else "It has"
    return (
        f"{shown}{' and ' if names else ' '}{others} that have no name." if others else shown + "."
    )


def _other_separators(header: str) -> str:
    """Return what stands between the names of a header, where it is not commas; else nothing."""
    for separator, name in SEPARATORS.items():
        columns = [column.strip().strip('"').strip() for column in header.split(separator)]
        if len(columns) > 1 and all(map(COLUMN_NAME.fullmatch, columns)):
            return name
    return ""


def _shortened(text: str, length: int = 300) -> str:
    return text if len(text) <= length else f"{text[:length]}…"
