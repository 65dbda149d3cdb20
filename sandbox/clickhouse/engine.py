"""chDB as the engine of a server: one data directory, one short-lived connection per request.

What chDB's connections allow, found by trying (4.4, ClickHouse 26.9):

* any number of connections on one path in one process; opening one takes about 0.2 ms;
* settings, parameters, the current database and temporary tables belong to a connection, so a
  connection per request keeps requests apart without anything to clean up;
* queries on different connections run in parallel and release the GIL; one connection runs one
  query at a time;
* ``send_query`` streams a SELECT in blocks with flat memory, but every block is a document of its
  own: only formats without header and footer may be joined.
"""

from __future__ import annotations

import json
import os
import re
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.clickhouse import configuration
from sandbox.clickhouse.errors import UNKNOWN_FORMAT, ClickHouseError
from sandbox.clickhouse.row_pipe import RowPipe

# Data must not depend on the machine's time zone. The engine reads TZ when it is loaded.
os.environ["TZ"] = "UTC"

import chdb  # after TZ is set

# Blocks of these formats join into one valid document.
STREAMABLE_FORMATS = frozenset(
    {
        "CSV",
        "JSONCompactEachRow",
        "JSONCompactStringsEachRow",
        "JSONEachRow",
        "JSONLines",
        "JSONStringsEachRow",
        "LineAsString",
        "MsgPack",
        "NDJSON",
        "Native",
        "Null",
        "Raw",
        "RawBLOB",
        "RowBinary",
        "TSKV",
        "TSV",
        "TSVRaw",
        "TabSeparated",
        "TabSeparatedRaw",
    }
)
_NOT_STREAMABLE = "Streaming query is not supported"
# SET and USE, whatever comments stand before them.
_TELLS_CONNECTION = re.compile(rb"(?:\s|--[^\n]*\n|/\*.*?\*/)*(?:set|use)\b", re.I | re.S)


@dataclass
class Progress:
    """Rows and bytes of one query, as ``X-ClickHouse-Summary`` reports them."""

    read_rows: int = 0
    read_bytes: int = 0
    written_rows: int = 0
    written_bytes: int = 0
    result_rows: int = 0
    result_bytes: int = 0

    def add(self, result: Any) -> None:
        """Add the counters of one result or block."""
        self.read_rows += result.storage_rows_read()
        self.read_bytes += result.storage_bytes_read()
        self.written_rows += result.rows_written()
        self.written_bytes += result.bytes_written()
        self.result_rows += result.rows_read()
        self.result_bytes += result.size()


def quote(text: str) -> str:
    """Write text as a string literal of ClickHouse's SQL."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def quote_name(name: str) -> str:
    """Write a name as an identifier of ClickHouse's SQL."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def _set(values: Mapping[str, str]) -> str:
    """Write a SET; the values are SQL. Names come from the client: one may be called `id$x`."""
    return "SET " + ", ".join(f"{quote_name(name)} = {value}" for name, value in values.items())


@dataclass(frozen=True)
class Kept:
    """What a connection was told to keep: its database, and the settings with their values."""

    database: str = "default"
    settings: Mapping[str, str] = field(default_factory=dict)


