"""What a connection that fails says, for each reason that a set-up may have."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from luigi_tasks.clickhouse import client as clickhouse
from luigi_tasks.clickhouse import session
from luigi_tasks.errors import (
    ClickHouseUnavailableError,
    ConfigurationError,
    CredentialsRefusedError,
    PipelineError,
)
from luigi_tasks.runs.markers import MarkerTarget
from tests.conftest import ClickHouseServer
from tests.processes import PROJECT, clean_environment, free_port

LOOPBACK = "127.0.0.1"


def certificate(path: Path) -> Path:
    """A certificate for 127.0.0.1 that signs itself, with its key, as a private CA would."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "private")])
    now = datetime.now(timezone.utc)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(LOOPBACK))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(
        signed.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


def pump(source: socket.socket, target: socket.socket) -> None:
    """Pass bytes on in one direction."""
    with suppress(OSError):
        while chunk := source.recv(1 << 16):
            target.sendall(chunk)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextmanager
def tls_front(server: ClickHouseServer, pem: Path) -> Iterator[int]:
    """A port that speaks TLS and passes everything on to the server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    listener = socket.create_server((LOOPBACK, 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                plain, _ = listener.accept()
                try:
                    client = context.wrap_socket(plain, server_side=True)
                except OSError:
                    plain.close()
                    continue
                upstream = socket.create_connection((server.host, server.port))
                for pair in ((client, upstream), (upstream, client)):
                    threading.Thread(target=pump, args=pair, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    with closing(listener):
        yield listener.getsockname()[1]


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    """The certificate of the TLS port."""
    return certificate(tmp_path / "private.pem")


@pytest.fixture
def tls_port(clickhouse_server: ClickHouseServer, pem: Path) -> Iterator[int]:
    """ClickHouse behind TLS."""
    with tls_front(clickhouse_server, pem) as port:
        yield port


@pytest.fixture(autouse=True)
def address(clickhouse_server: ClickHouseServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The address of ClickHouse in the environment; a test spoils a part of it."""
    for name, value in clickhouse_server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CLICKHOUSE_DATABASE", "reachable")


def failure(monkeypatch: pytest.MonkeyPatch, **environment: str) -> PipelineError:
    """How connecting fails with these variables."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(PipelineError) as caught:
        clickhouse.connect()
    return caught.value


@pytest.mark.parametrize(
    "host", ["https://ch.example.com", "ch.example.com/x", "user@ch", "ch.example.com:8443"]
)
def test_an_address_is_no_host_name(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    error = failure(monkeypatch, CLICKHOUSE_HOST=host)
    assert isinstance(error, ConfigurationError)
    assert "no host name" in str(error)


def test_nothing_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    error = failure(monkeypatch, CLICKHOUSE_PORT=str(free_port()))
    assert isinstance(error, ClickHouseUnavailableError)
    assert "nothing listens there. Start the local one with `make up`" in str(error)


def test_an_unknown_name(monkeypatch: pytest.MonkeyPatch) -> None:
    error = failure(monkeypatch, CLICKHOUSE_HOST="clickhouse.invalid")
    assert isinstance(error, ClickHouseUnavailableError)
    assert "its name cannot be resolved" in str(error)


def test_an_unknown_certificate(tls_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    error = failure(monkeypatch, CLICKHOUSE_PORT=str(tls_port), CLICKHOUSE_SECURE="true")
    assert isinstance(error, ConfigurationError)
    assert "self-signed certificate" in str(error)
    assert "SSL_CERT_FILE" in str(error)


def test_a_certificate_of_another_name(
    tls_port: int, pem: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = {"CLICKHOUSE_HOST": "localhost", "SSL_CERT_FILE": str(pem)}
    error = failure(monkeypatch, CLICKHOUSE_PORT=str(tls_port), CLICKHOUSE_SECURE="true", **changes)
    assert "not valid for 'localhost'" in str(error)


def test_a_private_authority_is_trusted_by_luigi_and_dbt(
    clickhouse_server: ClickHouseServer,
    tls_port: int,
    pem: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    changes = {
        "CLICKHOUSE_PORT": str(tls_port),
        "CLICKHOUSE_SECURE": "true",
        "SSL_CERT_FILE": str(pem),
    }
    for name, value in changes.items():
        monkeypatch.setenv(name, value)
    assert clickhouse.connect().command("select 1") == 1
    done = subprocess.run(
        [Path(sys.executable).with_name("dbt"), "debug", "--connection", "--log-path", tmp_path],
        cwd=PROJECT,
        env=clean_environment() | clickhouse_server.environment | changes,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_tls_on_the_plain_port(monkeypatch: pytest.MonkeyPatch) -> None:
    error = failure(monkeypatch, CLICKHOUSE_SECURE="true")
    assert isinstance(error, ConfigurationError)
    assert "set CLICKHOUSE_PORT to the port for TLS" in str(error)


def test_plain_http_on_the_tls_port(tls_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    error = failure(monkeypatch, CLICKHOUSE_PORT=str(tls_port))
    assert "set CLICKHOUSE_SECURE=true" in str(error)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_dead_proxy(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    proxy = f"http://somebody:very-secret@{LOOPBACK}:{free_port()}"
    error = failure(
        monkeypatch,
        CLICKHOUSE_SECURE=str(scheme == "https").lower(),
        **{f"{scheme}_proxy": proxy},
    )
    assert isinstance(error, ClickHouseUnavailableError)
    assert f"does not answer ({scheme}_proxy)" in str(error)
    assert "very-secret" not in str(error)


def test_a_wrong_password(monkeypatch: pytest.MonkeyPatch) -> None:
    error = failure(monkeypatch, CLICKHOUSE_USER="nobody", CLICKHOUSE_PASSWORD="very-secret")
    assert isinstance(error, CredentialsRefusedError)
    assert "refused the user 'nobody'" in str(error)
    assert "very-secret" not in str(error)


@pytest.mark.parametrize(
    ("status", "text", "said"),
    [
        (400, "Port 9000 is for clickhouse-client program", "port for clickhouse-client"),
        (404, "<html>nginx</html>", "a proxy or another program answers"),
    ],
)
def test_another_program(
    status: int, text: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer((LOOPBACK, 0), Handler) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        error = failure(monkeypatch, CLICKHOUSE_PORT=str(other.server_port))
        other.shutdown()
    assert said in str(error)


def test_a_run_that_starts_waits_for_clickhouse(
    clickhouse_server: ClickHouseServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    monkeypatch.setenv("CLICKHOUSE_PORT", str(port))

    def wake_up() -> None:
        listener = socket.create_server((LOOPBACK, port))
        for _ in range(9):
            client, _ = listener.accept()
            upstream = socket.create_connection((clickhouse_server.host, clickhouse_server.port))
            for pair in ((client, upstream), (upstream, client)):
                threading.Thread(target=pump, args=pair, daemon=True).start()

    alarm = threading.Timer(2, wake_up)
    alarm.daemon = True
    alarm.start()
    assert not MarkerTarget("nothing").exists()


def test_what_dbt_hides_is_said_before_it_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    clickhouse.check_for_dbt()
    settings = session.of_dbt() | {"no_such_setting": 1}
    monkeypatch.setattr(session, "of_dbt", lambda: settings)
    with pytest.raises(ConfigurationError, match=r"no_such_setting.*too old") as caught:
        clickhouse.check_for_dbt()
    assert "dbt cannot build in the database" in str(caught.value)
