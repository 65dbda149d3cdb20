"""An INSERT that the embedded ClickHouse does not store is answered with ClickHouse's error."""

import re
import uuid
from collections.abc import Iterator

import httpx
import pytest

from tests.processes import sandbox_server
from tests.small_disk import server_with_a_small_disk

MODULE = "sandbox.clickhouse"


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with (
        sandbox_server(MODULE, tmp_path_factory.mktemp("clickhouse"), "--no-password") as (_, url),
        httpx.Client(base_url=url, timeout=60, trust_env=False) as client,
    ):
        yield client


def run(http: httpx.Client, sql: str, **params: str) -> str:
    answer = http.post("/", content=sql, params=params)
    assert answer.status_code == 200, answer.text
    return answer.text


def insert(http: httpx.Client, table: str, rows: bytes, **params: str) -> httpx.Response:
    query = f"INSERT INTO {table} FORMAT TabSeparated"
    return http.post("/", content=rows, params={"query": query, **params})


def error_of(answer: httpx.Response) -> tuple[int, str]:
    """Code and name of an error, checked to be one as a server sends it."""
    code = int(answer.headers["X-ClickHouse-Exception-Code"])
    found = re.fullmatch(
        r"Code: (\d+)\. DB::\w*Exception: .*\(([A-Z_\d]+)\) \(version [\d.]+\)\n",
        answer.text,
        re.DOTALL,
    )
    assert found is not None, answer.text
    assert int(found[1]) == code
    assert "/dev/fd" not in answer.text
    assert answer.text.count("Code: ") == 1, answer.text
    return code, found[2]


NUMBERS = b"".join(b"%d\n" % number for number in range(200))


@pytest.mark.parametrize(
    ("definition", "rows", "params", "error"),
    [
        ("CONSTRAINT small CHECK a < 10", b"11\n", {}, (469, "VIOLATED_CONSTRAINT", 500)),
        ("PARTITION BY a", NUMBERS, {}, (252, "TOO_MANY_PARTS", 500)),
        (
            "PARTITION BY a",
            b"1\n2\n3\n",
            {"max_partitions_per_insert_block": "2"},
            (252, "TOO_MANY_PARTS", 500),
        ),
        (
            "",
            b"1\n" * 3_000_000,
            {"max_memory_usage": "1000000"},
            (241, "MEMORY_LIMIT_EXCEEDED", 500),
        ),
        ("", b"x\n", {}, (27, "CANNOT_PARSE_INPUT_ASSERTION_FAILED", 400)),
        ("", b"1\n", {"readonly": "1"}, (164, "READONLY", 500)),
        ("", b"1\n", {"no_such_setting": "1"}, (115, "UNKNOWN_SETTING", 404)),
    ],
)
def test_an_insert_that_is_not_stored_is_an_error(http, definition, rows, params, error):
    table = f"t_{uuid.uuid4().hex[:8]}"
    constraint, partition = (definition, "") if "CHECK" in definition else ("", definition)
    columns = ", ".join(filter(None, ("a Int64", constraint)))
    run(http, f"CREATE TABLE {table} ({columns}) ENGINE = MergeTree ORDER BY a {partition}")
    answer = insert(http, table, rows, **params)
    assert (*error_of(answer), answer.status_code) == error
    assert run(http, f"SELECT count() FROM {table}") == "0\n"


def test_too_many_parts(http):
    run(
        http,
        "CREATE TABLE parts (a Int64) ENGINE = MergeTree ORDER BY a "
        "SETTINGS parts_to_throw_insert = 2, parts_to_delay_insert = 2, max_delay_to_insert = 1",
    )
    run(http, "SYSTEM STOP MERGES parts")
    answers = [insert(http, "parts", b"%d\n" % number) for number in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 500, 500]
    assert {error_of(answer) for answer in answers[2:]} == {(252, "TOO_MANY_PARTS")}
    assert run(http, "SELECT count() FROM parts") == "2\n"


def test_a_materialized_view_that_throws(http):
    run(http, "CREATE TABLE source (a Int64) ENGINE = MergeTree ORDER BY a")
    run(
        http,
        "CREATE MATERIALIZED VIEW mv ENGINE = MergeTree ORDER BY a "
        "AS SELECT throwIf(a = 5, 'five') AS a FROM source",
    )
    assert insert(http, "source", b"4\n").status_code == 200
    answer = insert(http, "source", b"5\n")
    assert error_of(answer) == (395, "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO")
    assert "while pushing to view" in answer.text


@pytest.mark.parametrize(
    ("target", "error"),
    [("a_view", (48, "NOT_IMPLEMENTED")), ("nowhere", (60, "UNKNOWN_TABLE"))],
)
def test_a_target_that_takes_no_rows(http, target, error):
    run(http, "CREATE VIEW IF NOT EXISTS a_view AS SELECT 1 AS a")
    # More than a pipe holds: the sender must not wait for a reader that never comes.
    answer = insert(http, target, b"1\n" * 1_000_000)
    assert error_of(answer) == error


def test_rows_that_pass_through_a_select(http):
    run(http, "CREATE TABLE selected (a Int64, CONSTRAINT c CHECK a < 10) ENGINE = Memory")
    query = "INSERT INTO selected SELECT a * 2 FROM input('a Int64') FORMAT TabSeparated"
    answers = [http.post("/", content=rows, params={"query": query}) for rows in (b"4\n", b"5\n")]
    assert answers[0].status_code == 200
    assert error_of(answers[1]) == (469, "VIOLATED_CONSTRAINT")
    assert run(http, "SELECT a FROM selected") == "8\n"


def test_rows_of_an_external_table(http):
    files = {"ext": ("ext", b"1\nx\n")}
    params = {"query": "SELECT count() FROM ext", "ext_structure": "a Int64"}
    answer = http.post("/", files=files, params=params)
    assert error_of(answer) == (27, "CANNOT_PARSE_INPUT_ASSERTION_FAILED")


def test_bytes_that_the_engine_leaves_unread_are_not_passed_over(http):
    run(http, "CREATE TABLE ended (a Int64) ENGINE = Memory")
    rows = b"(1);" + b"(2)," * 1_000_000
    answer = http.post("/", content=rows, params={"query": "INSERT INTO ended VALUES"})
    assert answer.status_code != 200


def test_an_error_in_a_late_block(http):
    """The first blocks are good; the error comes when most of the rows have been read."""
    run(http, "CREATE TABLE late (a Int64, CONSTRAINT c CHECK a < 900000) ENGINE = Memory")
    rows = b"".join(b"%d\n" % number for number in range(1_000_000))
    block = {"max_insert_block_size": "1000", "min_insert_block_size_rows": "1000"}
    answer = insert(http, "late", rows, min_insert_block_size_bytes="0", **block)
    assert error_of(answer) == (469, "VIOLATED_CONSTRAINT")


def test_a_full_disk(tmp_path):
    with (
        server_with_a_small_disk(tmp_path / "data", megabytes=48) as disk,
        httpx.Client(base_url=disk.url, timeout=60, trust_env=False) as http,
    ):
        run(http, "CREATE TABLE t (s String CODEC(NONE)) ENGINE = MergeTree ORDER BY tuple()")
        rows = b"".join(uuid.uuid4().bytes.hex().encode() + b"\n" for _ in range(100_000))
        stored = 0
        for _ in range(30):
            answer = insert(http, "t", rows)
            if answer.status_code != 200:
                break
            stored += 100_000
        assert error_of(answer) == (243, "NOT_ENOUGH_SPACE")
        assert stored > 0
        assert run(http, "SELECT count() FROM t") == f"{stored}\n"
