"""Where the rows of a file begin, and which of its lines have broken quoting.

pyarrow takes a stray quotation mark for a part of the text and swallows the rows up to the next
one, so somebody has to be strict before. Python's csv module is, but looks at each sign. It gets
what can be broken only: most files have few quotation marks, and of the others whole pieces are
known to be well quoted by the neighbours of their marks alone.
"""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from luigi_tasks.landing.export_file import BrokenLine, ExportRefusedError, Place, RejectedRow

BLOCK_BYTES = 4 << 20
"""How far two places are apart, or a little more: the reader has as much in memory at a time."""

MOST_BROKEN_LINES = 10_000
"""More lines with broken quoting than this, and the file is refused. Bounds the memory."""

QUOTE = re.compile(rb'"')
QUOTE_OR_LONE_RETURN = re.compile(rb'"|\r(?!\n)')
"""A quotation mark, or a carriage return that is not a part of CRLF; ten times slower."""

BEFORE_TEXT = b',\n"'
AFTER_TEXT = b',\r\n"'
"""What may stand before a quotation mark that opens a text, and after one that closes it."""

SAMPLE_BYTES = 1 << 14
"""What tells whether a piece has many quotation marks."""


class Piece(NamedTuple):
    """Some whole lines of a file.

    Attributes:
        place: Where they begin.
        data: Their bytes; they are UTF-8. Only the last line of a file may lack its line feed.
    """

    place: Place
    data: bytes


@dataclass
class Records:
    """What a scan found.

    Attributes:
        broken: Lines with broken quoting.
        places: The beginnings of some rows, the first among them, about `BLOCK_BYTES` apart.
    """

    broken: list[BrokenLine] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)


def scan(path: Path, pieces: Iterable[Piece]) -> Records:
    """Look at all rows of a file. Memory does not grow with its size.

    Args:
        path: The file, for messages.
        pieces: What follows its header.

    Raises:
        ExportRefusedError: A quoted text does not end, or too many lines are broken.
    """
    return _Scan(path).run(pieces)


def is_well_quoted(data: bytes) -> bool:
    """Tell whether each text in whole lines begins and ends as RFC 4180 says; without a parser.

    In good rows every second quotation mark opens a text and follows a separator, and each mark
    after one closes it and goes before a separator. A doubled mark is a text that is closed and
    opened again: its marks have each other for neighbours. False means that csv has to look: it
    knows unquoted texts with a mark in them, which are good.

    Args:
        data: The lines, from the beginning of a row, without carriage returns outside of CRLF.
    """
    # The neighbours of a byte in `data` have its number, too: in `around` and two further on.
    around = _signs(b"\n%b\n" % data)
    marks = pc.indices_nonzero(pc.equal(around.slice(1), pa.scalar(ord('"'), pa.uint8())))
    opening, closing = marks[::2], marks[1::2]
    before, after = around.take(opening), around.slice(2).take(closing)
    if (
        len(marks) % 2
        or _bytes(before).translate(None, BEFORE_TEXT)
        or _bytes(after).translate(None, AFTER_TEXT)
    ):
        return False
    if b'"' in _bytes(before):
        opening = opening.filter(pc.not_equal(before, ord('"')))
        closing = closing.filter(pc.not_equal(after, ord('"')))
    # The limit of csv; it counts letters, this counts bytes and the doubled marks twice.
    longest = pc.max(pc.subtract(closing, opening)).as_py() or 0
    return bool(longest <= csv.field_size_limit())


def readable(data: bytes) -> str:
    """Return the text without NUL, which is no structure, but which csv refuses in Python 3.10."""
    return data.decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


def open_quote_error(path: Path, line: int) -> ExportRefusedError:
    """Return the error for a quoted text that does not end before the file does."""
    return ExportRefusedError(
        f"{path}, line {line}: a quotation mark is opened in this row and not closed before the "
        "end of the file. Nothing was loaded. Either the file was cut off while it was written, or "
        "a quotation mark inside a text is not doubled. Export the file again."
    )


def long_text_error(path: Path, line: int) -> ExportRefusedError:
    """Return the error for a quoted text that is longer than a reader takes."""
    return ExportRefusedError(
        f"{path}, line {line}: a text between quotation marks in this row is longer than "
        f"{csv.field_size_limit():,} characters. Nothing was loaded. Either a quotation mark "
        "inside a text is not doubled, so that it does not end; or the value is far longer than "
        "any column of Retail Pro. Correct it, or leave the column out, and export the file again."
    )


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


