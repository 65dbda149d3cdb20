"""What can be set on the sandbox: at its start, and by tests while it runs."""

import json
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

DAY_SECONDS = 86_400.0


class SettingsError(ValueError):
    """The settings cannot be used; the text says which and why."""


@dataclass(frozen=True)
class OauthClient:
    """An application that may ask for tokens.

    Attributes:
        client_id: Issuer and subject of its assertions.
        key_id: Names the key in the header of its assertions.
        public_key: The RSA key that verifies them, as PEM text.
    """

    client_id: str
    key_id: str
    public_key: str


@dataclass(frozen=True)
class Settings:
    """How the workspace behind the endpoint is set up.

    Attributes:
        write_keys: The keys of known sources; None takes every non-empty key as known.
        disabled_keys: The keys of known sources that are switched off.
        suppressed_users: Users whose messages are dropped.
        events_per_second: Most messages within any second, more are answered with 429; None means
            that nothing is limited.
        dedupe_window_s: For so many seconds an accepted messageId is not accepted again.
        clock_offset_s: The Date header runs so many seconds ahead of this machine's clock.
        api_host: Where a source's settings say that its messages belong; None: to this server.
        oauth_clients: Who may ask for tokens. With any, a request needs a valid token.
        oauth_token_s: So many seconds a token is valid.
    """

    write_keys: tuple[str, ...] | None = None
    disabled_keys: tuple[str, ...] = ()
    suppressed_users: tuple[str, ...] = ()
    events_per_second: float | None = None
    dedupe_window_s: float = DAY_SECONDS
    clock_offset_s: float = 0.0
    api_host: str | None = None
    oauth_clients: tuple[OauthClient, ...] = ()
    oauth_token_s: float = DAY_SECONDS

    def knows(self, key: str) -> bool:
        """Tell whether a write key belongs to a source."""
        return bool(key) and (self.write_keys is None or key in self.write_keys)

    def changed(self, payload: Any) -> "Settings":
        """Return these settings with the fields of `payload`, a JSON object, in their place.

        Raises:
            SettingsError: A field is unknown, or its value has the wrong type.
        """
        if not isinstance(payload, dict):
            raise SettingsError("expected an object of settings")
        return replace(self, **{name: _parse(name, value) for name, value in payload.items()})

    def to_json(self) -> dict[str, Any]:
        """Every field, as JSON knows it."""
        values: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return values

    def unusual(self) -> dict[str, Any]:
        """The fields that differ from the defaults."""
        defaults = Settings().to_json()
        return {name: value for name, value in self.to_json().items() if value != defaults[name]}


class LiveSettings:
    """The settings in force. They can be changed, and put back to those of the start."""

    def __init__(self, initial: Settings) -> None:
        self._initial = initial
        self.current = initial

    def change(self, payload: Any) -> None:
        """Take over some fields.

        Raises:
            SettingsError: They cannot be used; nothing has changed.
        """
        self.current = self.current.changed(payload)

    def restore(self) -> None:
        """Go back to the settings of the start."""
        self.current = self._initial


_TEXT_LISTS = ("write_keys", "disabled_keys", "suppressed_users")
_NUMBERS = ("events_per_second", "dedupe_window_s", "clock_offset_s", "oauth_token_s")
_MAY_BE_NULL = ("write_keys", "events_per_second", "api_host")


def _parse(name: str, value: Any) -> Any:
    known = [field.name for field in fields(Settings)]
    if name not in known:
        raise SettingsError(f"unknown setting {name!r}; known settings: {', '.join(known)}")
    if value is None and name in _MAY_BE_NULL:
        return None
    if name in _TEXT_LISTS:
        return _texts(name, value)
    if name in _NUMBERS:
        return _number(name, value)
    if name == "api_host":
        return _text(name, value)
    return _clients(value)


def _texts(name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise SettingsError(f"{name} must be a list of texts")
    return tuple(_text(name, item) for item in value)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise SettingsError(f"{name} must hold texts that are not empty")
    return value


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SettingsError(f"{name} must be a number")
    if value < 0 and name != "clock_offset_s":
        raise SettingsError(f"{name} must not be negative")
    return float(value)


def _clients(value: Any) -> tuple[OauthClient, ...]:
    wanted = {field.name for field in fields(OauthClient)}
    if not isinstance(value, list) or not all(
        isinstance(item, dict) and set(item) == wanted for item in value
    ):
        raise SettingsError(f"oauth_clients must be a list of objects with {sorted(wanted)}")
    return tuple(OauthClient(**{n: _text(n, v) for n, v in item.items()}) for item in value)
