"""Why ClickHouse cannot be used, in words: what a failed connection says, and its version.

clickhouse-connect reports all failures of a connection alike; their cause is in the chain of
exceptions below.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import ssl
from collections.abc import Iterator
from http.client import BadStatusLine
from urllib.request import getproxies

from clickhouse_connect.driver.exceptions import ClickHouseError, OperationalError, ProgrammingError
from urllib3.exceptions import NewConnectionError, ProxyError
from urllib3.exceptions import TimeoutError as NoAnswerError

from luigi_tasks import config
from luigi_tasks.errors import (
    ClickHouseUnavailableError,
    ConfigurationError,
    CredentialsRefusedError,
    PipelineError,
)

OLDEST = (26, 3)
"""The oldest ClickHouse that the pipeline runs on. `make test-engines` runs it there."""

AUTHENTICATION_CODES = frozenset({192, 193, 194, 516})
"""UNKNOWN_USER, WRONG_PASSWORD, REQUIRED_PASSWORD, AUTHENTICATION_FAILED."""

NATIVE_PORT_ANSWER = "is for clickhouse-client program"


def check_host(settings: config.clickhouse) -> None:
    """Refuse an address in the place of a host name.

    Raises:
        ConfigurationError: CLICKHOUSE_HOST has a scheme, a path or a port.
    """
    if re.fullmatch(r"[^\s/:@?#]+", settings.host) or _is_ip_address(settings.host):
        return
    raise ConfigurationError(
        f"CLICKHOUSE_HOST is {settings.host!r}, which is no host name. Set it to the name alone, "
        "such as ch.example.com, the port to CLICKHOUSE_PORT, and for https CLICKHOUSE_SECURE=true."
    )


def _is_ip_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def check_version(version: str) -> None:
    """Refuse a ClickHouse that is too old for the models.

    Raises:
        ConfigurationError: It is older than `OLDEST`.
    """
    found = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if found < OLDEST:
        raise ConfigurationError(
            f"ClickHouse is version {version}; {OLDEST[0]}.{OLDEST[1]} is the oldest that works: "
            "older ones lack settings and joins that the models need. Update the server."
        )


def explain(error: ClickHouseError, settings: config.clickhouse) -> Exception:
    """Return what to raise for a connection that could not be opened.

    Args:
        error: What clickhouse-connect raised.
        settings: Where it was to connect to.
    """
    where = f"{settings.host}:{settings.port}"
    if getattr(error, "code", None) in AUTHENTICATION_CODES:
        return CredentialsRefusedError(
            f"ClickHouse at {where} refused the user {settings.user!r}. "
            "Set CLICKHOUSE_USER and CLICKHOUSE_PASSWORD, then run again."
        )
    if isinstance(error, ProgrammingError):
        return ConfigurationError(
            f"ClickHouse at {where} lets {settings.user!r} not use the settings of profiles.yml: "
            f"{error}. Take the constraint out of the user's settings profile."
        )
    if isinstance(error, OperationalError):
        return _no_connection(error, where, settings.secure)
    if getattr(error, "code", None) is None:
        return _not_clickhouse(str(error), where)
    return error


def _no_connection(error: ClickHouseError, where: str, secure: bool) -> PipelineError:
    """Find the reason in the chain of causes; the outermost that says something wins."""
    for cause in _chain(error):
        if isinstance(cause, ssl.SSLError):
            return _tls(cause, where)
        if isinstance(cause, ProxyError):
            return ClickHouseUnavailableError(
                f"The proxy to ClickHouse at {where} does not answer "
                f"({_proxy(secure)}). Correct the variable, or name the host in NO_PROXY."
            )
        if reason := _reason(cause, secure):
            return _unavailable(where, reason)
    return _unavailable(where, " ".join(str(error).split())[:300])


def _reason(cause: BaseException, secure: bool) -> str:
    """What an exception says about a server that may come back; empty when it says nothing."""
    if isinstance(cause, socket.gaierror):
        return f"its name cannot be resolved ({cause.strerror})"
    if isinstance(cause, BadStatusLine | ConnectionResetError) and not secure:
        return (
            "the connection was closed without an answer in HTTP. If it is the port for TLS "
            "(often 8443), set CLICKHOUSE_SECURE=true"
        )
    if isinstance(cause, ConnectionRefusedError):
        return "nothing listens there"
    # urllib3 counts every connection that was not made among its timeouts.
    if isinstance(cause, TimeoutError | NoAnswerError) and not isinstance(
        cause, NewConnectionError
    ):
        return "it took too long; a firewall may be in the way"
    return ""


def _chain(error: BaseException) -> Iterator[BaseException]:
    """All causes, from the outside in; urllib3 keeps some as an attribute only."""
    current: BaseException | None = error
    while current is not None:
        reason = getattr(current, "reason", None)
        if isinstance(reason, BaseException):
            yield reason
        yield current
        current = current.__cause__ or current.__context__


def _tls(error: ssl.SSLError, where: str) -> PipelineError:
    if isinstance(error, ssl.SSLCertVerificationError):
        return ConfigurationError(
            f"The certificate of ClickHouse at {where} is not trusted: {error.verify_message}. "
            "For a private certificate authority set SSL_CERT_FILE to a file with its "
            "certificate (PEM); CLICKHOUSE_HOST must be a name that the certificate has."
        )
    return ConfigurationError(
        f"ClickHouse at {where} does not answer in TLS ({error.reason or error}). With "
        "CLICKHOUSE_SECURE=true set CLICKHOUSE_PORT to the port for TLS, often 8443."
    )


def _proxy(secure: bool) -> str:
    """The variable that urllib takes the proxy from; its value may hold a password."""
    scheme = "https" if secure else "http"
    return f"{scheme}_proxy" if scheme in getproxies() else "all_proxy"


def _not_clickhouse(answer: str, where: str) -> PipelineError:
    if NATIVE_PORT_ANSWER in answer:
        return ConfigurationError(
            f"{where} is the port for clickhouse-client. Set CLICKHOUSE_PORT to that of the HTTP "
            "interface: 8123, or 8443 for TLS."
        )
    return _unavailable(
        where, f"a proxy or another program answers ({' '.join(answer.split())[:200]})"
    )


def _unavailable(where: str, reason: str) -> ClickHouseUnavailableError:
    return ClickHouseUnavailableError(
        f"ClickHouse does not answer at {where}: {reason}. Start the local one with `make up`, or "
        "set CLICKHOUSE_HOST and CLICKHOUSE_PORT to a server that runs."
    )
