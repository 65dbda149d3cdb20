"""A connection to ClickHouse that takes requests and answers none is not waited for without end."""

import re
import time
import uuid
from typing import Any, cast
from urllib.parse import urlsplit

import pytest
import yaml
from clickhouse_connect.driver.exceptions import OperationalError
from clickhouse_connect.driver.httpclient import HttpClient
from dbt.adapters.clickhouse.credentials import ClickHouseCredentials
from dbt.adapters.clickhouse.httpclient import ChHttpClient
from dbt_common.exceptions import DbtDatabaseError
from urllib3 import Timeout

from luigi_tasks.clickhouse import client as clickhouse
from luigi_tasks.clickhouse import session
from luigi_tasks.errors import LeaseLostError
from luigi_tasks.runs.lease import Lease
from tests.chaos.gate import Gate
from tests.conftest import PROJECT, ClickHouseServer
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


def dbt_client(url: str, server: ClickHouseServer, **changes: Any) -> ChHttpClient:
    """A connection as dbt makes it, with the time limit of profiles.yml."""
    profile = yaml.safe_load((PROJECT / "profiles.yml").read_text())
    output = profile["retail_pro_segment"]["outputs"]["server"]
    address = urlsplit(url)
    values = {
        "host": address.hostname,
        "port": address.port,
        "user": "default",
        "password": server.password,
        "schema": "default",
        "check_exchange": False,
        "custom_settings": session.settings(),
        "send_receive_timeout": output["send_receive_timeout"],
    }
    return ChHttpClient(ClickHouseCredentials(**values | changes))


def test_a_long_query_of_dbt_gives_signs_of_life(clickhouse_server: ClickHouseServer) -> None:
    """So its time limit may be minutes, and is none for the query."""
    client = dbt_client(clickhouse_server.url, clickhouse_server)
    transport = client._client._backend
    limit = client._client.timeout.read_timeout
    assert limit <= 600
    assert 2 * int(transport.progress_interval) / 1000 < limit
    client._client.timeout = Timeout(connect=2, read=1.5)
    long_one = (
        "insert into function null('total UInt64') "
        "select sum(sleepEachRow(0.4)) from numbers(8) settings max_block_size = 1"
    )
    with pytest.raises(DbtDatabaseError, match="timed out"):
        client.command(long_one)
    patient = dbt_client(clickhouse_server.url, clickhouse_server)
    patient._client.timeout = client._client.timeout
    patient._client._backend.progress_interval = "200"
    began = time.monotonic()
    patient.command(long_one)
    assert time.monotonic() - began > 3
    for each in (client, patient):
        each.close()


def test_dbt_gives_up_a_half_open_connection(clickhouse_server: ClickHouseServer) -> None:
    with Gate(clickhouse_server.url).open() as gate:
        client = dbt_client(f"http://127.0.0.1:{gate.port}", clickhouse_server)
        client._client.timeout = Timeout(connect=1, read=1)
        gate.freeze()
        began = time.monotonic()
        with pytest.raises(DbtDatabaseError, match="timed out"):
            client.command("select 1")
        assert time.monotonic() - began < 6
        gate.thaw()
