"""Finds out what a query text is: its kind, its FORMAT clause, and where INSERT data begins.

The HTTP interface puts SQL and data into one stream of bytes. Only as much SQL is read here as is
needed to tell them apart; everything else is left to the engine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

_TOKEN = re.compile(
    rb"""
      (?P<space>\s+|--[^\n]*|\#[ !][^\n]*|/\*.*?\*/)
    | (?P<string>'(?:[^'\\]|\\.)*')
    | (?P<quoted>`(?:[^`\\]|\\.)*`|"(?:[^"\\]|\\.)*")
    | (?P<heredoc>\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)
    | (?P<word>[A-Za-z_]\w*)
    | (?P<number>\d[\w.]*)
    | (?P<open>[(\[{])
    | (?P<close>[)\]}])
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_STATEFUL = {b"SET", b"USE"}
_OBJECTS = (b"TABLE", b"VIEW")
_FILE_CLAUSES = {(b"INTO", b"OUTFILE"), (b"FROM", b"INFILE")}


class Token(NamedTuple):
    """One word or sign of the query, with its place and its depth in brackets."""

    kind: str
    text: bytes
    start: int
    end: int
    depth: int

    @property
    def upper(self) -> bytes:
        """The text in upper case when it is a bare word, else nothing."""
        return self.text.upper() if self.kind == "word" else b""


@dataclass(frozen=True)
class InsertData:
    """An INSERT whose rows follow the query text.

    Attributes:
        head: The statement up to, and without, FORMAT or VALUES.
        format: The input format of the rows.
        offset: Where the rows begin in the bytes that were looked at.
        clauses: Where in ``head`` the clauses after target and columns begin: ``SETTINGS``, or the
            ``SELECT`` that the rows pass through.
        input_call: Place of the table function ``input(…)`` when the rows pass through a SELECT:
            the start of the word, the start of its arguments, and their end. Else None.
    """

    head: bytes
    format: str
    offset: int
    clauses: int
    input_call: tuple[int, int, int] | None = None


@dataclass(frozen=True)
class Statement:
    """What the beginning of a request's bytes turned out to be."""

    keyword: str
    format: str | None = None
    insert: InsertData | None = None
    is_stateful: bool = False
    uses_file: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether there is no statement at all, only white space and comments."""
        return not self.keyword


def tokens(text: bytes) -> Iterator[Token]:
    """Yield the tokens of a query, comments and white space left out."""
    depth = 0
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or "other"
        if match["heredoc"] is not None:
            kind = "heredoc"
        if kind == "space":
            continue
        if kind == "close":
            depth = max(0, depth - 1)
        yield Token(kind, match[0], match.start(), match.end(), depth)
        if kind == "open":
            depth += 1


def parse(text: bytes, complete: bool) -> Statement | None:
    """Classify the beginning of a request's bytes.

    Args:
        text: The bytes seen so far: SQL, perhaps followed by data.
        complete: Whether no more bytes will come.

    Returns:
        The statement, or None when more bytes are needed to tell.
    """
    keyword = _first_word(text)
    if keyword == b"INSERT":
        insert = _find_insert_data(text, complete)
        if insert is not None:
            return Statement("INSERT", insert=insert)
    if not complete:
        return None
    return _whole(text, keyword)


def _first_word(text: bytes) -> bytes:
    """The word that says what a statement does; brackets before it do not count."""
    first = next((token for token in tokens(text) if token.kind != "open"), None)
    if first is None:
        return b""
    return first.upper or first.text


def _whole(text: bytes, keyword: bytes) -> Statement:
    """Classify a query that carries no data."""
    head = [token.upper for token, _ in zip(tokens(text), range(5), strict=False)]
    is_temporary = any(
        first == b"TEMPORARY" and second in _OBJECTS for first, second in pairwise(head)
    )
    lower = text.lower()
    has_clause = any(word in lower for word in (b"format", b"outfile", b"infile"))
    output_format, uses_file = _clauses(text) if has_clause else (None, False)
    return Statement(
        keyword.decode(errors="replace"),
        format=output_format,
        is_stateful=keyword in _STATEFUL or is_temporary,
        uses_file=uses_file,
    )


def _clauses(text: bytes) -> tuple[str | None, bool]:
    """Find ``FORMAT name``, and ``INTO OUTFILE`` or ``FROM INFILE``, outside of brackets."""
    output_format = None
    uses_file = False
    previous = b""
    for token in tokens(text):
        word = token.upper if token.depth == 0 else b""
        if previous == b"FORMAT" and word:
            output_format = token.text.decode()
        uses_file = uses_file or (previous, word) in _FILE_CLAUSES
        previous = word
    return output_format, uses_file


def _find_insert_data(text: bytes, complete: bool) -> InsertData | None:
    """Find the rows of an INSERT, or None when it has none or they are not in sight yet."""
    previous: Token | None = None
    is_select = name_seen = after_format = False
    clauses: int | None = None
    for token in tokens(text):
        # What follows a dot is a name, even when it is spelt like a clause.
        is_named = previous is not None and previous.text == b"."
        word = token.upper if token.depth == 0 and name_seen and not is_named else b""
        if clauses is None and word in (b"SELECT", b"WITH", b"SETTINGS"):
            clauses = token.start
        if after_format and previous is not None and token.kind == "word":
            if token.end == len(text) and not complete:
                return None  # the name may go on
            head, name = text[: previous.start], token.text.decode()
            input_call = _find_input(head) if is_select else None
            offset = _skip_to_rows(text, token.end, complete)
            if offset is None or (is_select and input_call is None):
                return None
            return InsertData(head, name, offset, _or_end(clauses, head), input_call)
        if word in (b"SELECT", b"WITH"):
            is_select = True
        elif word == b"INFILE" and previous is not None and previous.upper == b"FROM":
            return None
        elif word == b"VALUES" and not is_select:
            head = text[: token.start]
            return InsertData(head, "Values", token.end, _or_end(clauses, head))
        after_format = word == b"FORMAT"
        if previous is not None and token.kind in ("word", "quoted"):
            # INSERT INTO [TABLE] [FUNCTION] name: the first word that is none of these
            name_seen = name_seen or token.upper not in (b"INTO", b"TABLE", b"FUNCTION")
        previous = token
    return None


def _find_input(head: bytes) -> tuple[int, int, int] | None:
    """Find ``input(…)``: the start of the word, the start and the end of its arguments."""
    call: tuple[Token, Token] | None = None
    for before, token in pairwise(tokens(head)):
        if call is None and before.upper == b"INPUT" and token.text == b"(":
            call = before, token
        elif call is not None and token.kind == "close" and token.depth == call[1].depth:
            return call[0].start, call[1].end, token.start
    return None


def _or_end(place: int | None, head: bytes) -> int:
    return len(head) if place is None else place


def _skip_to_rows(text: bytes, offset: int, complete: bool) -> int | None:
    """Step over blanks and at most one line break, which separate FORMAT from the rows."""
    while offset < len(text) and text[offset : offset + 1] in (b" ", b"\t", b"\f", b"\r"):
        offset += 1
    if offset == len(text):
        return offset if complete else None
    return offset + 1 if text[offset : offset + 1] == b"\n" else offset
