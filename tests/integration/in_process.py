"""dbt in the process of the tests, which spares the start of another one: two seconds a command."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from dbt.adapters.clickhouse import dbclient
from dbt.cli.main import dbtRunner, dbtRunnerResult
from dbt.contracts.graph.manifest import Manifest

from tests.processes import PROJECT

_OF_THE_PROJECT = ("CLICKHOUSE_", "DBT_", "RETAIL_PRO_", "SEGMENT_")
_OF_FILES = ("DBT_TARGET_PATH", "DBT_LOG_PATH")
_NO_FILES = ("--no-write-json", "--log-level-file", "none")
_OF_PARSING = ("--vars", "--target", "--profile")


@dataclass(frozen=True)
class Done:
    """A command that came to its end, well or not.

    Attributes:
        result: What dbt returned.
        output: What it would have printed, with the texts of errors.
    """

    result: dbtRunnerResult
    output: str

    @property
    def success(self) -> bool:
        """Whether the exit code would have been 0."""
        return self.result.success

    def failures(self) -> list[tuple[str, Any]]:
        """The nodes that did not end well, with what they say."""
        return [
            (result.node.name, result.message)
            for result in getattr(self.result.result, "results", [])
            if result.status not in {"success", "pass", "warn"}
        ]


def run_dbt(environment: Mapping[str, str], *arguments: str) -> Done:
    """Run a command of dbt from the root of the repository.

    What dbt parsed for the same variables and options before is used again, unless a
    `--project-dir` says that the project is another one.

    Args:
        environment: All variables that concern the project; those of this process do not count.
        arguments: The command and its options.
    """
    # Databases of tests come and go, and dbt asks once per process which ones there are.
    dbclient._ensured_databases.clear()
    said: list[str] = []

    def listen(event: Any) -> None:
        if event.info.level in {"info", "warn", "error"}:
            said.append(event.info.msg)

    given = {name: environment[name] for name in environment if name.startswith(_OF_THE_PROJECT)}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(PROJECT)
        for name in [name for name in os.environ if name.startswith(_OF_THE_PROJECT)]:
            patch.delenv(name)
        for name, value in given.items():
            patch.setenv(name, value)
        patch.setenv("DBT_SEND_ANONYMOUS_USAGE_STATS", "false")
        manifest = None if "--project-dir" in arguments else _parsed(given, arguments)
        runner = dbtRunner(manifest=manifest, callbacks=[listen])
        result = runner.invoke([*arguments, *_NO_FILES])
    return Done(result, "\n".join([*said, *([str(result.exception)] if result.exception else [])]))


def _parsed(given: Mapping[str, str], arguments: tuple[str, ...]) -> Manifest | None:
    """The project as these variables and options make it; None when dbt cannot parse it."""
    options = [
        text
        for place, option in enumerate(arguments)
        if option in _OF_PARSING
        for text in arguments[place : place + 2]
    ]
    variables = {name: given[name] for name in given if name not in _OF_FILES}
    return _parse(tuple(sorted(variables.items())), tuple(options))


@lru_cache(maxsize=8)
def _parse(variables: tuple[tuple[str, str], ...], options: tuple[str, ...]) -> Manifest | None:
    """Parse; the variables are those of this process already, and tell calls apart."""
    target = Path(os.environ["TMPDIR"]) / "parsed"
    result = (
        dbtRunner()
        .invoke(["parse", *options, *_NO_FILES, "--quiet", "--target-path", str(target)])
        .result
    )
    return result if isinstance(result, Manifest) else None
