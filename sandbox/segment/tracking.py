"""The tracking endpoints: /v1/batch and the single calls."""

import base64
import binascii
import logging
import uuid
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from sandbox.segment import rules
from sandbox.segment.answers import misbehave, scripted_status
from sandbox.segment.body import BodyError, BodyTooLargeError, read_body
from sandbox.segment.envelope import BadJSONError, Item, parse_batch, parse_item
from sandbox.segment.faults import Fault, FaultScript
from sandbox.segment.oauth import Oauth
from sandbox.segment.rate import RateLimit
from sandbox.segment.settings import LiveSettings
from sandbox.segment.store import Message, Request, State, Store

logger = logging.getLogger(__name__)

_ENDPOINTS = ("batch", *rules.CALLS)

SUCCESS_BODY = '{\n  "success": true\n}'
OVERSIZE_BODY = "Exceed payload limit"
REFUSED_BODY = "Bad Request".ljust(80)
"""Seen in the field: text padded with blanks, not JSON."""
UNAUTHORIZED_BODY = '{"code": "unauthorized", "message": "no valid access token"}'


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
    retry_after: int = 0

    def refused(self, status: int, text: str, detail: str) -> "Outcome":
        """This outcome with a refusal in place of its messages."""
        return replace(self, status=status, text=text, detail=detail, messages=[], code=None)


class Tracking:
    """Answers tracking requests.

    Args:
        store: Where everything that arrives is kept.
        faults: The script that decides which requests are answered otherwise.
        settings: How the workspace is set up.
        oauth: Knows which tokens are valid.
    """

    def __init__(
        self, store: Store, faults: FaultScript, settings: LiveSettings, oauth: Oauth
    ) -> None:
        self._store = store
        self._faults = faults
        self._settings = settings
        self._oauth = oauth
        self._rate = RateLimit()

    async def answer(self, request: HttpRequest) -> Response:
        """Takes one request: stores it, then answers it."""
        # Before its body is read and judged, which takes a busy machine some time.
        arrived_at = datetime.now(timezone.utc)
        endpoint = request.path_params["call"]
        if endpoint not in _ENDPOINTS:
            raise HTTPException(404, f"no such call; known calls: {', '.join(_ENDPOINTS)}")
        try:
            outcome = await self._read(request, endpoint)
        except ClientDisconnect:
            logger.info("POST /v1/%s: the client went away before the end of the body", endpoint)
            return Response(status_code=400)
        fault = self._faults.take("tracking", [message.raw for message in outcome.messages])
        if fault.accepts:
            outcome = self._within_rate(outcome)
        else:
            outcome = outcome.refused(outcome.status, outcome.text, "refused by the fault script")
        await self._keep(endpoint, outcome, fault, arrived_at)
        return await misbehave(request, fault, _usual_answer(outcome))

    def _within_rate(self, outcome: Outcome) -> Outcome:
        limit = self._settings.current.events_per_second
        wait = self._rate.take(len(outcome.messages), limit) if outcome.messages else 0
        if not wait:
            return outcome
        refused = outcome.refused(429, "Too Many Requests", f"above {limit:g} events per second")
        return replace(refused, retry_after=wait)

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
        if self._settings.current.oauth_clients and not self._oauth.allows(_bearer(headers)):
            return outcome.refused(401, UNAUTHORIZED_BODY, "no valid OAuth token")
        if not key:
            return outcome.refused(400, REFUSED_BODY, "no write key")
        if items is None:
            return replace(outcome, code=rules.BAD_REQUEST, detail="batch is not an array")
        if any(len(item.raw.encode()) > rules.MAX_MESSAGE_BYTES for item in items):
            detail = f"a message is larger than {rules.MAX_MESSAGE_BYTES:,} bytes"
            return outcome.refused(400, OVERSIZE_BODY, detail)
        whole = self._code_of_all(key, items)
        suppressed = self._settings.current.suppressed_users
        messages = [_message(endpoint, item, whole, suppressed) for item in items]
        code = whole or rules.batch_code([message.code for message in messages])
        return replace(outcome, messages=messages, code=code)

    def _code_of_all(self, key: str, items: list[Item]) -> str | None:
        """The code for which every message of the request is dropped, if there is one."""
        settings = self._settings.current
        if not settings.knows(key):
            return rules.PROJECT_NOT_FOUND
        if key in settings.disabled_keys:
            return rules.SOURCE_DISABLED
        if len(items) > rules.MAX_BATCH_EVENTS:
            return rules.TOO_MANY_EVENTS
        return None

    async def _keep(
        self, endpoint: str, outcome: Outcome, fault: Fault, arrived_at: datetime
    ) -> None:
        request = Request(
            received_at=_iso(arrived_at),
            endpoint=endpoint,
            status=scripted_status(fault, outcome.status),
            auth=outcome.auth,
            body_bytes=outcome.body_bytes,
            code=outcome.code,
            detail=outcome.detail,
            sent_at=outcome.sent_at,
            fault=", ".join(fault.to_json()) or None,
        )
        window = timedelta(seconds=self._settings.current.dedupe_window_s)
        states = await run_in_threadpool(
            self._store.add, request, outcome.messages, _iso(arrived_at - window)
        )
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


def _iso(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _usual_answer(outcome: Outcome) -> Response:
    headers = {}
    if outcome.retry_after:
        headers = dict.fromkeys(("retry-after", "x-ratelimit-reset"), str(outcome.retry_after))
    media_type = "application/json" if outcome.text.startswith("{") else "text/plain"
    return Response(outcome.text, outcome.status, headers, media_type)


def _bearer(headers: Headers) -> str:
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    return credentials if scheme.lower() == "bearer" else ""


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


def _message(
    endpoint: str, item: Item, code_of_all: str | None, suppressed: tuple[str, ...]
) -> Message:
    value = item.value if isinstance(item.value, dict) else {}
    call = value.get("type") if endpoint == "batch" else endpoint
    code = code_of_all or rules.ingest_code(call, item.value)
    if not code and value.get("userId") in suppressed:
        code = rules.USER_SUPPRESSED
    return Message(
        raw=item.raw,
        type=_text(call),
        event=_text(value.get("event")),
        user_id=_text(value.get("userId")),
        anonymous_id=_text(value.get("anonymousId")),
        # Segment gives an id to a message without one. A retry then gets another id.
        message_id=_text(value.get("messageId")) or f"api-{uuid.uuid4()}",
        code=code,
    )


def _text(value: Any) -> str | None:
    """A text that SQLite can hold, None for anything else (JSON allows half surrogate pairs)."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else None
