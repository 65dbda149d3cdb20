"""HTTP requests in ClickHouse's terms, and who may send them."""

import base64

import pytest
from starlette.datastructures import Headers, QueryParams

from sandbox.clickhouse.auth import Account, Credentials
from sandbox.clickhouse.errors import ClickHouseError
from sandbox.clickhouse.request import HttpQuery, SessionRequest, read


def read_url(url_query: str, **headers: str) -> HttpQuery:
    return read(Headers(headers), QueryParams(url_query))


def code_of(url_query: str) -> int:
    with pytest.raises(ClickHouseError) as caught:
        read_url(url_query)
    return caught.value.code


def test_what_is_no_handler_parameter_is_a_setting():
    query = read_url(
        "query=SELECT+1&query_id=q1&database=d&user=u&password=p&wait_end_of_query=1&session_id=s"
        "&buffer_size=1&client_protocol_version=54405&quota_key=k&default_format=JSON"
        "&max_threads=3&param_x=a%27b&send_progress_in_http_headers=1"
    )
    assert query.settings == {
        "max_threads": "3",
        "param_x": "a'b",
        "send_progress_in_http_headers": "1",
        "log_comment": "q1\n",
        "implicit_select": "0",
    }
    assert (query.query, query.database, query.format) == ("SELECT 1", "d", "JSON")
    assert query.wait_end
    assert query.progress_ms == 100
    assert query.session == SessionRequest("s", 60, must_exist=False, close=False)


def test_headers_go_before_parameters():
    query = read_url("", **{"x-clickhouse-database": "d", "x-clickhouse-format": "CSV"})
    assert (query.database, query.format) == ("d", "CSV")
    query = read_url("database=e&default_format=TSV", **{"x-clickhouse-database": "d"})
    assert (query.database, query.format) == ("d", "TSV")
    query = read_url("query_id=of-parameter", **{"x-clickhouse-query-id": "of-header"})
    assert query.query_id == "of-parameter"
    assert read_url("", **{"x-clickhouse-query-id": "of-header"}).query_id == "of-header"


def test_every_request_has_a_query_id():
    assert read_url("").query_id != read_url("").query_id


def test_session_timeout_is_checked():
    assert code_of("session_id=s&session_timeout=3601") == 374
    assert code_of("session_id=s&session_timeout=soon") == 374


def test_what_the_client_asks_of_the_transport():
    query = read_url("compress=1&send_progress_in_http_headers=1")
    assert (query.compress, query.decompress, query.progress_ms) == (True, False, 100)
    assert query.end_with_client
    query = read_url("decompress=1&cancel_http_readonly_queries_on_client_close=0")
    assert (query.compress, query.decompress, query.progress_ms) == (False, True, None)
    assert query.verify_blocks
    assert not query.end_with_client
    assert code_of("send_progress_in_http_headers=1&http_headers_progress_interval_ms=x") == 36


def test_external_table_takes_its_description_from_the_parameters():
    params = QueryParams("t_types=Int8,String&t_format=CSV&max_threads=1")
    query = read(Headers({}), params, {}, {"t": b"1,a"})
    (table,) = query.external_tables
    assert (table.structure, table.format, table.data) == ("_1 Int8, _2 String", "CSV", b"1,a")
    assert set(query.settings) == {"max_threads", "log_comment", "implicit_select"}


BASIC = "Basic " + base64.b64encode(b"ann:se:cret").decode()


@pytest.mark.parametrize(
    ("headers", "params", "expected"),
    [
        ({}, {}, Credentials("default", "")),
        ({"authorization": BASIC}, {}, Credentials("ann", "se:cret")),
        ({"x-clickhouse-user": "u", "x-clickhouse-key": "k"}, {}, Credentials("u", "k")),
        ({}, {"user": "u", "password": "p"}, Credentials("u", "p")),
    ],
)
def test_credentials(headers, params, expected):
    assert Credentials.of(headers, params) == expected


@pytest.mark.parametrize(
    ("headers", "params"),
    [
        ({"authorization": "Basic ???"}, {}),
        ({"authorization": "Bearer abc"}, {}),
        ({"authorization": BASIC}, {"user": "ann"}),
        ({"authorization": BASIC, "x-clickhouse-user": "ann"}, {}),
        ({"x-clickhouse-user": "ann"}, {"password": "p"}),
        ({"x-clickhouse-key": "k"}, {}),
        ({}, {"user": ""}),
    ],
)
def test_unreadable_or_mixed_credentials(headers, params):
    with pytest.raises(ClickHouseError) as caught:
        Credentials.of(headers, params)
    assert caught.value.code == 516


@pytest.mark.parametrize(
    ("user", "password", "code"),
    [("ann", "", 194), ("ann", "wrong", 516), ("bob", "secret", 516), ("ann", "secret", None)],
)
def test_account_with_a_password(user, password, code):
    account = Account("ann", "secret")
    if code is None:
        account.check(Credentials(user, password))
        return
    with pytest.raises(ClickHouseError) as caught:
        account.check(Credentials(user, password))
    assert caught.value.code == code


def test_account_without_a_password_still_has_a_name():
    Account("default", "").check(Credentials("default", "anything"))
    with pytest.raises(ClickHouseError):
        Account("default", "").check(Credentials("other", ""))
