"""The landing tables: rows go in by file, and a file counts as a whole or not at all.

The rows of a load are inserted in blocks under a new load id. Nobody sees them before the row in
`loads`, which is written last, says that they are all there. A load that did not finish leaves
rows that nobody sees; the next load of the table removes them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import cache
from importlib.resources import files
from io import BytesIO
from typing import Any
from uuid import uuid4

import pyarrow as pa
from clickhouse_connect.driver.binding import quote_identifier
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from luigi_tasks.clickhouse import cluster, queries
from luigi_tasks.clickhouse.client import insert_settings, is_missing
from luigi_tasks.errors import RetryableError
from luigi_tasks.landing.dictionary import Table
from luigi_tasks.landing.export_file import CheckedFile, ExportRefusedError, RejectedRow
from luigi_tasks.landing.export_limits import Limits, Tally
from luigi_tasks.landing.export_reader import Block, ExportReader
from luigi_tasks.runs.invocation import utc_now

logger = logging.getLogger("luigi-interface.landing")

LOADS_COLUMNS = {
    "load_id": "String",
    "table_name": "LowCardinality(String)",
    "file": "String",
    "content_hash": "String",
    "bytes": "UInt64",
    "rows": "UInt64",
    "rejected_rows": "UInt64",
    "columns": "Array(String)",
    "loaded_at": "DateTime64(3, 'UTC')",
}

REJECTED_COLUMNS = {
    "load_id": "String",
    "table_name": "LowCardinality(String)",
    "file": "String",
    "line": "UInt64",
    "text": "String",
    "reason": "String",
    "loaded_at": "DateTime64(3, 'UTC')",
}


class LoadInterruptedError(RetryableError):
    """Another load of the same table ran at the same time. Run the command again."""


@dataclass(frozen=True)
class Loaded:
    """What became of a file.

    Attributes:
        rows: Rows in the landing table; 0 for a file that was loaded before.
        rejected: Rows in `rejected_rows`.
        is_new: False when this content was loaded before.
    """

    rows: int = 0
    rejected: int = 0
    is_new: bool = False


class Landing:
    """The landing database.

    Args:
        client: A client for ClickHouse.
        database: Its name.
    """

    def __init__(self, client: Client, database: str) -> None:
        self._client = client
        self._database = database

    def create(self, tables: tuple[Table, ...]) -> None:
        """Create the database and the tables, and add columns that the dictionary gained."""
        for name, statement in (
            ("loads", _query("create_loads")),
            ("rejected_rows", _query("create_rejected_rows")),
            *((table.name, create_table_sql(table)) for table in tables),
        ):
            cluster.create(self._client, self._database, name, statement)
        for table in tables:
            self._add_columns(table)

    def _add_columns(self, table: Table) -> None:
        parameters = {"database": self._database, "table": table.name}
        present = {row[0] for row in self._client.query(_query("columns"), parameters).result_rows}
        for column, kind in table.column_types().items():
            if column not in present:
                self._client.command(
                    cluster.ddl(
                        f"alter table {self._qualified(table.name)} $on_cluster "
                        f"add column if not exists {quote_identifier(column)} {kind}"
                    )
                )

    def has(self, table: Table, content_hash: str) -> bool:
        """Tell whether a file with this content was loaded into the table."""
        return self._finds_load("is_loaded", {"table": table.name, "content_hash": content_hash})

    def has_size(self, table: Table, size: int) -> bool:
        """Tell whether a file of so many bytes was; if not, its content need not be hashed."""
        return self._finds_load("is_size_loaded", {"table": table.name, "size": size})

    def columns_of_last_load(self, table: Table) -> tuple[str, ...]:
        """Return the header of the file that was loaded last into a table; empty for none."""
        parameters = {"database": self._database, "table": table.name}
        try:
            rows = self._client.query(_query("columns_of_last_load"), parameters).result_rows
        except DatabaseError as error:
            if is_missing(error):
                return ()
            raise
        return tuple(rows[0][0]) if rows else ()

    def time_of_next_load(self) -> datetime:
        """Return the time that the rows of the next load bear: now, and later than any load before.

        Of two versions of a row of which the export does not say which is newer, the one loaded
        later counts, also when the clock was set back in between.
        """
        parameters = {"database": self._database}
        [(last,)] = self._client.query(_query("last_load"), parameters).result_rows
        return max(utc_now(), last.replace(tzinfo=timezone.utc) + timedelta(milliseconds=1))

    def _finds_load(self, query: str, parameters: dict[str, Any]) -> bool:
        parameters = parameters | {"database": self._database}
        try:
            return bool(self._client.query(_query(query), parameters).result_rows)
        except DatabaseError as error:
            if is_missing(error):
                return False
            raise

    def load(
        self, file: CheckedFile, limits: Limits, advance: Callable[[int], None] = lambda _: None
    ) -> Loaded:
        """Load a file, all of it or nothing.

        Args:
            file: The file, after `export_check.check`.
            limits: When to refuse it.
            advance: Called with the number of bytes read since the call before.

        Raises:
            ExportRefusedError: The file has too many bad rows, or was changed meanwhile.
            LoadInterruptedError: Another load has removed rows of this one.
        """
        if self.has(file.table, file.content_hash):
            advance(file.size)
            return Loaded()
        self.remove_unfinished_loads(file.table)
        try:
            return _Load(self, self._client, self._database, file).run(limits, advance)
        except ExportRefusedError:
            self.remove_unfinished_loads(file.table)
            raise

    def remove_unfinished_loads(self, table: Table) -> None:
        """Delete rows of loads that did not finish."""
        parameters = {"database": self._database, "table": table.name}
        for kind in ("rows", "rejected_rows"):
            found = self._client.query(_query(f"{kind}_without_load"), parameters)
            count, load_ids = found.result_rows[0]
            if count:
                logger.info(
                    "%s: removing %s %s of a load that did not finish",
                    table.name,
                    f"{count:,}",
                    kind.replace("_", " "),
                )
                self._client.command(
                    _query(f"delete_{kind}_without_load"), parameters | {"load_ids": load_ids}
                )

    def _qualified(self, table: str) -> str:
        return f"{quote_identifier(self._database)}.{quote_identifier(table)}"


class _Load:
    """One load of one file."""

    def __init__(self, landing: Landing, client: Client, database: str, file: CheckedFile) -> None:
        self._landing = landing
        self._client = client
        self._database = database
        self._file = file
        self._load_id = str(uuid4())
        self._loaded_at = landing.time_of_next_load()
        self._began = time.monotonic()
        self._blocks = 0

    def run(self, limits: Limits, advance: Callable[[int], None]) -> Loaded:
        tally = Tally()
        done = 0
        for block in _ahead(iter(ExportReader(self._file))):
            tally.add(block, self._file.table.keys)
            self._insert_rows(block)
            self._insert_rejected(block.rejected)
            advance(block.end - done)
            done = block.end
        tally.refuse(self._file, limits)
        tally.warn(self._file)
        if self._landing.has(self._file.table, self._file.content_hash):
            raise LoadInterruptedError(
                f"{self._file.path} was loaded by another run at the same time. Run again."
            )
        self._refuse_missing_rows(tally.rows)
        self._commit(tally)
        return Loaded(tally.rows, tally.rejected, is_new=True)

    def _insert_rows(self, block: Block) -> None:
        rows = len(block.lines)
        if not rows:
            return
        columns = dict(block.columns)
        if block.extra is not None:
            columns["_extra"] = block.extra
        columns["_load_id"] = _constant(self._load_id, rows)
        columns["_file"] = _constant(str(self._file.path), rows)
        columns["_line"] = block.lines
        columns["_loaded_at"] = pa.repeat(
            pa.scalar(self._loaded_at, pa.timestamp("ms", tz="UTC")), rows
        )
        # Columns that the file does not have get their default, which is the empty text.
        self._client.raw_insert(
            f"{quote_identifier(self._database)}.{quote_identifier(self._file.table.name)}",
            column_names=list(columns),
            insert_block=_arrow_stream(columns),
            settings=self._settings("rows"),
            fmt="ArrowStream",
        )

    def _insert_rejected(self, rejected: list[RejectedRow]) -> None:
        if not rejected:
            return
        origin = (self._load_id, self._file.table.name, str(self._file.path))
        self._client.insert(
            "rejected_rows",
            [(*origin, *row, self._loaded_at) for row in rejected],
            column_names=list(REJECTED_COLUMNS),
            column_type_names=list(REJECTED_COLUMNS.values()),
            database=self._database,
            settings=self._settings("rejected rows"),
        )

    def _settings(self, kind: str) -> dict[str, Any]:
        """Each insert is one block that is taken once, also when the client sends it again."""
        self._blocks += 1
        return insert_settings([f"{self._load_id} {kind} {self._blocks}"])

    def _refuse_missing_rows(self, expected: int) -> None:
        """A load of the same table that began meanwhile takes our rows for left behind."""
        parameters = {
            "database": self._database,
            "table": self._file.table.name,
            "loaded_at": self._loaded_at,
            "load_id": self._load_id,
        }
        found = _count(self._client, "count_rows_of_load", parameters)
        if found != expected:
            raise LoadInterruptedError(
                f"{self._file.path}: {expected:,} rows were written to {self._file.table.name}, "
                f"but {found:,} are there: another load of the table ran at the same time. "
                "Nothing was loaded. Run again."
            )

    def _commit(self, tally: Tally) -> None:
        # Not by the clock, which may have been set: rows are looked for from a day before this.
        lasted = timedelta(seconds=time.monotonic() - self._began)
        row = (
            self._load_id,
            self._file.table.name,
            str(self._file.path),
            self._file.content_hash,
            self._file.size,
            tally.rows,
            tally.rejected,
            list(self._file.header.names),
            self._loaded_at + lasted,
        )
        self._client.insert(
            "loads",
            [row],
            column_names=list(LOADS_COLUMNS),
            column_type_names=list(LOADS_COLUMNS.values()),
            database=self._database,
            settings=self._settings("commit"),
        )


def _ahead(blocks: Iterator[Block]) -> Iterator[Block]:
    """Give blocks, and read the next one while ClickHouse takes the one before."""
    with ThreadPoolExecutor(max_workers=1) as reader:
        coming = reader.submit(next, blocks, None)
        while block := coming.result():
            coming = reader.submit(next, blocks, None)
            yield block


def create_table_sql(table: Table) -> str:
    """Return the statement that creates a landing table, for `cluster.create`."""
    columns = ",\n".join(
        f"    {quote_identifier(name)} {kind}" for name, kind in table.column_types().items()
    )
    return (
        "create table if not exists {database:Identifier}.{table:Identifier} $on_cluster\n"
        f"(\n{columns}\n)\nengine = ${{replicated}}MergeTree\n"
        f"order by (_loaded_at, {table.keys[0]})\nsettings ${{deduplication_window}} = 1000"
    )


@cache
def _queries() -> dict[str, str]:
    return queries.parse((files("luigi_tasks.landing") / "landing.sql").read_text(encoding="utf-8"))


def _query(name: str) -> str:
    return _queries()[name]


def _count(client: Client, name: str, parameters: dict[str, Any]) -> int:
    return int(client.query(_query(name), parameters).result_rows[0][0])


def _arrow_stream(columns: dict[str, Any]) -> bytes:
    """Return the columns as bytes: the client sends nothing else again on a closed connection."""
    batch = pa.RecordBatch.from_pydict(columns)
    sink = BytesIO()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue()


def _constant(value: str, rows: int) -> Any:
    """A column that has the same text in every row, at four bytes a row."""
    return pa.DictionaryArray.from_arrays(
        pa.repeat(pa.scalar(0, pa.int32()), rows), pa.repeat(value, 1)
    )
