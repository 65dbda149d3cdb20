"""Luigi's central scheduler for those who may ask: `python -m luigi_tasks.luigid`.

The scheduler and its pages are Luigi's own. Luigi's server answers whoever reaches its port, also a
web page of somebody else that is open in a browser on the same machine: one GET is enough to change
a task. Here a request is refused when

- its `Host` is neither this machine nor a name given by --allow-host. This also stops a web page
  whose own name is made to lead here (DNS rebinding);
- another site sent it, by its `Origin` or `Sec-Fetch-Site`. A page on another port of this machine
  is another site too. A link from elsewhere may open Luigi's page, nothing else;
- a password is set (LUIGI_PASSWORD, or LUIGI_PASSWORD_FILE) and the request does not carry it, by
  HTTP's basic authentication, user `luigi`. Beyond loopback a password is required.

Answers forbid scripts that are not Luigi's own files, since Luigi's page shows messages of tasks
unescaped.

Settings are those of `luigid`: `[scheduler]` and `[task_history]` in luigi.cfg and in the file that
LUIGI_CONFIG_PATH names.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import hmac
import logging
import re
import sys
from collections.abc import Collection
from http import HTTPStatus
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import luigi.server
from luigi.setup_logging import DaemonLogging
from tornado.httputil import HTTPHeaders, HTTPMessageDelegate, HTTPServerRequest
from tornado.routing import Router
from tornado.web import Application, OutputTransform, RequestHandler

from luigi_tasks import config
from luigi_tasks.errors import ConfigurationError

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

OWN_SITES = frozenset({"same-origin", "none"})
"""Values of Sec-Fetch-Site: the page itself, or a person (address bar, bookmark)."""

LINKED_PATHS = ("/static/visualiser/",)
"""What a link on another site may open, besides `/`, which leads there."""


class Gate:
    """Decides which requests are answered.

    Args:
        allowed_hosts: Names in `Host` besides those of this machine.
        password: The password of the user `luigi`; empty for none.
    """

    def __init__(self, allowed_hosts: Collection[str], password: str) -> None:
        self._hosts = LOOPBACK | {host.lower() for host in allowed_hosts}
        credentials = f"{config.LUIGI_USER}:{password}".encode()
        self._authorization = b"Basic " + base64.b64encode(credentials) if password else b""

    def refusal(self, request: HTTPServerRequest) -> tuple[HTTPStatus, str] | None:
        """Return why a request is refused; None when it may pass."""
        headers = request.headers
        host = headers.get("Host", "")
        if _name(host) not in self._hosts:
            return (
                HTTPStatus.FORBIDDEN,
                "This name is not allowed. Name it when the scheduler is started: --allow-host.",
            )
        if not _is_own_site(request, host):
            return HTTPStatus.FORBIDDEN, "Requests of other web sites are refused."
        given = headers.get("Authorization", "").encode()
        if (
            self._authorization
            and not _is_health_check(request)
            and not hmac.compare_digest(given, self._authorization)
        ):
            return (
                HTTPStatus.UNAUTHORIZED,
                f"The user {config.LUIGI_USER} and the password LUIGI_PASSWORD are needed.",
            )
        return None


def _name(host: str) -> str:
    """The name in a `Host` header, without the port; empty when it cannot be read."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_own_site(request: HTTPServerRequest, host: str) -> bool:
    headers = request.headers
    origin = headers.get("Origin")
    if origin is not None and origin not in {f"http://{host}", f"https://{host}"}:
        return False
    site = headers.get("Sec-Fetch-Site")
    if site is None:
        # No browser, or one that does not tell because the address is neither TLS nor loopback.
        # Only Luigi's own page can make such a browser send X-Requested-With.
        is_browser = headers.get("User-Agent", "").startswith("Mozilla/")
        return not is_browser or not _is_call(request) or "X-Requested-With" in headers
    return site in OWN_SITES or _is_link(request)


def _is_call(request: HTTPServerRequest) -> bool:
    return request.path.startswith("/api/")


def _is_link(request: HTTPServerRequest) -> bool:
    """Whether a person followed a link on another site to Luigi's page."""
    return (
        request.method == "GET"
        and request.headers.get("Sec-Fetch-Mode") == "navigate"
        and request.headers.get("Sec-Fetch-Dest") == "document"
        and (request.path == "/" or request.path.startswith(LINKED_PATHS))
    )


