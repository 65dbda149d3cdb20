"""Puts the endpoints together."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from email.utils import formatdate
from pathlib import Path

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandbox.segment import page
from sandbox.segment.api import Api
from sandbox.segment.faults import FaultScript
from sandbox.segment.oauth import Oauth
from sandbox.segment.settings import LiveSettings, Settings
from sandbox.segment.sources import Sources
from sandbox.segment.store import Store
from sandbox.segment.tracking import Tracking


def _cannot_refuse(_seconds: float) -> None:
    raise HTTPException(501, "this server cannot refuse connections; run python -m sandbox.segment")


def create_app(
    directory: Path,
    settings: Settings | None = None,
    refuse: Callable[[float], None] = _cannot_refuse,
) -> Starlette:
    """Builds the application.

    Args:
        directory: Where what arrives is kept; made when it is missing.
        settings: The settings of the start; None for the defaults.
        refuse: Makes the server refuse connections for so many seconds.
    """
    store = Store(directory)
    live = LiveSettings(settings or Settings())
    faults = FaultScript(refuse)
    oauth = Oauth(live, faults)

    @asynccontextmanager
    async def close_store(_app: Starlette) -> AsyncIterator[None]:
        yield
        store.close()

    return Starlette(
        routes=[
            Route("/v1/projects/{key}/settings", Sources(live, faults).answer, methods=["GET"]),
            Route("/v1/{call}", Tracking(store, faults, live, oauth).answer, methods=["POST"]),
            Route("/token", oauth.token, methods=["POST"]),
            Mount("/api", routes=Api(store, faults, live).routes()),
            Route("/health", _health, methods=["GET"]),
            *page.routes(),
        ],
        middleware=[Middleware(_DateHeader, live)],
        exception_handlers={HTTPException: _error},
        lifespan=close_store,
    )


class _DateHeader:
    """Writes the Date header by a clock that the settings can put wrong."""

    def __init__(self, app: ASGIApp, settings: LiveSettings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                now = time.time() + self._settings.current.clock_offset_s
                MutableHeaders(scope=message)["date"] = formatdate(now, usegmt=True)
            await send(message)

        await self._app(scope, receive, send_dated)


async def _health(_request: Request) -> Response:
    return JSONResponse({"service": "sandbox.segment"})


async def _error(_request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)