class Connection:
    """One connection to the engine: runs one query at a time, keeps its own settings."""

    def __init__(self, raw: Any, engine: Engine) -> None:
        self._raw = raw
        self._engine = engine
        # None when it has to be asked for, which costs more than a small query.
        self._kept: Kept | None = Kept()
        # What the last request of a session has set for itself; not kept.
        self._lent: dict[str, str] = {}
        self._lent_database = ""

    @property
    def kept(self) -> Kept:
        """What SET and USE have told this connection so far."""
        if self._kept is None:
            changed = self._rows(
                "SELECT name, value FROM system.settings WHERE changed FORMAT JSONCompactEachRow"
            )
            [[database]] = self._rows("SELECT currentDatabase() FORMAT JSONCompactEachRow")
            self._kept = Kept(database, dict(changed))
        return self._kept

    def _notice(self, sql: str | bytes) -> None:
        if _TELLS_CONNECTION.match(sql.encode() if isinstance(sql, str) else sql):
            self._kept = None

    def run(self, sql: str | bytes, output_format: str = "TabSeparated") -> tuple[bytes, Progress]:
        """Run a statement and return its whole result.

        Raises:
            ClickHouseError: The engine refused the statement.
        """
        self._notice(sql)
        return self._run(sql, output_format)

    def _run(self, sql: str | bytes, output_format: str = "TabSeparated") -> tuple[bytes, Progress]:
        try:
            result = self._raw.query(sql, output_format)
        except Exception as error:
            raise ClickHouseError.from_engine(error) from error
        progress = Progress()
        progress.add(result)
        return result.bytes(), progress

    def stream(self, sql: str | bytes, output_format: str, progress: Progress) -> Iterator[bytes]:
        """Run a SELECT and yield its blocks; ``progress`` grows with them.

        A statement that the engine cannot stream is run as a whole and gives one block.

        Raises:
            ClickHouseError: The engine refused the statement or failed on the way.
        """
        self._notice(sql)
        try:
            stream = self._raw.send_query(sql, output_format)
        except Exception as error:
            if _NOT_STREAMABLE not in str(error):
                raise ClickHouseError.from_engine(error) from error
            data, whole = self.run(sql, output_format)
            progress.__dict__.update(whole.__dict__)
            yield data
            return
        try:
            for block in stream:
                progress.add(block)
                yield block.bytes()
        except GeneratorExit:
            raise
        except Exception as error:
            raise ClickHouseError.from_engine(error) from error
        finally:
            stream.close()

    def insert(
        self,
        head: bytes,
        clauses: bytes,
        input_format: str,
        then: Callable[[], Progress] | None = None,
    ) -> RowPipe[Progress]:
        """Begin an INSERT for rows that come in chunks.

        Args:
            head: The statement as far as its target and columns.
            clauses: What may follow these: ``SETTINGS``.
            input_format: Name of the rows' format.
            then: What is run when the rows are stored, and tells the progress in their place.
        """

        def run(file: str) -> Progress:
            source = f" FROM INFILE {quote(file)} COMPRESSION 'none' ".encode()
            sql = head + source + clauses + f" FORMAT {input_format}".encode()
            progress = self.run(sql)[1]
            if then is not None:
                return then()
            # What was read is what was written: the rows of the request, as a server counts.
            progress.read_rows, progress.read_bytes = progress.written_rows, progress.written_bytes
            return progress

        return RowPipe(run, self._engine.kill_readers)

    def apply(self, settings: Mapping[str, str], database: str = "") -> None:
        """Set the current database and settings (``param_*`` among them) of this connection."""
        if database:
            self.run(f"USE {quote_name(database)}")
        if settings:
            self.run(_set({name: quote(value) for name, value in settings.items()}))

    @contextmanager
    def scoped(self, settings: Mapping[str, str], database: str = "") -> Iterator[None]:
        """Apply settings and database for one query.

        What the next query does not want is put back before it: clients send the same hundred
        settings with each query of a session. A SET or USE of the query itself stays, unless the
        request names the same setting.
        """
        kept = self.kept
        try:
            self._lend(settings, database, kept)
            yield
        finally:
            if self._kept is None:
                self._lend({}, "", kept)

    def _lend(self, settings: Mapping[str, str], database: str, kept: Kept) -> None:
        """Go from what the last request lent to what this one lends, over what is kept."""
        values = {name: text for name, text in settings.items() if not name.startswith("param_")}
        back = {
            name: quote(kept.settings[name]) if name in kept.settings else "DEFAULT"
            for name in self._lent
            if name not in values
        }
        if back:
            self._run(_set(back))
            self._lent = {name: text for name, text in self._lent.items() if name in values}
        if database or self._lent_database:  # asked for again: it may have been dropped
            self._run(f"USE {quote_name(database or kept.database)}")
            self._lent_database = database
        told = {name: text for name, text in settings.items() if self._lent.get(name) != text}
        if told:
            self._run(_set({name: quote(text) for name, text in told.items()}))
            self._lent = values

    def _rows(self, sql: str) -> list[list[Any]]:
        return [json.loads(line) for line in self.run(sql)[0].splitlines()]

    def on_progress(self, report: Callable[[Mapping[str, int]], None] | None) -> None:
        """Name the function that gets the counters of running queries, or None for none."""
        self._raw.set_progress_callback(report)

    def count_statements(self, sql: str | bytes) -> int:
        """Count the statements of a text; 0 when it does not parse."""
        return int(self._classify(sql)["statement_count"])

    def is_read_only(self, sql: str | bytes) -> bool:
        """Tell whether a text only reads."""
        return bool(self._classify(sql)["query_class"].value == 0)

    def _classify(self, sql: str | bytes) -> dict[str, Any]:
        result: dict[str, Any] = self._raw._conn.classify_query(sql)
        return result

    def close(self) -> None:
        """End the connection; a query that still streams is cancelled."""
        self._raw.close()


