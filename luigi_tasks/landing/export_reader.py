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
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from luigi_tasks.landing.export_check import cut_end_error
from luigi_tasks.landing.export_file import (
    END_MARK,
    HEADER_AGAIN,
    BrokenLine,
    CheckedFile,
    ExportRefusedError,
    Place,
    RejectedRow,
    digest_of,
    match_columns,
    open_file,
)


@dataclass(frozen=True)
class Block:
    """Some rows of a file.

    Attributes:
        columns: The values of the columns that the table knows, by the table's names.
        extra: The columns that the table does not know: per row a map of the values that are not
            empty, by the file's names. None when there is no such column.
        lines: The line on which each row starts, as a pyarrow array.
        end: The byte of the file at which the block ends.
        rejected: Rows that could not be read.
    """

    columns: dict[str, Any]
    extra: Any | None
    lines: Any
    end: int
    rejected: list[RejectedRow] = field(default_factory=list)


class ExportReader:
    """Reads one checked file; iterate over it once.

    Rows without any value, which spreadsheets write, are left out like blank lines.

    Args:
        file: The file, after `export_check.check`.
    """

    def __init__(self, file: CheckedFile) -> None:
        self._file = file
        self._known = match_columns(file.header, file.table)
        self._broken: deque[BrokenLine] = deque(file.broken)

    def __iter__(self) -> Iterator[Block]:
        """Give the rows block by block.

        Raises:
            ExportRefusedError: The last row is cut off, or the file was changed since the check.
        """
        digest = hashlib.sha256()
        end = Place(self._file.size, self._file.lines + 1)
        with open_file(self._file.path) as source:
            digest.update(source.read(self._file.header.end))
            for here, following in pairwise([*self._file.places, end]):
                data = source.read(following.offset - here.offset)
                digest.update(data)
                yield self._block(data, here, following)
            digest.update(source.read(1))  # nothing, unless the file has grown
        if digest.hexdigest() != self._file.content_hash:
            raise _changed_file_error(self._file)

    def _block(self, data: bytes, here: Place, following: Place) -> Block:
        if following.offset == self._file.size:
            data = data.rstrip(END_MARK)
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
        lines, rejected, end = _number(here.line, _heights(batch), invalid)
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
        batch, lines, headers = self._without_headers(batch, lines)
        unknown = {
            name: batch.column(position)
            for position, name in enumerate(self._file.header.names)
            if position not in self._known
        }
        return Block(
            columns={name: batch.column(position) for position, name in self._known.items()},
            extra=non_empty_values(unknown) if unknown else None,
            lines=lines,
            end=following.offset,
            rejected=[*(line.row for line in broken), *rejected, *headers],
        )

    def _without_headers(self, batch: Any, lines: Any) -> tuple[Any, Any, list[RejectedRow]]:
        """Set rows aside that repeat the header: a SID is never the name of a column.

        Raises:
            ExportRefusedError: A header has its columns in another order, or others.
        """
        names = list(self._file.header.names)
        key = next(at for at, name in self._known.items() if name == self._file.table.keys[0])
        known = pa.array([names[at] for at in self._known])
        is_header = pc.is_in(batch.column(key), value_set=known)
        if not pc.any(is_header).as_py():
            return batch, lines, []
        headers = []
        for at in pc.indices_nonzero(is_header).to_pylist():
            values = [column[at].as_py() for column in batch.columns]
            line = lines[at].as_py()
            if [value.strip() for value in values] != names:
                raise ExportRefusedError(
                    f"{self._file.path}, line {line}: here is a header again, and it has other "
                    "columns than the first one, or another order. Nothing of this file was "
                    "loaded. Files of different exports were joined: load them one by one."
                )
            headers.append(RejectedRow(line, ",".join(values), HEADER_AGAIN))
        is_row = pc.invert(is_header)
        return batch.filter(is_row), lines.filter(is_row), headers

    def _refuse_cut_end(self, following: Place, lines: Any, rejected: list[RejectedRow]) -> None:
        is_end = following.offset == self._file.size
        if is_end and not self._file.ends_with_newline and rejected:
            last = rejected[-1]
            if not len(lines) or last.line > lines[-1].as_py():
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


def _heights(batch: Any) -> Any:
    """Return how many lines each row takes: one, and one for each line break in its values."""
    heights = pa.repeat(pa.scalar(1, pa.int32()), batch.num_rows)
    for column in batch.columns:
        text = column.buffers()[2]
        # Most columns have no line break at all, and that is quickly seen in their bytes.
        if text and b"\n" in text.to_pybytes():
            heights = pc.add(heights, pc.count_substring(column, "\n"))
    return heights.cast(pa.uint64())


def _number(line: int, heights: Any, invalid: list[Any]) -> tuple[Any, list[RejectedRow], int]:
    """Give each row its line.

    Args:
        line: The line on which the first row starts.
        heights: How many lines each good row takes.
        invalid: pyarrow's notes on the rows between them.

    Returns:
        The lines of the good rows, the other rows, and the line after the last row.
    """
    lines = []
    rejected: list[RejectedRow] = []
    numbered = 0
    for row in [*invalid, None]:
        # pyarrow numbers all rows from 1, good or not.
        good = row.number - 1 - len(rejected) if row else len(heights)
        own = heights.slice(numbered, good - numbered)
        ends = pc.cumulative_sum(own, start=line)
        lines.append(pc.subtract(ends, own))
        line = ends[-1].as_py() if len(ends) else line
        numbered = good
        if row:
            reason = f"{row.actual_columns} fields instead of {row.expected_columns}"
            rejected.append(RejectedRow(line, row.text, reason))
            line += 1 + row.text.count("\n")
    return pa.concat_arrays(lines), rejected, line


def _without(broken: list[BrokenLine], start: int, data: bytes) -> bytes:
    """Return the block `data`, which starts at the byte `start`, with broken lines made blank."""
    if not broken:
        return data
    kept = []
    at = 0
    for line in broken:
        kept.append(data[at : line.start - start])
        at = line.end - start
    return b"".join([*kept, data[at:]])


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
    filled = [pc.not_equal(values, "") for values in columns.values()]
    sizes = filled[0].cast(pa.int32())
    for is_filled in filled[1:]:
        sizes = pc.add(sizes, is_filled.cast(pa.int32()))
    # The columns stand one below the other; row by row, value n is in column n % width.
    numbers = pa.arange(0, rows * width)
    row = pc.divide(numbers, width)
    column = pc.subtract(numbers, pc.multiply(row, width))
    places = pc.add(pc.multiply(column, rows), row)
    is_filled = pa.concat_arrays(filled).take(places)
    return pa.MapArray.from_arrays(
        pa.concat_arrays([pa.repeat(pa.scalar(0, pa.int32()), 1), pc.cumulative_sum(sizes)]),
        pa.array(list(columns)).take(column.filter(is_filled)),
        pa.concat_arrays(list(columns.values())).take(places.filter(is_filled)),
    )


def _without_empty_rows(batch: Any, lines: Any) -> tuple[Any, Any]:
    is_empty = pc.equal(batch.column(0), "")
    for column in batch.columns[1:]:
        if not pc.any(is_empty).as_py():
            return batch, lines
        is_empty = pc.and_(is_empty, pc.equal(column, ""))
    if not pc.any(is_empty).as_py():
        return batch, lines
    is_filled = pc.invert(is_empty)
    return batch.filter(is_filled), lines.filter(is_filled)
