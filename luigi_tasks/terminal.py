"""What a person sees on a terminal: sentences, tables, messages and a progress bar.

The only module that uses rich, which takes `[...]` in a text for markup and lets control sequences
through. Here every text is shown as it is, by `plain_text`.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.highlighter import JSONHighlighter
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table
from rich.text import Text

from luigi_tasks.plain_text import plain, plain_lines

LONGEST_CELL = 500


class Terminal:
    """Where a command prints."""

    def __init__(self) -> None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            # A name that the terminal's encoding lacks must not end the command.
            sys.stdout.reconfigure(errors="backslashreplace")
        self._console = Console(markup=False, emoji=False, highlight=False)

    def say(self, sentence: object, style: str = "") -> None:
        """Print one line, which the terminal may wrap."""
        self._console.print(Text(plain(sentence, None)), style=style, soft_wrap=True)

    def say_error(self, error: BaseException) -> None:
        """Print what an error says, which may be several lines."""
        self._console.print(Text(plain_lines(str(error), None)), style="red", soft_wrap=True)

    def show(self, table: Table) -> None:
        """Print a table of `table`."""
        self._console.print(table)

    def show_json(self, message: str) -> None:
        """Print a JSON text with one value per line; what is not JSON as it is."""
        try:
            laid_out = json.dumps(json.loads(message), indent=2, ensure_ascii=False)
        except ValueError:
            self.say(message)
            return
        lines = "\n".join(plain(line, None) for line in laid_out.split("\n"))
        self._console.print(JSONHighlighter()(Text(lines)), soft_wrap=True)


def table(
    title: str,
    columns: Sequence[Column | str],
    rows: Iterable[Sequence[object]],
    *,
    is_lined: bool = True,
) -> Table:
    """Return a table for `Terminal.show`.

    Args:
        title: Above the table; empty for none.
        columns: The names; `number(name)` and `text(name)` say how a column is laid out.
        rows: The cells; whole numbers get separators.
        is_lined: With lines; without, no cell is broken, so that it can be copied.
    """
    made = Table(*columns, title=title or None, title_justify="left")
    if not is_lined:
        made.box, made.padding, made.pad_edge = None, (0, 2, 0, 0), False
        for column in made.columns:
            column.no_wrap = True
    for row in rows:
        made.add_row(*(Text(_cell(value)) for value in row))
    return made


def number(name: str) -> Column:
    """Return a column of numbers."""
    return Column(name, justify="right")


def text(name: str) -> Column:
    """Return a column of long texts, which are shown whole."""
    return Column(name, overflow="fold")


def progress_bar() -> Progress:
    """Return a bar on the error stream, invisible when nobody watches; texts must be plain."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[message]}", markup=False),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
        transient=True,
    )


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else plain(value, LONGEST_CELL)
