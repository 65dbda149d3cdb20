"""The HTTP side: routes, and the life of one request."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from typing import BinaryIO, TypeVar

import anyio
from anyio import to_thread
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from sandbox.clickhouse.answers import Answers, common_headers, counters_json
from sandbox.clickhouse.auth import Account
from sandbox.clickhouse.blocks import BlockDecoder
from sandbox.clickhouse.compression import Decoder, Decoding
from sandbox.clickhouse.engine import Engine
from sandbox.clickhouse.errors import (
    BAD_ARGUMENTS,
    HTTP_LENGTH_REQUIRED,
    QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING,
    UNKNOWN_EXCEPTION,
    ClickHouseError,
)
from sandbox.clickhouse.execution import Execution, Result
from sandbox.clickhouse.incoming import MAX_QUERY_BYTES, Incoming
from sandbox.clickhouse.protocol import wire_of
from sandbox.clickhouse.request import HttpQuery, read
from sandbox.clickhouse.sessions import Session, Sessions
from sandbox.clickhouse.statement import InsertData

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
_MAX_FORM_FIELD_BYTES = MAX_QUERY_BYTES  # the query is one
_KILL_INTERVAL_S = 0.1


class ClickHouseHttp:
    """Answers HTTP requests with an engine.

    Args:
        engine: The engine that runs the queries.
        account: Who may use it.
        max_parallel: How many engine calls run at once; more wait for their turn.
    """

    def __init__(self, engine: Engine, account: Account, max_parallel: int = 32) -> None:
        self._engine = engine
        self._account = account
        self._sessions = Sessions()
        self._running: set[str] = set()  # query ids
        self._max_parallel = max_parallel
        self._limiter: anyio.CapacityLimiter | None = None

    def asgi(self) -> Starlette:
        """Build the ASGI application."""
        return Starlette(
            routes=[
                Route("/ping", self._healthy, methods=["GET", "HEAD"]),
                Route("/replicas_status", self._healthy, methods=["GET", "HEAD"]),
                Route("/", self._root, methods=["GET", "HEAD", "POST"]),
            ],
            exception_handlers={404: self._not_found},
        )

    def close(self) -> None:
        """End all sessions."""
        self._sessions.close()

    async def _healthy(self, request: Request) -> Response:
        return PlainTextResponse("Ok.\n", headers=common_headers(self._engine))

    async def _not_found(self, request: Request, error: Exception) -> Response:
        text = (
            f"There is no handle {request.url.path}\n\n"
            "Use / or /ping for health checks.\n"
            "Send queries from your program with POST method or GET /?query=...\n"
        )
        return PlainTextResponse(text, status_code=404)

    async def _root(self, request: Request) -> Response:
        no_query = not request.url.query or "query" not in request.query_params
        if request.method == "HEAD" or (request.method == "GET" and no_query):
            return await self._healthy(request)
        accept_encoding = request.headers.get("accept-encoding", "")
        answers = Answers(self._engine, None, "")
        query_id = request.query_params.get("query_id", "")
        try:
            _require_length(request)
            query, body = await _read_request(request)
            query_id = query.query_id
            self._account.check(query.credentials)
            answers = Answers(self._engine, query, accept_encoding)
            return await self._answer(request, query, body, answers)
        except ClickHouseError as error:
            await _drain(request)
            return answers.error(error, query_id)
        except ClientDisconnect:
            _log.info("query %s: the client went away while it sent the request", query_id)
            return Response(status_code=400)
        except Exception as error:  # the last resort: a client must get an answer
            _log.exception("query %s failed", query_id)
            await _drain(request)
            return answers.error(ClickHouseError.of(UNKNOWN_EXCEPTION, repr(error)), query_id)

    async def _answer(
        self, request: Request, query: HttpQuery, body: AsyncIterator[bytes], answers: Answers
    ) -> Response:
        """Run one query in its session and build the response."""
        incoming = Incoming(query.query, body)
        statement = await incoming.statement()
        session = self._acquire(query)
        report = _progress_headers(request, query)
        execution = Execution(self._engine, query, statement, session, report)
        finish = partial(self._finish, execution, query)
        read_only = request.method == "GET"
        try:
            if statement.insert is not None:
                result = await self._insert(execution, statement.insert, incoming, read_only)
            else:
                run = partial(execution.run, incoming.text(), read_only)
                result = await self._while_client_waits(request, query, execution, run)
        except BaseException:
            await finish()
            raise
        if result.rest is None:
            await finish()
            return answers.whole(result, execution.elapsed_ns)
        break_off = wire_of(request.scope).break_off
        blocks = self._blocks(result)
        return answers.stream(result, execution.elapsed_ns, blocks, finish, break_off)

    async def _insert(
        self, execution: Execution, insert: InsertData, incoming: Incoming, read_only: bool
    ) -> Result:
        """Stream the request's rows into the engine."""
        if read_only:
            execution.refuse_write()
        rows = incoming.rows(insert.offset)
        sink = await self._in_thread(lambda: execution.open_insert(insert))
        try:
            async for chunk in rows:
                await self._in_thread(partial(sink.append, chunk))
            progress = await self._in_thread(sink.finish)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._in_thread(sink.cancel)
            raise
        return Result(progress=progress)

    async def _while_client_waits(
        self, request: Request, query: HttpQuery, execution: Execution, run: Callable[[], _T]
    ) -> _T:
        """Run a query; one that only reads ends when nobody waits for it any more."""
        if not query.end_with_client:
            return await self._in_thread(run)
        watcher = asyncio.create_task(_end_when_client_leaves(request, execution))
        try:
            return await self._in_thread(run)
        finally:
            watcher.cancel()

    async def _blocks(self, result: Result) -> AsyncIterator[bytes]:
        """Yield a result's parts, each fetched in a worker thread."""
        for block in result.ready:
            yield block
        rest = result.rest
        while rest is not None:
            block = await self._in_thread(partial(next, rest, None))
            if block is None:
                return
            yield block

    def _acquire(self, query: HttpQuery) -> Session | None:
        """Take what belongs to one request at a time: the query id, and the session."""
        if query.query_id in self._running:
            raise ClickHouseError.of(
                QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING,
                f"Query with id = {query.query_id} is already running.",
            )
        session = None
        if query.session is not None:
            session = self._sessions.acquire(query.credentials.user, query.session)
        self._running.add(query.query_id)
        return session

    async def _finish(self, execution: Execution, query: HttpQuery) -> None:
        """Give back what a request holds, whatever became of it."""
        try:
            if execution.is_open:
                with anyio.CancelScope(shield=True):
                    await self._in_thread(execution.close)
        finally:
            self._running.discard(query.query_id)
            if query.session is not None:
                self._sessions.release(query.credentials.user, query.session)

    async def _in_thread(self, call: Callable[[], _T]) -> _T:
        if self._limiter is None:  # it belongs to the event loop, which runs only now
            self._limiter = anyio.CapacityLimiter(self._max_parallel)
        return await to_thread.run_sync(call, limiter=self._limiter)