class Engine:
    """The engine on one data directory.

    Args:
        path: The data directory; it must exist and belong to this process alone.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        config = configuration.write(path)
        # The engine lives as long as one connection is open, and only the first one names a config.
        self._root = self._connect(f"{path}?config-file={config}")
        self._make_default_a_database()
        self._lock = threading.Lock()
        self.version = self._text("SELECT version()")
        self.timezone = self._text("SELECT timezone()")
        self.display_name = self._text("SELECT hostName()")
        self._formats = self._read_formats()

    def _make_default_a_database(self) -> None:
        """Take the files of the disk out of ``default``, where chDB puts them beside its tables."""
        link = self._path / "metadata" / "default"  # as soon as there is a table
        own_id = link.readlink().name if link.is_symlink() else str(uuid.uuid4())
        self._root.run("DETACH DATABASE default")
        # With a definition at hand, the engine takes the id for one that it knows, and fails.
        link.with_suffix(".sql").unlink(missing_ok=True)
        self._root.run(f"ATTACH DATABASE default UUID {quote(own_id)} ENGINE = Atomic")

    def _text(self, sql: str) -> str:
        return self._root.run(sql)[0].decode().strip()

    def _read_formats(self) -> dict[str, tuple[str, str]]:
        rows = self._text("SELECT name, content_type FROM system.formats").split("\n")
        pairs = [row.partition("\t") for row in rows]
        return {name.lower(): (name, content_type) for name, _, content_type in pairs}

    def has_format(self, name: str) -> bool:
        """Tell whether there is a format of this name."""
        return name.lower() in self._formats

    def format(self, name: str) -> tuple[str, str]:
        """Look up a format without regard to case.

        Returns:
            Its proper name and its content type.

        Raises:
            ClickHouseError: There is no such format (code 73).
        """
        found = self._formats.get(name.lower())
        if found is None:
            raise ClickHouseError.of(UNKNOWN_FORMAT, f"Unknown format {name}")
        return found

    def connect(self) -> Connection:
        """Open a connection; it has the defaults of the engine until it is told otherwise."""
        with self._lock:
            return self._connect(str(self._path))

    def _connect(self, target: str) -> Connection:
        return Connection(chdb.connect(target), self)  # type: ignore[no-untyped-call]

    def kill_query(self, log_comment: str) -> None:
        """End the queries with this ``log_comment``; their callers get an error (code 394)."""
        self._kill(f"Settings['log_comment'] = {quote(log_comment)}")

    def kill_queries(self) -> None:
        """End every query that runs now."""
        self._kill("true")

    def kill_readers(self, file: str) -> bool:
        """End the INSERT that reads its rows from this file; tell whether there is one."""
        return self._kill(f"position(query, {quote(f'FROM INFILE {quote(file)}')}) > 0")

    def _kill(self, which: str) -> bool:
        connection = self.connect()
        try:
            condition = f"query_id != queryID() AND ({which})"
            return bool(connection.run(f"KILL QUERY WHERE {condition} ASYNC")[0])
        finally:
            connection.close()

    def close(self) -> None:
        """Shut the engine down; all other connections must be closed."""
        self._root.close()
