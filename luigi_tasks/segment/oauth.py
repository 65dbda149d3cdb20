"""OAuth 2.0 towards Segment, for workspaces that demand it: the SDK's own token manager.

Optional: a client id, a key id and the file of the private key switch it on. The key itself is
never in a setting. Requests then carry a bearer token besides the write key in the body.
"""

from __future__ import annotations

import os
import threading
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from segment.analytics import oauth_manager
from segment.analytics.consumer import FatalError
from segment.analytics.oauth_manager import OauthManager

from luigi_tasks import config
from luigi_tasks.errors import ConfigurationError
from luigi_tasks.runs import deadline

US_SERVER = "https://oauth2.segment.io"
EU_SERVER = "https://oauth2.eu1.segmentapis.com"

MAX_WAIT_SECONDS = 20.0
"""For a token, with all requests for it."""


class TokenManager(OauthManager):
    """The SDK's manager, with the holes closed through which it would wait for ever.

    An answer that it does not expect kills its thread, and `get_token` then waits for a token that
    nobody fetches. A token server that is slow, or that asks for a long wait, holds it as well.
    """

    def get_token(self) -> str:
        """Return a token.

        Raises:
            FatalError: There is none within `MAX_WAIT_SECONDS`, or the server cannot be asked.
            APIError: The server refuses.
        """
        give_up = threading.Timer(MAX_WAIT_SECONDS, self._give_up)
        give_up.daemon = True
        give_up.start()
        try:
            return str(super().get_token())
        finally:
            give_up.cancel()

    def _give_up(self) -> None:
        self.error = FatalError(f"no token in {MAX_WAIT_SECONDS:g} s")

    def _poller_loop(self) -> None:
        try:
            super()._poller_loop()
        except Exception as error:  # Whatever it is, the waiting thread must know.
            self.error = FatalError(f"unexpected answer: {type(error).__name__}")


def manager() -> TokenManager | None:
    """Return this process's token manager; None when OAuth is not configured.

    Raises:
        ConfigurationError: Some of the three settings are missing, or the key cannot be read.
    """
    settings = config.segment()
    given = (settings.oauth_client_id, settings.oauth_key_id, settings.oauth_key_file)
    if not any(given):
        return None
    if not all(given):
        raise ConfigurationError(
            "OAuth needs SEGMENT_OAUTH_CLIENT_ID, SEGMENT_OAUTH_KEY_ID and SEGMENT_OAUTH_KEY_FILE. "
            "Set all three, or none to use the write key alone."
        )
    deadline.give(oauth_manager._session, settings.request_seconds)
    # By process, because its thread does not survive a fork.
    return _manager(os.getpid(), given, server(settings), settings.timeout_seconds)


def server(settings: config.segment) -> str:
    """Return the token server: the one that is set, else that of SEGMENT_HOST's region."""
    if settings.oauth_server:
        return str(settings.oauth_server)
    if config.is_sandbox(settings.host):
        return str(settings.host)
    names = (urlsplit(settings.host).hostname or "").split(".")
    return EU_SERVER if "eu1" in names else US_SERVER


@cache
def _manager(pid: int, given: tuple[str, str, str], address: str, timeout: float) -> TokenManager:
    client_id, key_id, key_file = given
    return TokenManager(client_id, _private_key(key_file), key_id, address, timeout=timeout)


def _private_key(file: str) -> str:
    try:
        text = Path(file).read_text(encoding="ascii")
        load_pem_private_key(text.encode(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigurationError(
            f"SEGMENT_OAUTH_KEY_FILE is {file!r}, which holds no private key that can be used "
            f"({type(error).__name__}). Point it to the PEM file of the RSA key, without a "
            "password, that was made for the OAuth application in Segment."
        ) from error
    return text
