"""The engine's side of one request. Every method here blocks: call them in a worker thread."""

from __future__ import annotations

import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field

from sandbox.clickhouse import query_ids
from sandbox.clickhouse.engine import (
    STREAMABLE_FORMATS,
    Connection,
    Engine,
    Progress,
    quote_name,
)
from sandbox.clickhouse.errors import (
    INTO_OUTFILE_NOT_ALLOWED,
    READONLY,
    SYNTAX_ERROR,
    ClickHouseError,
)
from sandbox.clickhouse.request import ExternalTable, HttpQuery
from sandbox.clickhouse.row_pipe import RowPipe
from sandbox.clickhouse.sessions import Session
from sandbox.clickhouse.statement import InsertData, Statement

_SPOOL_MEMORY_BYTES = 32 << 20
_READ_BYTES = 1 << 20
# Statements without a result set: a server names no format in its answer to them, and
# clickhouse-connect tells them from queries by that.
_NO_RESULT = frozenset(
    [
        *("ALTER", "ATTACH", "CREATE", "DELETE", "DETACH", "DROP", "EXCHANGE", "GRANT", "INSERT"),
        *("MOVE", "OPTIMIZE", "RENAME", "REPLACE", "REVOKE", "SET", "SYSTEM", "TRUNCATE"),
        *("UNDROP", "UPDATE", "USE"),
    ]
)
_UNSTREAMABLE_WORDS = (b"totals", b"extremes", b"json_array_of_rows")
# In a session, an earlier SET may ask for them.
_UNSTREAMABLE_SETTINGS = frozenset({"extremes", "output_format_json_array_of_rows"})


@dataclass
class Result:
    """The answer to a query.

    Attributes:
        format: Proper name of the output format; empty when the statement has no result set.
        content_type: Its media type.
        ready: The parts at hand.
        rest: The parts still to come from the engine, or None when ``ready`` is all.
        progress: Rows and bytes so far; complete when ``rest`` is None.
    """

    format: str = ""
    content_type: str = "text/plain; charset=UTF-8"
    ready: list[bytes] = field(default_factory=list)
    rest: Iterator[bytes] | None = None
    progress: Progress = field(default_factory=Progress)


