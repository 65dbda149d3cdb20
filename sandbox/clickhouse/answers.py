"""Answers: headers, a body in one piece, a body in a stream, an error."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import asdict

from starlette.responses import Response, StreamingResponse
from starlette.types import Send

from sandbox.clickhouse.blocks import BlockEncoder
from sandbox.clickhouse.compression import Encoder, Pipeline, choose_encoding
from sandbox.clickhouse.engine import Engine
from sandbox.clickhouse.errors import ClickHouseError
from sandbox.clickhouse.execution import Result
from sandbox.clickhouse.request import HttpQuery

_log = logging.getLogger(__name__)
_TEXT = "text/plain; charset=UTF-8"
_MIN_COMPRESSED_BYTES = 256  # smaller answers only grow
# Node and others decompress behind the connection's back, and drop what is not done when it breaks.
_DECOMPRESSION_S = 0.5
_COUNTERS = (
    *("read_rows", "read_bytes", "written_rows", "written_bytes", "total_rows_to_read"),
    *("result_rows", "result_bytes", "elapsed_ns"),
)


class Answers:
    """Builds the responses to one request.

    Args:
        engine: The engine that ran the query.
        query: What was asked for; None when the request could not be read.
        accept_encoding: The header of this name.
    """

    def __init__(self, engine: Engine, query: HttpQuery | None, accept_encoding: str) -> None:
        self._engine = engine
        self._query = query
        self._in_blocks = query is not None and query.compress
        may_encode = query is not None and query.http_compression
        self._encoding = choose_encoding(accept_encoding) if may_encode else None

    def whole(self, result: Result, elapsed_ns: int) -> Response:
        """A result that is complete."""
        return self._sized(b"".join(result.ready), 200, self._headers(result, elapsed_ns))

    def stream(
        self,
        result: Result,
        elapsed_ns: int,
        blocks: AsyncIterator[bytes],
        finish: Callable[[], Awaitable[None]],
        break_off: Callable[[], None],
    ) -> Response:
        """A result whose size is not known when it starts.

        Args:
            result: Its beginning.
            elapsed_ns: Nanoseconds until now.
            blocks: All of it.
            finish: Called at its end, be it good or bad.
            break_off: Called to cut the connection when an error came on the way.
        """
        headers = self._headers(result, elapsed_ns)
        if self._encoding:
            headers["Content-Encoding"] = self._encoding
        return ResultStream(
            blocks,
            headers,
            encoder=self._encoder(self._encoding),
            grace_s=_DECOMPRESSION_S if self._encoding else 0.0,
            finish=finish,
            break_off=break_off,
            version=self._engine.version,
        )

    def error(self, error: ClickHouseError, query_id: str) -> Response:
        """An error instead of a result; compressed like one, as a server does."""
        headers = {
            **common_headers(self._engine),
            "X-ClickHouse-Exception-Code": str(error.code),
            "X-ClickHouse-Query-Id": query_id,
        }
        if error.status == 401:
            headers["WWW-Authenticate"] = 'Basic realm="ClickHouse server HTTP API"'
        return self._sized(error.body(self._engine.version).encode(), error.status, headers)

    def _headers(self, result: Result, elapsed_ns: int) -> dict[str, str]:
        query = self._query
        if query is None:
            raise AssertionError("there is no result without a query")
        headers = {
            **common_headers(self._engine),
            "Content-Type": result.content_type,
            "X-ClickHouse-Query-Id": query.query_id,
            "X-ClickHouse-Timezone": query.settings.get("session_timezone", self._engine.timezone),
            "X-ClickHouse-Summary": counters_json(
                {**asdict(result.progress), "elapsed_ns": elapsed_ns}
            ),
        }
        if result.format:
            headers["X-ClickHouse-Format"] = result.format
        return headers

    def _sized(self, body: bytes, status: int, headers: dict[str, str]) -> Response:
        encoding = self._encoding if len(body) >= _MIN_COMPRESSED_BYTES else None
        encoder = self._encoder(encoding)
        if encoding:
            headers = {**headers, "Content-Encoding": encoding}
        return Response(encoder.feed(body) + encoder.finish(), status, headers)

    def _encoder(self, encoding: str | None) -> Pipeline:
        return Pipeline(*([BlockEncoder()] if self._in_blocks else []), Encoder(encoding))


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
        *,
        encoder: Pipeline,
        grace_s: float,
        finish: Callable[[], Awaitable[None]],
        break_off: Callable[[], None],
        version: str,
    ) -> None:
        self._tag = secrets.token_hex(8)
        super().__init__(blocks, headers={**headers, "X-ClickHouse-Exception-Tag": self._tag})
        self._blocks = blocks
        self._encoder = encoder
        self._grace_s = grace_s
        self._finish = finish
        self._break_off = break_off
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
            await asyncio.sleep(self._grace_s)
            self._break_off()
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


def common_headers(engine: Engine) -> dict[str, str]:
    """What every answer says."""
    return {
        "Content-Type": _TEXT,
        "X-ClickHouse-Server-Display-Name": engine.display_name,
    }


def counters_json(counters: Mapping[str, int]) -> str:
    """Write counters of a query as a server does: a JSON object with numbers as text."""
    values = {name: str(counters.get(name, 0)) for name in _COUNTERS}
    return json.dumps(values, separators=(",", ":"))
