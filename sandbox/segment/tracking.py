"""The tracking endpoints: /v1/batch and the single calls."""

import asyncio
import base64
import binascii
import logging
import uuid
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from sandbox.segment import rules
from sandbox.segment.body import BodyError, BodyTooLargeError, read_body
from sandbox.segment.connection import reset_connection
from sandbox.segment.envelope import BadJSONError, Item, parse_batch, parse_item
from sandbox.segment.faults import Fault, FaultScript
from sandbox.segment.store import Message, Request, State, Store

logger = logging.getLogger(__name__)

_ENDPOINTS = ("batch", *rules.CALLS)

SUCCESS_BODY = '{\n  "success": true\n}'
OVERSIZE_BODY = "Exceed payload limit"
REFUSED_BODY = "Bad Request".ljust(80)
"""Seen in the field: text padded with blanks, not JSON."""


@dataclass(frozen=True)
class Outcome:
    """What a request comes to: the answer, and what is to be stored."""

    status: int = 200
    text: str = SUCCESS_BODY
    auth: str = "none"
    body_bytes: int = 0
    messages: list[Message] = field(default_factory=list)
    code: str | None = None
    detail: str | None = None
    sent_at: str | None = None


class Tracking:
    """Answers tracking requests.

    Args:
        store: Where everything that arrives is kept.
        faults: The script that decides which requests are answered otherwise.
        write_keys: The keys of known sources. None takes every non-empty key as known.
    """

    def __init__(self, store: Store, faults: FaultScript, write_keys: frozenset[str] | None):
        self._store = store
        self._faults = faults
        self._write_keys = write_keys

    async def answer(self, request: HttpRequest) -> Response:
        """Takes one request: stores it, then answers it."""
        endpoint = request.path_params["call"]
        if endpoint not in _ENDPOINTS:
            raise HTTPException(404, f"no such call; known calls: {', '.join(_ENDPOINTS)}")
        fault = self._faults.take() or Fault()
        try:
            outcome = await self._read(request, endpoint)
        except ClientDisconnect:
            logger.info("POST /v1/%s: the client went away before the end of the body", endpoint)
            return Response(status_code=400)
        if not fault.accepts:
            outcome = replace(outcome, messages=[], code=None, detail="refused by the fault script")
        outcome = replace(outcome, status=_status(fault, outcome))
        await self._keep(endpoint, outcome, fault)
        return await _answer(request, fault, outcome)

    async def _read(self, request: HttpRequest, endpoint: str) -> Outcome:
        encoding = request.headers.get("content-encoding", "").strip().lower()
        try:
            body = await read_body(request.stream(), encoding)
        except BodyTooLargeError as error:
            return Outcome(400, OVERSIZE_BODY, detail=str(error))
        except BodyError as error:
            return Outcome(400, REFUSED_BODY, detail=str(error))
        try:
            outcome = self._judge(endpoint, request.headers, body)
        except BadJSONError:
            # The parser's own text may quote the body.
            outcome = Outcome(400, REFUSED_BODY, detail="the body is not a JSON object")
        return replace(outcome, body_bytes=len(body))

    def _judge(self, endpoint: str, headers: Headers, body: bytes) -> Outcome:
        """Applies Segment's rules to a body.

        Raises:
            BadJSONError: The body is not a JSON object.
        """
        if endpoint == "batch":
            envelope = parse_batch(body)
            fields, items = envelope.fields, envelope.items
        else:
            item = parse_item(body)
            fields, items = item.value, [item]
        key, auth = _write_key(headers, fields)
        outcome = Outcome(auth=auth, sent_at=_text(fields.get("sentAt")))
        if not key:
            return replace(outcome, status=400, text=REFUSED_BODY, detail="no write key")
        if items is None:
            return replace(outcome, code=rules.BAD_REQUEST, detail="batch is not an array")
        if any(len(item.raw.encode()) > rules.MAX_MESSAGE_BYTES for item in items):
            detail = f"a message is larger than {rules.MAX_MESSAGE_BYTES:,} bytes"
            return replace(outcome, status=400, text=OVERSIZE_BODY, detail=detail)
        whole = self._code_of_all(key, items)
        messages = [_message(endpoint, item, whole) for item in items]
        code = whole or rules.batch_code([message.code for message in messages])
        return replace(outcome, messages=messages, code=code)

    def _code_of_all(self, key: str, items: list[Item]) -> str | None:
        """The code for which every message of the request is dropped, if there is one."""
        if self._write_keys is not None and key not in self._write_keys:
            return rules.UNKNOWN_SOURCE
        if len(items) > rules.MAX_BATCH_EVENTS:
            return rules.TOO_MANY_EVENTS
        return None

    async def _keep(self, endpoint: str, outcome: Outcome, fault: Fault) -> None:
        received_at = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        request = Request(
            received_at=received_at.replace("+00:00", "Z"),
            endpoint=endpoint,
            status=outcome.status,
            auth=outcome.auth,
            body_bytes=outcome.body_bytes,
            code=outcome.code,
            detail=outcome.detail,
            sent_at=outcome.sent_at,
            fault=", ".join(fault.to_json()) or None,
        )
        states = await run_in_threadpool(self._store.add, request, outcome.messages)
        _log(request, states)


