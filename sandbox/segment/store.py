"""Everything that arrived, kept in SQLite."""

import sqlite3
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from sandbox import private

_SCHEMA = """
create table if not exists requests (
    id integer primary key autoincrement,
    received_at text not null,
    endpoint text not null,
    status integer not null,
    auth text not null,
    body_bytes integer not null,
    messages integer not null,
    code text,
    detail text,
    sent_at text,
    fault text
);
create table if not exists messages (
    seq integer primary key autoincrement,
    request_id integer not null references requests (id),
    received_at text not null,
    state text not null,
    code text,
    type text,
    event text,
    user_id text,
    anonymous_id text,
    message_id text not null,
    raw text not null
);
drop index if exists accepted_message_id;  -- of a version in which dedupe had no end
create index if not exists messages_by_message_id on messages (message_id);
create index if not exists messages_by_user_id on messages (user_id);
-- Running totals, so that the live page costs the same at any number of messages.
create table if not exists totals (
    state text not null,
    code text not null,
    type text not null,
    event text not null,
    messages integer not null,
    primary key (state, code, type, event)
) without rowid;
"""

_FILTERS = {
    "seq": "m.seq = ?",
    "state": "m.state = ?",
    "code": "m.code = ?",
    "type": "m.type = ?",
    "event": "m.event = ?",
    "userId": "m.user_id = ?",
    "anonymousId": "m.anonymous_id = ?",
    "messageId": "m.message_id = ?",
    "requestId": "m.request_id = ?",
}
SEARCH_FILTER = "q"
FILTER_NAMES = (*_FILTERS, SEARCH_FILTER)

_SEARCH = (
    "instr(lower(ifnull(m.event, '') || char(10) || ifnull(m.user_id, '') || char(10)"
    " || ifnull(m.anonymous_id, '') || char(10) || m.message_id || char(10) || m.raw),"
    " lower(?)) > 0"
)