def _is_health_check(request: HTTPServerRequest) -> bool:
    """Whether it only asks if the scheduler lives; Luigi answers with 204 and no content."""
    return request.method == "HEAD" and request.path == "/"


class GuardedApplication(Router):
    """Luigi's application behind a gate."""

    def __init__(self, application: Application, gate: Gate) -> None:
        self._application = application
        self._gate = gate
        application.add_transform(SecureHeaders)

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> HTTPMessageDelegate:
        """Return Luigi's handler, or one that refuses."""
        refusal = self._gate.refusal(request)
        if refusal is None:
            return self._application.find_handler(request, **kwargs)
        status, text = refusal
        return self._application.get_handler_delegate(
            request, Refusal, {"status": status, "text": text}
        )


class Refusal(RequestHandler):
    """Answers with a status and one sentence, whatever the method."""

    def initialize(self, status: HTTPStatus, text: str) -> None:
        """Take the answer from the gate."""
        self._status, self._text = status, text

    def prepare(self) -> None:
        """Answer before any method is called."""
        self.set_status(self._status)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        if self._status == HTTPStatus.UNAUTHORIZED:
            self.set_header("WWW-Authenticate", 'Basic realm="luigid", charset="UTF-8"')
        self.finish(self._text + "\n")


class SecureHeaders(OutputTransform):
    """Adds headers that keep foreign scripts out of Luigi's pages, and these out of frames."""

    def transform_first_chunk(
        self, status_code: int, headers: HTTPHeaders, chunk: bytes, finishing: bool
    ) -> tuple[int, HTTPHeaders, bytes]:
        """Add the headers to an answer."""
        headers["Content-Security-Policy"] = _content_policy()
        headers["X-Content-Type-Options"] = "nosniff"
        headers["Referrer-Policy"] = "no-referrer"
        headers["Cross-Origin-Resource-Policy"] = "same-origin"
        return status_code, headers, chunk


def _content_policy() -> str:
    scripts = " ".join(["'self'", *INLINE_SCRIPTS])
    return (
        f"default-src 'self'; script-src {scripts}; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    )


def _inline_scripts() -> list[str]:
    """The hashes of the scripts that stand in Luigi's page itself, as the policy names them."""
    page = Path(luigi.server.__file__).with_name("static") / "visualiser" / "index.html"
    scripts = re.findall(r"<script>(.*?)</script>", page.read_text(encoding="utf-8"), re.DOTALL)
    digests = [hashlib.sha256(script.encode()).digest() for script in scripts]
    return [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests]


INLINE_SCRIPTS = _inline_scripts()


def main() -> None:
    """Run the scheduler until a signal ends it."""
    options = parse_options(sys.argv[1:])
    try:
        password = config.luigi_password()
    except ConfigurationError as error:
        sys.exit(str(error))
    if not password and not _is_loopback(options.address):
        sys.exit(
            f"luigid shall listen on {options.address}, where others can reach it, without a "
            "password. Set LUIGI_PASSWORD or LUIGI_PASSWORD_FILE, for the workers too, or use "
            "--address 127.0.0.1."
        )
    gate = Gate(options.allow_host, password)
    application = luigi.server.app
    # Luigi has no hook for this. Its `run` calls `app`, and ends in good order on a signal.
    luigi.server.app = lambda scheduler: GuardedApplication(application(scheduler), gate)
    DaemonLogging.setup(argparse.Namespace(background=False, logdir=None))
    # Each worker asks several times per second. What is refused stays in the log.
    logging.getLogger("tornado.access").setLevel(logging.WARNING)
    luigi.server.run(api_port=options.port, address=options.address)


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def parse_options(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m luigi_tasks.luigid",
        description="Luigi's central scheduler and its pages. Requests of other web sites are "
        "refused. LUIGI_PASSWORD or LUIGI_PASSWORD_FILE sets the password of the user luigi, "
        "which is required beyond loopback.",
    )
    parser.add_argument("--address", default="127.0.0.1", help="default: %(default)s")
    parser.add_argument("--port", type=int, default=8082, help="default: %(default)s")
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name by which others reach it, as in http://NAME:8082; may be repeated",
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
