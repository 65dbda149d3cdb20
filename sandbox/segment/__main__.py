"""Command line: ``python -m sandbox.segment --path DIR --port 8765``."""

import argparse
import logging
import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from sandbox import private
from sandbox.guard import Guard, add_option, allowed_names
from sandbox.segment import page
from sandbox.segment.app import create_app
from sandbox.segment.listener import Server
from sandbox.segment.settings import DAY_SECONDS, Settings


def main() -> None:
    """Serves until SIGTERM or SIGINT."""
    options = _parse_options()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    signal.signal(signal.SIGTERM, _leave)
    settings = Settings(
        write_keys=tuple(options.write_key) if options.write_key else None,
        events_per_second=options.events_per_second,
        dedupe_window_s=options.dedupe_window,
    )
    private.restrict_new_files()

    def make_app(refuse: Callable[[float], None]) -> Guard:
        app = create_app(options.path, settings, refuse)
        return Guard(app, allowed_names(options), page.PAGES)

    try:
        Server(make_app, options.host, options.port).serve_until_signal()
    except private.PrivateFileError as error:
        raise SystemExit(str(error)) from error


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
    add_option(parser)
    parser.add_argument(
        "--write-key",
        action="append",
        metavar="KEY",
        help="a known source's write key, may be repeated; messages under any other key are"
        " answered with 200 and dropped (default: every key is known)",
    )
    parser.add_argument(
        "--events-per-second",
        type=float,
        metavar="N",
        help="answer 429 above this rate (default: no limit)",
    )
    parser.add_argument(
        "--dedupe-window",
        type=float,
        default=DAY_SECONDS,
        metavar="SECONDS",
        help="how long a messageId is remembered (default: 86400, a day)",
    )
    return parser.parse_args()


def _leave(_signal: int, _frame: FrameType | None) -> None:
    """Ends the process with status 0; uvicorn raises the signal again when it has shut down."""
    raise SystemExit(0)


if __name__ == "__main__":
    main()
