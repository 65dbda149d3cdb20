"""Breaking a connection: ASGI has no word for it, so the protocol lends its transport."""

import asyncio
import socket
import struct
from itertools import chain, repeat
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_EXTENSION = "sandbox.transport"
_LINGER_OFF = struct.pack("ii", 1, 0)


class ResettableProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, with the transport in the scope's extensions."""

    def on_message_begin(self) -> None:
        """Starts a request."""
        super().on_message_begin()
        extensions: dict[str, Any] = {_EXTENSION: self.transport}
        self.scope["extensions"] = extensions


async def reset_connection(request: Request) -> None:
    """Ends the connection with a TCP reset, without an answer.

    Raises:
        RuntimeError: The server does not run on `ResettableProtocol`.
    """
    transport = _transport(request)
    connection: socket.socket = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_OFF)
    transport.abort()
    # uvicorn learns of the loss in the next turn of the loop; then it drops our empty answer.
    await asyncio.sleep(0)


async def send_half(request: Request, response: Response) -> None:
    """Sends the head of an answer and half of its body, and closes the connection.

    Raises:
        RuntimeError: The server does not run on `ResettableProtocol`.
    """
    transport = _transport(request)
    head = b"HTTP/1.1 %d \r\n" % response.status_code
    for name, value in response.raw_headers:
        head += b"%s: %s\r\n" % (name, value)
    body = bytes(response.body)
    transport.write(head + b"\r\n" + body[: len(body) // 2])
    transport.close()
    await asyncio.sleep(0)


async def trickle(request: Request, response: Response, pause: float) -> None:
    """Sends an answer byte by byte, then blanks, until the other side goes away.

    Args:
        request: The request.
        response: Its answer.
        pause: Seconds between two bytes.

    Raises:
        RuntimeError: The server does not run on `ResettableProtocol`.
    """
    transport = _transport(request)
    head = b"HTTP/1.1 %d \r\nContent-Type: application/json\r\n\r\n" % response.status_code
    for byte in chain(head + bytes(response.body), repeat(ord(" "))):
        if transport.is_closing():
            break
        transport.write(bytes([byte]))
        await asyncio.sleep(pause)


def _transport(request: Request) -> Any:
    transport = request.scope.get("extensions", {}).get(_EXTENSION)
    if transport is None:
        raise RuntimeError("this server cannot break a connection; run python -m sandbox.segment")
    return transport