class State(str, Enum):
    """What became of a message."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    DROPPED = "dropped"


@dataclass(frozen=True)
class Message:
    """A message as it arrived. ``code`` says why it is dropped, None that it is not."""

    raw: str
    type: str | None
    event: str | None
    user_id: str | None
    anonymous_id: str | None
    message_id: str
    code: str | None


@dataclass(frozen=True)
class Request:
    """A tracking request and its answer. It holds no write key, only how the key was sent."""

    received_at: str
    endpoint: str
    status: int
    auth: str
    body_bytes: int
    code: str | None = None
    detail: str | None = None
    sent_at: str | None = None
    fault: str | None = None


class Store:
    """The messages and requests under one directory.

    A request and its messages become durable together: `add` returns after SQLite has synced them
    to the disk. Safe to use from several threads.
    """

    def __init__(self, directory: Path) -> None:
        private.make_directory(directory)
        self._path = directory / "segment.sqlite"
        self._lock = threading.Lock()
        self._db = self._connect()
        self._db.executescript(_SCHEMA)

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
        db.row_factory = sqlite3.Row
        db.execute("pragma journal_mode = wal")
        db.execute("pragma synchronous = full")
        return db

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._db.close()

    def add(
        self, request: Request, messages: Iterable[Message], remembered_since: str
    ) -> Counter[State]:
        """Stores a request with its messages and decides which are duplicates.

        Args:
            request: The request.
            messages: Its messages.
            remembered_since: The beginning of the dedupe window. A messageId that was accepted
                after it, from whatever source, is not accepted again.

        Returns:
            How many messages ended in each state.
        """
        states: Counter[State] = Counter()
        with self._transaction() as db:
            batch = list(messages)
            request_id = _insert_request(db, request, len(batch))
            totals: Counter[tuple[str, str, str, str]] = Counter()
            for message in batch:
                state = _insert_message(
                    db, request_id, request.received_at, message, remembered_since
                )
                states[state] += 1
                key = (state.value, message.code or "", message.type or "", message.event or "")
                totals[key] += 1
            db.executemany(
                "insert into totals values (?, ?, ?, ?, ?)"
                " on conflict do update set messages = messages + excluded.messages",
                [(*key, count) for key, count in totals.items()],
            )
        return states

    def clear(self) -> None:
        """Forgets everything that arrived."""
        with self._transaction() as db:
            for table in ("messages", "requests", "totals"):
                db.execute(f"delete from {table}")

    def stats(self) -> dict[str, Any]:
        """Counts by state, by reason, and of the accepted messages by type and event.

        A failed request is one that was not answered with a 2xx; status 0 is a reset connection.
        """
        with self._reader() as db:
            rows = db.execute("select * from totals").fetchall()
            asked = db.execute("select count(*) from requests").fetchone()[0]
            failures = db.execute(
                "select status, detail, count(*) as requests from requests"
                " where status not between 200 and 299 group by status, detail order by 3 desc"
            ).fetchall()
            last = db.execute("select ifnull(max(seq), 0) from messages").fetchone()[0]
        states = _sum(rows, "state")
        accepted = [row for row in rows if row["state"] == State.ACCEPTED.value]
        dropped = [row for row in rows if row["state"] == State.DROPPED.value]
        return {
            "received": sum(states.values()),
            "unique": states[State.ACCEPTED.value],
            "duplicates": states[State.DUPLICATE.value],
            "dropped": states[State.DROPPED.value],
            "by_type": _sum(accepted, "type"),
            "by_event": _sum([row for row in accepted if row["event"]], "event"),
            "by_code": _sum(dropped, "code"),
            "requests": asked,
            "failed_requests": sum(row["requests"] for row in failures),
            "failures": [dict(row) for row in failures],
            "last_seq": last,
        }

    def messages(
        self, filters: dict[str, str], limit: int, offset: int, newest_first: bool
    ) -> tuple[int, list[dict[str, Any]]]:
        """Finds messages.

        Args:
            filters: Wanted values by name; the names are `FILTER_NAMES`. ``q`` finds a text in an
                id, the event name or the message, whatever the case.
            limit: At most this many.
            offset: After skipping this many.
            newest_first: The latest arrival first; else in the order of arrival.

        Returns:
            How many there are in all, and the wanted part of them, each with its request.
        """
        where, values = _where(filters)
        order = "desc" if newest_first else "asc"
        with self._reader() as db:
            total = db.execute(f"select count(*) from messages m{where}", values).fetchone()[0]
            rows = db.execute(
                "select m.*, r.endpoint, r.status, r.auth, r.body_bytes, r.sent_at,"
                " r.messages as request_messages, r.code as request_code, r.fault"
                f" from messages m join requests r on r.id = m.request_id{where}"
                f" order by m.seq {order} limit ? offset ?",
                (*values, limit, offset),
            ).fetchall()
        return total, [dict(row) for row in rows]

    def requests(self, limit: int, offset: int) -> tuple[int, list[dict[str, Any]]]:
        """The tracking requests, the latest first: how many in all, and the wanted part."""
        with self._reader() as db:
            total = db.execute("select count(*) from requests").fetchone()[0]
            rows = db.execute(
                "select * from requests order by id desc limit ? offset ?", (limit, offset)
            ).fetchall()
        return total, [dict(row) for row in rows]

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._db.execute("begin immediate")
            try:
                yield self._db
            except BaseException:
                self._db.execute("rollback")
                raise
            self._db.execute("commit")

    @contextmanager
    def _reader(self) -> Iterator[sqlite3.Connection]:
        """A connection of its own: a long search must not hold up the arrivals."""
        db = self._connect()
        try:
            db.execute("begin")
            yield db
        finally:
            db.close()


def _insert_request(db: sqlite3.Connection, request: Request, messages: int) -> int:
    cursor = db.execute(
        "insert into requests (received_at, endpoint, status, auth, body_bytes, messages, code,"
        " detail, sent_at, fault) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            request.received_at,
            request.endpoint,
            request.status,
            request.auth,
            request.body_bytes,
            messages,
            request.code,
            request.detail,
            request.sent_at,
            request.fault,
        ),
    )
    return int(cursor.lastrowid or 0)


def _insert_message(
    db: sqlite3.Connection,
    request_id: int,
    received_at: str,
    message: Message,
    remembered_since: str,
) -> State:
    state = State.DROPPED if message.code else State.ACCEPTED
    if state is State.ACCEPTED:
        known = db.execute(
            "select 1 from messages where message_id = ? and state = 'accepted'"
            " and received_at > ?",
            (message.message_id, remembered_since),
        ).fetchone()
        state = State.DUPLICATE if known else State.ACCEPTED
    db.execute(
        "insert into messages (request_id, received_at, state, code, type, event, user_id,"
        " anonymous_id, message_id, raw) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            request_id,
            received_at,
            state.value,
            message.code,
            message.type,
            message.event,
            message.user_id,
            message.anonymous_id,
            message.message_id,
            message.raw,
        ),
    )
    return state


def _where(filters: dict[str, str]) -> tuple[str, list[str]]:
    conditions = [_FILTERS.get(name, _SEARCH) for name in filters]
    clause = f" where {' and '.join(conditions)}" if conditions else ""
    return clause, list(filters.values())


def _sum(rows: Iterable[sqlite3.Row], column: str) -> Counter[str]:
    counts: Counter[str] = Counter()
    for row in rows:
        counts[row[column]] += row["messages"]
    return counts
