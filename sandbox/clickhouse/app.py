"""The HTTP side: routes, the life of one request, and the shape of answers."""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from functools import partial
from typing import Any, TypeVar

import anyio
from anyio import to_thread
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Send

from sandbox.clickhouse.auth import Account
from sandbox.clickhouse.compression import Decoder, Encoder, choose_encoding
from sandbox.clickhouse.engine import Engine, Progress
from sandbox.clickhouse.errors import UNKNOWN_EXCEPTION, ClickHouseError
from sandbox.clickhouse.execution import Execution, Result
from sandbox.clickhouse.incoming import Incoming
from sandbox.clickhouse.request import HttpQuery, read
from sandbox.clickhouse.sessions import Session, Sessions
from sandbox.clickhouse.statement import InsertData

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
_TEXT = "text/plain; charset=UTF-8"
_MAX_FORM_FIELD_BYTES = 64 << 20
_MIN_COMPRESSED_BYTES = 256  # smaller answers only grow


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
        self._max_parallel = max_parallel
        self._limiter: anyio.CapacityLimiter | None = None

    def asgi(self) -> Starlette:
        """Build the ASGI application."""
        return Starlette(
            routes=[
                Route("/ping", self._ping, methods=["GET", "HEAD"]),
                Route("/", self._root, methods=["GET", "HEAD", "POST"]),
            ],
            exception_handlers={404: self._not_found},
        )

    def close(self) -> None:
        """End all sessions."""
        self._sessions.close()

    async def _ping(self, request: Request) -> Response:
        return PlainTextResponse("Ok.\n", headers=self._common_headers())

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
            return PlainTextResponse("Ok.\n", headers=self._common_headers())
        query_id = request.query_params.get("query_id", "")
        try:
            query, body = await _read_request(request)
            query_id = query.query_id
            self._account.check(query.credentials)
            return await self._answer(request.method, query, body, request)
        except ClickHouseError as error:
            await _drain(request)
            return self._error(error, query_id)
        except ClientDisconnect:
            _log.info("query %s: the client went away while it sent the request", query_id)
            return Response(status_code=400)
        except Exception as error:  # the last resort: a client must get an answer
            _log.exception("query %s failed", query_id)
            await _drain(request)
            return self._error(ClickHouseError.of(UNKNOWN_EXCEPTION, repr(error)), query_id)

    async def _answer(
        self, method: str, query: HttpQuery, body: AsyncIterator[bytes], request: Request
    ) -> Response:
        """Run one query in its session and build the response."""
        incoming = Incoming(query.query, body)
        statement = await incoming.statement()
        session = self._acquire(query)
        execution = Execution(self._engine, query, statement, session)
        finish = partial(self._finish, execution, query)
        try:
            if statement.insert is not None:
                result = await self._insert(execution, statement.insert, incoming, method == "GET")
            else:
                text = incoming.text()
                result = await self._in_thread(lambda: execution.run(text, method == "GET"))
        except BaseException:
            await finish()
            raise
        encoding = choose_encoding(request.headers.get("accept-encoding", ""))
        encoding = encoding if query.compressible else None
        headers = self._result_headers(query, result, execution.elapsed_ns)
        if result.rest is None:
            await finish()
            return _whole_response(b"".join(result.ready), headers, encoding)
        if encoding:
            headers["Content-Encoding"] = encoding
        return ResultStream(self._blocks(result), headers, encoding, finish, self._engine.version)

    async def _insert(
        self, execution: Execution, insert: InsertData, incoming: Incoming, read_only: bool
    ) -> Result:
        """Stream the request's rows into the engine."""
        if read_only:
            execution.refuse_write()
        rows = incoming.rows(insert.offset)
        if insert.input_call is not None:
            spool = execution.open_spool()
            async for chunk in rows:
                await self._in_thread(partial(spool.write, chunk))
            progress = await self._in_thread(lambda: execution.insert_file(insert, spool))
            return Result(progress=progress)
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
        if query.session is None:
            return None
        return self._sessions.acquire(query.credentials.user, query.session)

    async def _finish(self, execution: Execution, query: HttpQuery) -> None:
        """Give back what a request holds, whatever became of it."""
        try:
            with anyio.CancelScope(shield=True):
                await self._in_thread(execution.close)
        finally:
            if query.session is not None:
                self._sessions.release(query.credentials.user, query.session)

    async def _in_thread(self, call: Callable[[], _T]) -> _T:
        if self._limiter is None:  # it belongs to the event loop, which runs only now
            self._limiter = anyio.CapacityLimiter(self._max_parallel)
        return await to_thread.run_sync(call, limiter=self._limiter)

    def _common_headers(self) -> dict[str, str]:
        return {
            "Content-Type": _TEXT,
            "X-ClickHouse-Server-Display-Name": self._engine.display_name,
        }

    def _result_headers(self, query: HttpQuery, result: Result, elapsed_ns: int) -> dict[str, str]:
        headers = {
            **self._common_headers(),
            "Content-Type": result.content_type,
            "X-ClickHouse-Query-Id": query.query_id,
            "X-ClickHouse-Timezone": query.settings.get("session_timezone", self._engine.timezone),
            "X-ClickHouse-Summary": _summary(result.progress, elapsed_ns),
        }
        if result.format:
            headers["X-ClickHouse-Format"] = result.format
        return headers

    def _error(self, error: ClickHouseError, query_id: str) -> Response:
        headers = {
            **self._common_headers(),
            "X-ClickHouse-Exception-Code": str(error.code),
            "X-ClickHouse-Query-Id": query_id,
        }
        if error.status == 401:
            headers["WWW-Authenticate"] = 'Basic realm="ClickHouse server HTTP API"'
        return Response(error.body(self._engine.version), error.status, headers)


