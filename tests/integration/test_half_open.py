"""A connection to ClickHouse that takes requests and answers none is not waited for without end."""

import re
import time
import uuid
from typing import cast

import pytest
from clickhouse_connect.driver.exceptions import OperationalError
from clickhouse_connect.driver.httpclient import HttpClient

from luigi_tasks import clickhouse
from luigi_tasks.errors import LeaseLostError
from luigi_tasks.lease import Lease
from tests.chaos.gate import Gate
from tests.conftest import ClickHouseServer
from tests.integration.delivery import Outbox, outbox

__all__ = ["outbox"]


def insert() -> None:
    """A small insert."""
    clickhouse.insert_once(
        "segment_outbox_watermarks", ["call"], [["track"]], ["String"], [uuid.uuid4()]
    )


def test_a_half_open_connection_is_given_up_and_told(
    outbox: Outbox,
    clickhouse_server: ClickHouseServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(clickhouse, "TOLD_AFTER_SECONDS", 0.4)
    with Gate(clickhouse_server.url).open() as gate:
        monkeypatch.setenv("CLICKHOUSE_PORT", str(gate.port))
        with Lease(lifetime=3, wait=10) as lease:
            insert()  # The first one imports what it needs, which takes a while.
            time.sleep(1)  # Until the thread that renews it has its connection.
            monkeypatch.setattr(clickhouse, "QUICK_SECONDS", 1.0)
            gate.freeze()
            began = time.monotonic()
            with pytest.raises(OperationalError):
                insert()
            assert 0.9 < time.monotonic() - began < 6
            assert cast(HttpClient, clickhouse.connect()).timeout.read_timeout == 120
            assert re.search(r"not answered for \d s \(rows for segment_outbox_w", caplog.text)
            time.sleep(5)
            assert "The lease could not be renewed" in caplog.text
            with pytest.raises(LeaseLostError):
                lease.require()
            ending = time.monotonic()
        assert time.monotonic() - ending < 15
        gate.thaw()