def _log(request: Request, states: Counter[State]) -> None:
    """One line per request, without a message's content and without the key."""
    logger.info(
        "POST /v1/%s %d: %d accepted, %d duplicate, %d dropped%s",
        request.endpoint,
        request.status,
        states[State.ACCEPTED],
        states[State.DUPLICATE],
        states[State.DROPPED],
        f" ({request.detail or request.code})" if request.detail or request.code else "",
    )


def _status(fault: Fault, outcome: Outcome) -> int:
    """The status on the wire; 0 when the connection is reset."""
    if fault.reset:
        return 0
    return fault.status or (302 if fault.redirect is not None else outcome.status)


async def _answer(request: HttpRequest, fault: Fault, outcome: Outcome) -> Response:
    await asyncio.sleep(fault.delay_s)
    if fault.reset:
        await reset_connection(request)
        return Response()
    headers: dict[str, str] = {}
    if fault.redirect is not None:
        headers["location"] = fault.redirect
    if fault.retry_after is not None:
        headers["retry-after"] = str(fault.retry_after)
    if isinstance(fault.retry_after, int):
        headers["x-ratelimit-reset"] = str(fault.retry_after)
    text = fault.body
    if text is None:
        text = outcome.text if outcome.status < 300 or not _scripted(fault) else ""
    media_type = "application/json" if text.startswith(("{", "[")) else "text/plain"
    return Response(text, outcome.status, headers, media_type)


def _scripted(fault: Fault) -> bool:
    return fault.status is not None or fault.redirect is not None


def _write_key(headers: Headers, fields: dict[str, Any]) -> tuple[str, str]:
    """Finds the write key: in the body, else as the user of Basic authentication.

    Returns:
        The key, empty when there is none, and how it was sent.
    """
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    scheme = scheme.lower()
    in_body = _text(fields.get("writeKey"))
    if in_body:
        # With OAuth the token says who asks, and the key in the body names the source.
        return in_body, "bearer" if scheme == "bearer" else "body"
    if scheme == "basic":
        return _basic_user(credentials), "basic"
    return "", "bearer" if scheme == "bearer" else "none"


def _basic_user(credentials: str) -> str:
    try:
        decoded = base64.b64decode(credentials, validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return ""
    return decoded.partition(":")[0]


def _message(endpoint: str, item: Item, code_of_all: str | None) -> Message:
    value = item.value if isinstance(item.value, dict) else {}
    call = value.get("type") if endpoint == "batch" else endpoint
    return Message(
        raw=item.raw,
        type=_text(call),
        event=_text(value.get("event")),
        user_id=_text(value.get("userId")),
        anonymous_id=_text(value.get("anonymousId")),
        # Segment gives an id to a message without one. A retry then gets another id.
        message_id=_text(value.get("messageId")) or f"api-{uuid.uuid4()}",
        code=code_of_all or rules.ingest_code(call, item.value),
    )


def _text(value: Any) -> str | None:
    """A text that SQLite can hold, None for anything else (JSON allows half surrogate pairs)."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else None
