"""Log entries: no text from outside breaks out of its line, expected errors are one sentence."""

import io
import logging
import traceback
from collections.abc import Iterator

import pytest

from luigi_tasks.errors import ClickHouseUnavailableError, ConfigurationError, Stopped
from tests.unit.hostile_text import ENDLESS, HOSTILE, assert_plain


class Log:
    """A logger of Luigi's kind and what it has written."""

    def __init__(self, level: int) -> None:
        self.logger = logging.getLogger("luigi-interface.test_log_records")
        self.logger.setLevel(level)
        self.stream = io.StringIO()
        self.handler = logging.StreamHandler(self.stream)
        self.handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
        self.logger.addHandler(self.handler)

    @property
    def text(self) -> str:
        """All that was written."""
        return self.stream.getvalue().removesuffix("\n")


@pytest.fixture(params=[logging.INFO])
def log(request: pytest.FixtureRequest) -> Iterator[Log]:
    """A log at the level INFO, or at that of the parameter."""
    made = Log(request.param)
    yield made
    made.logger.removeHandler(made.handler)
    made.logger.setLevel(logging.NOTSET)


at_debug = pytest.mark.parametrize("log", [logging.DEBUG], indirect=True)


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        ("Segment said: %s", (ENDLESS,)),
        ("Segment said: %r", (ValueError(HOSTILE),)),
        ("Segment said: %(said)s", ({"said": HOSTILE},)),
        ("%s of %s", (HOSTILE, HOSTILE)),
        (f"Segment said: {HOSTILE}".replace("%", "%%"), ()),
    ],
)
def test_hostile_text_stays_in_its_entry(
    message: str, arguments: tuple[object, ...], log: Log
) -> None:
    log.logger.warning(message, *arguments)
    log.logger.error("%d of %.1f", 3, 4.0)
    *first, last = log.text.split("\n")
    assert_plain("\n".join(first))
    assert all(line.startswith("    ") for line in first[1:])
    assert last == "ERROR: 3 of 4.0"


def test_arguments_never_begin_a_line(log: Log) -> None:
    log.logger.warning("dbt: %s", HOSTILE)
    assert "\n" not in log.text


def _fail() -> None:
    try:
        raise ConnectionError("errno 111 " + HOSTILE)
    except ConnectionError as error:
        raise ClickHouseUnavailableError("ClickHouse does not answer.\nERROR: go on") from error


def test_an_expected_error_is_its_sentence(log: Log) -> None:
    try:
        _fail()
    except ClickHouseUnavailableError:
        log.logger.exception("[pid 1] Worker failed")
    assert log.text == (
        "ERROR: [pid 1] Worker failed\n    ClickHouse does not answer.\n    ERROR: go on"
    )


@at_debug
def test_its_traceback_is_for_the_level_debug(log: Log) -> None:
    try:
        _fail()
    except ClickHouseUnavailableError:
        log.logger.exception("[pid 1] Worker failed")
    assert "Traceback" in log.text
    assert "errno 111" in log.text
    assert_plain(log.text)


def test_an_error_that_luigi_wraps_is_its_sentence_too(log: Log) -> None:
    try:
        try:
            raise ConfigurationError("CLICKHOUSE_PORT cannot be used.")
        except ConfigurationError as error:
            raise ValueError("Error when parsing") from error
    except ValueError:
        log.logger.exception("Uncaught exception in luigi")
    assert log.text == "ERROR: Uncaught exception in luigi\n    CLICKHOUSE_PORT cannot be used."


def test_a_stop_is_a_sentence(log: Log) -> None:
    try:
        raise Stopped(130)
    except Stopped:
        log.logger.exception("failed")
    assert "Traceback" not in log.text
    assert "Nothing is lost" in log.text


def test_an_unexpected_error_keeps_its_traceback(log: Log) -> None:
    try:
        raise KeyError(HOSTILE)
    except KeyError:
        log.logger.exception("failed")
    assert "Traceback" in log.text
    assert_plain(log.text)


def test_a_traceback_in_a_message_of_luigi_is_cut_to_its_sentence(log: Log) -> None:
    try:
        _fail()
    except ClickHouseUnavailableError:
        text = traceback.format_exc()
    log.logger.warning("Will not run X due to error in complete() method:\n" + text)
    assert log.text == (
        "WARNING: Will not run X due to error in complete() method:\n"
        "    ClickHouse does not answer.\n    ERROR: go on"
    )


@at_debug
def test_requests_are_shown_whole_at_the_level_debug(log: Log) -> None:
    log.logger.debug("making request: %s", "x" * 400_000)
    assert len(log.text) > 400_000
