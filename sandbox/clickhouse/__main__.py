"""``python -m sandbox.clickhouse``: serve a data directory over ClickHouse's HTTP interface."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from sandbox import private
from sandbox.clickhouse.auth import Account
from sandbox.clickhouse.confinement import confine
from sandbox.clickhouse.datadir import DataDirectoryBusyError, locked
from sandbox.clickhouse.protocol import ClickHouseProtocol
from sandbox.guard import Guard, add_option, allowed_names, is_loopback

_GRACE_S = 30  # running queries get this long to finish when the server is told to stop
_LAST_WORDS_S = 10
_KEEP_ALIVE_S = 300


class _Server(uvicorn.Server):
    """A server that says when it is ready and ends with exit code 0 when asked to stop."""

    def __init__(
        self, config: uvicorn.Config, ready: str, kill_queries: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._ready = ready
        self._kill_queries = kill_queries

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        print(self._ready, flush=True)  # noqa: T201  # scripts wait for this line

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        # uvicorn raises a caught signal again at its end, which would spoil the exit code.
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop, number)
        yield

    def _stop(self, number: int) -> None:
        self.handle_exit(number, None)
        deadline = threading.Timer(_GRACE_S, self._kill_queries)
        deadline.daemon = True
        deadline.start()


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox.clickhouse",
        description="ClickHouse's engine (chDB) behind ClickHouse's HTTP interface, on one data "
        "directory. Prints 'ready http://HOST:PORT' once it serves, and where the password is. "
        "SIGTERM stops it when the running queries are done; after "
        f"{_GRACE_S} seconds it ends them.",
        epilog="Environment: CLICKHOUSE_PORT and CLICKHOUSE_USER are the defaults of --port and "
        "--user. CLICKHOUSE_PASSWORD is the password that clients must send; without it, it is a "
        "random one, in the file 'password' of the data directory.",
    )
    parser.add_argument(
        "--path",
        type=Path,
        default=Path(".sandbox/clickhouse"),
        help="data directory, made when missing; one process at a time (default: %(default)s)",
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on; any other than loopback opens the data to the network "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--port",
        type=int,
        default=int(os.environ.get("CLICKHOUSE_PORT") or 8123),
        help="port to listen on; 0 picks a free one (default: %(default)s)",
    )
    parser.add_argument(
        "--user",
        default=os.environ.get("CLICKHOUSE_USER") or "default",
        help="the only user that is let in (default: %(default)s)",
    )
    parser.add_argument(
        "--no-password",
        action="store_true",
        help="let everybody in who reaches the port: every user of this machine",
    )
    add_option(parser)
    return parser.parse_args(argv)


def _listen(host: str, port: int) -> socket.socket:
    """Bind the port before the engine starts, so that a taken port is known at once."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off only when the protocol is named. With it, every answer
    # that is sent as head and body would wait 40 ms for the client's delayed acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise SystemExit(
            f"Cannot listen on {host}:{port}: {error.strerror}. "
            "Stop what uses the port, or choose another one: set CLICKHOUSE_PORT, or give --port "
            "(0 picks a free one)."
        ) from error
    return listener


def _warn_when_open(arguments: argparse.Namespace) -> None:
    if arguments.no_password and not is_loopback(arguments.host):
        sys.stderr.write(
            f"Warning: listening on {arguments.host} without a password. Everybody who reaches "
            "this address can read and change the data. Leave --no-password out, or listen on "
            "127.0.0.1.\n"
        )


def _account(arguments: argparse.Namespace, inherited: str, path: Path) -> tuple[Account, str]:
    """Who is let in, and what the ready line says about it."""
    if arguments.no_password:
        return Account(arguments.user, ""), " without a password"
    if inherited:
        return Account(arguments.user, inherited), " with the password of CLICKHOUSE_PASSWORD"
    file = private.password_file(path)
    hint = f" The password is in {file}; `. .venv/bin/activate` exports that of the sandbox."
    account = Account(arguments.user, private.read_password(file), hint)
    return account, f" with the password in {file}"


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    arguments = _arguments(argv)
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
    )
    inherited = os.environ.pop("CLICKHOUSE_PASSWORD", "")
    private.restrict_new_files()
    _warn_when_open(arguments)
    try:
        with locked(arguments.path) as path, _listen(arguments.host, arguments.port) as listener:
            account, login = _account(arguments, inherited, path)
            ready = f"ready {_url(arguments.host, listener)}{login}"
            _serve(path, listener, account, allowed_names(arguments), ready)
    except (DataDirectoryBusyError, private.PrivateFileError) as error:
        raise SystemExit(str(error)) from error


def _keep_inside(path: Path) -> None:
    """Confine the process to its data directory, and its temporary files too."""
    temporary = path / "temporary"
    shutil.rmtree(temporary, ignore_errors=True)  # of a process that was killed
    temporary.mkdir()
    os.environ["TMPDIR"] = tempfile.tempdir = str(temporary)
    if not confine(path):
        logging.getLogger(__name__).warning(
            "This kernel has no Landlock (Linux 5.19 or later), so whoever may send queries can "
            "read files of this user with the function file(). docs/security.md says more."
        )


def _url(host: str, listener: socket.socket) -> str:
    shown_host = f"[{host}]" if ":" in host else host
    return f"http://{shown_host}:{listener.getsockname()[1]}"


def _serve(
    path: Path, listener: socket.socket, account: Account, names: list[str], ready: str
) -> None:
    # Before the engine is loaded, which starts threads.
    _keep_inside(path)
    # Loaded late: the engine is large, and --help or a taken port need none of it.
    from sandbox.clickhouse.app import ClickHouseHttp  # noqa: PLC0415
    from sandbox.clickhouse.engine import Engine  # noqa: PLC0415

    engine = Engine(path)
    http = ClickHouseHttp(engine, account)
    try:
        config = uvicorn.Config(
            Guard(http.asgi(), names),
            http=ClickHouseProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=_GRACE_S + _LAST_WORDS_S,
        )
        asyncio.run(_Server(config, ready, engine.kill_queries).serve([listener]))
    finally:
        http.close()
        engine.close()


if __name__ == "__main__":
    main()
