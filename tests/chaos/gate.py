"""A proxy in front of a server that can hold or break a request at a chosen moment.

The moment matters: a sender that is killed after Segment's answer and before its row in the ledger
is another case than one that is killed right after the row was written. So the request for which
a test waits is held at the gate until the sender is dead.
"""

from __future__ import annotations

import http.client
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote_plus, urlsplit

LONGEST_HOLD_SECONDS = 60
_LOOK_BYTES = 4096
_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length"})

_NOW = re.compile(rb"now64\(\d, 'UTC'\)|now\('UTC'\)")
"""How the sender's queries ask for ClickHouse's time."""


@dataclass
class Trap:
    """What happens to the `number`-th request that fits a pattern.

    Attributes:
        pattern: Found in the address or the beginning of the body, both in lower case.
        number: Which of these requests is meant, from 1.
        forwarded: The server gets the request first.
        break_off: The connection is closed without an answer; else the request is held until
            `release`, and then goes on.
        away_s: After that, all other connections break off too, for so many seconds.
    """

    pattern: str
    number: int = 1
    forwarded: bool = False
    break_off: bool = False
    away_s: float = 0.0
    sprung: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)
    abandoned: bool = False
    seen: int = 0

    def release(self) -> None:
        """Let a held request go on."""
        self.released.set()

    def abandon(self) -> None:
        """Drop a held request: whoever made it is dead, and was before it went out."""
        self.abandoned = True
        self.released.set()


class Gate:
    """An HTTP proxy on a free port of the loopback interface."""

    def __init__(self, upstream: str) -> None:
        parts = urlsplit(upstream)
        self.upstream = (str(parts.hostname), int(parts.port or 80))
        self._traps: list[Trap] = []
        self._lock = threading.Lock()
        self._away_until = 0.0
        self.clock_ahead = 0.0
        """Seconds by which the server's clock is ahead for all who ask through this gate."""
        self._flows = threading.Event()
        self._flows.set()
        handler = type("Handler", (_Handler,), {"gate": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    @contextmanager
    def open(self) -> Iterator[Gate]:
        """Serve until the end of the block."""
        thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.clear()
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    def set(self, trap: Trap) -> Trap:
        """Add a trap."""
        with self._lock:
            self._traps.append(trap)
        return trap

    def clear(self) -> None:
        """Forget the traps, let go what they hold, and be there again."""
        with self._lock:
            traps, self._traps = self._traps, []
            self._away_until = 0.0
        self.thaw()
        for trap in traps:
            trap.release()

    def leave(self, seconds: float) -> None:
        """Break off every connection for so many seconds."""
        with self._lock:
            self._away_until = time.monotonic() + seconds

    def freeze(self) -> None:
        """Take requests and pass nothing on, on all connections, as a half-open one does."""
        self._flows.clear()

    def thaw(self) -> None:
        """Pass on what comes from now on; what was taken while frozen is dropped."""
        self._flows.set()

    def drops(self) -> bool:
        """Hold a request while the gate is frozen; tell whether it was."""
        if self._flows.is_set():
            return False
        self._flows.wait(LONGEST_HOLD_SECONDS)
        return True

    def is_away(self) -> bool:
        """Tell whether connections break off now."""
        return time.monotonic() < self._away_until

    def caught(self, text: str) -> Trap | None:
        """Return the trap into which a request runs, if there is one."""
        with self._lock:
            for trap in self._traps:
                if re.search(trap.pattern, text):
                    trap.seen += 1
                    if trap.seen == trap.number:
                        return trap
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    gate: Gate
    disable_nagle_algorithm = True
    _upstream: http.client.HTTPConnection | None = None

    def do_GET(self) -> None:
        self._pass_on()

    do_POST = do_GET  # noqa: N815 - the name that http.server looks for

    def _pass_on(self) -> None:
        body = self._read_body()
        if self.gate.drops() or self.gate.is_away():
            self.close_connection = True
            return
        text = (unquote_plus(self.path) + body[:_LOOK_BYTES].decode("latin-1")).lower()
        trap = self.gate.caught(text)
        if trap and not trap.forwarded and not self._spring(trap):
            return
        status, headers, answer = self._forward(body)
        if self.gate.drops():
            self.close_connection = True
            return
        if trap and trap.forwarded and not self._spring(trap):
            return
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def _spring(self, trap: Trap) -> bool:
        """Hold or break off the request; tell whether it goes on."""
        trap.sprung.set()
        if trap.break_off:
            self.gate.leave(trap.away_s)
            self.close_connection = True
            return False
        trap.released.wait(LONGEST_HOLD_SECONDS)
        if trap.abandoned:
            self.close_connection = True
        return not trap.abandoned

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = bytearray()
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return bytes(body)

    def _forward(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        if ahead := round(self.gate.clock_ahead * 1000):
            body = _NOW.sub(rb"(\g<0> + toIntervalMillisecond(%d))" % ahead, body)
        headers = {n: v for n, v in self.headers.items() if n.lower() not in _HOP_BY_HOP}
        if self._upstream is None:
            self._upstream = http.client.HTTPConnection(*self.gate.upstream)
        try:
            self._upstream.request(self.command, self.path, body, headers)
            answer = self._upstream.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        except (OSError, http.client.HTTPException):
            # The server broke off: so does the gate.
            self.close_connection = True
            raise

    def finish(self) -> None:
        if self._upstream:
            self._upstream.close()
        super().finish()

    def handle(self) -> None:
        try:
            super().handle()
        except (OSError, http.client.HTTPException):
            self.close_connection = True

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing: the servers keep logs of their own."""