class ResultStream(StreamingResponse):
    """A result whose size is not known when it starts.

    An error on the way can no longer change the status. As in a server, it is then written into
    the body between marks that carry the tag of ``X-ClickHouse-Exception-Tag``, and the
    connection is cut instead of ended in good order.
    """

    def __init__(
        self,
        blocks: AsyncIterator[bytes],
        headers: dict[str, str],
        encoding: str | None,
        finish: Callable[[], Any],
        version: str,
    ) -> None:
        self._tag = secrets.token_hex(8)
        super().__init__(blocks, headers={**headers, "X-ClickHouse-Exception-Tag": self._tag})
        self._blocks = blocks
        self._encoder = Encoder(encoding)
        self._finish = finish
        self._version = version

    async def stream_response(self, send: Send) -> None:
        """Send the blocks as they come."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        failure: ClickHouseError | None = None
        try:
            async for block in self._blocks:
                await self._send(send, self._encoder.feed(block))
        except ClickHouseError as error:
            failure = error
        finally:
            await self._finish()
        if failure is not None:
            marked = self._encoder.feed(self._marked(failure)) + self._encoder.finish()
            await self._send(send, marked)
            _log.warning("a result broke off: %s", failure)
            return
        last = {"type": "http.response.body", "body": self._encoder.finish(), "more_body": False}
        await send(last)

    async def _send(self, send: Send, data: bytes) -> None:
        if data:
            await send({"type": "http.response.body", "body": data, "more_body": True})

    def _marked(self, error: ClickHouseError) -> bytes:
        text, tag = error.body(self._version), self._tag
        size = len(text.encode())
        mark = "__exception__"
        return f"\r\n{mark}\r\n{tag}\r\n{text}{size} {tag}\r\n{mark}\r\n".encode()


def _whole_response(body: bytes, headers: dict[str, str], encoding: str | None) -> Response:
    if encoding and len(body) >= _MIN_COMPRESSED_BYTES:
        encoder = Encoder(encoding)
        body = encoder.feed(body) + encoder.finish()
        headers = {**headers, "Content-Encoding": encoding}
    return Response(body, headers=headers)


def _summary(progress: Progress, elapsed_ns: int) -> str:
    """Write the counters as a server does: a JSON object with numbers as text."""
    counters = {**asdict(progress), "elapsed_ns": elapsed_ns, "total_rows_to_read": 0}
    return json.dumps({name: str(value) for name, value in counters.items()})


async def _read_request(request: Request) -> tuple[HttpQuery, AsyncIterator[bytes]]:
    """Read parameters, headers and, if there is one, the form; the body stays a stream."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        query = read(request.headers, request.query_params)
        return query, _decoded(request)
    fields: dict[str, str] = {}
    files: dict[str, bytes] = {}
    form = await request.form(max_files=100, max_part_size=_MAX_FORM_FIELD_BYTES)
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            files[name] = await value.read()
        else:
            fields[name] = value
    return read(request.headers, request.query_params, fields, files), _nothing()


async def _decoded(request: Request) -> AsyncIterator[bytes]:
    decoder = Decoder(request.headers.get("content-encoding", ""))
    async for chunk in request.stream():
        yield decoder.feed(chunk)
    decoder.finish()


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
