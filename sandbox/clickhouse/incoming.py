"""The bytes of a request: query text of URL and body, then the rows of an INSERT."""

from __future__ import annotations

from collections.abc import AsyncIterator

from sandbox.clickhouse.errors import SYNTAX_ERROR, ClickHouseError
from sandbox.clickhouse.statement import Statement, parse

# The most that is held of a query; how much of it is allowed, the engine knows (max_query_size).
MAX_QUERY_BYTES = 16 << 20
_CHUNK_BYTES = 1 << 20


class Incoming:
    """Reads as much of the body as the statement needs, and streams the rest.

    A server reads the URL's query and the body as one text, with a line break between them.

    Args:
        query: The query text of the URL.
        body: The decoded chunks of the body.
    """

    def __init__(self, query: str, body: AsyncIterator[bytes]) -> None:
        self._buffer = bytearray(query.encode())
        self._body = body
        self._has_separator = not query

    async def statement(self) -> Statement:
        """Read until it is clear what the request says.

        Raises:
            ClickHouseError: The query does not end (code 62).
        """
        if self._buffer:
            parsed = parse(bytes(self._buffer) + b"\n", complete=False)
            if parsed is not None:
                self._separate()
                return parsed
        # Parsing starts over each time, so it waits until the text has doubled.
        next_look = 0
        async for chunk in self._body:
            if chunk:
                self._separate()
            self._buffer += chunk
            if len(self._buffer) >= next_look:
                parsed = parse(bytes(self._buffer), complete=False)
                if parsed is not None:
                    return parsed
                if len(self._buffer) > MAX_QUERY_BYTES:
                    raise ClickHouseError.of(
                        SYNTAX_ERROR,
                        "Syntax error: Max query size exceeded: the query is longer than "
                        f"{MAX_QUERY_BYTES} bytes",
                    )
                next_look = min(2 * len(self._buffer), MAX_QUERY_BYTES + 1)
        parsed = parse(bytes(self._buffer), complete=True)
        if parsed is None:
            raise AssertionError("a complete text is always a statement")
        return parsed

    def _separate(self) -> None:
        if not self._has_separator:
            self._buffer += b"\n"
            self._has_separator = True

    def text(self) -> bytes:
        """The whole query text, of a statement without rows."""
        return bytes(self._buffer)

    async def rows(self, offset: int) -> AsyncIterator[bytes]:
        """Yield the rows of an INSERT in chunks of about 1 MiB."""
        pending = self._buffer[offset:]
        self._buffer.clear()
        async for chunk in self._body:
            pending += chunk
            if len(pending) >= _CHUNK_BYTES:
                yield bytes(pending)
                pending.clear()
        if pending:
            yield bytes(pending)