class Execution:
    """One request's work: open, then one of the ways to run it, then close.

    Args:
        engine: The engine.
        query: What the request asks for.
        statement: What its text turned out to be.
        session: The state to run in, or None for a fresh one.
        report: Called with the counters of the query while it runs, in a thread of the engine.
    """

    def __init__(
        self,
        engine: Engine,
        query: HttpQuery,
        statement: Statement,
        session: Session | None,
        report: Callable[[Mapping[str, int]], None] | None = None,
    ) -> None:
        self._engine = engine
        self._query = query
        self._statement = statement
        self._session = session
        self._report = report
        self._only_reads = False
        self._is_open = True
        self._stack = ExitStack()
        self._started = time.monotonic_ns()

    @property
    def elapsed_ns(self) -> int:
        """Nanoseconds since the request was ready to run."""
        return time.monotonic_ns() - self._started

    def run(self, text: bytes, read_only: bool) -> Result:
        """Run a statement without rows, as far as its first blocks or as a whole.

        Raises:
            ClickHouseError: The statement is refused or fails.
        """
        result = self._run(self._open(), text, read_only)
        if result.rest is None:
            self.close()  # now: a later call would need a thread of its own
        return result

    def _run(self, connection: Connection, text: bytes, read_only: bool) -> Result:
        self._check(connection, text, read_only)
        text = query_ids.rewrite(text, self._statement.keyword)
        if text[:1].isspace():
            text = b"/**/" + text  # or the engine drops the blanks, and system.query_log too
        name, content_type = self._output_format()
        if not self._can_stream(connection, name, text):
            data, progress = connection.run(text, name)
            if not data and self._statement.keyword in _NO_RESULT:
                return Result(progress=progress)
            return Result(name, content_type, [data], None, progress)
        result = Result(name, content_type)
        blocks = connection.stream(text, name, result.progress)
        self._stack.callback(_close, blocks)
        if self._query.wait_end:
            self._spool(blocks, result)
        else:
            self._peek(blocks, result)
        return result

    def open_insert(self, insert: InsertData) -> RowPipe[Progress]:
        """Begin an INSERT for the rows of the request.

        Raises:
            ClickHouseError: The statement is refused before any row is read.
        """
        connection = self._open()
        input_format = self._engine.format(insert.format)[0]
        if insert.input_call is None:
            head, clauses = insert.head[: insert.clauses], insert.head[insert.clauses :]
            return connection.insert(head, clauses, input_format)
        return self._insert_through_select(connection, insert, input_format)

    def _insert_through_select(
        self, connection: Connection, insert: InsertData, input_format: str
    ) -> RowPipe[Progress]:
        """Let the rows wait in a temporary table, which then stands for ``input(…)``."""
        if insert.input_call is None:
            raise AssertionError("only input() makes a SELECT read the request's rows")
        start, inner, end = insert.input_call
        structure, _ = connection.run(b"SELECT " + insert.head[inner:end], "RawBLOB")
        table = quote_name(f"input_{uuid.uuid4().hex}")
        # A log keeps the order of the rows.
        connection.run(f"CREATE TEMPORARY TABLE {table} ({structure.decode()}) ENGINE = TinyLog")
        self._stack.callback(connection.run, f"DROP TEMPORARY TABLE IF EXISTS {table}")
        select = insert.head[:start] + table.encode() + insert.head[end + 1 :]
        return connection.insert(
            f"INSERT INTO {table}".encode(),
            b"",
            input_format,
            then=lambda: connection.run(select)[1],
        )

    def end(self) -> None:
        """End the query if it only reads and the engine has begun it."""
        if self._only_reads:
            self._engine.kill_query(self._query.settings["log_comment"])

    @property
    def is_open(self) -> bool:
        """Whether it still has to be closed."""
        return self._is_open

    def close(self) -> None:
        """Cancel what still runs and give the connection back."""
        self._is_open = False
        self._stack.close()

    def _open(self) -> Connection:
        """Open a connection in the state that the request asks for."""
        session, query = self._session, self._query
        if session is not None and (session.connection or self._statement.is_stateful):
            if session.connection is None:
                session.connection = self._engine.connect()
            connection = session.connection
            self._stack.enter_context(connection.scoped(query.settings, query.database))
        else:
            connection = self._engine.connect()
            self._stack.callback(connection.close)
            connection.apply(query.settings, query.database)
        if self._report is not None:
            connection.on_progress(self._report)
            self._stack.callback(connection.on_progress, None)
        if query.roles:
            connection.run("SET ROLE " + ", ".join(quote_name(role) for role in query.roles))
        for table in query.external_tables:
            self._create_external(connection, table)
        return connection

    def _create_external(self, connection: Connection, table: ExternalTable) -> None:
        name = quote_name(table.name)
        connection.run(f"CREATE TEMPORARY TABLE {name} ({table.structure})")
        self._stack.callback(connection.run, f"DROP TEMPORARY TABLE IF EXISTS {name}")
        input_format = self._engine.format(table.format)[0]
        sink = connection.insert(f"INSERT INTO {name}".encode(), b"", input_format)
        try:
            while chunk := table.data.read(_READ_BYTES):
                sink.append(chunk)
            sink.finish()
        except BaseException:
            sink.cancel()
            raise

    def _check(self, connection: Connection, text: bytes, read_only: bool) -> None:
        """Refuse what a server refuses over HTTP and chDB would do."""
        if self._statement.is_empty:
            raise ClickHouseError.of(SYNTAX_ERROR, "Syntax error: Empty query")
        if connection.count_statements(text) > 1:
            raise ClickHouseError.of(SYNTAX_ERROR, "Syntax error: Multi-statements are not allowed")
        if self._statement.uses_file:
            raise ClickHouseError.of(
                INTO_OUTFILE_NOT_ALLOWED,
                "INTO OUTFILE and FROM INFILE are not allowed over HTTP. "
                "The client writes and reads its files itself",
            )
        allowed = ("SET", "USE")  # what the read-only mode of a server lets pass
        self._only_reads = connection.is_read_only(text)
        if read_only and not self._only_reads and self._statement.keyword not in allowed:
            self.refuse_write()

    def refuse_write(self) -> None:
        """Raise what a server answers to a GET that would write (code 164)."""
        raise ClickHouseError.of(
            READONLY,
            "Cannot execute query in readonly mode. For queries over HTTP, method GET implies "
            "readonly. You should use method POST for modifying queries.",
        )

    def _can_stream(self, connection: Connection, output_format: str, text: bytes) -> bool:
        """Tell whether the blocks of this result join into what the engine gives as a whole.

        Totals and extremes are lost in blocks, and each block would be a JSON array of its own.
        """
        if output_format not in STREAMABLE_FORMATS:
            return False
        if self._statement.keyword not in ("SELECT", "WITH"):
            return False
        asked = text.lower() + " ".join(self._query.settings).encode()
        if any(word in asked for word in _UNSTREAMABLE_WORDS):
            return False
        has_state = self._session is not None and self._session.connection is not None
        return not has_state or _UNSTREAMABLE_SETTINGS.isdisjoint(connection.kept.settings)

    def _output_format(self) -> tuple[str, str]:
        """The format of the query's FORMAT clause, else the request's default."""
        named = self._statement.format
        if named is not None and self._engine.has_format(named):
            return self._engine.format(named)
        return self._engine.format(self._query.format)

    def _peek(self, blocks: Iterator[bytes], result: Result) -> None:
        """Fetch up to two blocks, to answer a small result in one piece."""
        for block in blocks:
            result.ready.append(block)
            if len(result.ready) == 2:
                result.rest = blocks
                return

    def _spool(self, blocks: Iterator[bytes], result: Result) -> None:
        """Fetch all blocks before the answer starts; a large result waits in a file."""
        spool = tempfile.SpooledTemporaryFile(_SPOOL_MEMORY_BYTES)  # noqa: SIM115  # closed below
        self._stack.enter_context(spool)
        for block in blocks:
            spool.write(block)
        spool.seek(0)
        result.ready.append(spool.read(_SPOOL_MEMORY_BYTES))
        if len(result.ready[0]) == _SPOOL_MEMORY_BYTES:
            result.rest = iter(lambda: spool.read(_READ_BYTES), b"")


def _close(blocks: Iterator[bytes]) -> None:
    """End a generator early."""
    getattr(blocks, "close", lambda: None)()
