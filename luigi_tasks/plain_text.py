"""The one place that makes text from outside safe to show.

Answers of Segment, errors of ClickHouse, values and file names of an export: others wrote them, and
they reach a terminal, a log and Luigi's page. There a control sequence can rewrite what stands on
the screen, a line break can forge a log line, a bidirectional control can reverse a sentence, and a
lone surrogate cannot be written at all. Everything that shows such text goes through `plain`:
tables and sentences (`terminal`), log lines (`log_records`) and what luigid gets (`for_page`).
"""

from __future__ import annotations

import unicodedata

LONGEST = 2000
"""Characters that are shown of one text."""

INDENT = "    "
"""Before the second and later lines of a log entry, so that none can pass for an entry itself."""

INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories: controls, format controls (bidirectional ones too), surrogates, separators of
lines and paragraphs."""

JOINERS = "\u200c\u200d"
"""Format controls that scripts and emoji need, and that move nothing."""


class _Escapes(dict[int, str]):
    """For `str.translate`: an invisible character becomes its escape."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        is_shown = unicodedata.category(character) not in INVISIBLE or character in JOINERS
        shown = character if is_shown else character.encode("unicode_escape").decode("ascii")
        self[code] = shown
        return shown


_ESCAPES = _Escapes()
_NO_TAGS = str.maketrans("<>", "\u2039\u203a")
"""Quotation marks that look alike."""


def plain(text: object, longest: int | None = LONGEST) -> str:
    """Return a text as one line in which every character is visible.

    Args:
        text: Anything; its `str` is shown.
        longest: Characters that are kept of it; None keeps all.
    """
    shown = str(text)
    if longest is not None and len(shown) > longest:
        shown = shown[: longest - 1] + "…"
    return shown if shown.isprintable() else shown.translate(_ESCAPES)


def plain_lines(text: str, longest: int | None = LONGEST) -> str:
    """Return a text of several lines, each of them plain and all but the first indented."""
    if longest is not None and len(text) > longest:
        text = text[: longest - 1] + "…"
    first, *rest = (plain(line, None) for line in text.split("\n"))
    if not all(line.startswith(INDENT) for line in rest):
        rest = [INDENT + line for line in rest]
    return "\n".join([first, *rest])


def for_page(text: object, longest: int = LONGEST) -> str:
    """Return a text for Luigi's page, which takes a status message for HTML when it refreshes it.

    Lines stay, and no tag can begin.
    """
    return plain_lines(str(text), longest).translate(_NO_TAGS)


def has_control_character(text: str) -> bool:
    """Tell whether a text has a control character, a line break too; no setting may."""
    return any(unicodedata.category(character) == "Cc" for character in text)
