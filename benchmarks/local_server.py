"""An HTTP server in a process of its own, for benchmarks that post to one on this machine."""

from __future__ import annotations

import multiprocessing
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import requests
import uvicorn

START_SECONDS = 20


@contextmanager
def serving(application: Callable) -> Iterator[str]:
    """Serve an ASGI application, a function of a module; yields the URL once it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    spawn = multiprocessing.get_context("spawn")
    server = spawn.Process(target=_serve, args=(application, port), daemon=True)
    server.start()
    try:
        _wait_for(url)
        yield url
    finally:
        server.terminate()
        server.join()


def _serve(application: Callable, port: int) -> None:
    uvicorn.run(application, host="127.0.0.1", port=port, log_level="error", lifespan="off")


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            requests.get(url, timeout=1)
            return
        except requests.ConnectionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
