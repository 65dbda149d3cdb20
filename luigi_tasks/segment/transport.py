"""The two ways in which a batch becomes a request: by the SDK, or by splicing text.

    sdk     the messages are parsed and handed to the SDK, which encodes them again; a batch with a
            message that this would make too large goes out by wire
    wire    the texts that ClickHouse rendered are joined into the body as they are

Both use the SDK's session, hence its connections, proxies and certificates, and send what the SDK
sends: the same address, headers, authorisation and envelope. A test compares the requests.
"""

from __future__ import annotations

import json
import logging
from abc import ABC, abstractmethod
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import requests
from segment.analytics import request
from segment.analytics.oauth_manager import OauthManager
from segment.analytics.utils import remove_trailing_slash
from segment.analytics.version import VERSION

from luigi_tasks.segment.message_size import is_too_large_for_the_sdk

logger = logging.getLogger("segment")
"""The SDK's: SEGMENT_DEBUG shows both transports in one log."""

TOKEN_STATUSES = frozenset({400, 401, 403, 511})
"""After these the SDK fetches another token."""


@dataclass(frozen=True)
class Address:
    """Where requests go, and on whose behalf.

    Attributes:
        host: Base URL without /v1.
        key: Segment's write key.
        timeout: Seconds to wait for a connection, and for each read.
        token_manager: For workspaces that demand OAuth.
    """

    host: str
    key: str
    timeout: tuple[float, float]
    token_manager: OauthManager | None = None


class Transport(ABC):
    """Posts batches to one address; several threads may share it.

    Args:
        address: Where to.
    """

    def __init__(self, address: Address) -> None:
        self._address = address

    @abstractmethod
    def post(self, messages: Sequence[str], retry_count: int) -> requests.Response:
        """Post a batch of JSON texts.

        Raises:
            APIError: There is no token, or the answer is no success; some transports return it.
            RequestException: There is no answer, or it is a redirect.
        """


class Wire(Transport):
    """No encoding: what is the same for all requests is prepared once, the texts go in between."""

    def __init__(self, address: Address) -> None:
        super().__init__(address)
        self._prepared: requests.PreparedRequest | None = None
        self._settings: dict[str, Any] = {}

    def post(self, messages: Sequence[str], retry_count: int) -> requests.Response:
        """Post a batch of JSON texts."""
        manager = self._address.token_manager
        token = manager.get_token() if manager else None
        prepared = self._request(self._body(messages))
        if token:
            prepared.headers["Authorization"] = f"Bearer {token}"
        if retry_count:
            prepared.headers["X-Retry-Count"] = str(retry_count)
        response = request._session.send(prepared, timeout=self._address.timeout, **self._settings)
        if manager and response.status_code in TOKEN_STATUSES:
            manager.clear_token()
        return response

    def _body(self, messages: Sequence[str]) -> bytes:
        sent_at = datetime.now(timezone.utc).isoformat()
        rest = json.dumps({"sentAt": sent_at, "writeKey": self._address.key})
        data = f'{{"batch": [{", ".join(messages)}], {rest[1:]}'
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug("making request: %s", data)
        return data.encode()

    def _request(self, body: bytes) -> requests.PreparedRequest:
        if self._prepared is None:
            self._prepared = self._prepare()
        prepared = self._prepared.copy()
        prepared.body = body
        prepared.headers["Content-Length"] = str(len(body))
        return prepared

    def _prepare(self) -> requests.PreparedRequest:
        """Do once what the session does for every request that is not prepared."""
        key, session = self._address.key, request._session
        url = remove_trailing_slash(self._address.host) + "/v1/batch"
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"analytics-python/{VERSION}",
            "Authorization": f"Basic {b64encode(f'{key}:'.encode()).decode()}",
        }
        self._settings = dict(session.merge_environment_settings(url, {}, None, None, None))
        return session.prepare_request(requests.Request("POST", url, headers=headers))


class Sdk(Transport):
    """The SDK's own encoding; the texts themselves where its escapes make one of them too large."""

    def __init__(self, address: Address) -> None:
        super().__init__(address)
        self._wire = Wire(address)

    def post(self, messages: Sequence[str], retry_count: int) -> requests.Response:
        """Post a batch of JSON texts."""
        if any(map(is_too_large_for_the_sdk, messages)):
            return self._wire.post(messages, retry_count)
        return request.post(
            self._address.key,
            self._address.host,
            timeout=self._address.timeout,
            oauth_manager=self._address.token_manager,
            retry_count=retry_count,
            batch=json.loads(f"[{','.join(messages)}]"),
        )


TRANSPORTS: dict[str, type[Transport]] = {"sdk": Sdk, "wire": Wire}
"""By the name in `[segment] transport`."""
