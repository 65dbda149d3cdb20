"""The clocks of a run, two of which can be put wrong, and a day that was lived too early."""

import logging

import pytest

from luigi_tasks import clocks
from luigi_tasks.errors import ConfigurationError
from tests.conftest import SegmentServer
from tests.integration.delivery import outbox
from tests.processes import free_port

__all__ = ["outbox"]

pytestmark = pytest.mark.usefixtures("outbox")
TWO_DAYS = 172_800


def clickhouse_is_ahead(seconds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put ClickHouse's clock wrong for the question that asks it."""
    shifted = f"now64(6, 'UTC') + toIntervalSecond({seconds})"
    monkeypatch.setattr(clocks, "CLOCK", clocks.CLOCK.replace("now64(6, 'UTC')", shifted))


def test_clocks_that_agree_pass(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        clocks.check()
    assert "ClickHouse's clock is +0 s from this machine's" in caplog.text
    assert "This machine's clock is +0 s from that of http://127.0.0.1" in caplog.text
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("offset", [-TWO_DAYS, TWO_DAYS])
def test_a_wrong_clock_of_clickhouse_is_refused(
    offset: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clickhouse_is_ahead(offset, monkeypatch)
    with pytest.raises(ConfigurationError, match="ClickHouse's clock is") as caught:
        clocks.check()
    assert f"{offset:+,} s" in str(caught.value)
    assert "Nothing was loaded, built or sent" in str(caught.value)


@pytest.mark.parametrize("offset", [-300, 300])
def test_a_clock_that_is_not_segments_is_refused(
    offset: int, segment_server: SegmentServer
) -> None:
    segment_server.configure(clock_offset_s=offset)
    with pytest.raises(ConfigurationError, match=r"clock is [+-](299|300|301) s from that of"):
        clocks.check()


def test_a_dry_run_does_not_ask_segment(
    segment_server: SegmentServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment_server.configure(clock_offset_s=300)
    monkeypatch.setenv("SEGMENT_WRITE_KEY", "")
    clocks.check()
    clickhouse_is_ahead(TWO_DAYS, monkeypatch)
    with pytest.raises(ConfigurationError, match="ClickHouse's clock"):
        clocks.check()


def test_a_segment_that_is_away_is_reported(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SEGMENT_HOST", f"http://127.0.0.1:{free_port()}")
    clocks.check()
    assert "cannot be reached" in caplog.text
