"""A request ends in time whatever the server does, and little of a long answer is read."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
import requests
from segment.analytics.consumer import FatalError

from luigi_tasks import config
from luigi_tasks.runs import deadline
from luigi_tasks.segment import endpoint as segment
from luigi_tasks.segment import oauth, readiness

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
SECONDS = 0.6
Serve = Callable[[socket.socket], None]


def drip(connection: socket.socket, data: bytes, pause: float = 0.05) -> None:
    """Sends one byte after the other, again and again."""
    while True:
        for byte in data:
            connection.sendall(bytes([byte]))
            time.sleep(pause)


def drips_the_head(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    drip(connection, b"X-Padding: a\r\n")


def drips_the_body(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(HEAD + b"Content-Length: 100000\r\n\r\n")
    drip(connection, b" ")


def drips_without_a_length(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(HEAD + b"Connection: close\r\n\r\n")
    drip(connection, b" ")


def continues_for_ever(connection: socket.socket) -> None:
    connection.recv(65536)
    while True:
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        time.sleep(0.05)


def reads_slowly(connection: socket.socket) -> None:
    while connection.recv(100):
        time.sleep(0.1)


def says_nothing(connection: socket.socket) -> None:
    connection.recv(65536)
    time.sleep(30)


@contextmanager
def server(serve: Serve) -> Iterator[str]:
    """A server that treats each connection so; gives its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)

        def run(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                serve(connection)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    threading.Thread(target=run, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with deadline.give(requests.Session(), SECONDS) as made:
        made.trust_env = False
        yield made


@pytest.mark.parametrize(
    "serve",
    [
        drips_the_head,
        drips_the_body,
        drips_without_a_length,
        continues_for_ever,
        says_nothing,
        reads_slowly,
    ],
    ids=lambda serve: serve.__name__,
)
def test_a_request_ends_in_time(serve: Serve, session: requests.Session) -> None:
    began = time.monotonic()
    with server(serve) as url, pytest.raises(requests.ReadTimeout, match=r"in 0\.6 s"):
        session.post(url, data=b"x" * 10_000_000, timeout=(5, 15))
    assert SECONDS - 0.05 < time.monotonic() - began < SECONDS + 2


def test_a_tls_handshake_ends_in_time(session: requests.Session) -> None:
    hello = b"\x16\x03\x03\x40\x00"

    def drips_a_handshake(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(hello)
        drip(connection, b"\0")

    began = time.monotonic()
    with server(drips_a_handshake) as url, pytest.raises(requests.ReadTimeout):
        session.post(url.replace("http", "https"), timeout=(5, 15))
    assert time.monotonic() - began < SECONDS + 2
    assert ssl.HAS_TLSv1_3


def test_a_connection_that_is_kept_has_a_deadline_too(session: requests.Session) -> None:
    def answers_once(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(HEAD + b"Content-Length: 2\r\n\r\n{}")
        drips_the_body(connection)

    with server(answers_once) as url:
        assert session.post(url, timeout=(5, 15)).json() == {}
        with pytest.raises(requests.ReadTimeout):
            session.post(url, timeout=(5, 15))


def test_little_of_an_endless_answer_is_read() -> None:
    sent = 0

    def endless(connection: socket.socket) -> None:
        nonlocal sent
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 503 Busy\r\n\r\n")
        while True:
            connection.sendall(b"x" * 65536)
            sent += 65536

    with deadline.give(requests.Session(), 20) as session, server(endless) as url:
        session.trust_env = False
        answer = session.post(url, timeout=(5, 15))
    assert (answer.status_code, len(answer.content)) == (503, deadline.MAX_ANSWER_BYTES)
    assert sent < 20_000_000


def test_requests_under_way_can_be_hurried() -> None:
    with deadline.give(requests.Session(), 60) as session, server(drips_the_body) as url:
        session.trust_env = False
        threading.Timer(0.3, deadline.hurry, [0.2]).start()
        began = time.monotonic()
        with pytest.raises(requests.ReadTimeout):
            session.post(url, timeout=(5, 15))
        assert time.monotonic() - began < 3


@pytest.mark.parametrize("transport", ["sdk", "wire"])
def test_a_slow_answer_of_segment_is_unknown(
    transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGMENT_TRANSPORT", transport)
    with server(drips_the_body) as url:
        monkeypatch.setenv("SEGMENT_HOST", url)
        # After the variables: an instance belongs to its values.
        monkeypatch.setattr(config.segment(), "request_seconds", SECONDS)
        attempt = segment.Endpoint("key").send(['{"userId": "1"}'])
    assert attempt.verdict.outcome is segment.Outcome.UNKNOWN
    assert attempt.verdict.reason_code == "read_timeout"
    assert attempt.body_bytes > 0


def test_a_slow_cdn_is_reported(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with server(drips_the_head) as url:
        monkeypatch.setenv("SEGMENT_HOST", url)
        monkeypatch.setattr(config.segment(), "request_seconds", SECONDS)
        readiness.check("key")
    assert "cannot be reached (ReadTimeout)" in caplog.text


def test_a_token_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """The token server asks for a wait of a day."""

    def busy(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(
            b"HTTP/1.1 429 Busy\r\nX-RateLimit-Reset: 86400\r\nContent-Length: 0\r\n\r\n"
        )

    monkeypatch.setattr(oauth, "MAX_WAIT_SECONDS", SECONDS)
    with server(busy) as url:
        manager = oauth.TokenManager("client", "no key", "id", url)
        monkeypatch.setattr(
            manager, "_request_token", lambda: requests.post(url, timeout=5), raising=True
        )
        with pytest.raises(FatalError, match="no token in"):
            manager.get_token()
