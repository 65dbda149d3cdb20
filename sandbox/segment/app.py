"""Puts the endpoints together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from sandbox.segment import page
from sandbox.segment.api import Api
from sandbox.segment.faults import FaultScript
from sandbox.segment.store import Store
from sandbox.segment.tracking import Tracking


def create_app(directory: Path, write_keys: frozenset[str] | None = None) -> Starlette:
    """Builds the application.

    Args:
        directory: Where what arrives is kept; made when it is missing.
        write_keys: The keys of known sources. Messages under another key are answered with 200
            and dropped. None takes every non-empty key as known.
    """
    store = Store(directory)
    faults = FaultScript()
    tracking = Tracking(store, faults, write_keys)

    @asynccontextmanager
    async def close_store(_app: Starlette) -> AsyncIterator[None]:
        yield
        store.close()

    return Starlette(
        routes=[
            Route("/v1/{call}", tracking.answer, methods=["POST"]),
            Mount("/api", routes=Api(store, faults).routes()),
            Route("/health", _health, methods=["GET"]),
            *page.routes(),
        ],
        exception_handlers={HTTPException: _error},
        lifespan=close_store,
    )


async def _health(_request: Request) -> Response:
    return JSONResponse({"service": "sandbox.segment"})


async def _error(_request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)
