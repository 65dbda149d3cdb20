"""Misbehavior on demand: a script of faults, used up step by step by the requests that come in."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

PLACES = ("tracking", "token", "settings")
"""What a step can be for: the tracking calls, the OAuth tokens, the settings of a source."""


class FaultError(ValueError):
    """The fault script cannot be used; the text says which step and why."""


@dataclass(frozen=True)
class Fault:
    """How requests are answered. An empty fault is a normal answer to one tracking request.

    Attributes:
        status: Status of the answer.
        retry_after: Sent as Retry-After, and as X-RateLimit-Reset when it is a number (seconds).
        body: Text of the answer, in place of the usual one.
        truncate: Promise the whole answer, send half of it, and close the connection.
        redirect: Location; the status is 302 unless ``status`` says otherwise.
        reset: Reset the connection "before" or "after" the messages are stored.
        refuse: Refuse connections; reset those that are open. Needs ``for_s``.
        trickle_s: Seconds between the single bytes of an answer that has no end.
        delay_s: Seconds between storing the messages and answering.
        accept: Whether the messages are stored. Without it they are, except when the answer is a
            redirect, a status of 300 and above, or a connection that is reset before or refused.
        times: How many requests the step answers.
        for_s: The step answers all requests for so many seconds, from when it comes up; ``times``
            does not count then.
        match: The step is a rule: it answers every tracking request with a message that holds
            this text, at any time, and is never used up.
        at: The requests that the step is for, one of `PLACES`.
    """

    status: int | None = None
    retry_after: int | str | None = None
    body: str | None = None
    truncate: bool = False
    redirect: str | None = None
    reset: str | None = None
    refuse: bool = False
    trickle_s: float = 0.0
    delay_s: float = 0.0
    accept: bool | None = None
    times: int = 1
    for_s: float = 0.0
    match: str | None = None
    at: str = "tracking"

    @property
    def resets(self) -> bool:
        """Whether there is no answer at all."""
        return self.refuse or self.reset is not None

    @property
    def accepts(self) -> bool:
        """Whether the messages of the request are stored."""
        if self.accept is not None:
            return self.accept
        if self.resets:
            return self.reset == "after"
        return self.redirect is None and (self.status is None or self.status < 300)

    def to_json(self) -> dict[str, Any]:
        """The step as it was given, without the fields at their defaults."""
        defaults = Fault()
        values = asdict(self).items()
        return {name: value for name, value in values if value != getattr(defaults, name)}


NO_FAULT = Fault()

_TYPES: dict[str, tuple[type, ...]] = {
    "status": (int,),
    "retry_after": (int, str),
    "body": (str,),
    "truncate": (bool,),
    "redirect": (str,),
    "reset": (str,),
    "refuse": (bool,),
    "trickle_s": (int, float),
    "delay_s": (int, float),
    "accept": (bool,),
    "times": (int,),
    "for_s": (int, float),
    "match": (str,),
    "at": (str,),
}


class FaultScript:
    """The steps still to come. Empty means that every request is answered normally.

    Args:
        refuse: Makes the server refuse connections for so many seconds.
        clock: Seconds, never going back.
    """

    def __init__(
        self, refuse: Callable[[float], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._refuse = refuse
        self._clock = clock
        self._load([])

    def replace(self, payload: Any) -> None:
        """Takes the place of the current script.

        Args:
            payload: ``{"script": [step, …]}``; a step has the fields of `Fault`.

        Raises:
            FaultError: The payload is not such a script; nothing has changed.
        """
        if not isinstance(payload, dict) or not isinstance(payload.get("script"), list):
            raise FaultError('expected {"script": [step, ...]}')
        self._load([_parse(step, n) for n, step in enumerate(payload["script"])])

    def clear(self) -> None:
        """Forgets the steps still to come; the server listens again when its time is over."""
        self._load([])

    def take(self, at: str, texts: Sequence[str] = ()) -> Fault:
        """Uses up a step, or a part of it; gives `NO_FAULT` when there is none.

        Args:
            at: Where the request came in.
            texts: The request's messages.
        """
        for rule in self._rules:
            if any(str(rule.match) in text for text in texts):
                self._used += 1
                return rule
        queue = self._queues[at]
        queue.leave_what_is_over()
        fault = queue.take()
        self._used += fault is not NO_FAULT
        return fault

    def to_json(self) -> dict[str, Any]:
        """What is still to come, and how many requests the current script has answered."""
        for queue in self._queues.values():
            queue.leave_what_is_over()
        steps = [step for queue in self._queues.values() for step in queue.steps]
        return {"script": [step.to_json() for step in [*self._rules, *steps]], "used": self._used}

    def _load(self, steps: list[Fault]) -> None:
        self._used = 0
        self._rules = [step for step in steps if step.match is not None]
        self._queues = {
            place: _Queue(
                [step for step in steps if step.at == place and step.match is None],
                self._refuse,
                self._clock,
            )
            for place in PLACES
        }


class _Queue:
    """The steps for one kind of request."""

    def __init__(
        self, steps: list[Fault], refuse: Callable[[float], None], clock: Callable[[], float]
    ) -> None:
        self.steps = deque(steps)
        self._refuse = refuse
        self._clock = clock
        self._come_up()

    def take(self) -> Fault:
        if not self.steps:
            return NO_FAULT
        step = self.steps[0]
        if not step.for_s:
            self._left -= 1
            if not self._left:
                self._next()
        return step

    def leave_what_is_over(self) -> None:
        while self.steps and self.steps[0].for_s and self._clock() >= self._until:
            self._next()

    def _next(self) -> None:
        self.steps.popleft()
        self._come_up()

    def _come_up(self) -> None:
        if not self.steps:
            return
        step = self.steps[0]
        self._left = step.times
        self._until = self._clock() + step.for_s
        if step.refuse:
            self._refuse(step.for_s)


def _parse(step: Any, index: int) -> Fault:
    if not isinstance(step, dict):
        raise FaultError(f"step {index} is not an object")
    for name, value in step.items():
        _check_field(name, value, index)
    fault = Fault(**step)
    if fault.refuse and not fault.for_s:
        raise FaultError(f"step {index}: refuse needs for_s, the seconds that it lasts")
    return fault


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
    if name in ("trickle_s", "delay_s", "for_s") and not 0 <= value <= 3600:
        raise FaultError(f"step {index}: {name} must lie between 0 and 3600")
    if name == "times" and value < 1:
        raise FaultError(f"step {index}: times must be 1 or more")
    if name == "match" and not value:
        raise FaultError(f"step {index}: match must not be empty")
    if name == "at" and value not in PLACES:
        raise FaultError(f"step {index}: at must be one of {', '.join(PLACES)}")
