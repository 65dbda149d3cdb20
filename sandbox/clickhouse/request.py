"""One HTTP request in ClickHouse's terms: query, settings, parameters, session, credentials."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

from starlette.datastructures import Headers, QueryParams

from sandbox.clickhouse import query_ids
from sandbox.clickhouse.auth import Credentials
from sandbox.clickhouse.errors import BAD_ARGUMENTS, INVALID_SESSION_TIMEOUT, ClickHouseError

# Parameters that speak to the HTTP handler; all others are settings, as in a server.
_HANDLER_PARAMS = frozenset(
    {
        "buffer_size",
        "client_protocol_version",
        "close_session",
        "compress",
        "database",
        "decompress",
        "default_format",
        "password",
        "query",
        "query_id",
        "quota_key",
        "role",
        "session_check",
        "session_id",
        "session_timeout",
        "stacktrace",
        "user",
        "wait_end_of_query",
    }
)
_EXTERNAL_TABLE_SUFFIXES = ("_format", "_structure", "_types")
_DEFAULT_SESSION_TIMEOUT_S = 60
_MAX_SESSION_TIMEOUT_S = 3600
_DEFAULT_PROGRESS_INTERVAL_MS = "100"


@dataclass(frozen=True)
class SessionRequest:
    """The session a request wants to run in.

    Attributes:
        id: The session's name.
        timeout: Seconds of rest after which the session ends.
        must_exist: Whether the request fails when there is no such session.
        close: Whether the session ends with this request.
    """

    id: str
    timeout: int
    must_exist: bool
    close: bool


@dataclass(frozen=True)
class ExternalTable:
    """A table sent along with a query, in a part of a multipart form.

    Attributes:
        structure: Columns and types, as in CREATE TABLE.
        data: Its rows; the file is closed with the request.
    """

    name: str
    format: str
    structure: str
    data: BinaryIO


@dataclass(frozen=True)
class HttpQuery:
    """What one HTTP request asks for.

    Attributes:
        query: The query text of URL or form; the body may continue it.
        settings: Settings and ``param_*`` of this request alone.
        format: The output format when the query names none.
        wait_end: Whether the answer starts only when the query has ended.
        http_compression: Whether the answer may be compressed as ``Accept-Encoding`` says.
        compress: Whether the answer is to come in ClickHouse's compressed blocks.
        decompress: Whether the body comes in such blocks.
        verify_blocks: Whether the checksums of these are checked.
        progress_ms: Milliseconds between two progress headers; None when none are wanted.
        end_with_client: Whether a query that only reads ends when its client leaves.
    """

    query: str
    query_id: str
    database: str
    format: str
    settings: dict[str, str]
    credentials: Credentials
    session: SessionRequest | None
    roles: tuple[str, ...]
    wait_end: bool
    http_compression: bool
    compress: bool
    decompress: bool
    verify_blocks: bool
    progress_ms: int | None
    end_with_client: bool
    external_tables: tuple[ExternalTable, ...] = field(default=())


def read(
    headers: Headers,
    params: QueryParams,
    form: Mapping[str, str] | None = None,
    files: Mapping[str, BinaryIO] | None = None,
) -> HttpQuery:
    """Read a request's headers, URL parameters and form fields.

    Raises:
        ClickHouseError: A parameter is malformed or asks for what the sandbox does not have.
    """
    values = {**dict(params), **(form or {})}
    external = tuple(_external_table(name, data, values) for name, data in (files or {}).items())
    settings = _settings(values, external)
    query_id = values.get("query_id") or headers.get("x-clickhouse-query-id") or str(uuid.uuid4())
    comment = query_ids.log_comment(query_id, settings.get("log_comment", ""))
    settings["log_comment"] = comment
    settings.setdefault("implicit_select", "0")  # on in chDB, off in a server
    return HttpQuery(
        query=values.get("query", ""),
        query_id=query_id,
        database=headers.get("x-clickhouse-database") or values.get("database", ""),
        format=(
            headers.get("x-clickhouse-format") or values.get("default_format") or "TabSeparated"
        ),
        settings=settings,
        credentials=Credentials.of(headers, values),
        session=_session(values),
        roles=tuple(params.getlist("role")),
        wait_end=_is_true(values.get("wait_end_of_query") or values.get("http_wait_end_of_query")),
        http_compression=_is_true(values.get("enable_http_compression", "1")),
        compress=_is_true(values.get("compress")),
        decompress=_is_true(values.get("decompress")),
        verify_blocks=not _is_true(
            values.get("http_native_compression_disable_checksumming_on_decompress")
        ),
        progress_ms=_progress_interval(values),
        end_with_client=_is_true(values.get("cancel_http_readonly_queries_on_client_close", "1")),
        external_tables=external,
    )


def _is_true(value: str | None) -> bool:
    return (value or "0").lower() not in ("0", "false", "")


def _progress_interval(values: Mapping[str, str]) -> int | None:
    if not _is_true(values.get("send_progress_in_http_headers")):
        return None
    text = values.get("http_headers_progress_interval_ms", _DEFAULT_PROGRESS_INTERVAL_MS)
    if not text.isdecimal():
        raise ClickHouseError.of(
            BAD_ARGUMENTS, f"http_headers_progress_interval_ms is a number, not '{text}'"
        )
    return int(text)


def _settings(values: Mapping[str, str], external: tuple[ExternalTable, ...]) -> dict[str, str]:
    describes_external = {t.name + suffix for t in external for suffix in _EXTERNAL_TABLE_SUFFIXES}
    return {
        name: value
        for name, value in values.items()
        if name not in _HANDLER_PARAMS and name not in describes_external
    }


def _session(values: Mapping[str, str]) -> SessionRequest | None:
    if not values.get("session_id"):
        return None
    text = values.get("session_timeout", str(_DEFAULT_SESSION_TIMEOUT_S))
    if not text.isdecimal() or int(text) > _MAX_SESSION_TIMEOUT_S:
        raise ClickHouseError.of(
            INVALID_SESSION_TIMEOUT,
            f"Invalid session timeout: '{text}'. Give 0 to {_MAX_SESSION_TIMEOUT_S} seconds",
        )
    return SessionRequest(
        values["session_id"],
        int(text),
        _is_true(values.get("session_check")),
        _is_true(values.get("close_session")),
    )


def _external_table(name: str, data: BinaryIO, values: Mapping[str, str]) -> ExternalTable:
    types = values.get(f"{name}_types", "").split(",")
    structure = values.get(f"{name}_structure") or ", ".join(
        f"_{place} {column_type}" for place, column_type in enumerate(types, 1) if column_type
    )
    if not structure:
        raise ClickHouseError.of(
            BAD_ARGUMENTS, f"External table '{name}' needs {name}_structure or {name}_types"
        )
    return ExternalTable(name, values.get(f"{name}_format", "TabSeparated"), structure, data)
