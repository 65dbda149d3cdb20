"""How much of a file may be bad: counts while the rows go by, and refuses the file at the end."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pyarrow.compute as pc

from luigi_tasks.landing.export_file import HEADER_AGAIN, CheckedFile, ExportRefusedError
from luigi_tasks.landing.export_reader import Block

logger = logging.getLogger("luigi-interface.landing")

SID = r"^(0|-?[1-9][0-9]{0,18})$"
"""Retail Pro keeps ids as NUMBER(19), signed; a zero before one makes it another one."""

ROUNDED_SID = r"^-?[0-9]{15,16}000$"
"""A SID of 18 or 19 digits after Excel, which keeps 15 digits and writes zeroes for the others."""

SMALLEST_FILE_FOR_SHARES = 20
"""In a smaller file a bad row costs itself only, up to half of the rows."""

ROUNDED_SHARE = 0.5
"""One SID in a thousand ends in 000 by chance. More than this share cannot be chance."""

EXAMPLES = 5


@dataclass(frozen=True)
class Limits:
    """How much of a file may be bad before the whole file is refused.

    Attributes:
        malformed_sids: Share of the rows with a key that is not a SID, 0 to 1.
        rejected_rows: Share of the rows that cannot be read, 0 to 1.
    """

    malformed_sids: float = 0.01
    rejected_rows: float = 0.01


@dataclass
class Tally:
    """What has been seen of a file so far."""

    rows: int = 0
    rejected: int = 0
    repeated_headers: int = 0
    malformed: int = 0
    rounded: int = 0
    malformed_examples: list[str] = field(default_factory=list)
    rounded_examples: list[str] = field(default_factory=list)
    rejected_examples: list[str] = field(default_factory=list)

    def add(self, block: Block, keys: tuple[str, ...]) -> None:
        """Count a block.

        Args:
            block: The rows.
            keys: The columns that hold SIDs, the row's own first.
        """
        self.rows += len(block.lines)
        self.rejected += len(block.rejected)
        self.repeated_headers += sum(row.reason == HEADER_AGAIN for row in block.rejected)
        _collect(
            self.rejected_examples,
            (f"line {row.line}: {row.reason}: {row.text[:80]!r}" for row in block.rejected),
        )
        if not len(block.lines):
            return
        sids = {name: pc.utf8_trim_whitespace(block.columns[name]) for name in keys}
        matches = {name: _are_sids(values) for name, values in sids.items()}
        is_good = _all(list(matches.values()))
        self.malformed += len(is_good) - (pc.sum(is_good).as_py() or 0)
        for name, matched in matches.items():
            _collect(self.malformed_examples, _values_where(block, name, pc.invert(matched)))
        is_rounded = _are_rounded(sids[keys[0]])
        self.rounded += pc.sum(is_rounded).as_py() or 0
        _collect(self.rounded_examples, _values_where(block, keys[0], is_rounded))

    def refuse(self, file: CheckedFile, limits: Limits) -> None:
        """Check the limits.

        Raises:
            ExportRefusedError: No row could be read, or too many are bad.
        """
        if not self.rows:
            raise ExportRefusedError(
                f"{file.path} has no row that can be read, {self.rejected:,} were rejected. "
                "Nothing of this file was loaded. "
                f"{_list(self.rejected_examples)} Export the file again."
            )
        unreadable = self.rejected - self.repeated_headers
        seen = self.rows + unreadable
        if _is_too_much(unreadable, seen, limits.rejected_rows):
            raise ExportRefusedError(
                f"{file.path}: {unreadable:,} of {seen:,} rows cannot be read, more than "
                f"{limits.rejected_rows:.1%}. Nothing of this file was loaded. "
                f"{_list(self.rejected_examples)} "
                "Export the file again, or raise max_rejected_share in luigi.cfg."
            )
        if _is_too_much(self.malformed, self.rows, limits.malformed_sids):
            raise ExportRefusedError(
                f"{file.path}: {self.malformed:,} of {self.rows:,} rows have a malformed SID, more "
                f"than {limits.malformed_sids:.1%}. Nothing of this file was loaded. "
                f"{_list(self.malformed_examples)} A spreadsheet or a program has changed the "
                "numbers, and they cannot be repaired: export again, with SIDs as text, and do not "
                "open the file with Excel. Or raise max_malformed_sid_share in luigi.cfg."
            )
        if self.rows >= SMALLEST_FILE_FOR_SHARES and self.rounded > ROUNDED_SHARE * self.rows:
            raise ExportRefusedError(
                f"{file.path}: {self.rounded:,} of {self.rows:,} SIDs end in 000, as Excel writes "
                f"them: it keeps 15 digits. Nothing of this file was loaded. "
                f"{_list(self.rounded_examples)} "
                "Export the file again and do not open it with Excel."
            )

    def warn(self, file: CheckedFile) -> None:
        """Say what is odd about a file that is loaded all the same."""
        if self.malformed:
            logger.warning(
                "%s: %s of %s rows have a malformed SID. They are loaded, and held as "
                "sid_malformed: numbers that a spreadsheet or a program has changed cannot be "
                "repaired. %s",
                file.path,
                f"{self.malformed:,}",
                f"{self.rows:,}",
                _list(self.malformed_examples),
            )
        if self.repeated_headers:
            logger.warning(
                "%s: the header is there again in %s lines: files were joined. These lines are "
                "left out, all rows are loaded.",
                file.path,
                f"{self.repeated_headers:,}",
            )


def _is_too_much(bad: int, seen: int, limit: float) -> bool:
    """Tell whether a share is over the limit; of a few rows, whether it is most of them too."""
    return bad > limit * seen and (seen >= SMALLEST_FILE_FOR_SHARES or 2 * bad > seen)


def _are_sids(values: Any) -> Any:
    is_short = pc.and_(pc.ascii_is_decimal(values), pc.less_equal(pc.binary_length(values), 19))
    is_plain = pc.and_not(is_short, pc.starts_with(values, "0"))
    return _with_pattern(is_plain, pc.invert(is_plain), values, SID)


def _are_rounded(values: Any) -> Any:
    ends_like_one = pc.ends_with(values, "000")
    return _with_pattern(ends_like_one, ends_like_one, values, ROUNDED_SID)


def _with_pattern(known: Any, is_unclear: Any, values: Any, pattern: str) -> Any:
    """Settle the unclear values; a pattern takes ten times as long as what is known without one."""
    matched = pc.match_substring_regex(values.filter(is_unclear), pattern)
    return pc.replace_with_mask(known, is_unclear, matched)


def _all(masks: list[Any]) -> Any:
    result = masks[0]
    for mask in masks[1:]:
        result = pc.and_(result, mask)
    return result


def _values_where(block: Block, name: str, mask: Any) -> list[str]:
    places = pc.indices_nonzero(mask).slice(0, EXAMPLES).to_pylist()
    return [
        f"line {block.lines[at].as_py()}: {name} = {block.columns[name][at].as_py()[:80]!r}"
        for at in places
    ]


def _collect(examples: list[str], found: Iterable[str]) -> None:
    for example in found:
        if len(examples) >= EXAMPLES:
            return
        examples.append(example)


def _list(examples: list[str]) -> str:
    return f"For example {'; '.join(examples)}."