class _Scan:
    """One pass over the rows of one file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found = Records()
        self._record: list[_Line] = []  # the lines of the record that is being read
        self._again: deque[_Line] = deque()  # lines that follow a broken one
        self._exhausted = False

    def run(self, pieces: Iterable[Piece]) -> Records:
        source = self._suspicious_lines(pieces)
        while not self._exhausted:
            self._read_records(source)
        return self._found

    def _read_records(self, source: Iterator[_Line]) -> None:
        """Read records up to the end of the file, or up to one that is broken."""
        reader = csv.reader((readable(line.raw) for line in self._feed(source)), strict=True)
        while True:
            self._record.clear()
            try:
                if next(reader, None) is None:
                    return
            except csv.Error as error:
                self._reject(error)
                return
            if self._record[-1].raw.endswith(b"\r\r\n"):
                self._reject(csv.Error("two carriage returns before the line feed"))
                return

    def _feed(self, source: Iterator[_Line]) -> Iterator[_Line]:
        """Give the lines of records that need a strict reader; the others would be a waste."""
        while True:
            line = self._again.popleft() if self._again else next(source, None)
            if line is None:
                self._exhausted = True
                return
            if self._record or _suspicious(line.raw).search(line.raw):
                self._record.append(line)
                yield line

    def _suspicious_lines(self, pieces: Iterable[Piece]) -> Iterator[_Line]:
        """Give the lines that need a strict reader.

        The lines after such a line follow for as long as its record goes on.
        """
        for piece in pieces:
            suspicious = _suspicious(piece.data)
            if not self._record:
                self._note(piece.place)
                if suspicious is QUOTE and _has_many_quotes(piece) and is_well_quoted(piece.data):
                    continue
            yield from self._suspicious_lines_of(piece, suspicious)

    def _suspicious_lines_of(self, piece: Piece, suspicious: re.Pattern[bytes]) -> Iterator[_Line]:
        (start, number), data = piece
        at = 0
        while at < len(data):
            if not self._record:
                self._note(Place(start + at, number))
                found = suspicious.search(data, at)
                if found is None:
                    return
                line_start = max(at, data.rfind(b"\n", at, found.start()) + 1)
                number += data.count(b"\n", at, line_start)
                at = line_start
            end = data.find(b"\n", at) + 1 or len(data)
            yield _Line(number, start + at, data[at:end])
            number += 1
            at = end

    def _note(self, place: Place) -> None:
        """Keep the beginning of a row where it is far enough from the last one that was kept."""
        places = self._found.places
        if not places or place.offset - places[-1].offset >= BLOCK_BYTES:
            places.append(place)

    def _reject(self, error: csv.Error) -> None:
        """Set the first line of the broken record aside, and read on with the line after it.

        Where a quotation mark is wrong, nobody knows where the record was meant to end. The lines
        after the first are read again, so that a stray mark costs its own line only.
        """
        first, *rest = self._record
        if self._exhausted:
            raise open_quote_error(self._path, first.number)
        if sum(len(line.raw) for line in self._record) > csv.field_size_limit():
            raise long_text_error(self._path, first.number)
        if len(self._found.broken) == MOST_BROKEN_LINES:
            raise ExportRefusedError(
                f"{self._path}, line {first.number}: this is the {MOST_BROKEN_LINES + 1:,}th line "
                f"that is not CSV ({error}). Nothing was loaded. Let the exporter put texts with "
                "quotation marks or line breaks between quotation marks and double those inside "
                "(RFC 4180)."
            )
        text = first.raw.rstrip(b"\r\n").decode()
        end = first.start + len(first.raw.removesuffix(b"\n"))
        row = RejectedRow(first.number, text, f"not CSV: {error}")
        self._found.broken.append(BrokenLine(first.start, end, row))
        self._again.extendleft(reversed(rest))


def _suspicious(data: bytes) -> re.Pattern[bytes]:
    """Return the pattern of what a line must not have to be taken as it is."""
    has_lone_return = b"\r" in data and data.count(b"\r") != data.count(b"\r\n")
    return QUOTE_OR_LONE_RETURN if has_lone_return else QUOTE


def _has_many_quotes(piece: Piece) -> bool:
    """Tell whether looking at each line with a mark would take longer than at all at once."""
    data = piece.data
    return data.count(b'"', 0, SAMPLE_BYTES) > data.count(b"\n", 0, SAMPLE_BYTES)


def _signs(data: bytes) -> Any:
    return pa.Array.from_buffers(pa.uint8(), len(data), [None, pa.py_buffer(data)])


def _bytes(signs: Any) -> bytes:
    return signs.buffers()[1].to_pybytes()[: len(signs)] if len(signs) else b""
