"""An outbox of hand-made messages for the tests of the sender."""

import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from luigi_tasks.delivery import outbox as reader
from luigi_tasks.delivery import sender
from luigi_tasks.delivery.ledger import Ledger
from luigi_tasks.runs.lease import Lease
from tests.conftest import ClickHouseServer, SegmentServer

EVENTS = Path(__file__).with_name("events.sql")
VIEW = Path(__file__).with_name("outbox_view.sql")
DELIVERY_TABLES = (
    "segment_delivery_ledger",
    "segment_delivery_attempts",
    "segment_delivery_purges",
    "segment_outbox_watermarks",
)
OLD = timedelta(hours=2)
SLOT = datetime(2026, 1, 31, 10, 15)
Send = Callable[..., sender.Counts]

EVENT_COLUMNS = (
    *("message_id", "call", "event", "user_id", "anonymous_id", "entity", "entity_id"),
    *("occurred_at", "message", "message_bytes", "payload_hash", "enqueued_at"),
    "dbt_invocation_id",
)


@dataclass(frozen=True)
class Outbox:
    """The tables of a test, in a database of its own."""

    client: Client
    database: str

    def create(self, template: str) -> None:
        """Make the database, its delivery tables like those of `template`, and the outbox."""
        self.client.command(f"create database {self.database}")
        for name in DELIVERY_TABLES:
            self.client.command(f"create table {self.database}.{name} as {template}.{name}")
        views = [VIEW.read_text().replace("{call}", call) for call in ("identify", "track")]
        for statement in [*EVENTS.read_text().split(";\n"), *views]:
            if statement.strip():
                self.client.command(statement.replace("{database}", self.database))

    def enqueue(self, call: str, messages: Sequence[dict[str, Any] | str]) -> list[str]:
        """Put messages into the outbox, two hours ago.

        Args:
            call: identify or track.
            messages: Messages without messageId and type, or a text to be stored as it is.

        Returns:
            The ids of the messages, as Segment sees them.
        """
        start = datetime.now(timezone.utc) - OLD
        rows = []
        for number, content in enumerate(messages):
            message_id = uuid.uuid4()
            if isinstance(content, str):
                text, message = content.replace("ID", message_id.hex), {}
            else:
                message = {"messageId": message_id.hex, "type": call, **content}
                text = json.dumps(message)
            user = str(message.get("userId", ""))
            event = str(message.get("event", ""))
            at = start + timedelta(microseconds=number)
            entity = "customer" if call == "identify" else "order"
            guest = str(message.get("anonymousId", ""))
            row = (message_id, call, event, user, guest, entity, f"{number}", at, text, len(text))
            rows.append((*row, "hash", at, "build-1"))
        self.client.insert(
            f"segment_{call}_events", rows, column_names=EVENT_COLUMNS, database=self.database
        )
        return [row[0].hex for row in rows]

    def rows(self, sql: str) -> list[Any]:
        """Run a query in which {db} stands for the test's database."""
        return list(self.client.query(sql.replace("{db}", self.database)).result_rows)

    def pending(self, call: str) -> int:
        """How many messages are still to be sent."""
        [(count,)] = self.rows(f"select count() from {self.database}.segment_{call}_outbox")
        return int(count)

    def ledger(self) -> dict[str, tuple[str, str, int, int]]:
        """Message id: (status, reason code, http status, attempt); fails on a second row."""
        rows = self.rows(
            "select message_id, status, reason_code, http_status, attempt "
            "from {db}.segment_delivery_ledger"
        )
        found = {message_id.hex: tuple(rest) for message_id, *rest in rows}
        assert len(found) == len(rows), "a message was recorded twice"
        return found

    def attempts(self) -> list[tuple[str, str, int, int]]:
        """(outcome, reason code, http status, messages) of every request, in order."""
        return self.rows(
            "select outcome, reason_code, http_status, messages "
            "from {db}.segment_delivery_attempts order by started_at, duration_ms"
        )


def customers(count: int) -> list[dict[str, Any]]:
    """Identify messages."""
    return [
        {"userId": str(5000 + number), "traits": {"name": f"Customer {number}", "spend": 12.5}}
        for number in range(count)
    ]


def orders(count: int) -> list[dict[str, Any]]:
    """Track messages."""
    return [
        {
            "userId": str(5000 + number),
            "event": "Order Completed" if number % 3 else "Order Refunded",
            "properties": {"order_id": str(7000 + number), "total": 99.95},
        }
        for number in range(count)
    ]


@pytest.fixture
def outbox(
    delivery_tables: str,
    clickhouse_server: ClickHouseServer,
    project_env: dict[str, str],
    segment_server: SegmentServer,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Outbox]:
    """Empty tables, an empty Segment, and an environment that points at both."""
    for name, value in project_env.items():
        monkeypatch.setenv(name, value)
    segment_server.reset()
    client = clickhouse_server.connect(autogenerate_session_id=False, tz_mode="aware")
    tables = Outbox(client, project_env["CLICKHOUSE_DATABASE"])
    tables.create(delivery_tables)
    yield tables
    client.command(f"drop database {tables.database}")
    client.close()
    segment_server.reset()


@pytest.fixture
def waits() -> list[float]:
    """The seconds that the sender would have waited."""
    return []


@pytest.fixture
def send(outbox: Outbox, waits: list[float]) -> Send:
    """Sends what an outbox shows, without really waiting."""

    def run(call: str = "track", **options: Any) -> sender.Counts:
        with Lease() as lease, Ledger(uuid.uuid4(), SLOT, call) as ledger:
            key = "sandbox-write-key"
            delivery = sender.Delivery(call, key, ledger, lease, sleep=waits.append, **options)
            return delivery.drain(reader.cut(call))

    return run
