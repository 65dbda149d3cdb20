"""Log entries without surprises: for every logger and handler of a process.

Luigi makes its handler after this package was imported, and a file of logging settings can replace
it. So the text is made safe where all of them get it from, in the record: what outside text does to
a log is said in `plain_text`. An expected error is its sentence; its traceback is for the level
DEBUG.
"""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Mapping
from numbers import Number
from typing import Any

from luigi_tasks.errors import expected_sentence
from luigi_tasks.plain_text import plain, plain_lines

LONGEST_ENTRY = 10_000
"""Characters of an entry; those of the level DEBUG, such as requests, are never cut."""

DIRECT_CAUSE = "\n\nThe above exception was the direct cause of the following exception:\n\n"
EXPECTED = re.compile(r".*\nluigi_tasks\.[\w.]+: (?P<sentence>.*)", re.DOTALL)
"""The end of a traceback of one of our errors."""


class _Plain:
    """An argument of a log entry, which cannot begin another line."""

    def __init__(self, value: object) -> None:
        self._value = value

    def __str__(self) -> str:
        return plain(self._value, None)

    def __repr__(self) -> str:
        return plain(repr(self._value), None)


class PlainRecord(logging.LogRecord):
    """A record whose message and exception are safe to show."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        if self.exc_info and self.exc_info[1] is not None:
            # A formatter that finds it here does not make it itself.
            self.exc_text = plain_lines("    " + self._exception(self.exc_info[1]), self._longest)

    @property
    def _longest(self) -> int | None:
        return LONGEST_ENTRY if self.levelno > logging.DEBUG else None

    def getMessage(self) -> str:  # noqa: N802 - logging's name
        """Return the message; arguments stay on its line, other lines are indented."""
        message = str(self.msg)
        if self.args:
            message %= _plain_arguments(self.args)
        if not _shows_tracebacks(self.name):
            message = _without_traceback(message)
        return plain_lines(message, self._longest)

    def _exception(self, error: BaseException) -> str:
        sentence = expected_sentence(error)
        if sentence is not None and not _shows_tracebacks(self.name):
            return sentence
        return "".join(traceback.format_exception(error)).rstrip()


def _without_traceback(message: str) -> str:
    """Shorten the text of a traceback, as Luigi writes an error of `complete` or `requires`."""
    head, mark, tracebacks = message.partition("Traceback (most recent call last):\n")
    if mark:
        for each in reversed(tracebacks.split(DIRECT_CAUSE)):
            if found := EXPECTED.fullmatch(each.rstrip()):
                return head + found["sentence"]
    return message


def _plain_arguments(arguments: Any) -> Any:
    if isinstance(arguments, Mapping):
        return {name: _plain_argument(value) for name, value in arguments.items()}
    return tuple(_plain_argument(value) for value in arguments)


def _plain_argument(value: object) -> object:
    return value if isinstance(value, Number) else _Plain(value)


def _shows_tracebacks(logger: str) -> bool:
    return logging.getLogger(logger).isEnabledFor(logging.DEBUG)


def install() -> None:
    """Make all records of this process safe to show."""
    logging.setLogRecordFactory(PlainRecord)
