"""Rows that go on arriving, as other programs write them while a build works."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone

from clickhouse_connect.driver.client import Client

from luigi_tasks.landing.tables import LOADS_COLUMNS
from tests.integration.hostile_rows import Row

SECONDS_BETWEEN = 0.5

SALE: Row = {
    "DOC_NO": "1",
    "STATUS": "4",
    "SBS_NO": "7",
    "CURRENCY_NAME": "US DOLLARS",
    "INVC_POST_DATE": "2026-02-01T10:00:00Z",
}
LINE: Row = {"ITEM_TYPE": "1", "QTY": "1", "PRICE": "5", "ALU": "A1"}


@dataclass
class Arriving:
    """Commits a sale whenever it is asked to: as a load, and as a pipeline that has no loads does.

    A return that has no sums of its own gets one more line each time.

    Attributes:
        client: A client that nobody else uses.
        database: Where the tables are.
        tables: Names of the tables of documents and of their lines.
        origin: Columns of a row besides those of the export.
        due: SIDs of the sales that have come.
    """

    client: Client
    database: str
    tables: tuple[str, str] = ("document", "document_item")
    origin: tuple[str, ...] = ("_load_id", "_file", "_line", "_loaded_at")
    due: list[str] = field(default_factory=list)

    def commit_load(self) -> None:
        """A sale in two loads, as LoadExport commits them."""
        sid = self._next("1")
        for table, row in zip(self.tables, self._sale(sid), strict=True):
            load_id, now = f"{table}-{sid}", datetime.now(timezone.utc)
            self._insert(table, row, {"_load_id": load_id, "_file": table, "_line": 2}, now)
            load = {"load_id": load_id, "table_name": table, "file": table, "rows": 1}
            load |= {"content_hash": load_id, "bytes": 0, "rejected_rows": 0, "columns": []}
            load |= {"loaded_at": datetime.now(timezone.utc)}
            self.client.insert(
                "loads",
                [[load[name] for name in LOADS_COLUMNS]],
                column_names=list(LOADS_COLUMNS),
                database=self.database,
            )
        self.due.append(sid)

    def insert_row(self) -> None:
        """A sale without a load, and a line of the return."""
        sid = self._next("2")
        for table, row in zip(self.tables, self._sale(sid), strict=True):
            self._insert(table, row, {"_load_id": "", "_file": "", "_line": 0})
        self.due.append(sid)
        returned = LINE | {"SID": f"{sid}9", "DOC_SID": "3", "ITEM_TYPE": "2"}
        self._insert(self.tables[1], returned, {"_load_id": "", "_file": "", "_line": 0})

    def begin(self) -> None:
        """The return, with its first line."""
        document = SALE | {"SID": "3", "RETURN_QTY": "1", "HAS_RETURN": "1"}
        self._insert(self.tables[0], document, {"_load_id": "", "_file": "", "_line": 0})
        self.insert_row()

    def _next(self, kind: str) -> str:
        return f"{kind}{len(self.due) + 1:06d}"

    def _sale(self, sid: str) -> tuple[Row, Row]:
        sums = {"SOLD_QTY": "1", "SALE_SUBTOTAL": "5", "SALE_TOTAL_AMT": "5"}
        return SALE | sums | {"SID": sid}, LINE | {"SID": f"{sid}1", "DOC_SID": sid}

    def _insert(
        self, table: str, row: Row, origin: dict[str, object], at: datetime | None = None
    ) -> None:
        values = row | origin | {"_loaded_at": at or datetime.now(timezone.utc)}
        names = [name for name in values if name in row or name in self.origin]
        self.client.insert(
            table, [[values[name] for name in names]], column_names=names, database=self.database
        )


@contextmanager
def while_it_arrives(*steps: Callable[[], None]) -> Iterator[None]:
    """Take the steps every half second until the end of the block, in a thread of its own.

    Raises:
        AssertionError: A step failed.
    """
    ended = threading.Event()
    failures: list[Exception] = []

    def go_on() -> None:
        while not ended.is_set():
            try:
                for step in steps:
                    step()
            except Exception as error:
                failures.append(error)
                return
            ended.wait(SECONDS_BETWEEN)

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    assert not failures, failures
