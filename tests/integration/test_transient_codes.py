"""The codes that are waited for are ClickHouse's own, under the names that it gives them."""

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError

from luigi_tasks.clickhouse import client as clickhouse
from tests.conftest import ClickHouseServer


def test_each_code_has_the_name_that_clickhouse_gives_it(
    clickhouse_server: ClickHouseServer,
) -> None:
    codes = list(clickhouse.TRANSIENT)
    with clickhouse_server.connect() as client:
        rows = client.query(
            f"select code, errorCodeToName(code) from (select arrayJoin({codes}) as code)"
        ).result_rows
    assert dict(rows) == clickhouse.TRANSIENT


@pytest.mark.parametrize("code", clickhouse.TRANSIENT)
def test_each_is_waited_for(code: int) -> None:
    assert clickhouse.is_passing(DatabaseError("", code=code))


def test_what_stays_is_not_waited_for() -> None:
    for code in (60, 62, 164, 497, 516):
        assert not clickhouse.is_passing(DatabaseError("", code=code))
    assert clickhouse.is_passing(OperationalError("connection refused"))
