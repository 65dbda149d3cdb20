"""The server, and the socket it listens on, which it can close for a while."""

import asyncio
import errno
import socket
import sys
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from sandbox.segment.connection import ResettableProtocol

_BACKLOG = 1024


class Server(uvicorn.Server):
    """uvicorn's server on one socket. It says on stdout when it serves, and can refuse to.

    Args:
        make_app: Builds the application; gets `refuse`.
        host: Address to listen on.
        port: Port; 0 takes a free one.
    """

    def __init__(
        self, make_app: Callable[[Callable[[float], None]], ASGIApp], host: str, port: int
    ) -> None:
        self._host = host
        self._listener = _listen(host, port)
        self._port = self._listener.getsockname()[1]
        self._reopening: asyncio.Task[None] | None = None
        config = uvicorn.Config(
            make_app(self.refuse),
            http=ResettableProtocol,
            ws="none",
            log_level="warning",
            access_log=False,
            date_header=False,  # the application writes it, by the clock that it is to show
            timeout_graceful_shutdown=5,
        )
        super().__init__(config)

    def serve_until_signal(self) -> None:
        """Serve until SIGTERM or SIGINT."""
        self.run(sockets=[self._listener])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        sys.stdout.write(f"ready http://{self._host}:{self._port}\n")
        sys.stdout.flush()

    def refuse(self, seconds: float) -> None:
        """Refuse new connections for so many seconds. Open ones stay."""
        if self._reopening and not self._reopening.done():
            self._reopening.cancel()
        else:
            for server in self.servers:
                server.close()
            # Bound and not listening: connections are refused, and nobody else takes the port.
            self._listener = _bind(self._host, self._port)
            self.servers = []
        self._reopening = asyncio.get_running_loop().create_task(self._reopen(seconds))

    async def _reopen(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        loop = asyncio.get_running_loop()
        self.servers = [
            await loop.create_server(self._protocol, sock=self._listener, backlog=_BACKLOG)
        ]

    def _protocol(self) -> asyncio.Protocol:
        return ResettableProtocol(self.config, self.server_state, self.lifespan.state)


def _bind(host: str, port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    return bound


def _listen(host: str, port: int) -> socket.socket:
    try:
        listener = _bind(host, port)
        listener.listen(_BACKLOG)
    except OSError as error:
        reason = (
            "another program already uses it"
            if error.errno == errno.EADDRINUSE
            else error.strerror or str(error)
        )
        raise SystemExit(
            f"The Segment sandbox cannot listen on {host}:{port}: {reason}."
            " End that program, or set SEGMENT_PORT to a free port."
        ) from error
    return listener
