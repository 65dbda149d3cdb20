"""Command line: ``python -m sandbox.segment --path DIR --port 8765``."""

import argparse
import errno
import logging
import os
import signal
import socket
import sys
from pathlib import Path
from types import FrameType

import uvicorn

from sandbox.segment.app import create_app
from sandbox.segment.connection import ResettableProtocol


class _Server(uvicorn.Server):
    """Says on stdout when it serves."""

    def __init__(self, config: uvicorn.Config, url: str) -> None:
        super().__init__(config)
        self._url = url

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        sys.stdout.write(f"ready {self._url}\n")
        sys.stdout.flush()


def main() -> None:
    """Serves until SIGTERM or SIGINT."""
    options = _parse_options()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    signal.signal(signal.SIGTERM, _leave)
    listener = _listen(options.host, options.port)
    port = listener.getsockname()[1]
    keys = frozenset(options.write_key) if options.write_key else None
    config = uvicorn.Config(
        create_app(options.path, keys),
        http=ResettableProtocol,
        ws="none",
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=5,
    )
    _Server(config, f"http://{options.host}:{port}").run(sockets=[listener])


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox.segment",
        description="A local endpoint that behaves as Segment's HTTP Tracking API is documented"
        " to, with a page at / that shows what arrived.",
    )
    parser.add_argument(
        "--path",
        type=Path,
        default=Path(".sandbox/segment"),
        help="directory that keeps what arrives (default: %(default)s)",
    )
    parser.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
    parser.add_argument(
        "--port",
        type=int,
        default=int(os.environ.get("SEGMENT_PORT", "8765")),
        help="0 takes a free one and shows it in the ready line (default: SEGMENT_PORT, else 8765)",
    )
    parser.add_argument(
        "--write-key",
        action="append",
        metavar="KEY",
        help="a known source's write key, may be repeated; messages under any other key are"
        " answered with 200 and dropped (default: every key is known)",
    )
    return parser.parse_args()


def _leave(_signal: int, _frame: FrameType | None) -> None:
    """Ends the process with status 0; uvicorn raises the signal again when it has shut down."""
    raise SystemExit(0)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(1024)
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


if __name__ == "__main__":
    main()
