"""Sessions: one request at a time, and an end."""

import pytest

from sandbox.clickhouse.errors import ClickHouseError
from sandbox.clickhouse.request import SessionRequest
from sandbox.clickhouse.sessions import Sessions

NEW = SessionRequest("s", timeout=10, must_exist=False, close=False)
OLD = SessionRequest("s", timeout=10, must_exist=True, close=False)
LAST = SessionRequest("s", timeout=10, must_exist=True, close=True)


class FakeConnection:
    """Remembers that it was closed."""

    closed = False

    def close(self) -> None:
        """As a connection's."""
        self.closed = True


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        """The time."""
        return self.now


def test_a_session_keeps_its_connection_until_its_timeout():
    clock = Clock()
    sessions = Sessions(clock)
    connection = FakeConnection()
    sessions.acquire("u", NEW).connection = connection
    sessions.release("u", NEW)
    clock.now = 9.9
    assert sessions.acquire("u", OLD).connection is connection
    sessions.release("u", OLD)
    clock.now = 19.8  # the rest counts from the last request
    sessions.acquire("u", OLD)
    sessions.release("u", OLD)
    clock.now = 29.8
    with pytest.raises(ClickHouseError) as caught:
        sessions.acquire("u", OLD)
    assert caught.value.code == 372
    assert connection.closed


def test_a_busy_session_is_locked_and_does_not_expire():
    clock = Clock()
    sessions = Sessions(clock)
    sessions.acquire("u", NEW)
    clock.now = 1_000
    with pytest.raises(ClickHouseError) as caught:
        sessions.acquire("u", NEW)
    assert caught.value.code == 373
    sessions.release("u", NEW)
    sessions.acquire("u", OLD)


def test_sessions_of_two_users_are_two():
    sessions = Sessions()
    assert sessions.acquire("u", NEW) is not sessions.acquire("v", NEW)


def test_close_session():
    sessions = Sessions()
    connection = FakeConnection()
    sessions.acquire("u", NEW).connection = connection
    sessions.release("u", NEW)
    sessions.acquire("u", LAST)
    sessions.release("u", LAST)
    assert connection.closed
    with pytest.raises(ClickHouseError):
        sessions.acquire("u", OLD)
