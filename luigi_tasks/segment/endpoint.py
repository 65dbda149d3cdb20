"""The transport: one request to Segment, and what its answer means.

Batches are posted one by one (`transport`), so that the batch is ours and the response is in our
hands. The SDK's queueing client is not used: it loses messages without a word.

A batch counts as accepted only when the final status is 2xx, nothing was redirected, and the body
is JSON that says success. Everything else is one of:

    retryable   Segment did not take it, and may take it later (408, 410, 429, 460, most 5xx; no
                connection)
    rejected    Segment does not take this batch (400, 413, 422), or does not take anything from
                us (401, 403, other 4xx, redirects): then `refuses_us` is set
    unknown     it may have arrived: time-out, reset, a 2xx without a readable confirmation. To
                be sent again with the same ids, which Segment deduplicates
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Any

import requests
from segment.analytics import request
from segment.analytics.consumer import FatalError
from urllib3.exceptions import NameResolutionError, NewConnectionError, ProtocolError

from luigi_tasks import config
from luigi_tasks.errors import ConfigurationError
from luigi_tasks.runs import deadline
from luigi_tasks.runs.invocation import utc_now
from luigi_tasks.segment import oauth
from luigi_tasks.segment.transport import TRANSPORTS, Address

TOO_MANY_REQUESTS = 429
RETRYABLE_STATUSES = frozenset({408, 410, TOO_MANY_REQUESTS, 460})
FINAL_SERVER_ERRORS = frozenset({501, 505})
"""The 5xx that the SDK does not retry either."""

ABOUT_THE_BATCH = frozenset({400, 413, 422})
"""The statuses that speak of the content of this request. The others speak of us or the host."""

OAUTH_REFUSED = "oauth_refused"
OAUTH_UNAVAILABLE = "oauth_unavailable"
LONGEST_DETAIL = 500

MAX_RETRY_AFTER = 7200
"""Seconds; a longer Retry-After counts as this, so that no wait is without a bound."""


class Outcome(str, Enum):
    """What became of a request; the values are those of `segment_delivery_attempts.outcome`."""

    ACCEPTED = "accepted"
    RETRYABLE = "retryable"
    REJECTED = "rejected"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Verdict:
    """The meaning of an answer.

    Attributes:
        outcome: See the top of this module.
        reason_code: A short stable code; empty when accepted.
        detail: What the server or the network said.
        http_status: 0 when there was no answer.
        retry_after: Seconds to wait as the server asked; 0 when it did not.
        refuses_us: No other batch would fare better: stop, and reject no message.
    """

    outcome: Outcome
    reason_code: str = ""
    detail: str = ""
    http_status: int = 0
    retry_after: float = 0.0
    refuses_us: bool = False

    @property
    def may_retry(self) -> bool:
        """Tell whether the same batch should be sent again."""
        return self.outcome in {Outcome.RETRYABLE, Outcome.UNKNOWN}

    @property
    def may_be_the_content(self) -> bool:
        """Tell whether a failure that passes may be the fault of what was sent.

        Not when nothing was sent, nor when Segment asks for a slower pace.
        """
        arrived = self.outcome is Outcome.UNKNOWN or self.http_status > 0
        elsewhere = self.http_status == TOO_MANY_REQUESTS or self.reason_code == OAUTH_UNAVAILABLE
        return self.may_retry and arrived and not elsewhere


@dataclass(frozen=True)
class Attempt:
    """One request.

    Attributes:
        verdict: What its answer means.
        started_at: When it was made.
        duration_ms: How long it took.
        body_bytes: The size of its body; 0 when none was made.
    """

    verdict: Verdict
    started_at: datetime
    duration_ms: int
    body_bytes: int = 0


class Endpoint:
    """Segment, at the address and by the transport that are configured.

    Args:
        key: Segment's write key.
    """

    def __init__(self, key: str) -> None:
        settings = config.segment()
        self._host = settings.host
        self._token_manager = oauth.manager()
        timeout = (settings.connect_timeout_seconds, settings.timeout_seconds)
        address = Address(settings.host, key, timeout, self._token_manager)
        self._transport = TRANSPORTS[settings.transport](address)
        deadline.give(request._session, settings.request_seconds)
        # The SDK's session would follow a redirect to a login page and call its 200 a success.
        request._session.max_redirects = 0

    def send(self, messages: Sequence[str], retry_count: int = 0) -> Attempt:
        """Post one batch once.

        Args:
            messages: JSON texts that passed the preflight.
            retry_count: How often this batch was posted before; goes into X-Retry-Count.

        Raises:
            ConfigurationError: SEGMENT_HOST is not a URL.
        """
        started_at, clock = utc_now(), time.monotonic()
        verdict, size = self._post_once(messages, retry_count)
        if self._token_manager and verdict.http_status == requests.codes.unauthorized:
            # The token has run out or was withdrawn. It was dropped, and another one is fetched.
            verdict, size = self._post_once(messages, retry_count)
        return Attempt(verdict, started_at, round((time.monotonic() - clock) * 1000), size)

    def _post_once(self, messages: Sequence[str], retry_count: int) -> tuple[Verdict, int]:
        """Post; return what the answer means, and the size of the body."""
        try:
            response = self._transport.post(messages, retry_count)
        except FatalError as error:
            return Verdict(Outcome.RETRYABLE, OAUTH_UNAVAILABLE, _shorten(str(error))), 0
        except request.APIError as error:
            if error.response is None:
                return _no_token(error), 0
            return judge_response(error.response), _body_bytes(error.response.request)
        except requests.TooManyRedirects as error:
            return judge_response(error.response), _body_bytes(error.request)
        except (requests.exceptions.InvalidURL, requests.exceptions.MissingSchema) as error:
            raise _bad_host(self._host) from error
        except requests.exceptions.InvalidSchema as error:
            raise _bad_host(self._host) from error
        except requests.RequestException as error:
            return judge_failure(error), _body_bytes(error.request)
        return judge_response(response), _body_bytes(response.request)


def _body_bytes(prepared: Any) -> int:
    """Return the size of a request's body; of text too, since the SDK's is ASCII."""
    return len(getattr(prepared, "body", None) or "")


def _no_token(error: request.APIError) -> Verdict:
    """The token server's answer; the batch was not sent."""
    detail = _shorten(f"{error.code}: {error.message}")
    if error.status in RETRYABLE_STATUSES or error.status >= 500:
        return Verdict(Outcome.RETRYABLE, OAUTH_UNAVAILABLE, detail, error.status)
    return Verdict(Outcome.REJECTED, OAUTH_REFUSED, detail, error.status, refuses_us=True)


