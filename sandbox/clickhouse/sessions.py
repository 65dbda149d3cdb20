"""Sessions: temporary tables, SET and USE that outlive one request.

Most clients name a session and never keep anything in it. A session therefore gets a connection
of its own only with its first statement that leaves something behind.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from sandbox.clickhouse.engine import Connection
from sandbox.clickhouse.errors import SESSION_IS_LOCKED, SESSION_NOT_FOUND, ClickHouseError
from sandbox.clickhouse.request import SessionRequest


@dataclass
class Session:
    """State of one session; ``connection`` is None as long as there is nothing to keep."""

    connection: Connection | None = None
    is_busy: bool = False
    ends_at: float = 0.0


class Sessions:
    """All sessions of the server. Used from the event loop's thread only."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._sessions: dict[tuple[str, str], Session] = {}

    def acquire(self, user: str, wanted: SessionRequest) -> Session:
        """Take a session for one request, and make it when it is new.

        Raises:
            ClickHouseError: Another request is using it (code 373), or it must exist and does
                not (code 372).
        """
        self._end_expired()
        session = self._sessions.get((user, wanted.id))
        if session is None:
            if wanted.must_exist:
                raise ClickHouseError.of(
                    SESSION_NOT_FOUND, f"Session {wanted.id} not found or expired"
                )
            session = self._sessions[(user, wanted.id)] = Session()
        if session.is_busy:
            raise ClickHouseError.of(
                SESSION_IS_LOCKED, f"Session {wanted.id} is locked by a concurrent client"
            )
        session.is_busy = True
        return session

    def release(self, user: str, wanted: SessionRequest) -> None:
        """Give a session back; it ends after its timeout, or now when the request says so."""
        session = self._sessions[(user, wanted.id)]
        session.is_busy = False
        session.ends_at = self._clock() + wanted.timeout
        if wanted.close:
            self._end((user, wanted.id))

    def close(self) -> None:
        """End all sessions."""
        for key in list(self._sessions):
            self._end(key)

    def _end_expired(self) -> None:
        now = self._clock()
        for key, session in list(self._sessions.items()):
            if not session.is_busy and session.ends_at <= now:
                self._end(key)

    def _end(self, key: tuple[str, str]) -> None:
        session = self._sessions.pop(key)
        if session.connection is not None:
            session.connection.close()
