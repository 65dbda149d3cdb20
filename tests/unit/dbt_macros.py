"""Calls macros of the dbt project without dbt and without a database."""

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import jinja2

from tests.processes import PROJECT

MACRO = re.compile(r"\{%-? macro (\w+)\(.*?\{%-? endmacro -?%\}", re.DOTALL)


class RefusedError(Exception):
    """A macro has raised a compiler error."""


class _Return(Exception):  # noqa: N818 - it is no error
    """dbt's `return`."""


def _raise_compiler_error(message: str) -> NoReturn:
    raise RefusedError(message)


def _return(value: Any) -> NoReturn:
    raise _Return(value)


def _callable(name: str, template: jinja2.Template, context: dict[str, Any]) -> Callable[..., Any]:
    def call(*arguments: Any, **keywords: Any) -> Any:
        # A module of its own, made now: by now all macros that it may call are known.
        macro = getattr(template.make_module(context), name)
        try:
            return macro(*arguments, **keywords)
        except _Return as returned:
            return returned.args[0]

    return call


def load(directory: str, **context: Any) -> dict[str, Callable[..., Any]]:
    """Return the macros of a directory of macros/ by name.

    Args:
        directory: Below macros/.
        **context: What else they call.
    """
    found: dict[str, Callable[..., Any]] = {}
    for file in (Path(PROJECT) / "macros" / directory).glob("*.sql"):
        for source in MACRO.finditer(file.read_text()):
            environment = jinja2.Environment(extensions=["jinja2.ext.do"])  # noqa: S701 - no HTML
            template = environment.from_string(source[0])
            found[source[1]] = _callable(source[1], template, found)
    raising = SimpleNamespace(raise_compiler_error=_raise_compiler_error)
    found |= {"exceptions": raising, "return": _return, **context}
    return found
