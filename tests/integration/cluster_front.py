"""What stands in for a replicated cluster: one server, and a record of what it would be told.

There is no Keeper here, so nothing is replicated. The front passes each statement on without what
only a cluster understands, and keeps it as it came.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

import httpx

_COMMENTS = re.compile(r"\A(\s+|/\*.*?\*/|--[^\n]*\n)*", re.DOTALL)
_DDL = {"ALTER", "CREATE", "DELETE", "DROP", "EXCHANGE", "RENAME", "SYSTEM", "TRUNCATE"}
_PASSED_ON = {"content-type", "content-encoding", "accept-encoding", "user-agent", "authorization"}
_ONE_SERVER = (
    (re.compile(r"""\bon\s+cluster\s+('[^']*'|"[^"]*"|\w+)""", re.IGNORECASE), " "),
    (re.compile(r"\bReplicated(?=\w*MergeTree)"), ""),
    (re.compile(r"\breplicated_deduplication_window\b"), "non_replicated_deduplication_window"),
    (re.compile(r"clusterAllReplicas\([^,]+, (system\.\w+)\)"), r"\1"),
    (re.compile(r"\b_shard_num\b"), "1"),
    (re.compile(r"\A\s*system sync replica.*", re.IGNORECASE | re.DOTALL), "select 1"),
)


@dataclass(frozen=True)
class Statement:
    """A statement as it was sent.

    Attributes:
        kind: Its first word, in upper case.
        text: The SQL; of an INSERT its beginning.
        settings: The settings and parameters that came with it.
    """

    kind: str
    text: str
    settings: dict[str, str]

    @property
    def is_ddl(self) -> bool:
        """Whether it says what tables there are, or changes rows in place."""
        return self.kind in _DDL


def for_one_server(sql: str) -> str:
    """A statement without what only a cluster understands."""
    for pattern, replacement in _ONE_SERVER:
        sql = pattern.sub(replacement, sql)
    return sql


class ClusterFront:
    """The front, on a free port of the loopback interface.

    Args:
        upstream: Address of the server.

    Attributes:
        port: The port of the front.
        statements: All that was sent, in the order of arrival.
    """

    def __init__(self, upstream: str) -> None:
        self.statements: list[Statement] = []
        self.http = httpx.Client(base_url=upstream, trust_env=False, timeout=300)
        handler = type("Handler", (_Handler,), {"front": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.port = int(self._server.server_address[1])

    @contextmanager
    def open(self) -> Iterator[ClusterFront]:
        """Serve until the end of the block."""
        thread = threading.Thread(target=self._server.serve_forever)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()
            self.http.close()

    def note(self, address: str, body: bytes) -> bytes:
        """Keep a statement; return the body to be passed on."""
        settings = dict(parse_qsl(urlsplit(address).query, keep_blank_values=True))
        is_in_address = "query" in settings
        text = settings.pop("query", "") or body[:300].decode("utf-8", "replace")
        text = _COMMENTS.sub("", text, count=1)
        kind = text.partition(" ")[0].partition("\n")[0].upper()
        if kind != "INSERT" and not is_in_address:
            text = _COMMENTS.sub("", body.decode(), count=1)
            body = for_one_server(text).encode()
        self.statements.append(Statement(kind, text, settings))
        return body


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    front: ClusterFront

    def do_GET(self) -> None:
        body = self.front.note(self.path, self._read_body())
        headers = {n: v for n, v in self.headers.items() if n.lower() in _PASSED_ON}
        request = self.front.http.build_request(
            self.command, self.path, content=body, headers=headers
        )
        answer = self.front.http.send(request, stream=True)
        content = b"".join(answer.iter_raw())
        self.send_response_only(answer.status_code)
        for name, value in answer.headers.items():
            if name not in {"connection", "transfer-encoding", "content-length", "keep-alive"}:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET  # noqa: N815 - the name that http.server looks for

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = bytearray()
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return bytes(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""
