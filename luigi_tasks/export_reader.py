"""Reads the rows of a checked file in blocks, all values as text, each row with its line.

pyarrow counts records, not lines. The line on which a record starts is one more than all line
breaks before it: one at the end of each record before, plus those inside their values.

The blocks are cut here, between two rows, and not by pyarrow's own streaming: where one of its
blocks ends inside a quoted text it can lose a line feed of the text (apache/arrow#51368, open in
26.0) or, in the last block, split the row.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate, chain, pairwise, repeat
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from luigi_tasks.export_file import (
    BrokenLine,
    CheckedFile,
    ExportRefusedError,
    Place,
    RejectedRow,
    cut_end_error,
    digest_of,
    match_columns,
)


@dataclass(frozen=True)
class Block:
    """Some rows of a file.

    Attributes:
        columns: The values of the columns that the table knows, by the table's names.
        extra: The columns that the table does not know: per row a map of the values that are not
            empty, by the file's names. None when there is no such column.
        lines: The line on which each row starts.
        rejected: Rows that could not be read.
    """

    columns: dict[str, Any]
    extra: Any | None
    lines: list[int]
    rejected: list[RejectedRow] = field(default_factory=list)


class ExportReader:
    """Reads one checked file; iterate over it once.

    Rows without any value, which spreadsheets write, are left out like blank lines.

    Args:
        file: The file, after `export_file.check`.
    """

    def __init__(self, file: CheckedFile) -> None:
        self._file = file
        self._known = match_columns(file.header, file.table)
        self._broken: deque[BrokenLine] = deque(file.broken)
        self.bytes_read = 0

    def __iter__(self) -> Iterator[Block]:
        """Give the rows block by block.

        Raises:
            ExportRefusedError: The last row is cut off, or the file was changed since the check.
        """
        digest = hashlib.sha256()
        end = Place(self._file.size, self._file.lines + 1)
        with self._file.path.open("rb") as source:
            digest.update(source.read(self._file.header.end))
            for here, following in pairwise([*self._file.places, end]):
                data = source.read(following.offset - here.offset)
                digest.update(data)
                self.bytes_read = following.offset
                yield self._block(data, here, following)
            digest.update(source.read(1))  # nothing, unless the file has grown
        if digest.hexdigest() != self._file.content_hash:
            raise _changed_file_error(self._file)

    def _block(self, data: bytes, here: Place, following: Place) -> Block:
        broken = []
        while self._broken and self._broken[0].start < following.offset:
            broken.append(self._broken.popleft())
        try:
            batch, invalid = _parse(_without(broken, here.offset, data), self._file)
        except pa.ArrowInvalid as error:
            self._refuse_changed_file()
            raise ExportRefusedError(
                f"{self._file.path}, line {here.line} or after: not readable as CSV ({error}). "
                "Nothing of this file was loaded. Export the file again."
            ) from error
        lines, rejected, end = _number(here.line, self._line_breaks(batch), invalid)
        if end != following.line:
            self._refuse_changed_file()
            # The check and pyarrow must see the same rows, or the lines in the table are wrong.
            raise AssertionError(
                f"{self._file.path}: the rows from line {here.line} on should end before line "
                f"{following.line}, but they end before line {end}. This is a fault of the reader: "
                "please report it with the file."
            )
        self._refuse_cut_end(following, lines, rejected)
        batch, lines = _without_empty_rows(batch, lines)
        return self._arrange(batch, lines, [*(line.row for line in broken), *rejected])

    def _arrange(self, batch: Any, lines: list[int], rejected: list[RejectedRow]) -> Block:
        unknown = {
            name: batch.column(position)
            for position, name in enumerate(self._file.header.names)
            if position not in self._known
        }
        return Block(
            columns={name: batch.column(position) for position, name in self._known.items()},
            extra=non_empty_values(unknown) if unknown else None,
            lines=lines,
            rejected=rejected,
        )

    def _line_breaks(self, batch: Any) -> Iterable[int]:
        """Return how many line breaks are inside the values of each row."""
        if not self._file.is_multiline:
            return repeat(0, batch.num_rows)
        breaks = pc.count_substring(batch.column(0), "\n")
        for column in batch.columns[1:]:
            breaks = pc.add(breaks, pc.count_substring(column, "\n"))
        return breaks.to_pylist()

    def _refuse_cut_end(
        self, following: Place, lines: list[int], rejected: list[RejectedRow]
    ) -> None:
        is_end = following.offset == self._file.size
        if is_end and not self._file.ends_with_newline and rejected:
            last = rejected[-1]
            if not lines or last.line > lines[-1]:
                raise cut_end_error(self._file.path, last)

    def _refuse_changed_file(self) -> None:
        if digest_of(self._file.path) != self._file.content_hash:
            raise _changed_file_error(self._file)


def _parse(data: bytes, file: CheckedFile) -> tuple[Any, list[Any]]:
    """Return the rows as a batch of text columns, and pyarrow's notes on rows it cannot read.

    Rows are numbered from 1; blank lines are rows without a value.
    """
    names = [str(position) for position in range(len(file.header.names))]
    invalid: list[Any] = []

    def set_aside(row: Any) -> str:
        invalid.append(row)
        return "skip"

    table = pyarrow.csv.read_csv(
        pa.BufferReader(data),
        # One thread, because only then does pyarrow number the rows; and one block.
        read_options=pyarrow.csv.ReadOptions(
            use_threads=False, block_size=len(data) + 1, column_names=names
        ),
        parse_options=pyarrow.csv.ParseOptions(
            newlines_in_values=True, ignore_empty_lines=False, invalid_row_handler=set_aside
        ),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types={name: pa.string() for name in names},
            strings_can_be_null=False,
            check_utf8=False,  # the check has done that
        ),
    )
    columns = [column.combine_chunks() for column in table.columns]
    return pa.RecordBatch.from_arrays(columns, names=names), invalid


def _number(
    line: int, line_breaks: Iterable[int], invalid: list[Any]
) -> tuple[list[int], list[RejectedRow], int]:
    """Give each row its line.

    Args:
        line: The line on which the first row starts.
        line_breaks: How many line breaks are inside the values of each good row.
        invalid: pyarrow's notes on the rows between them.

    Returns:
        The lines of the good rows, the other rows, and the line after the last row.
    """
    lines: list[int] = []
    rejected: list[RejectedRow] = []
    waiting = deque(invalid)
    number = 1
    for breaks in chain(line_breaks, [None]):
        while waiting and waiting[0].number == number:
            row = waiting.popleft()
            reason = f"{row.actual_columns} fields instead of {row.expected_columns}"
            rejected.append(RejectedRow(line, row.text, reason))
            line += 1 + row.text.count("\n")
            number += 1
        if breaks is not None:
            lines.append(line)
            line += 1 + breaks
            number += 1
    return lines, rejected, line


def _without(broken: list[BrokenLine], start: int, data: bytes) -> bytes:
    """Return the block `data`, which starts at the byte `start`, with broken lines made blank."""
    kept = []
    for line in broken:
        kept.append(data[: line.start - start])
        data = data[line.end - start :]
        start = line.end
    return b"".join([*kept, data])


def _changed_file_error(file: CheckedFile) -> ExportRefusedError:
    return ExportRefusedError(
        f"{file.path} was changed while it was read. Nothing of this file was loaded. Wait "
        "until the export is finished, then run again."
    )


def non_empty_values(columns: dict[str, Any]) -> Any:
    """Turn columns into one column of maps, name -> value, that leave empty values out.

    Args:
        columns: Text columns of the same length, at least one.
    """
    width = len(columns)
    rows = len(next(iter(columns.values())))
    values = pa.concat_arrays(list(columns.values()))
    names = pa.concat_arrays([pa.repeat(name, rows) for name in columns])
    places = pa.concat_arrays([pa.arange(at, at + rows * width, width) for at in range(width)])
    is_filled = pc.not_equal(values, "")
    # The columns stand one below the other; sorting by place brings them row by row.
    order = pc.sort_indices(places.filter(is_filled))
    filled_rows = pc.divide(places.filter(is_filled).take(order), width)
    return pa.MapArray.from_arrays(
        _offsets(filled_rows, rows),
        names.filter(is_filled).take(order),
        values.filter(is_filled).take(order),
    )


def _offsets(filled_rows: Any, rows: int) -> Any:
    """Return where the entries of each row begin, in ascending row numbers; and the end."""
    # pyarrow's search_sorted would do; the last release for Python 3.10 does not have it.
    entries = [0] * rows
    for row in filled_rows.to_pylist():
        entries[row] += 1
    return pa.array(accumulate(entries, initial=0), pa.int32())


def _without_empty_rows(batch: Any, lines: list[int]) -> tuple[Any, list[int]]:
    is_empty = pc.equal(batch.column(0), "")
    for column in batch.columns[1:]:
        if not pc.any(is_empty).as_py():
            return batch, lines
        is_empty = pc.and_(is_empty, pc.equal(column, ""))
    if not pc.any(is_empty).as_py():
        return batch, lines
    is_filled = pc.invert(is_empty)
    kept = [line for line, keep in zip(lines, is_filled.to_pylist(), strict=True) if keep]
    return batch.filter(is_filled), kept
