"""The way to luigid: Luigi's client, with a password, and with plain words when luigid is away.

- *At the start* luigid is asked once. Without an answer within a few seconds the command ends with
  one sentence instead of Luigi's minute of retries.
- *During a run* luigid may be restarted: the client waits for it, two minutes at most. Messages for
  people and signs of life are not waited for, so that a sender goes on sending.
- *At the end* the command says why luigid gave it no more work, when something was left.

The password is never part of the address, which Luigi logs.
"""

from __future__ import annotations

import json
import logging
import time
from datetime import datetime, timezone
from http import HTTPStatus
from typing import Any, NoReturn

import requests
from luigi import rpc
from luigi.retcodes import retcode
from luigi.scheduler import WORKER_STATE_DISABLED
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    stop_after_delay,
    wait_fixed,
)

from luigi_tasks import config
from luigi_tasks.errors import ConfigurationError
from luigi_tasks.runs import last_run, signals

logger = logging.getLogger("luigi-interface.scheduler")

START_SECONDS = 5.0
"""How long a command waits at its start, for a luigid that is being started too."""

RESTART_SECONDS = 120.0
"""How long a run waits for a luigid that was there before."""

ANSWER_SECONDS = 5.0
"""How long one request may take; luigid answers at once from its memory."""

UNWAITED = ("/api/ping", "/api/set_task_status_message", "/api/set_task_progress_percentage")
"""Calls that a run does well without."""

SECONDS_BETWEEN_WARNINGS = 30.0


class CentralScheduler(rpc.RemoteScheduler):
    """Luigi's client for luigid."""

    def __init__(self, url: str = "http://localhost:8082/", connect_timeout: float | None = None):
        """Ask luigid for a sign of life.

        Raises:
            SystemExit: It does not answer, or does not let this client in.
        """
        super().__init__(url, connect_timeout or ANSWER_SECONDS)
        try:
            self._fetcher = _Fetcher(config.luigi_password())
        except ConfigurationError as error:
            _leave(str(error))
        self._warned_at = float("-inf")
        self._root_task = ""
        self._last_work: dict[str, Any] = {}
        self._was_away = False
        self._check()

    def close(self) -> None:
        """Say why there was no more work, when something was left, and hang up."""
        for reason in self._refusals():
            text = f"luigid gave this run nothing more to do: {reason}"
            logger.warning("%s", text)
            last_run.refused(text)
        super().close()

    def _refusals(self) -> list[str]:
        """Why the last answer to the question for work was none; empty when nothing was left."""
        last = self._last_work
        if last.get("worker_state") == WORKER_STATE_DISABLED:
            return ["this worker was disabled on luigid's page or by its API. Run it again."]
        if last.get("task_id") is not None or not last.get("n_pending_tasks"):
            return []
        question = {"task_id": self._root_task, "include_done": False}
        tasks = self._request("/api/dep_graph", question).values()
        return [reason for task in tasks if (reason := why_refused(task))]

    def _request(
        self, url: str, data: dict[str, Any], attempts: int = 3, allow_null: bool = True
    ) -> Any:
        """Every call goes this way."""
        if url == "/api/add_task" and not self._root_task:
            self._root_task = str(data["task_id"])
        try:
            answer = super()._request(url, data, attempts, allow_null)
        except rpc.RPCError:
            if url != "/api/ping":
                raise
            self._warn_of_silence()
            return None  # The next sign of life comes in a second.
        if url == "/api/get_work":
            self._last_work = answer
        return answer

    def _warn_of_silence(self) -> None:
        now = time.monotonic()
        if now - self._warned_at > SECONDS_BETWEEN_WARNINGS:
            self._warned_at = now
            logger.warning("luigid at %s does not answer. This run goes on.", self._url)

    def _check(self) -> None:
        waiting = Retrying(
            wait=wait_fixed(0.5),
            stop=stop_after_delay(START_SECONDS),
            retry=retry_if_exception(_is_passing),
            reraise=True,
        )
        url = f"{self._url}/api/is_pause_enabled"
        try:
            waiting(self._fetcher.fetch, url, {"data": "{}"}, self._connect_timeout)
        except requests.RequestException as error:
            _leave(f"{_what_happened(self._url, error)} Nothing was done.")

    def _fetch(self, url_suffix: str, body: dict[str, str]) -> Any:
        try:
            call = self._get_retryer() if url_suffix not in UNWAITED else _once()
            return call(self._post, url_suffix, body)
        except requests.RequestException as error:
            text = _what_happened(self._url, error)
            if url_suffix in UNWAITED:
                raise rpc.RPCError(text, error) from error
            _leave(f"{text} This run cannot go on. Run the same command again.")

    def _post(self, url_suffix: str, body: dict[str, str]) -> str:
        if self._was_away and url_suffix == "/api/get_work":
            # luigid gives up workers that were silent for long, and looks when it is asked for
            # work. While it was away itself it could not hear this one.
            worker = {"worker": json.loads(body["data"])["worker"]}
            data = {"data": json.dumps(worker)}
            self._fetcher.fetch(f"{self._url}/api/ping", data, self._connect_timeout)
        answer = self._fetcher.fetch(self._url + url_suffix, body, self._connect_timeout)
        self._was_away = False
        return answer

    def _get_retryer(self) -> Retrying:
        def warn(state: RetryCallState) -> None:
            self._was_away = True
            if state.attempt_number == 1:
                logger.warning(
                    "luigid at %s does not answer: waiting %d s at most.",
                    self._url,
                    RESTART_SECONDS,
                )

        return Retrying(
            wait=wait_fixed(1.0),
            stop=_has_waited_enough,
            retry=retry_if_exception(_is_passing),
            before_sleep=warn,
            reraise=True,
        )


