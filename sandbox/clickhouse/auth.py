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
            ClickHouseError: They come in two ways at once, name no user, or the Authorization
                header cannot be read (code 516).
        """
        ways: list[tuple[str, Credentials]] = []
        user, key = headers.get("x-clickhouse-user", ""), headers.get("x-clickhouse-key", "")
        if user or key:
            ways.append(("X-ClickHouse HTTP headers", cls(user, key)))
        if "authorization" in headers:
            ways.append(("Authorization HTTP header", cls._of_basic(headers["authorization"])))
        if "user" in params or "password" in params:
            given = cls(params.get("user", "default"), params.get("password", ""))
            ways.append(("authentication via parameters", given))
        if not ways:
            return cls("default", "")
        way, found = ways[0]
        if len(ways) > 1:
            raise _invalid(f"it is not allowed to use {way} and {ways[1][0]} simultaneously")
        if not found.user:
            raise _invalid(f"got an empty user name from {way}")
        return found

    @classmethod
    def _of_basic(cls, header: str) -> Credentials:
        scheme, _, token = header.partition(" ")
        try:
            if scheme.lower() != "basic":
                raise ValueError(f"the scheme {scheme} is not supported, send Basic")
            user, _, password = base64.b64decode(token, validate=True).decode().partition(":")
        except (ValueError, binascii.Error) as error:
            raise _invalid(str(error)) from error
        return cls(user, password)


def _invalid(reason: str) -> ClickHouseError:
    return ClickHouseError.of(AUTHENTICATION_FAILED, f"Invalid authentication: {reason}")


@dataclass(frozen=True)
class Account:
    """The one user of the sandbox.

    Attributes:
        user: Its name.
        password: Its password; empty when none is required, and then any is good.
        hint: Where the password is found; ends the text of a refusal.
    """

    user: str
    password: str
    hint: str = ""

    def check(self, given: Credentials) -> None:
        """Let the right user pass.

        Raises:
            ClickHouseError: A password is required and none came (code 194), or name or password
                are wrong (code 516; which of the two is not told).
        """
        if self.password and not given.password:
            raise ClickHouseError.of(
                REQUIRED_PASSWORD,
                f"{given.user}: Authentication failed: password is required.{self.hint}",
            )
        same_user = hmac.compare_digest(given.user.encode(), self.user.encode())
        same_password = not self.password or hmac.compare_digest(
            given.password.encode(), self.password.encode()
        )
        if not (same_user and same_password):
            raise ClickHouseError.of(
                AUTHENTICATION_FAILED,
                f"{given.user}: Authentication failed: password is incorrect, "
                f"or there is no user with such name.{self.hint}",
            )
