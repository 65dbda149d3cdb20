"""uvicorn's HTTP protocol, with what ClickHouse's clients need and ASGI does not have.

* The query string may have 1 MiB, as in a server; the URL parser behind uvicorn ends at 64 KiB.
* Headers may be sent while the query still runs: ``X-ClickHouse-Progress``.
* A response may be broken off, so that its reader sees that it is not whole.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

_EXTENSION = "clickhouse.wire"
_MAX_URL_BYTES = 1 << 20


class Wire:
    """The connection below one response. Use it in the event loop's thread."""

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle
        self._begun = False

    def send_header(self, name: str, value: str) -> None:
        """Send a header before the response begins; its status is then 200, whatever follows."""
        cycle = self._cycle
        if cycle.response_started or cycle.disconnected:
            return
        if not self._begun:
            self._begun = True
            cycle.transport.write(STATUS_LINE[200])
            cycle.transport = cast(asyncio.Transport, _StatusIsSent(cycle, cycle.transport))
        cycle.transport.write(f"{name}: {value}\r\n".encode())

    def break_off(self) -> None:
        """Send what has been written, and end the connection without ending the response."""
        self._cycle.disconnected = True
        self._cycle.transport.close()


def wire_of(scope: Scope) -> Wire:
    """The connection that a request came over."""
    wire: Wire = scope["extensions"][_EXTENSION]
    return wire


class _StatusIsSent:
    """Stands in for a transport until the response begins, and takes its status line out."""

    def __init__(self, cycle: RequestResponseCycle, transport: asyncio.Transport) -> None:
        self._cycle = cycle
        self._transport = transport

    def write(self, data: bytes) -> None:
        if self._cycle.response_started:
            self._cycle.transport = self._transport
            data = data.partition(b"\r\n")[2]
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class ClickHouseProtocol(HttpToolsProtocol):
    """One connection."""

    def on_url(self, url: bytes) -> None:
        """Gather the URL, up to a server's limit."""
        super().on_url(url)
        if len(self.url) > _MAX_URL_BYTES:
            raise ValueError("the URL is longer than 1 MiB")

    def on_headers_complete(self) -> None:
        """Start the request; its query string does not go through the URL parser."""
        self.url, _, query = self.url.partition(b"?")
        super().on_headers_complete()
        self.scope["query_string"] = query
        self.scope["extensions"] = {_EXTENSION: cast(Any, Wire(self.cycle))}
