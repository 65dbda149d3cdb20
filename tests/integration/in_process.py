"""dbt in the process of the tests, which spares the start of another one: two seconds a command."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from dbt.adapters.clickhouse import dbclient
from dbt.cli.main import dbtRunner, dbtRunnerResult

from tests.processes import PROJECT

_OF_THE_PROJECT = ("CLICKHOUSE_", "DBT_", "RETAIL_PRO_", "SEGMENT_")


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
        result = dbtRunner(callbacks=[listen]).invoke(list(arguments))
    return Done(result, "\n".join([*said, *([str(result.exception)] if result.exception else [])]))