class _Fetcher(rpc.RequestsFetcher):
    """Luigi's requests, with the password, and without following redirects."""

    def __init__(self, password: str) -> None:
        super().__init__()
        # As bytes: a text would be sent as Latin-1.
        self._login = (config.LUIGI_USER.encode(), password.encode()) if password else None

    def fetch(self, full_url: str, body: dict[str, str], timeout: float) -> str:
        self.check_pid()
        answer = self.session.post(
            full_url,
            data=body,
            timeout=timeout,
            auth=self._login,
            allow_redirects=False,
        )
        answer.raise_for_status()
        if "response" not in answer.json():
            raise requests.exceptions.InvalidJSONError(f"{full_url} is not luigid")
        return str(answer.text)


def use() -> None:
    """Let Luigi's commands use this client; they have no setting for it."""
    rpc.RemoteScheduler = CentralScheduler  # type: ignore[misc]


def why_refused(task: dict[str, Any]) -> str:
    """Return why luigid does not hand out a task; empty for one that only waits for others."""
    parameters = ", ".join(f"{name}={value}" for name, value in task["params"].items())
    name = f"{task['name']}({parameters})"
    if task["status"] == "RUNNING":
        since = datetime.fromtimestamp(task["time_running"], timezone.utc)
        return f"{name} is being run by {task['worker_running']} since {since:%H:%M:%S} UTC."
    if task["status"] == "FAILED":
        return f"{name} failed, here or elsewhere, and is not handed out again for a while."
    if task["status"] == "DISABLED":
        return f"{name} was disabled on luigid's page or by its API. Enable it there."
    return ""


def _has_waited_enough(state: RetryCallState) -> bool:
    """Whether to give luigid up; a run that was asked to stop reports it if that is quick."""
    longest = START_SECONDS if signals.is_stopping() else RESTART_SECONDS
    return (state.seconds_since_start or 0.0) >= longest


def _once() -> Retrying:
    return Retrying(stop=stop_after_attempt(1), reraise=True)


def _is_passing(error: BaseException) -> bool:
    """Whether the same request may succeed in a moment."""
    if isinstance(error, requests.HTTPError):
        return error.response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR
    return isinstance(error, (requests.ConnectionError, requests.Timeout))


def _what_happened(url: str, error: requests.RequestException) -> str:
    """A sentence about a failed request, with what to do; never with the text of the error."""
    status = error.response.status_code if error.response is not None else None
    if status == HTTPStatus.UNAUTHORIZED:
        return f"luigid at {url} refuses the password. Set LUIGI_PASSWORD to that of luigid."
    if status == HTTPStatus.FORBIDDEN:
        return (
            f"luigid at {url} does not go by that name: start it with --allow-host and the name "
            "that is in LUIGI_HOST."
        )
    if status is not None or isinstance(error, requests.exceptions.InvalidJSONError):
        return f"What answers at {url} is not luigid, or it has a fault: see its log."
    return (
        f"luigid does not answer at {url} ({type(error).__name__}). Start it (`make up` starts the "
        "local one), correct LUIGI_HOST and LUIGI_PORT, or run with --local-scheduler."
    )


def _leave(text: str) -> NoReturn:
    """End the command as Luigi does for its own lock: with a code, and without a traceback."""
    logger.error("%s", text)
    last_run.refused(text)
    raise SystemExit(retcode().unhandled_exception)