def _bad_host(host: str) -> ConfigurationError:
    return ConfigurationError(
        f"SEGMENT_HOST is {host!r}, which is not a web address. "
        "Set it to https://api.segment.io or https://events.eu1.segmentapis.com, without /v1."
    )


def judge_response(response: requests.Response | None) -> Verdict:
    """Say what an answer means."""
    if response is None:
        return Verdict(Outcome.UNKNOWN, "no_response", "the SDK gave no response")
    status = response.status_code
    if response.history or 300 <= status < 400:
        return _redirect(response)
    if 200 <= status < 300:
        return _judge_confirmation(response)
    code, detail = f"http_{status}", _shorten(response.text)
    if status in RETRYABLE_STATUSES or (status >= 500 and status not in FINAL_SERVER_ERRORS):
        wait = retry_after(response.headers)
        return Verdict(Outcome.RETRYABLE, code, detail, status, retry_after=wait)
    refuses_us = status not in ABOUT_THE_BATCH
    return Verdict(Outcome.REJECTED, code, detail, status, refuses_us=refuses_us)


def retry_after(headers: Mapping[str, str]) -> float:
    """Return the seconds to wait: Retry-After as a number, or as a time after the answer's Date.

    The SDK's own reading stops at 300 s and needs this machine's clock.
    """
    text = headers.get("Retry-After", "").strip()
    try:
        seconds = float(text) if text.isdecimal() else _seconds_between(headers["Date"], text)
    except (KeyError, TypeError, ValueError, OverflowError):
        return 0.0
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)


def _seconds_between(first: str, last: str) -> float:
    return (parsedate_to_datetime(last) - parsedate_to_datetime(first)).total_seconds()


def _redirect(response: requests.Response) -> Verdict:
    location = response.headers.get("Location", "an unknown place")
    return Verdict(
        Outcome.REJECTED,
        "redirect",
        _shorten(f"redirected to {location}: is there a proxy or a login page in between?"),
        response.status_code,
        refuses_us=True,
    )


def _judge_confirmation(response: requests.Response) -> Verdict:
    status = response.status_code
    try:
        answer = response.json()
    except ValueError:
        detail = f"a {status} whose body is not JSON: {response.text}"
        return Verdict(Outcome.UNKNOWN, "answer_unreadable", _shorten(detail), status)
    if not isinstance(answer, dict) or "success" not in answer:
        return Verdict(Outcome.UNKNOWN, "answer_unreadable", _shorten(response.text), status)
    if answer["success"] is not True:
        return Verdict(Outcome.RETRYABLE, "success_false", _shorten(response.text), status)
    return Verdict(Outcome.ACCEPTED, http_status=status)


def judge_failure(error: requests.RequestException) -> Verdict:
    """Say what a failed request means: did it certainly not arrive, or is that unknown?"""
    detail = _shorten(f"{type(error).__name__}: {error}")
    if isinstance(error, requests.ConnectTimeout):
        return Verdict(Outcome.RETRYABLE, "connect_timeout", detail)
    if isinstance(error, requests.exceptions.SSLError | requests.exceptions.ProxyError):
        return Verdict(Outcome.RETRYABLE, "connection_failed", detail)
    if isinstance(error, requests.Timeout):
        return Verdict(Outcome.UNKNOWN, "read_timeout", detail)
    if _never_connected(error):
        return Verdict(Outcome.RETRYABLE, "connection_failed", detail)
    return Verdict(Outcome.UNKNOWN, "connection_lost", detail)


def _never_connected(error: requests.RequestException) -> bool:
    """Requests wraps urllib3's error, sometimes inside MaxRetryError."""
    cause: Any = error.args[0] if error.args else None
    if isinstance(cause, ProtocolError):
        return False
    return isinstance(getattr(cause, "reason", cause), NewConnectionError | NameResolutionError)


def _shorten(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= LONGEST_DETAIL else text[: LONGEST_DETAIL - 1] + "…"


class _HideWriteKey(logging.Filter):
    """The SDK logs request bodies, which hold the write key."""

    def filter(self, record: logging.LogRecord) -> bool:
        if key := config.write_key():
            record.msg, record.args = record.getMessage().replace(key, "[write key]"), ()
        return True


def log_requests(handlers: Sequence[logging.Handler]) -> None:
    """Show the SDK's debug log, personal data included, the write key never (SEGMENT_DEBUG)."""
    logger = logging.getLogger("segment")
    logger.setLevel(logging.DEBUG)
    logger.handlers = list(handlers)
    if not any(isinstance(item, _HideWriteKey) for item in logger.filters):
        logger.addFilter(_HideWriteKey())
