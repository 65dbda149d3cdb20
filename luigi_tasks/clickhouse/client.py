"""The way to ClickHouse: one client per process and thread, and inserts that may be repeated.

Luigi forks its workers when there are several, and a client must not be shared across a fork or
between threads. `connect()` therefore keeps clients by process id in thread-local storage.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, cast

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError, OperationalError
from clickhouse_connect.driver.httpclient import HttpClient
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_exponential
from urllib3 import Timeout

from luigi_tasks import config
from luigi_tasks.clickhouse import advice, cluster, session, unreachable
from luigi_tasks.errors import ClickHouseUnavailableError, ConfigurationError

logger = logging.getLogger("luigi-interface.clickhouse")

UNKNOWN_TABLE = 60
UNKNOWN_DATABASE = 81
ERRORS = (ClickHouseError, ClickHouseUnavailableError)
"""All that a statement can fail with, whether or not ClickHouse was reached."""

TRANSIENT = {
    159: "TIMEOUT_EXCEEDED",
    160: "TOO_SLOW",
    202: "TOO_MANY_SIMULTANEOUS_QUERIES",
    203: "NO_FREE_CONNECTION",
    209: "SOCKET_TIMEOUT",
    210: "NETWORK_ERROR",
    225: "NO_ZOOKEEPER",
    236: "ABORTED",
    241: "MEMORY_LIMIT_EXCEEDED",
    242: "TABLE_IS_READ_ONLY",
    252: "TOO_MANY_PARTS",
    254: "NO_ACTIVE_REPLICAS",
    279: "ALL_CONNECTION_TRIES_FAILED",
    285: "TOO_FEW_LIVE_REPLICAS",
    286: "UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE",
    289: "REPLICA_IS_NOT_IN_QUORUM",
    319: "UNKNOWN_STATUS_OF_INSERT",
    394: "QUERY_WAS_CANCELLED",
    425: "SYSTEM_ERROR",
    439: "CANNOT_SCHEDULE_TASK",
    473: "DEADLOCK_AVOIDED",
    499: "S3_ERROR",
    692: "TOO_MANY_MUTATIONS",
    700: "USER_SESSION_LIMIT_EXCEEDED",
    733: "TABLE_IS_BEING_RESTARTED",
    745: "SERVER_OVERLOADED",
    999: "KEEPER_EXCEPTION",
}
"""The server answered, but could not just then: too slow, too busy, out of memory, shutting down,
read-only, too many parts, no quorum, a replica that is behind, Keeper or the object store away. The
same statement may succeed a little later with nothing changed."""

QUICK_SECONDS = 30.0
"""What is small is answered in this time, or not at all: a row that is read, a block of results."""

TOLD_AFTER_SECONDS = 10.0
"""Seconds after which the log mentions a wait for an answer, and between such lines."""

CONNECT_SECONDS = 10.0
"""A connection comes about in this time, or not at all."""

_local = threading.local()


def connect() -> Client:
    """Return this thread's client, made on first use.

    No default database is set, because it may not exist yet: queries name theirs. Times come back
    as aware datetimes. There is no session, so a client takes queries one after the other only.

    Raises:
        ClickHouseUnavailableError: Nothing answers at the configured address.
        CredentialsRefusedError: The user or the password is wrong.
        ConfigurationError: The address cannot be right, or ClickHouse is too old.
    """
    settings = config.clickhouse()
    password = config.clickhouse_password()
    # The password belongs to the key, so that a changed one is used; it is never printed.
    key = (os.getpid(), *settings.to_str_params().values(), password)
    if getattr(_local, "key", None) != key:
        with _telling("a connection", QUICK_SECONDS):
            _local.client = cast(HttpClient, _open(settings, password, session.settings()))
        _local.client.timeout = Timeout(connect=CONNECT_SECONDS, read=settings.send_receive_timeout)
        _local.key = key
    return _local.client


def wait() -> None:
    """Wait for a ClickHouse that is starting, or waking up, before a run asks it for anything.

    Raises:
        ClickHouseUnavailableError: It still was not there after `clickhouse_patience_seconds`.
    """
    for attempt in patiently(config.delivery().clickhouse_patience_seconds):
        with attempt:
            connect()


def _open(settings: config.clickhouse, password: str, session_settings: dict[str, Any]) -> Client:
    unreachable.check_host(settings)
    try:
        client = clickhouse_connect.get_client(
            host=settings.host,
            port=settings.port,
            username=settings.user,
            password=password,
            secure=settings.secure,
            # What the client asks at first is small. Long queries get their time afterwards.
            connect_timeout=int(CONNECT_SECONDS),
            send_receive_timeout=int(QUICK_SECONDS),
            autogenerate_session_id=False,
            tz_mode="aware",
            client_name="retail-pro-segment",
            settings=session_settings,
            # On one machine it costs more than the bytes that it saves.
            compress=not config.is_this_machine(settings.host),
            # A client of its own pool: urllib3's connections do not survive a fork.
            dedicated_pool=True,
        )
    except ClickHouseError as error:
        raise unreachable.explain(error, settings) from error
    unreachable.check_version(str(client.server_version))
    # The client has asked for the zone before it knew session_timezone.
    client.server_tz = timezone.utc
    return client


def check_for_dbt() -> None:
    """Do first what dbt does first, because dbt hides why it fails: see or make its database.

    Raises:
        ConfigurationError: ClickHouse refuses dbt's settings, or to make the database.
    """
    settings = config.clickhouse()
    names = {"database": settings.database}
    client = _open(settings, config.clickhouse_password(), session.of_dbt())
    try:
        if not client.command(cluster.DATABASE_EXISTS, names):
            client.command(cluster.ddl(cluster.CREATE_DATABASE), names)
    except DatabaseError as error:
        if is_passing(error):
            raise
        raise ConfigurationError(
            f"dbt cannot build in the database {settings.database}, so nothing was sent: {error}. "
            f"{advice.about(error)}".rstrip()
        ) from error
    finally:
        client.close()


def is_missing(error: DatabaseError) -> bool:
    """Tell whether a query failed because its table or database does not exist."""
    return error.code in {UNKNOWN_TABLE, UNKNOWN_DATABASE}


def is_passing(error: BaseException) -> bool:
    """Tell whether the same statement may succeed a little later."""
    if isinstance(error, ClickHouseUnavailableError | OperationalError):
        return True
    # Without a code it is not ClickHouse that answered, but a proxy before it.
    return isinstance(error, DatabaseError) and error.code in {None, *TRANSIENT}


def patiently(seconds: float) -> Retrying:
    """Return what repeats a statement while ClickHouse is away, and raises the last error then.

    Args:
        seconds: How long to go on.
    """
    return Retrying(
        retry=retry_if_exception(is_passing),
        wait=wait_exponential(multiplier=0.1, max=2),
        stop=stop_after_delay(seconds),
        before_sleep=lambda state: logger.warning(
            "ClickHouse: %s Trying again.", _told(state.outcome and state.outcome.exception())
        ),
        reraise=True,
    )


@contextlib.contextmanager
def asking(what: str, *, within: float | None = None) -> Iterator[Client]:
    """Lend this thread's client, and tell in the log when ClickHouse keeps it waiting.

    Args:
        what: What ClickHouse is asked for.
        within: Seconds in which it must begin to answer; None: `send_receive_timeout`.

    Raises:
        OperationalError: It did not, or the connection broke off.
    """
    longest = within or config.clickhouse().send_receive_timeout
    with _telling(what, longest):
        client = cast(HttpClient, connect())
        usual = client.timeout
        client.timeout = Timeout(connect=min(CONNECT_SECONDS, longest), read=longest)
        try:
            yield client
        finally:
            client.timeout = usual


@contextlib.contextmanager
def _telling(what: str, longest: float) -> Iterator[None]:
    answered, began = threading.Event(), time.monotonic()

    def tell() -> None:
        while not answered.wait(TOLD_AFTER_SECONDS):
            waited = time.monotonic() - began
            logger.warning(
                "ClickHouse has not answered for %.0f s (%s). Waiting up to %g s.",
                waited,
                what,
                longest,
            )

    teller = threading.Thread(target=tell, name="telling", daemon=True)
    teller.start()
    try:
        yield
    finally:
        answered.set()
        teller.join()


def read(
    what: str, statement: str, binds: Mapping[str, Any], *, within: float | None = None
) -> list[Any]:
    """Return the rows of a query, which is repeated while ClickHouse cannot answer it.

    Args:
        what: The query's name, for the log.
        statement: The query.
        binds: Its parameters.
        within: As in `asking`.

    Raises:
        ClickHouseUnavailableError: It still could not after `clickhouse_patience_seconds`, or
            there is no connection yet and none to be had.
        DatabaseError: The query cannot succeed.
    """
    connect()
    seconds = config.delivery().clickhouse_patience_seconds
    rows: list[Any] = []
    try:
        for attempt in patiently(seconds):
            with attempt, asking(what, within=within) as client:
                rows = list(client.query(statement, dict(binds)).result_rows)
    except (DatabaseError, OperationalError) as error:
        if not is_passing(error):
            raise
        raise ClickHouseUnavailableError(
            f"ClickHouse could not answer a query ({what}) for {seconds:g} s: {error}. Nothing is "
            "lost: run the same command again when it can."
        ) from error
    return rows


def _told(error: object) -> str:
    """An error as a sentence, with what to do about it."""
    return f"{str(error).rstrip('.')}. {advice.about(error)}".rstrip()


def insert_settings(token_source: Iterable[object]) -> dict[str, Any]:
    """Return the settings that make an insert synchronous and safe to repeat.

    The same `token_source`, in any order, gives the same deduplication token. ClickHouse drops a
    block whose token it has seen, *even when the rows differ*: so make the source from everything
    that tells one block from another. Needs a table with a deduplication window.

    Args:
        token_source: What identifies the block, such as the ids of its rows.
    """
    token = hashlib.sha256()
    for part in sorted(str(item) for item in token_source):
        token.update(part.encode())
        token.update(b"\0")
    return {"async_insert": 0, "insert_deduplication_token": token.hexdigest()}


def insert_once(
    table: str,
    column_names: Sequence[str],
    rows: Sequence[Sequence[Any]],
    column_type_names: Sequence[str],
    token_source: Iterable[object],
    *,
    database: str | None = None,
) -> None:
    """Append rows as one block that ClickHouse takes once, however often it is sent.

    Args:
        table: The table's name, without its database.
        column_names: The columns of `rows`, in order.
        rows: The rows; times as aware datetimes.
        column_type_names: The ClickHouse types of the columns; saves a DESCRIBE per call.
        token_source: What identifies this block, see `insert_settings`.
        database: The table's database; default: the configured output database.

    Raises:
        ValueError: A time has no zone.
    """
    if not rows:
        return
    _refuse_naive_times(column_names, rows)
    with asking(f"rows for {table}", within=QUICK_SECONDS) as client:
        client.insert(
            table,
            rows,
            column_names=column_names,
            database=database or config.clickhouse().database,
            column_type_names=column_type_names,
            settings=insert_settings(token_source),
        )


def insert_lines_once(
    table: str, column_names: Sequence[str], lines: bytes, token_source: Iterable[object]
) -> None:
    """Append lines of tab-separated values as one block that ClickHouse takes once.

    Args:
        table: The table's name, in the configured output database.
        column_names: The columns of the values, in order.
        lines: The rows, as ClickHouse escapes them.
        token_source: What identifies this block, see `insert_settings`.
    """
    one_block = {"input_format_parallel_parsing": 0, "max_insert_block_size": lines.count(b"\n")}
    with asking(f"rows for {table}", within=QUICK_SECONDS) as client:
        client.raw_insert(
            f"{config.clickhouse().database}.{table}",
            column_names,
            lines,
            settings=insert_settings(token_source) | one_block,
            fmt="TabSeparated",
        )


def _refuse_naive_times(column_names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A naive time would be stored as this machine's local time, silently shifted."""
    for row in rows:
        for name, value in zip(column_names, row, strict=True):
            if isinstance(value, datetime) and value.tzinfo is None:
                raise ValueError(f"{name} = {value} has no time zone: pass an aware datetime")
