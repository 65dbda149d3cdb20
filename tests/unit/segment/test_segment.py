"""What an answer of Segment means: only a confirmed 2xx is accepted."""

import logging

import pytest
import requests
from urllib3.exceptions import MaxRetryError, NewConnectionError, ProtocolError

from luigi_tasks.errors import ConfigurationError
from luigi_tasks.segment import endpoint as segment
from luigi_tasks.segment.endpoint import Outcome


def response(status: int, text: str = "", **headers: str) -> requests.Response:
    answer = requests.Response()
    answer.status_code = status
    answer._content = text.encode()
    answer.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return answer


SUCCESS = '{"success": true}'


@pytest.mark.parametrize(
    ("status", "text", "outcome", "code"),
    [
        (200, SUCCESS, Outcome.ACCEPTED, ""),
        (202, SUCCESS, Outcome.ACCEPTED, ""),
        (200, '{"success": false}', Outcome.RETRYABLE, "success_false"),
        (200, '{"success": "true"}', Outcome.RETRYABLE, "success_false"),
        (200, '{"success": tr', Outcome.UNKNOWN, "answer_unreadable"),
        (200, "", Outcome.UNKNOWN, "answer_unreadable"),
        (200, "<html>please log in</html>", Outcome.UNKNOWN, "answer_unreadable"),
        (200, "[true]", Outcome.UNKNOWN, "answer_unreadable"),
        (200, "{}", Outcome.UNKNOWN, "answer_unreadable"),
        (204, "", Outcome.UNKNOWN, "answer_unreadable"),
        *[(status, "", Outcome.RETRYABLE, f"http_{status}") for status in (408, 410, 429, 460)],
        *[(status, "", Outcome.RETRYABLE, f"http_{status}") for status in (500, 502, 503, 504)],
        *[(status, "", Outcome.REJECTED, f"http_{status}") for status in (400, 413, 422)],
        *[(status, "", Outcome.REJECTED, f"http_{status}") for status in (401, 403, 404, 501, 505)],
        (302, "", Outcome.REJECTED, "redirect"),
        (304, "", Outcome.REJECTED, "redirect"),
    ],
)
def test_statuses(status: int, text: str, outcome: Outcome, code: str) -> None:
    verdict = segment.judge_response(response(status, text))
    assert (verdict.outcome, verdict.reason_code) == (outcome, code)
    assert verdict.http_status == status


@pytest.mark.parametrize(
    ("status", "refuses"),
    [(400, False), (413, False), (422, False), (401, True), (403, True), (404, True), (302, True)],
)
def test_who_is_refused(status: int, refuses: bool) -> None:
    assert segment.judge_response(response(status)).refuses_us is refuses


def test_a_success_after_a_redirect_is_not_one() -> None:
    answer = response(200, SUCCESS)
    answer.history = [response(302)]
    verdict = segment.judge_response(answer)
    assert (verdict.outcome, verdict.refuses_us) == (Outcome.REJECTED, True)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7),
        ("0", 0),
        ("3600", 3600),
        ("99999", segment.MAX_RETRY_AFTER),
        ("9" * 400, segment.MAX_RETRY_AFTER),
        ("-5", 0),
        ("1.5", 0),
        ("soon", 0),
        ("Mon, 30 Nov 2026 17:30:00 GMT", 1800),
        ("Mon, 30 Nov 2026 16:00:00 GMT", 0),
        ("Mon, 30 Nov 9999 17:30:00 GMT", segment.MAX_RETRY_AFTER),
    ],
)
def test_retry_after_is_a_number_or_a_time_by_the_servers_own_clock(
    header: str, seconds: float
) -> None:
    headers = {"Retry_After": header, "Date": "Mon, 30 Nov 2026 17:00:00 GMT"}
    assert segment.judge_response(response(429, **headers)).retry_after == seconds


def test_a_time_without_the_servers_clock_is_not_used() -> None:
    answer = response(429, Retry_After="Mon, 30 Nov 2026 17:30:00 GMT")
    assert segment.judge_response(answer).retry_after == 0


REFUSED = MaxRetryError(None, "/", NewConnectionError(None, "refused"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "outcome", "code"),
    [
        (requests.ConnectTimeout("slow"), Outcome.RETRYABLE, "connect_timeout"),
        (requests.ReadTimeout("slow"), Outcome.UNKNOWN, "read_timeout"),
        (requests.ConnectionError(REFUSED), Outcome.RETRYABLE, "connection_failed"),
        (requests.exceptions.SSLError("expired"), Outcome.RETRYABLE, "connection_failed"),
        (requests.ConnectionError(ProtocolError("reset")), Outcome.UNKNOWN, "connection_lost"),
        (requests.ConnectionError(), Outcome.UNKNOWN, "connection_lost"),
        (requests.exceptions.ChunkedEncodingError("cut"), Outcome.UNKNOWN, "connection_lost"),
    ],
)
def test_failures(error: requests.RequestException, outcome: Outcome, code: str) -> None:
    verdict = segment.judge_failure(error)
    assert (verdict.outcome, verdict.reason_code) == (outcome, code)
    assert verdict.http_status == 0
    assert verdict.may_retry


@pytest.mark.parametrize("host", ["api.segment.io", "ftp://api.segment.io"])
def test_a_host_that_is_no_address_is_a_setting_to_correct(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGMENT_HOST", host)
    with pytest.raises(ConfigurationError, match="SEGMENT_HOST"):
        segment.Endpoint("key").send([])


def test_a_long_answer_is_cut() -> None:
    assert len(segment.judge_response(response(400, "x " * 5000)).detail) == segment.LONGEST_DETAIL


def test_the_debug_log_never_shows_the_write_key(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SEGMENT_WRITE_KEY", "very-secret-key")
    monkeypatch.setenv("SEGMENT_HOST", "http://127.0.0.1:9")
    segment.log_requests([caplog.handler])
    segment.Endpoint("very-secret-key").send(['{"userId": "1"}'])
    logging.getLogger("segment").handlers = []
    assert '"userId": "1"' in caplog.text
    assert "very-secret-key" not in caplog.text
    assert "[write key]" in caplog.text
