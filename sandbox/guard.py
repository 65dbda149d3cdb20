"""Keeps web pages of other sites away from a server on this machine.

A page that you visit can make your browser send requests to any port of this machine, and with a
host name that it lets point to 127.0.0.1 (DNS rebinding) it can read the answers too. A browser
tells in three headers where a request comes from; what is no browser sends none but ``Host``:

* ``Host`` must be a loopback address, ``localhost``, or a name that the server was given.
* ``Origin``, where it is sent, must be the server's own: scheme, name and port.
* ``Sec-Fetch-Site``, where it is sent, must be ``same-origin`` or ``none`` (typed by a person).
  Another port of this machine is ``same-site``, so a page from there is refused as well.

Following a link to an HTML page is the one thing that another site may do.
"""

import argparse
import ipaddress
import re
from collections.abc import Iterable

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?", re.IGNORECASE)
_NAME = re.compile(r"[0-9a-f:.]+|[a-z0-9._-]+", re.IGNORECASE)


class Guard:
    """ASGI middleware that answers 403 to what must not pass. Put it around the whole application.

    Args:
        app: The application.
        names: Host names to answer to, besides those of the loopback interface.
        pages: Paths of HTML pages, which other sites may link to.
    """

    def __init__(self, app: ASGIApp, names: Iterable[str] = (), pages: Iterable[str] = ()) -> None:
        self._app = app
        self._names = frozenset(name.lower() for name in names)
        self._pages = frozenset(pages)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        reason = self._refusal(scope) if scope["type"] == "http" else None
        if reason is None:
            await self._app(scope, receive, send)
        else:
            await PlainTextResponse(f"{reason}\n", 403)(scope, receive, send)

    def _refusal(self, scope: Scope) -> str | None:
        """Why a request is refused; None if it may pass."""
        hosts = _values(scope, "host")
        host = hosts[0] if len(hosts) == 1 else ""
        if not self._is_own(host):
            return (
                f"This server does not answer to the host name {', '.join(hosts)!a}, only to"
                " localhost and loopback addresses. To add a name, start it with --allow-host NAME."
            )
        own = f"{scope['scheme']}://{host}".lower()
        if foreign := [origin for origin in _values(scope, "origin") if origin.lower() != own]:
            return f"This server takes no requests from pages of {foreign[0]!a}, only from its own."
        sites = _values(scope, "sec-fetch-site")
        if not {"same-origin", "none"}.issuperset(sites) and not self._is_link(scope):
            return (
                "This server takes no requests from pages of other servers; another port of the"
                " same machine is another server."
            )
        return None

    def _is_own(self, host: str) -> bool:
        match = _HOST.fullmatch(host)
        if match is None:
            return False
        name = match["name"].strip("[]").lower()
        return is_loopback(name) or name in self._names

    def _is_link(self, scope: Scope) -> bool:
        """Whether a person follows a link to a page; a frame on another page is none."""
        return (
            scope["method"] in ("GET", "HEAD")
            and scope["path"] in self._pages
            and _values(scope, "sec-fetch-mode") == ["navigate"]
            and _values(scope, "sec-fetch-dest") == ["document"]
        )


def is_loopback(name: str) -> bool:
    """Tell whether a host name or address is of this machine, reachable from nowhere else."""
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def add_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--allow-host`` to the command line of a server, which has ``--host`` too."""
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        type=_host_name,
        metavar="NAME",
        help="a name or address under which clients reach this server, besides localhost and"
        " loopback addresses; may be repeated",
    )


def allowed_names(options: argparse.Namespace) -> list[str]:
    """The names of ``--allow-host``, and the address of ``--host`` unless it stands for all."""
    stands_for_all = options.host in ("", "0.0.0.0", "::")  # noqa: S104  # not bound here
    return [*options.allow_host, *([] if stands_for_all else [options.host])]


def _host_name(text: str) -> str:
    name = text.removeprefix("[").removesuffix("]")
    if not _NAME.fullmatch(name):
        raise argparse.ArgumentTypeError(f"{text!a} is no host name; give it without a port")
    return name


def _values(scope: Scope, header: str) -> list[str]:
    name = header.encode()
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]
