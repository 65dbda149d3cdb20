"""A small shop under attack: an outbox, both sandboxes, and the sender between them.

The world says what is due, and reads what became of it from three sides: the ledger and the outbox
in ClickHouse, and what arrived, from the file in which the Segment sandbox keeps it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import httpx
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from tests.chaos.faults import (
    POISON_STATUSES,
    REQUEST_SECONDS,
    SEGMENT_TIMEOUT_SECONDS,
    STUCK,
    Step,
)
from tests.chaos.gate import Gate
from tests.conftest import ClickHouseServer, SegmentServer
from tests.integration.delivery import EVENT_COLUMNS, Outbox
from tests.processes import sandbox_server

CALLS = ("identify", "track")
FIRST_SLOT = datetime(2026, 1, 1)
BATCH_MESSAGES = 5
LEDGER_ROWS = 20
CONNECTIONS = 3
MOST_HELD = LEDGER_ROWS + CONNECTIONS * BATCH_MESSAGES
"""Messages whose result a run holds at most: those to be written, and the batches on their way."""

SHARE_OF_STUCK = 0.02

SETTINGS = f"""
[core]
log_level = INFO
[segment]
timeout_seconds = {SEGMENT_TIMEOUT_SECONDS}
connect_timeout_seconds = {SEGMENT_TIMEOUT_SECONDS}
request_seconds = {REQUEST_SECONDS}
batch_messages = {BATCH_MESSAGES}
[delivery]
events_per_second = 0
page_messages = 20
retry_first_wait_seconds = 0.02
retry_longest_wait_seconds = 0.1
retry_budget_seconds = 10
ledger_seconds = 0.05
ledger_rows = {LEDGER_ROWS}
[lease]
seconds = 5
wait_seconds = 20
[brake]
smallest_stop = 1000000000
"""
"""Small pages and short waits, so that there is much to interrupt; nothing is switched off."""


@dataclass(frozen=True)
class Due:
    """A message that is due.

    Attributes:
        message_id: Its id, as Segment sees it.
        call: identify or track.
        user: Its user.
        text: Its JSON.
        reason: Why it is to be rejected; empty when it is to be accepted.
    """

    message_id: str
    call: str
    user: str
    text: str
    reason: str = ""


@dataclass
class Arrived:
    """A message as the sandbox stored it."""

    message_id: str
    state: str
    raw: str
    request_id: int


@dataclass
class World:
    """What the tests look at and change. `due` is in the order of the outbox."""

    outbox: Outbox
    segment: SegmentServer
    store: Path
    segment_gate: Gate
    clickhouse_gate: Gate
    env: dict[str, str]
    log: Path
    clock: Path
    due: dict[str, Due] = field(default_factory=dict)
    slots: int = 0

    def enqueue(self, random: Random, users: int, tracks: int, poison: int) -> None:
        """Put a cut into the outbox: an identify per user, then track events at random.

        Args:
            random: Makes everything, ids too.
            users: How many customers, each with an identify.
            tracks: How many events, each of one of the customers.
            poison: How many of all are such that they must end as rejected.
        """
        names = [f"{random.getrandbits(60)}" for _ in range(users)]
        plain = [("identify", name) for name in names]
        plain += [("track", random.choice(names)) for _ in range(tracks)]
        bad = set(random.sample(range(len(plain)), poison))
        made = [
            _message(random, call, user, poisoned=number in bad)
            for number, (call, user) in enumerate(plain)
        ]
        self.due |= {message.message_id: message for message in made}
        for call in CALLS:
            self._insert(call, [message for message in made if message.call == call])

    def _insert(self, call: str, messages: Sequence[Due]) -> None:
        now = self._outbox_end(call)
        rows = []
        for number, message in enumerate(messages):
            at = now + timedelta(microseconds=number + 1)
            entity = "customer" if call == "identify" else "order"
            event = "Order Completed" if call == "track" else ""
            size = len(message.text.encode())
            rows.append(
                (
                    *(UUID(message.message_id), call, event, message.user, "", entity),
                    *(message.message_id[:12], at, message.text, size, "hash", at, "build"),
                )
            )
        self.outbox.client.insert(
            f"segment_{call}_events",
            rows,
            column_names=EVENT_COLUMNS,
            database=self.outbox.database,
        )

    def _outbox_end(self, call: str) -> datetime:
        """The end of the outbox, as the macro outbox_end has it, by the clock as it is set."""
        ahead = round(self.clickhouse_gate.clock_ahead)
        [(end,)] = self.outbox.rows(
            f"select greatest(now64(6, 'UTC') + toIntervalSecond({ahead}),"
            " (select max(settled_until) from {db}.segment_outbox_watermarks"
            f" where call = '{call}'),"
            f" (select max(enqueued_at) from {{db}}.segment_{call}_events))"
        )
        assert isinstance(end, datetime)
        return end

    def set_clocks(self, step: Step) -> None:
        """Set the clocks by so much from the right time; a run that is under way has them too."""
        self.clickhouse_gate.clock_ahead = step.clickhouse
        # In one go: a run may read it at any time.
        new = self.clock.with_suffix(".new")
        new.write_text(f"{step.machine}")
        new.replace(self.clock)
        self.api("PATCH", "settings", json={"clock_offset_s": step.segment})

    def enqueue_many(self, tracks: int) -> None:
        """Put so many track events into the outbox, by SQL; they are not noted as due."""
        self.outbox.client.command(
            f"""
            insert into {self.outbox.database}.segment_track_events
                ({", ".join(EVENT_COLUMNS)})
            with
                generateUUIDv4(number) as message_id,
                concat(
                    '{{"messageId":"', lower(replaceAll(toString(message_id), '-', '')),
                    '","type":"track","event":"Order Completed","userId":"', toString(number),
                    '","properties":{{"order_id":"', toString(number), '","note":"',
                    repeat('x', 800), '"}}}}'
                ) as message
            select
                message_id, 'track', 'Order Completed', toString(number), '', 'order',
                toString(number), now64(3, 'UTC'), message, length(message), 'hash',
                now64(6, 'UTC') - toIntervalHour(2) + toIntervalMicrosecond(number), 'build'
            from numbers({tracks})
            """
        )

    def new_slot(self) -> str:
        """Return a slot of the past in which the outbox counts as built."""
        slot = FIRST_SLOT + timedelta(minutes=15 * self.slots)
        self.slots += 1
        self.outbox.client.insert(
            "luigi_markers",
            [[f"BuildOutbox/{slot:%Y-%m-%dT%H%M}", "BuildOutbox", "{}", 0, datetime.now()]],
            column_names=["task_id", "task_family", "params", "rows", "completed_at"],
            database=self.outbox.database,
        )
        return f"{slot:%Y-%m-%dT%H%M}"

    def ledger(self) -> list[tuple[str, str, str]]:
        """(message id, status, reason code) of every row, as it is stored."""
        rows = self.outbox.rows(
            "select message_id, toString(status), reason_code from {db}.segment_delivery_ledger"
        )
        return [(message_id.hex, status, reason) for message_id, status, reason in rows]

    def pending(self) -> list[str]:
        """The ids that the outboxes show."""
        rows = [
            row
            for call in CALLS
            for row in self.outbox.rows(f"select message_id from {{db}}.segment_{call}_outbox")
        ]
        return [message_id.hex for (message_id,) in rows]

    def arrived(self) -> list[Arrived]:
        """Every message that Segment stored, duplicates too, in the order of arrival."""
        with sqlite3.connect(f"file:{self.store}?mode=ro", uri=True) as db:
            rows = db.execute(
                "select message_id, state, raw, request_id from messages order by seq"
            ).fetchall()
        db.close()
        return [Arrived(*row) for row in rows]

    def calm(self) -> None:
        """End everything that disturbs, but for poison; what was stuck can be sent then.

        The clocks are right again.
        """
        self.segment_gate.clear()
        self.clickhouse_gate.clear()
        self.api("DELETE", "settings")
        self.set_clocks(Step())
        self.api("POST", "faults", json={"script": poison_rules()})

    def faults_left(self) -> int:
        """How many steps of the fault script have not had their turn, or are having it."""
        return sum("match" not in step for step in self.api("GET", "faults")["script"])

    @retry(
        retry=retry_if_exception_type(httpx.TransportError),
        wait=wait_fixed(0.05),
        stop=stop_after_delay(30),
        reraise=True,
    )
    def api(self, method: str, path: str, **options: Any) -> Any:
        """Ask the sandbox; in an outage in which it refuses connections, wait for its end."""
        answer = httpx.request(method, f"{self.segment.url}/api/{path}", trust_env=False, **options)
        answer.raise_for_status()
        return answer.json()

    def requests(self) -> list[tuple[int, int, str]]:
        """(id, status, fault) of every request that Segment got, in order."""
        with sqlite3.connect(f"file:{self.store}?mode=ro", uri=True) as db:
            rows = db.execute("select id, status, ifnull(fault, '') from requests order by id")
            found = [tuple(row) for row in rows]
        db.close()
        return found


def stuck_rules() -> list[dict[str, Any]]:
    """Steps that make the sandbox fail on any batch that holds a stuck message."""
    return [{"status": 500, "match": STUCK}]


def poison_rules() -> list[dict[str, Any]]:
    """Steps that make the sandbox refuse any batch that holds a poison message."""
    return [{"status": status, "match": f"poison-{status}"} for status in POISON_STATUSES]


def _message(random: Random, call: str, user: str, *, poisoned: bool) -> Due:
    message_id = f"{random.getrandbits(128):032x}"
    body: dict[str, Any] = {"messageId": message_id, "type": call, "userId": user}
    content: dict[str, Any] = {"note": "é" * random.randrange(40), "total": random.randrange(9999)}
    reason = ""
    if not poisoned and random.random() < SHARE_OF_STUCK:
        content["note"] = STUCK
    if poisoned:
        status = random.choice((0, *POISON_STATUSES))
        if status:
            content["note"], reason = f"poison-{status}", f"http_{status}"
        else:
            body["userId"], reason = "", "user_invalid"
    if call == "track":
        body |= {"event": "Order Completed", "properties": content}
    else:
        body |= {"traits": content}
    return Due(message_id, call, user, json.dumps(body), reason)


@contextmanager
def make_world(
    clickhouse: ClickHouseServer,
    template: str,
    env: dict[str, str],
    directory: Path,
    settings: str = SETTINGS,
) -> Iterator[World]:
    """Build a world in a directory, with a Segment of its own.

    Args:
        clickhouse: The server.
        template: The database whose delivery tables are copied.
        env: The environment of the sender, less the addresses of the gates.
        directory: For all files.
        settings: What differs from the project's luigi.cfg.
    """
    settings_file = directory / "luigi.cfg"
    settings_file.write_text(settings)
    clock = directory / "clock"
    clock.write_text("0")
    client = clickhouse.connect(autogenerate_session_id=False, tz_mode="aware")
    tables = Outbox(client, env["CLICKHOUSE_DATABASE"])
    with (
        sandbox_server("sandbox.segment", directory / "segment") as (_, url),
        Gate(url).open() as segment_gate,
        Gate(clickhouse.url).open() as clickhouse_gate,
    ):
        tables.create(template)
        client.command(
            f"create table {tables.database}.luigi_markers (task_id String, task_family String,"
            " params String, rows UInt64, completed_at DateTime64(3, 'UTC'))"
            " engine = ReplacingMergeTree(completed_at) order by task_id"
            " settings non_replicated_deduplication_window = 1000"
        )
        own_env = env | {
            "SEGMENT_HOST": url,
            "CLICKHOUSE_PORT": str(clickhouse_gate.port),
            "LUIGI_CONFIG_PATH": str(settings_file),
            "CHAOS_CLOCK": str(clock),
        }
        try:
            yield World(
                tables,
                SegmentServer(url, int(url.rpartition(":")[2])),
                directory / "segment" / "segment.sqlite",
                segment_gate,
                clickhouse_gate,
                own_env,
                directory / "sender.log",
                clock,
            )
        finally:
            client.command(f"drop database {tables.database}")
            client.close()