def _require_length(request: Request) -> None:
    """Refuse a POST that does not say where its body ends, as a server does."""
    says_length = {"content-length", "transfer-encoding"} & set(request.headers)
    if request.method == "POST" and not says_length:
        raise ClickHouseError.of(
            HTTP_LENGTH_REQUIRED,
            "The Transfer-Encoding is not chunked and there is no Content-Length header for POST "
            "request",
        )


async def _end_when_client_leaves(request: Request, execution: Execution) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    while True:  # until it is cancelled: the query may only just be starting
        await to_thread.run_sync(execution.end)
        await asyncio.sleep(_KILL_INTERVAL_S)


def _progress_headers(
    request: Request, query: HttpQuery
) -> Callable[[Mapping[str, int]], None] | None:
    """Make the function that sends progress headers, if they are wanted."""
    if query.progress_ms is None:
        return None
    interval_s = query.progress_ms / 1000
    loop = asyncio.get_running_loop()
    send = wire_of(request.scope).send_header
    last = time.monotonic()

    def report(counters: Mapping[str, int]) -> None:
        nonlocal last
        if time.monotonic() - last >= interval_s:
            last = time.monotonic()
            loop.call_soon_threadsafe(send, "X-ClickHouse-Progress", counters_json(counters))

    return report


async def _read_request(request: Request) -> tuple[HttpQuery, AsyncIterator[bytes]]:
    """Read parameters, headers and, if there is one, the form; the body stays a stream."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        query = read(request.headers, request.query_params)
        return query, _decoded(request, query)
    fields: dict[str, str] = {}
    files: dict[str, BinaryIO] = {}
    try:
        form = await request.form(max_files=100, max_part_size=_MAX_FORM_FIELD_BYTES)
    except HTTPException as error:
        raise ClickHouseError.of(BAD_ARGUMENTS, f"Cannot read the form: {error.detail}") from error
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            files[name] = value.file
        else:
            fields[name] = value
    return read(request.headers, request.query_params, fields, files), _nothing()


async def _decoded(request: Request, query: HttpQuery) -> AsyncIterator[bytes]:
    blocks = [BlockDecoder(query.verify_blocks)] if query.decompress else []
    decoding = Decoding(Decoder(request.headers.get("content-encoding", "")), *blocks)
    async for chunk in request.stream():
        for piece in decoding.feed(chunk):
            yield piece
    decoding.finish()


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""


async def _drain(request: Request) -> None:
    """Read what is left of a body, so that the client gets to reading the answer."""
    try:
        async for _ in request.stream():
            pass
    except (ClientDisconnect, RuntimeError):
        return  # the client is gone, or the body has been read already
