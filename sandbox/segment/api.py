"""The JSON API behind the debugger page and the tests."""

import json
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.segment.faults import FaultError, FaultScript
from sandbox.segment.rules import CODES
from sandbox.segment.settings import LiveSettings, SettingsError
from sandbox.segment.store import FILTER_NAMES, Store

_DEFAULT_LIMIT = 100
_MAX_LIMIT = 10_000
_PAGE_PARAMETERS = ("limit", "offset")


class Api:
    """Reads and clears what arrived, and takes fault scripts and settings."""

    def __init__(self, store: Store, faults: FaultScript, settings: LiveSettings) -> None:
        self._store = store
        self._faults = faults
        self._settings = settings

    def routes(self) -> list[Route]:
        """The routes below /api."""
        return [
            Route("/messages", self.messages, methods=["GET"]),
            Route("/messages", self.clear, methods=["DELETE"]),
            Route("/requests", self.requests, methods=["GET"]),
            Route("/stats", self.stats, methods=["GET"]),
            Route("/codes", self.codes, methods=["GET"]),
            Route("/faults", self.faults, methods=["GET", "POST", "DELETE"]),
            Route("/settings", self.settings, methods=["GET", "PATCH", "DELETE"]),
        ]

    async def messages(self, request: Request) -> Response:
        """Messages in the order of arrival; ``order=desc`` turns it round."""
        _refuse_unknown(request, (*FILTER_NAMES, *_PAGE_PARAMETERS, "order"))
        limit, offset = _page(request)
        order = request.query_params.get("order", "asc")
        if order not in ("asc", "desc"):
            raise HTTPException(400, "order must be asc or desc")
        filters = {n: v for n, v in request.query_params.items() if n in FILTER_NAMES and v != ""}
        total, rows = await run_in_threadpool(
            self._store.messages, filters, limit, offset, order == "desc"
        )
        body = ",\n".join(_message_json(row) for row in rows)
        return Response(f'{{"total":{total},"messages":[{body}]}}', media_type="application/json")

    async def clear(self, _request: Request) -> Response:
        """Forgets everything that arrived."""
        await run_in_threadpool(self._store.clear)
        return Response(status_code=204)

    async def requests(self, request: Request) -> Response:
        """Tracking requests, the latest first."""
        _refuse_unknown(request, _PAGE_PARAMETERS)
        total, rows = await run_in_threadpool(self._store.requests, *_page(request))
        return JSONResponse({"total": total, "requests": [_camel(row) for row in rows]})

    async def stats(self, _request: Request) -> Response:
        """Counts, the fault steps still to come, and what is set up unusually."""
        counts = await run_in_threadpool(self._store.stats)
        faults = len(self._faults.to_json()["script"])
        unusual = self._settings.current.unusual()
        return JSONResponse({**counts, "fault_steps": faults, "unusual_settings": unusual})

    async def codes(self, _request: Request) -> Response:
        """What each drop code means."""
        return JSONResponse(CODES)

    async def faults(self, request: Request) -> Response:
        """Shows, replaces or clears the fault script."""
        if request.method == "DELETE":
            self._faults.clear()
        elif request.method == "POST":
            try:
                self._faults.replace(json.loads(await request.body()))
            except (FaultError, ValueError) as error:
                raise HTTPException(400, f"unusable fault script: {error}") from error
        return JSONResponse(self._faults.to_json())

    async def settings(self, request: Request) -> Response:
        """Shows the settings, changes some, or goes back to those of the start."""
        if request.method == "DELETE":
            self._settings.restore()
        elif request.method == "PATCH":
            try:
                self._settings.change(json.loads(await request.body()))
            except (SettingsError, ValueError) as error:
                raise HTTPException(400, f"unusable settings: {error}") from error
        return JSONResponse(self._settings.current.to_json())


def _refuse_unknown(request: Request, known: tuple[str, ...]) -> None:
    """A filter that is misspelt must not look like one that matches everything."""
    unknown = sorted(set(request.query_params) - set(known))
    if unknown:
        raise HTTPException(400, f"unknown parameter {unknown[0]!r}; known: {', '.join(known)}")


def _page(request: Request) -> tuple[int, int]:
    limit = _number(request, "limit", _DEFAULT_LIMIT)
    return min(limit, _MAX_LIMIT), _number(request, "offset", 0)


def _number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise HTTPException(400, f"{name} must be a whole number of 0 or more")
    return int(text)


def _camel(row: dict[str, Any]) -> dict[str, Any]:
    def name(column: str) -> str:
        first, *rest = column.split("_")
        return first + "".join(part.capitalize() for part in rest)

    return {name(column): value for column, value in row.items()}


def _message_json(row: dict[str, Any]) -> str:
    """Renders one message. ``message`` is its own text, digit for digit, and so is ``raw``."""
    head = {
        "seq": row["seq"],
        "state": row["state"],
        "code": row["code"],
        "type": row["type"],
        "event": row["event"],
        "userId": row["user_id"],
        "anonymousId": row["anonymous_id"],
        "messageId": row["message_id"],
        "receivedAt": row["received_at"],
        "request": {
            "id": row["request_id"],
            "endpoint": row["endpoint"],
            "status": row["status"],
            "auth": row["auth"],
            "bodyBytes": row["body_bytes"],
            "messages": row["request_messages"],
            "code": row["request_code"],
            "sentAt": row["sent_at"],
            "fault": row["fault"],
        },
        "raw": row["raw"],
    }
    return f'{json.dumps(head)[:-1]}, "message": {row["raw"]}}}'
