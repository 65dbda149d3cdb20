"""Misbehavior on demand: a script of faults, one used up by each tracking request."""

from collections import deque
from dataclasses import asdict, dataclass, fields
from typing import Any


class FaultError(ValueError):
    """The fault script cannot be used; the text says which step and why."""


@dataclass(frozen=True)
class Fault:
    """How one tracking request is answered. An empty fault is a normal answer.

    Attributes:
        status: Status of the answer.
        retry_after: Sent as Retry-After, and as X-RateLimit-Reset when it is a number (seconds).
        body: Text of the answer, in place of the usual one.
        redirect: Location; the status is 302 unless ``status`` says otherwise.
        reset: Reset the connection "before" or "after" the messages are stored.
        delay_s: Seconds between storing the messages and answering.
        accept: Whether the messages are stored. Without it they are, except when the answer is a
            redirect, a status of 300 and above, or a reset before.
    """

    status: int | None = None
    retry_after: int | str | None = None
    body: str | None = None
    redirect: str | None = None
    reset: str | None = None
    delay_s: float = 0.0
    accept: bool | None = None

    @property
    def accepts(self) -> bool:
        """Whether the messages of the request are stored."""
        if self.accept is not None:
            return self.accept
        if self.reset:
            return self.reset == "after"
        return self.redirect is None and (self.status is None or self.status < 300)

    def to_json(self) -> dict[str, Any]:
        """The step as it was given, without the fields at their defaults."""
        defaults = Fault()
        values = asdict(self).items()
        return {name: value for name, value in values if value != getattr(defaults, name)}


_TYPES: dict[str, tuple[type, ...]] = {
    "status": (int,),
    "retry_after": (int, str),
    "body": (str,),
    "redirect": (str,),
    "reset": (str,),
    "delay_s": (int, float),
    "accept": (bool,),
}


class FaultScript:
    """The steps still to come. Empty means that every request is answered normally."""

    def __init__(self) -> None:
        self._steps: deque[Fault] = deque()
        self._used = 0

    def replace(self, payload: Any) -> None:
        """Takes the place of the current script.

        Args:
            payload: ``{"script": [step, …]}``; a step has the fields of `Fault`.

        Raises:
            FaultError: The payload is not such a script; nothing has changed.
        """
        if not isinstance(payload, dict) or not isinstance(payload.get("script"), list):
            raise FaultError('expected {"script": [step, ...]}')
        self._steps = deque(_parse(step, n) for n, step in enumerate(payload["script"]))
        self._used = 0

    def clear(self) -> None:
        """Forgets the steps still to come."""
        self._steps.clear()

    def take(self) -> Fault | None:
        """Uses up the next step; None when there is none."""
        if not self._steps:
            return None
        self._used += 1
        return self._steps.popleft()

    def to_json(self) -> dict[str, Any]:
        """What is still to come, and how many steps the current script has used up."""
        return {"script": [step.to_json() for step in self._steps], "used": self._used}


def _parse(step: Any, index: int) -> Fault:
    if not isinstance(step, dict):
        raise FaultError(f"step {index} is not an object")
    for name, value in step.items():
        _check_field(name, value, index)
    return Fault(**step)


def _check_field(name: str, value: Any, index: int) -> None:
    types = _TYPES.get(name)
    if types is None:
        known = ", ".join(field.name for field in fields(Fault))
        raise FaultError(f"step {index}: unknown field {name!r}; known fields: {known}")
    # bool is an int to Python, but "status": true is a mistake.
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        raise FaultError(f"step {index}: {name} has the wrong type")
    _check_range(name, value, index)


def _check_range(name: str, value: Any, index: int) -> None:
    if name == "status" and not 200 <= value <= 599:
        raise FaultError(f"step {index}: status must lie between 200 and 599")
    if name == "reset" and value not in ("before", "after"):
        raise FaultError(f'step {index}: reset must be "before" or "after"')
    if name == "delay_s" and not 0 <= value <= 3600:
        raise FaultError(f"step {index}: delay_s must lie between 0 and 3600")
