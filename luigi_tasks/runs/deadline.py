"""Requests that end: a deadline for the whole of each, and a bound on what is read of its answer.

A time-out of `requests` counts from byte to byte, so a server that sends one byte every few seconds
holds a request for ever, and an answer without an end fills the memory. Here the connection is shut
down when the deadline comes, whatever it is doing: the TLS handshake, sending, waiting, reading. A
connection that is ready only after the deadline sends nothing. What is left without a deadline is
looking up the host name, which Python cannot interrupt.

Shutting down works on a duplicate of the socket's descriptor, because a TLS socket takes over the
one that it is made from.
"""

from __future__ import annotations

import os
import socket
import threading
from functools import cache
from typing import Any

import requests
from requests.adapters import HTTPAdapter

MAX_ANSWER_BYTES = 8192
"""Segment's own answers have some ten bytes."""

_PIECE = 1024
_current = threading.local()
_under_way: set[_Exchange] = set()
_lock = threading.RLock()


class _Exchange:
    """One request and its answer, in one thread. A context manager.

    Args:
        seconds: How long it may take.

    Attributes:
        is_over: The deadline came.
    """

    def __init__(self, seconds: float) -> None:
        self.is_over = False
        self._connection: socket.socket | None = None
        self._timers = [threading.Timer(seconds, self._end)]

    def __enter__(self) -> _Exchange:
        _current.exchange = self
        with _lock:
            _under_way.add(self)
            self._start(self._timers[0])
        return self

    def __exit__(self, *error: object) -> None:
        _current.exchange = None
        with _lock:
            _under_way.discard(self)
            for timer in self._timers:
                timer.cancel()
            self._forget()

    def use(self, descriptor: int) -> None:
        """Take note of the connection that is used; shut it down if it comes too late."""
        with _lock:
            self._forget()
            self._connection = socket.socket(fileno=os.dup(descriptor))
            if self.is_over:
                self._shut_down()

    def shorten(self, seconds: float) -> None:
        """Move the deadline to at most `seconds` from now; the caller holds the lock."""
        self._timers.append(threading.Timer(seconds, self._end))
        self._start(self._timers[-1])

    def _start(self, timer: threading.Timer) -> None:
        timer.daemon = True
        timer.start()

    def _end(self) -> None:
        with _lock:
            self.is_over = True
            self._shut_down()

    def _shut_down(self) -> None:
        if self._connection is not None:
            try:
                self._connection.shutdown(socket.SHUT_RDWR)
            except OSError:  # It was closed by the other side.
                return

    def _forget(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def hurry(seconds: float) -> None:
    """End all requests of this process that are under way within `seconds`."""
    with _lock:
        for exchange in _under_way:
            exchange.shorten(seconds)


class _Watched:
    """Shows its socket to the exchange that uses it; mixed into urllib3's connections."""

    sock: socket.socket | None

    def _new_conn(self) -> socket.socket:
        connected: socket.socket = super()._new_conn()  # type: ignore[misc]
        _current.exchange.use(connected.fileno())
        return connected

    def request(self, *arguments: Any, **options: Any) -> None:
        """Send a request; on a connection that is open already the exchange gets to know it."""
        if self.sock is not None:
            _current.exchange.use(self.sock.fileno())
        super().request(*arguments, **options)  # type: ignore[misc]


@cache
def _watched(connection: type) -> type:
    return type(f"Watched{connection.__name__}", (_Watched, connection), {})


class DeadlineAdapter(HTTPAdapter):
    """Sends the requests of a session, each within a total time in seconds.

    Args:
        seconds: How long a request may take, with its answer.
        max_bytes: How much of an answer is read.
    """

    def __init__(self, seconds: float, max_bytes: int) -> None:
        super().__init__()
        self.seconds = seconds
        self.max_bytes = max_bytes

    def get_connection_with_tls_context(self, *arguments: Any, **options: Any) -> Any:
        """Return the pool of connections, which makes watched ones."""
        pool: Any = super().get_connection_with_tls_context(*arguments, **options)
        if not issubclass(pool.ConnectionCls, _Watched):
            pool.ConnectionCls = _watched(pool.ConnectionCls)
        return pool

    def send(  # type: ignore[override]
        self, request: requests.PreparedRequest, **options: Any
    ) -> requests.Response:
        """Send a request and read the beginning of its answer.

        Raises:
            ReadTimeout: The deadline came.
        """
        with _Exchange(self.seconds) as exchange:
            try:
                response = super().send(request, **(options | {"stream": True}))
                # Where requests itself keeps what it has read.
                response._content = self._beginning(response)
            except requests.RequestException as error:
                if not exchange.is_over:
                    raise
                raise self._too_late(request) from error
            if exchange.is_over:
                raise self._too_late(request)
        return response

    def _beginning(self, response: requests.Response) -> bytes:
        """Read an answer up to the limit; of a longer one the connection is closed."""
        body = bytearray()
        for piece in response.iter_content(_PIECE):
            body += piece
            if len(body) >= self.max_bytes:
                response.raw.close()
                break
        return bytes(body[: self.max_bytes])

    def _too_late(self, request: requests.PreparedRequest) -> requests.ReadTimeout:
        return requests.ReadTimeout(f"no whole answer in {self.seconds:g} s", request=request)


def give(
    session: requests.Session, seconds: float, max_bytes: int = MAX_ANSWER_BYTES
) -> requests.Session:
    """Give a session's requests a deadline; returns the session."""
    adapter = session.adapters.get("https://")
    if isinstance(adapter, DeadlineAdapter):
        adapter.seconds = seconds
    else:
        adapter = DeadlineAdapter(seconds, max_bytes)
        for scheme in ("https://", "http://"):
            session.mount(scheme, adapter)
    return session
