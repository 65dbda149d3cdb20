"""The token endpoint of Segment's OAuth 2.0: client credentials, proved by a signed assertion.

What Segment's SDKs send: a JWT, signed with RS256, whose issuer and subject are the client and
whose audience is the address of this server. An assertion is taken once.
"""

import secrets
import time
from typing import Any
from urllib.parse import parse_qs

import jwt
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sandbox.segment.answers import misbehave
from sandbox.segment.faults import FaultScript
from sandbox.segment.settings import LiveSettings, OauthClient, Settings

SCOPE = "tracking_api:write"
_GRANT = "client_credentials"
_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_REQUIRED_CLAIMS = ["iss", "sub", "aud", "iat", "exp", "jti"]


class _RefusedError(Exception):
    """No token is given; ``error`` and ``description`` are the fields of the answer."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error = error
        self.description = description


class Oauth:
    """Gives tokens, and knows those that it gave. A restart forgets them."""

    def __init__(self, settings: LiveSettings, faults: FaultScript) -> None:
        self._settings = settings
        self._faults = faults
        self._tokens: dict[str, float] = {}
        self._assertions: set[str] = set()

    def allows(self, token: str) -> bool:
        """Tell whether a token was given here and has not run out."""
        return self._tokens.get(token, 0.0) > time.time()

    async def token(self, request: Request) -> Response:
        """Answers one request for a token."""
        fault = self._faults.take("token")
        answer = self._answer(await request.body(), str(request.base_url).rstrip("/"))
        return await misbehave(request, fault, answer)

    def _answer(self, body: bytes, address: str) -> Response:
        settings = self._settings.current
        try:
            self._check(body, address, settings)
        except _RefusedError as refused:
            content = {"error": refused.error, "error_description": refused.description}
            return JSONResponse(content, 401 if refused.error == "invalid_client" else 400)
        token = secrets.token_urlsafe(32)
        self._tokens[token] = time.time() + settings.oauth_token_s
        content = {"access_token": token, "token_type": "Bearer", "scope": SCOPE}
        return JSONResponse({**content, "expires_in": int(settings.oauth_token_s)})

    def _check(self, body: bytes, address: str, settings: Settings) -> None:
        form = {name: values[0] for name, values in parse_qs(body.decode("latin-1")).items()}
        if form.get("grant_type") != _GRANT:
            raise _RefusedError("unsupported_grant_type", f"grant_type must be {_GRANT}")
        if form.get("client_assertion_type") != _ASSERTION_TYPE:
            raise _RefusedError(
                "invalid_request", f"client_assertion_type must be {_ASSERTION_TYPE}"
            )
        if form.get("scope") != SCOPE:
            raise _RefusedError("invalid_scope", f"scope must be {SCOPE}")
        assertion = form.get("client_assertion", "")
        now = time.time() + settings.clock_offset_s
        claims = _verify(assertion, _client(assertion, settings), address, now)
        if claims["jti"] in self._assertions:
            raise _RefusedError("invalid_request", "Token was used before")
        self._assertions.add(claims["jti"])


def _client(assertion: str, settings: Settings) -> OauthClient:
    """The client whose key signed an assertion, by what the assertion says of itself."""
    try:
        key_id = jwt.get_unverified_header(assertion).get("kid")
        claims = jwt.decode(assertion, options={"verify_signature": False})
    except jwt.InvalidTokenError as error:
        raise _RefusedError("invalid_request", "client_assertion is not a JWT") from error
    for client in settings.oauth_clients:
        if (client.client_id, client.key_id) == (claims.get("iss"), key_id):
            return client
    raise _RefusedError("invalid_client", "no such client and key")


def _verify(assertion: str, client: OauthClient, address: str, now: float) -> dict[str, Any]:
    try:
        claims: dict[str, Any] = jwt.decode(
            assertion,
            client.public_key,
            algorithms=["RS256"],
            audience=address,
            issuer=client.client_id,
            subject=client.client_id,
            options={"require": _REQUIRED_CLAIMS, "verify_exp": False, "verify_iat": False},
        )
    except jwt.InvalidSignatureError as error:
        raise _RefusedError("invalid_client", "the signature does not fit the key") from error
    except jwt.InvalidTokenError as error:
        raise _RefusedError("invalid_request", str(error)) from error
    # By the server's clock, which the settings can put wrong. These two texts make the SDK take
    # the time from the Date header and try again.
    if claims["exp"] <= now:
        raise _RefusedError("invalid_request", "Token is expired")
    if claims["iat"] > now:
        raise _RefusedError("invalid_request", "Token used before issued")
    return claims
