"""`python -m tests.engine`: the sandbox's ClickHouse, with what only tests ask of it.

TEST_ENGINE_USERS names a users.xml, whose profile and grants the engine then has. TEST_ENGINE says
that an older chDB is on PYTHONPATH: it is given what `sandbox.clickhouse` expects of the current
one.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from sandbox.clickhouse import __main__ as sandbox
from sandbox.clickhouse import configuration

ONLY_READS = re.compile(
    rb"(?:\s|--[^\n]*\n|/\*.*?\*/|\()*(?:select|with|show|describe|desc|explain|exists)\b",
    re.I | re.S,
)


class OlderResult:
    """A result of a chDB that does not count what was written."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    def rows_written(self) -> int:
        """Unknown."""
        return 0

    bytes_written = rows_written

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)


def make_up_for_an_older_chdb() -> None:
    """Do without the counts of written rows and the kind of a statement, where they are missing."""
    from sandbox.clickhouse import engine

    if hasattr(engine.chdb._chdb.connect, "classify_query"):
        return
    add = engine.Progress.add

    def add_without_written(progress: engine.Progress, result: Any) -> None:
        add(progress, OlderResult(result))

    def is_read_only(connection: engine.Connection, sql: str | bytes) -> bool:
        return bool(ONLY_READS.match(sql.encode() if isinstance(sql, str) else sql))

    engine.Progress.add = add_without_written  # type: ignore[method-assign]
    engine.Connection.is_read_only = is_read_only  # type: ignore[method-assign]
    # The pipeline never sends two statements at a time.
    engine.Connection.count_statements = lambda *_: 1  # type: ignore[method-assign]


if __name__ == "__main__":
    if users := os.environ.get("TEST_ENGINE_USERS"):
        text = Path(users).read_text()
        configuration._users = lambda: text
    if os.environ.get("TEST_ENGINE"):
        make_up_for_an_older_chdb()
        # Other releases read other files of the system.
        sandbox.confine = lambda _: True
    sandbox.main()
