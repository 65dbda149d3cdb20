"""Checks user and password, wherever a request carries them."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from sandbox.clickhouse.errors import (
    AUTHENTICATION_FAILED,
    REQUIRED_PASSWORD,
    ClickHouseError,
)


@dataclass(frozen=True)
class Credentials:
    """What a request says about who sends it."""

    user: str
    password: str

    @classmethod
    def of(cls, headers: Mapping[str, str], params: Mapping[str, str]) -> Credentials:
        """Take credentials from X-ClickHouse headers, Basic auth or URL parameters.

        Raises:
            ClickHouseError: The Authorization header cannot be read (code 516).
        """
        if "x-clickhouse-user" in headers or "x-clickhouse-key" in headers:
            return cls(
                headers.get("x-clickhouse-user") or "default", headers.get("x-clickhouse-key", "")
            )
        if "authorization" in headers:
            return cls._of_basic(headers["authorization"])
        return cls(params.get("user") or "default", params.get("password", ""))

    @classmethod
    def _of_basic(cls, header: str) -> Credentials:
        scheme, _, token = header.partition(" ")
        try:
            if scheme.lower() != "basic":
                raise ValueError(f"the scheme {scheme} is not supported, send Basic")
            user, _, password = base64.b64decode(token, validate=True).decode().partition(":")
        except (ValueError, binascii.Error) as error:
            raise ClickHouseError.of(
                AUTHENTICATION_FAILED, f"Invalid authentication: {error}"
            ) from error
        return cls(user or "default", password)


@dataclass(frozen=True)
class Account:
    """The one user of the sandbox.

    Attributes:
        user: Its name.
        password: Its password; empty when none is required, and then any is good.
    """

    user: str
    password: str

    def check(self, given: Credentials) -> None:
        """Let the right user pass.

        Raises:
            ClickHouseError: A password is required and none came (code 194), or name or password
                are wrong (code 516; which of the two is not told).
        """
        if self.password and not given.password:
            raise ClickHouseError.of(
                REQUIRED_PASSWORD, f"{given.user}: Authentication failed: password is required"
            )
        same_user = hmac.compare_digest(given.user.encode(), self.user.encode())
        same_password = not self.password or hmac.compare_digest(
            given.password.encode(), self.password.encode()
        )
        if not (same_user and same_password):
            raise ClickHouseError.of(
                AUTHENTICATION_FAILED,
                f"{given.user}: Authentication failed: password is incorrect, "
                "or there is no user with such name.",
            )
