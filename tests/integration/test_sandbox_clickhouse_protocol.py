"""The embedded ClickHouse over plain HTTP, as curl and a driver's transport use it."""

import gzip
import itertools
import json
import os
import socket
import subprocess
import threading
import time
import uuid
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import httpx
import lz4.frame
import playwright
import pytest
import zstandard

from sandbox.clickhouse.blocks import BlockDecoder, BlockEncoder
from tests.processes import sandbox_server

NEVER_ENDING = "SELECT throwIf(number = 2000000) FROM numbers(3000000)"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("clickhouse")
    with sandbox_server("sandbox.clickhouse", directory, "--no-password") as (_, url):
        yield url


@pytest.fixture(scope="module")
def http(server: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server, timeout=30, trust_env=False) as client:
        yield client


def run(http: httpx.Client, sql: str, **params: str) -> str:
    answer = http.post("/", content=sql, params=params)
    assert answer.status_code == 200, answer.text
    return answer.text


@pytest.fixture
def table(http: httpx.Client) -> str:
    """A table (a Int64, s String) of the test's own."""
    name = f"t_{uuid.uuid4().hex[:8]}"
    run(http, f"CREATE TABLE {name} (a Int64, s String) ENGINE = MergeTree ORDER BY a")
    return name


def summary(answer: httpx.Response) -> dict[str, int]:
    return {k: int(v) for k, v in json.loads(answer.headers["X-ClickHouse-Summary"]).items()}


def test_health(http):
    assert http.get("/ping").text == "Ok.\n"
    assert http.head("/ping").status_code == 200
    assert http.get("/replicas_status").text == "Ok.\n"
    assert http.get("/").text == "Ok.\n"
    assert http.get("/nothing-here").status_code == 404


def test_query_in_url_body_or_both(http):
    assert http.get("/", params={"query": "SELECT 1"}).text == "1\n"
    assert http.post("/", content="SELECT 1").text == "1\n"
    assert run(http, "FROM numbers(3)", query="SELECT sum(number)") == "3\n"
    form = {"query": (None, "SELECT {n:Int8} + 1"), "param_n": (None, "41")}
    assert http.post("/", files=form).text == "42\n"


def test_insert_query_in_url_and_rows_in_body(http, table):
    answer = http.post(
        "/", params={"query": f"INSERT INTO {table} FORMAT CSV"}, content=b"1,a\n2,b"
    )
    assert answer.status_code == 200
    assert summary(answer)["written_rows"] == 2
    run(http, f"INSERT INTO {table} (s, a) VALUES ('c', 3), (concat('d', 'e'), 4);")
    run(http, '{"a": 5}\n{"a": 6, "s": "f"}', query=f"INSERT INTO {table} FORMAT JSONEachRow")
    assert run(http, f"SELECT a, s FROM {table} ORDER BY a FORMAT CSV") == (
        '1,"a"\n2,"b"\n3,"c"\n4,"de"\n5,""\n6,"f"\n'
    )


def test_insert_split_at_every_byte_of_its_head(http, table):
    body = f"INSERT INTO {table} SETTINGS async_insert = 0 FORMAT CSV\n7,x\n".encode()
    for cut in range(1, len(body), 3):
        answer = http.post("/", content=iter([body[:cut], body[cut:]]))
        assert answer.status_code == 200, (cut, answer.text)
    sent = len(range(1, len(body), 3))
    assert run(http, f"SELECT count(), sum(a), any(s) FROM {table}") == f"{sent}\t{7 * sent}\tx\n"


def test_insert_through_input(http, table):
    sql = f"INSERT INTO {table} SELECT n * 2, s FROM input('n Int64, s String') FORMAT CSV"
    answer = http.post("/", params={"query": sql}, content=b"21,x\n")
    assert summary(answer)["written_rows"] == 1
    assert run(http, f"SELECT * FROM {table}") == "42\tx\n"


def test_insert_of_no_rows(http, table):
    answer = http.post("/", params={"query": f"INSERT INTO {table} FORMAT CSV"})
    assert answer.status_code == 200
    assert summary(answer)["written_rows"] == 0


def test_insert_with_a_bad_row_names_the_row(http, table):
    answer = http.post("/", content=f"INSERT INTO {table} FORMAT CSV\n1,a\nx,b\n")
    assert answer.status_code == 400
    assert answer.headers["X-ClickHouse-Exception-Code"] == "27"
    assert "at row 2" in answer.text
    assert run(http, f"SELECT count() FROM {table}") == "0\n"


COMPRESS = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "lz4": lz4.frame.compress,
    "zstd": zstandard.compress,
}


@pytest.mark.parametrize("encoding", COMPRESS)
@pytest.mark.parametrize("chunked", [False, True])
def test_compressed_request(http, table, encoding, chunked):
    rows = "".join(f"{n},row {n}\n" for n in range(30_000))
    body = COMPRESS[encoding](f"INSERT INTO {table} FORMAT CSV\n{rows}".encode())
    parts = (body[at : at + 4096] for at in range(0, len(body), 4096))
    answer = http.post(
        "/", content=parts if chunked else body, headers={"Content-Encoding": encoding}
    )
    assert answer.status_code == 200, answer.text
    assert summary(answer)["written_rows"] == 30_000
    assert run(http, f"SELECT count(), sum(a) FROM {table}") == "30000\t449985000\n"


DECOMPRESS = {
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
    "lz4": lz4.frame.decompress,
    "zstd": lambda body: zstandard.ZstdDecompressor().decompressobj().decompress(body),
}


@pytest.mark.parametrize("encoding", DECOMPRESS)
@pytest.mark.parametrize("rows", [1_000, 300_000])
def test_compressed_response(http, encoding, rows):
    sql = f"SELECT number FROM numbers({rows})"
    headers = {"Accept-Encoding": encoding}
    with http.stream("POST", "/", content=sql, headers=headers) as answer:
        body = b"".join(answer.iter_raw())
    assert answer.headers["Content-Encoding"] == encoding
    assert DECOMPRESS[encoding](body).split() == [b"%d" % n for n in range(rows)]


def test_compression_can_be_turned_off(http):
    answer = http.post(
        "/", params={"enable_http_compression": "0"}, content="SELECT * FROM numbers(1000)"
    )
    assert "Content-Encoding" not in answer.headers


def test_a_body_that_is_not_what_its_encoding_says(http):
    answer = http.post("/", content=b"SELECT 1", headers={"Content-Encoding": "gzip"})
    assert answer.headers["X-ClickHouse-Exception-Code"] == "271"


def test_settings_hold_for_one_request(http):
    show = "SELECT getSetting('max_threads'), getSetting('max_block_size')"
    default = run(http, show)
    assert run(http, show, max_threads="7", max_block_size="99") == "7\t99\n"
    assert run(http, show) == default


def test_a_server_has_no_implicit_select(http):
    assert http.post("/", content="1 + 1").status_code == 400


def test_parameters_are_typed_and_escaped(http):
    sql = "SELECT {s:String}, {n:Nullable(Int8)}, {a:Array(String)}, {t:Identifier} FROM numbers(1)"
    params = {
        "param_s": r"it's \\ a\ttab",
        "param_n": r"\N",
        "param_a": "['x','y']",
        "param_t": "number",
    }
    expected = ["it's \\ a\ttab", None, ["x", "y"], 0]
    assert json.loads(run(http, sql + " FORMAT JSONCompactEachRow", **params)) == expected


@pytest.mark.parametrize("session", [{}, {"session_id": "parameters"}])
def test_a_parameter_may_have_any_name_that_a_query_can_use(http, session):
    if session:
        run(http, "SET max_threads = 1", **session)
    got = run(
        http, "SELECT {id$x:UInt8} + {$0:UInt8}", **{"param_id$x": "1", "param_$0": "2"}, **session
    )
    assert got == "3\n"


@pytest.mark.parametrize(
    "name", ["no$such", "a b", "a`b", "max_threads = 1, log_comment", "SELECT 1", "ä", "\\"]
)
def test_a_setting_that_does_not_exist_is_named(http, name):
    answer = http.post("/", content="SELECT 1", params={name: "1"})
    assert (answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]) == (404, "115")


def test_parameters_of_parallel_requests_do_not_mix(http):
    wrong: list[str] = []

    def ask(number: int) -> None:
        for turn in range(40):
            value = f"{number}-{turn}"
            got = run(http, "SELECT {v:String}, {w:String}", param_v=value, param_w=value)
            if got != f"{value}\t{value}\n":
                wrong.append(got)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_database(http):
    run(http, "CREATE DATABASE IF NOT EXISTS other")
    ask = "SELECT currentDatabase()"
    assert run(http, ask, database="other") == "other\n"
    answer = http.post("/", content=ask, headers={"X-ClickHouse-Database": "other"})
    assert answer.text == "other\n"
    assert run(http, ask) == "default\n"
    assert run(http, "SELECT engine FROM system.databases WHERE name = 'other'") == "Atomic\n"


def test_output_format(http):
    assert run(http, "SELECT 1 AS a", default_format="CSVWithNames") == '"a"\n1\n'
    answer = http.post("/", content="SELECT 1", headers={"X-ClickHouse-Format": "JSONCompact"})
    assert answer.json()["data"] == [[1]]
    answer = http.post("/", content="SELECT 1 FORMAT jsoneachrow", params={"default_format": "CSV"})
    assert answer.headers["X-ClickHouse-Format"] == "JSONEachRow"
    assert answer.headers["Content-Type"] == "application/x-ndjson; charset=UTF-8"


def test_response_headers(http, table):
    run(http, f"INSERT INTO {table} VALUES (1, 'a'), (2, 'b'), (3, 'c')")
    answer = http.post("/", params={"query_id": "my-id"}, content=f"SELECT * FROM {table} LIMIT 2")
    assert answer.headers["X-ClickHouse-Query-Id"] == "my-id"
    assert answer.headers["X-ClickHouse-Format"] == "TabSeparated"
    assert answer.headers["X-ClickHouse-Timezone"] == "UTC"
    assert answer.headers["X-ClickHouse-Server-Display-Name"]
    assert summary(answer)["read_rows"] == 3
    assert summary(answer)["result_rows"] == 2
    insert = http.post("/", content=f"INSERT INTO {table} SELECT number, '' FROM numbers(500)")
    assert summary(insert)["written_rows"] == 500


@pytest.mark.parametrize(
    ("sql", "code", "name", "status"),
    [
        ("SELEC 1", 62, "SYNTAX_ERROR", 400),
        ("", 62, "SYNTAX_ERROR", 400),
        ("SELECT 1; SELECT 2", 62, "SYNTAX_ERROR", 400),
        ("SELECT * FROM nowhere", 60, "UNKNOWN_TABLE", 404),
        ("INSERT INTO nowhere FORMAT CSV\n1", 60, "UNKNOWN_TABLE", 404),
        ("SELECT nothing", 47, "UNKNOWN_IDENTIFIER", 404),
        ("SELECT * FROM no_db.t", 81, "UNKNOWN_DATABASE", 404),
        ("SELECT toInt8('x')", 6, "CANNOT_PARSE_TEXT", 400),
        ("SELECT 1 FORMAT JSON SETTINGS no_such = 1", 115, "UNKNOWN_SETTING", 404),
        ("CREATE USER ann", 497, "ACCESS_DENIED", 403),
        ("SELECT throwIf(1)", 395, "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO", 500),
        ("SELECT 1 INTO OUTFILE '/tmp/never'", 358, "INTO_OUTFILE_NOT_ALLOWED", 500),
    ],
)
def test_errors(http, sql, code, name, status):
    answer = http.post("/", content=sql)
    assert answer.status_code == status
    assert answer.headers["X-ClickHouse-Exception-Code"] == str(code)
    assert answer.text.startswith(f"Code: {code}. DB::Exception: ")
    assert f"({name}) (version " in answer.text


@pytest.mark.parametrize(
    ("params", "code", "status"),
    [
        ({"no_such_setting": "1"}, 115, 404),
        ({"database": "nowhere"}, 81, 404),
        ({"default_format": "Nope"}, 73, 404),
        ({"role": "nobody"}, 511, 404),
        (
            {"max_execution_time": "0.1", "query": "SELECT sum(sleepEachRow(1)) FROM numbers(3)"},
            159,
            408,
        ),
        ({"session_id": "s", "session_timeout": "99999"}, 374, 500),
        ({"session_id": "never-seen", "session_check": "1"}, 372, 500),
    ],
)
def test_errors_of_parameters(http, params, code, status):
    answer = http.post("/", params={"query": "SELECT 1", **params})
    assert (answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]) == (
        status,
        str(code),
    )


def test_tables_that_the_engine_makes_itself_have_no_definition(http):
    """As docs/sandbox-clickhouse.md lists it: a server shows one."""
    answer = http.post("/", content="SHOW CREATE TABLE system.one")
    assert answer.headers["X-ClickHouse-Exception-Code"] == "60"
    assert "There is no metadata of table one" in answer.text
    assert run(http, "DESCRIBE TABLE system.one FORMAT CSV").startswith('"dummy","UInt8"')


def test_a_connection_is_good_after_an_error_in_a_large_insert(http):
    rows = (b"1,a\n" * 10_000 for _ in range(50))
    answer = http.post("/", params={"query": "INSERT INTO nowhere FORMAT CSV"}, content=rows)
    assert answer.status_code == 404
    assert run(http, "SELECT 1") == "1\n"


def test_get_is_read_only(http, table):
    for sql in (f"INSERT INTO {table} VALUES (1, 'a')", f"DROP TABLE {table}"):
        answer = http.get("/", params={"query": sql})
        assert answer.headers["X-ClickHouse-Exception-Code"] == "164"
    assert http.get("/", params={"query": f"SELECT count() FROM {table}"}).text == "0\n"


def test_session_keeps_temporary_tables_and_settings(http):
    session = {"session_id": uuid.uuid4().hex}
    run(http, "CREATE TEMPORARY TABLE scratch (a Int8)", **session)
    run(http, "INSERT INTO scratch VALUES (1), (2)", **session)
    run(http, "SET max_block_size = 77", **session)
    show = "SELECT sum(a), getSetting('max_block_size') FROM scratch"
    assert run(http, show, **session) == "3\t77\n"
    assert run(http, show, max_block_size="88", **session) == "3\t88\n"
    assert run(http, show, session_check="1", **session) == "3\t77\n"
    assert http.post("/", content=show).status_code == 404
    run(http, "SELECT 1", close_session="1", **session)
    answer = http.post("/", params={"session_check": "1", **session}, content="SELECT 1")
    assert answer.headers["X-ClickHouse-Exception-Code"] == "372"


def test_what_a_request_of_a_session_sets_is_for_that_request(http):
    session = {"session_id": uuid.uuid4().hex}
    show = "SELECT getSetting('max_block_size'), getSetting('max_threads'), currentDatabase()"
    run(http, "SET max_block_size = 77, max_threads = 2", **session)
    of_it = {**session, "database": "system"}
    assert run(http, show, max_block_size="88", **of_it) == "88\t2\tsystem\n"
    assert run(http, show, max_block_size="99", **of_it) == "99\t2\tsystem\n"
    assert run(http, show, max_threads="3", **of_it) == "77\t3\tsystem\n"
    assert run(http, show, **session) == "77\t2\tdefault\n"

    # What a query tells the session stays, and what its request lent it does not.
    run(http, "SET max_threads = 5", max_block_size="88", **of_it)
    assert run(http, show, **session) == "77\t5\tdefault\n"
    run(http, "USE system", max_block_size="88", **session)
    assert run(http, show, **session) == "77\t5\tsystem\n"

    unknown = {**session, "max_block_size": "88", "no_such_setting": "1"}
    assert http.post("/", content=show, params=unknown).status_code == 404
    assert run(http, show, **session) == "77\t5\tsystem\n"


def test_a_session_whose_database_was_dropped_is_told(http):
    own = {"session_id": uuid.uuid4().hex, "database": f"d_{uuid.uuid4().hex[:8]}"}
    run(http, f"CREATE DATABASE {own['database']}")
    run(http, "SET max_threads = 2", **own)
    assert run(http, "SELECT 1", **own) == "1\n"
    run(http, f"DROP DATABASE {own['database']}")
    answer = http.post("/", content="SELECT 1", params=own)
    assert answer.headers["X-ClickHouse-Exception-Code"] == "81"


def test_a_session_with_state_streams_too(http):
    session = {"session_id": uuid.uuid4().hex}
    run(http, "CREATE TEMPORARY TABLE scratch (a Int8)", **session)
    sql = "SELECT number FROM numbers(200000)"
    answer = http.post("/", content=sql, params=session)
    assert answer.headers["Transfer-Encoding"] == "chunked"
    assert answer.text.count("\n") == 200_000
    run(http, "SET extremes = 1", **session)
    assert run(http, sql, **session).endswith("199999\n\n0\n199999\n")


def test_a_session_serves_one_request_at_a_time(http, server):
    params = {"session_id": uuid.uuid4().hex}
    slow = threading.Thread(target=run, args=(http, "SELECT sleep(1)"), kwargs=params)
    slow.start()
    codes = []
    while slow.is_alive() and "373" not in codes:
        answer = httpx.post(server, params=params, content="SELECT 1", trust_env=False)
        codes.append(answer.headers.get("X-ClickHouse-Exception-Code"))
    slow.join()
    assert "373" in codes
    assert run(http, "SELECT 1", **params) == "1\n"


def test_external_table(http):
    params = {"query": "SELECT sum(a) FROM sent", "sent_structure": "a Int32", "sent_format": "CSV"}
    answer = http.post("/", params=params, files={"sent": ("sent.csv", b"1\n2\n3\n")})
    assert answer.text == "6\n"


@pytest.mark.parametrize("tail", ["WITH TOTALS ORDER BY k", "ORDER BY k SETTINGS extremes = 1"])
def test_totals_and_extremes_are_not_lost(http, tail):
    sql = f"SELECT number % 2 AS k, count() FROM numbers(10) GROUP BY k {tail}"
    assert run(http, sql).startswith("0\t5\n1\t5\n\n0\t")


def test_a_streamed_result_is_what_the_engine_gives_as_a_whole(http):
    sql = "SELECT number, toString(number) FROM numbers(200000) ORDER BY number"
    streamed = http.post("/", content=sql)
    whole = http.post("/", content=sql, params={"wait_end_of_query": "1"})
    assert streamed.headers["Transfer-Encoding"] == "chunked"
    assert whole.headers["Content-Length"]
    assert streamed.content == whole.content
    assert summary(whole)["result_rows"] == 200_000


def test_an_error_in_the_middle_of_a_result_breaks_the_response(http):
    with http.stream("POST", "/", content=NEVER_ENDING) as answer:
        assert answer.status_code == 200
        tag = answer.headers["X-ClickHouse-Exception-Tag"]
        parts: list[bytes] = []
        with pytest.raises(httpx.RemoteProtocolError):
            parts.extend(answer.iter_bytes())
    body = b"".join(parts)
    text = body.split(b"\r\n__exception__\r\n")[1].decode()
    assert text.startswith(f"{tag}\r\nCode: 395. ")
    message, size = text.removeprefix(f"{tag}\r\n").removesuffix(f" {tag}").rsplit("\n", 1)
    assert int(size) == len(message) + 1


def test_an_error_in_the_middle_of_a_compressed_result_reaches_node(server):
    """Node decompresses in other threads, and drops what they hold when the connection breaks."""
    driver = Path(playwright.__file__).parent / "driver" / "node"
    script = """
        const [url, sql] = process.argv.slice(1);
        const headers = { "Accept-Encoding": "gzip", "Content-Length": sql.length };
        require("http").request(url, { method: "POST", headers }, (response) => {
            let tail = "";
            const gunzip = require("zlib").createGunzip();
            const told = (error) => console.log(JSON.stringify({ tail, error: error?.code }));
            require("stream").pipeline(response, gunzip, told);
            gunzip.on("data", (part) => { tail = (tail + part).slice(-1000); });
        }).end(sql);
    """
    done = subprocess.run(
        [driver, "-e", script, server, NEVER_ENDING], capture_output=True, check=True, timeout=60
    )
    told = json.loads(done.stdout)
    assert "Code: 395. DB::Exception: Value passed to 'throwIf'" in told["tail"]
    assert told["error"] == "ECONNRESET"


@pytest.mark.parametrize("params", [{}, {"query": "SELECT 1"}])
def test_a_query_that_never_ends_is_refused(http, params):
    bomb = zstandard.compress(b"SELECT 1" + b" " * (1 << 30))
    assert len(bomb) < 100_000
    answer = http.post("/", content=bomb, headers={"Content-Encoding": "zstd"}, params=params)
    assert answer.status_code == 400
    assert answer.headers["X-ClickHouse-Exception-Code"] == "62"
    assert "Max query size exceeded" in answer.text


def test_a_form_field_that_never_ends_is_refused(http):
    answer = http.post("/", files={"query": (None, b"SELECT 1" + b" " * (17 << 20))})
    assert answer.status_code == 400
    assert answer.headers["X-ClickHouse-Exception-Code"] == "36"
    assert "exceeded maximum size of 16384KB" in answer.text


def test_one_query_gets_half_of_the_memory(http):
    limit = int(run(http, "SELECT getSetting('max_memory_usage')"))
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert limit == total // 2


def test_an_error_in_the_middle_has_its_status_when_the_client_waits_for_the_end(http):
    answer = http.post("/", content=NEVER_ENDING, params={"wait_end_of_query": "1"})
    assert answer.status_code == 500
    assert answer.headers["X-ClickHouse-Exception-Code"] == "395"


def test_a_reader_that_leaves_ends_its_query(http):
    marker = f"left_{uuid.uuid4().hex}"
    sql = f"SELECT number AS {marker} FROM numbers(100000000000)"
    with http.stream("POST", "/", content=sql) as answer:
        next(answer.iter_bytes())
    running = (
        "SELECT count() FROM system.processes"
        f" WHERE query LIKE '%{marker}%' AND query NOT LIKE '%system.processes%'"
    )
    for _ in itertools.repeat(None, 100):
        if run(http, running) == "0\n":
            return
    pytest.fail("the query still runs")


def wait_for(http: httpx.Client, sql: str, expected: str, seconds: float = 20) -> None:
    """Wait until a query gives what is expected."""
    deadline = time.monotonic() + seconds
    while (got := run(http, sql)) != expected:
        if time.monotonic() > deadline:
            pytest.fail(f"{sql} still gives {got!r}")
        time.sleep(0.02)


SLOW = "SELECT sum(sleepEachRow(0.01)) FROM numbers({rows})"
SLOW_SETTINGS = {"max_block_size": "10", "function_sleep_max_microseconds_per_block": "100000000"}


@contextmanager
def slow_query(http: httpx.Client, query_id: str) -> Iterator[list[httpx.Response]]:
    """Run a query of 30 seconds under an id; the list gets its answer."""
    answers: list[httpx.Response] = []
    sql = SLOW.format(rows=3000)
    params = {"query_id": query_id, **SLOW_SETTINGS}
    slow = threading.Thread(
        target=lambda: answers.append(http.post("/", content=sql, params=params))
    )
    slow.start()
    wait_for(http, running(query_id), "1\n")
    yield answers
    slow.join()


def running(query_id: str) -> str:
    return f"SELECT count() FROM system.processes WHERE query_id = '{query_id}'"


@pytest.mark.parametrize("how", ["SYNC", "ASYNC"])
def test_kill_query_by_the_clients_id(http, how):
    query_id = f"victim-{uuid.uuid4()}"
    with slow_query(http, query_id) as answers:
        killed = run(http, f"KILL QUERY WHERE query_id IN ('{query_id}') {how} FORMAT JSONEachRow")
        assert json.loads(killed)["query"].startswith("SELECT sum(sleepEachRow")
    assert answers[0].headers["X-ClickHouse-Exception-Code"] == "394"
    assert run(http, running(query_id)) == "0\n"


def test_a_query_id_runs_once_at_a_time(http):
    query_id = f"twice-{uuid.uuid4()}"
    with slow_query(http, query_id):
        answer = http.post("/", params={"query_id": query_id}, content="SELECT 1")
        assert answer.headers["X-ClickHouse-Exception-Code"] == "216"
        run(http, f"KILL QUERY WHERE query_id = '{query_id}'")
    assert run(http, "SELECT 1", query_id=query_id) == "1\n"


def leave_early(server: str, sql: str, **params: str) -> None:
    """Send a query and disconnect before its answer starts."""
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            server,
            content=sql,
            params={**SLOW_SETTINGS, **params},
            timeout=httpx.Timeout(10, read=0.5),
            trust_env=False,
        )


def test_a_client_that_leaves_before_the_answer_ends_a_query_that_reads(http, server):
    query_id = f"left-{uuid.uuid4()}"
    leave_early(server, SLOW.format(rows=3000), query_id=query_id)
    wait_for(http, running(query_id), "0\n", seconds=5)


def test_a_client_that_leaves_does_not_end_a_query_that_writes(http, server, table):
    sql = f"INSERT INTO {table} SELECT sleepEachRow(0.01), 'x' FROM numbers(150)"
    leave_early(server, sql)
    wait_for(http, f"SELECT count() FROM {table}", "150\n")


def test_a_client_may_ask_that_its_query_goes_on_without_it(http, server):
    query_id = f"goes-on-{uuid.uuid4()}"
    keep = {"cancel_http_readonly_queries_on_client_close": "0"}
    leave_early(server, SLOW.format(rows=150), query_id=query_id, **keep)
    wait_for(http, running(query_id), "0\n")
    run(http, "SYSTEM FLUSH LOGS")
    sql = f"SELECT type FROM system.query_log WHERE query_id = '{query_id}' ORDER BY type"
    assert run(http, sql) == "QueryStart\nQueryFinish\n"


def test_kill_query(http):
    failed: list[httpx.Response] = []
    sql = "SELECT sum(sleepEachRow(0.01)) AS to_be_killed FROM numbers(3000)"
    params = {
        "max_block_size": "10",
        "function_sleep_max_microseconds_per_block": "100000000",
    }
    slow = threading.Thread(
        target=lambda: failed.append(http.post("/", content=sql, params=params))
    )
    slow.start()
    kill = "KILL QUERY WHERE query LIKE 'SELECT sum(sleep%to_be_killed%' SYNC"
    while slow.is_alive() and not run(http, kill):
        pass
    slow.join()
    assert failed[0].headers["X-ClickHouse-Exception-Code"] == "394"


def test_query_log_knows_the_clients_query_id(http, table):
    params = {"query_id": "logged-1", "log_comment": "nightly"}
    run(http, f"INSERT INTO {table} SELECT number, '' FROM numbers(11)", **params)
    run(http, "SYSTEM FLUSH LOGS")
    sql = (
        "SELECT query_kind, written_rows, initial_query_id, log_comment FROM system.query_log"
        " WHERE query_id = 'logged-1' AND type = 'QueryFinish'"
    )
    assert run(http, sql) == "Insert\t11\tlogged-1\tnightly\n"


def test_query_log_keeps_the_text_of_a_query(http):
    marker = uuid.uuid4().hex
    sql = f" \n -- {marker}\n SELECT 1 "
    run(http, sql)
    run(http, "SYSTEM FLUSH LOGS")
    logged = "SELECT DISTINCT query FROM system.query_log WHERE query LIKE {pattern:String}"
    row = run(http, logged + " FORMAT JSONCompactEachRow", param_pattern=f"%-- {marker}%")
    assert sql in json.loads(row)[0]


def test_progress_headers_come_while_the_query_runs(server):
    address = urlsplit(server)
    params = {"send_progress_in_http_headers": "1", **SLOW_SETTINGS}
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        connection.sendall(raw_request(SLOW.format(rows=100), **params))
        head = received_until(connection, b"X-ClickHouse-Progress: ")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"\r\n\r\n" not in head
        rest = received_until(connection, b"0\r\n\r\n" if b"chunked" in head else b"\n0\n")
    whole = (head + rest).decode()
    assert whole.count("HTTP/1.1") == 1
    assert whole.lower().count("x-clickhouse-summary: ") == 1
    seen = [
        json.loads(line.partition(": ")[2])
        for line in whole.split("\r\n")
        if line.startswith("X-ClickHouse-Progress: ")
    ]
    rows = [int(counters["read_rows"]) for counters in seen]
    assert len(rows) >= 2
    assert rows == sorted(rows)
    assert {counters["total_rows_to_read"] for counters in seen} == {"100"}


def test_an_error_after_progress_headers_has_its_code(http):
    params = {"send_progress_in_http_headers": "1", "http_headers_progress_interval_ms": "1"}
    sql = "SELECT throwIf(sum(sleepEachRow(0.01)) = 0, 'too late') FROM numbers(30)"
    answer = http.post("/", content=sql, params={**params, **SLOW_SETTINGS})
    assert answer.status_code == 200
    assert answer.headers["X-ClickHouse-Exception-Code"] == "395"
    assert "too late" in answer.text
    assert run(http, "SELECT 1") == "1\n"


def raw_request(sql: str, **params: str) -> bytes:
    target = f"/?{urlencode(params)}"
    headers = f"Host: localhost\r\nContent-Length: {len(sql)}"
    return f"POST {target} HTTP/1.1\r\n{headers}\r\n\r\n{sql}".encode()


def received_until(connection: socket.socket, mark: bytes) -> bytes:
    got = b""
    while mark not in got:
        part = connection.recv(65536)
        assert part, got
        got += part
    return got


def test_blocks_of_clickhouses_own_compression(http, table):
    rows = "".join(f"{n},row {n}\n" for n in range(100_000)).encode()
    body = BlockEncoder().feed(rows)
    params = {"query": f"INSERT INTO {table} FORMAT CSV", "decompress": "1"}
    chunks = (body[at : at + 50_000] for at in range(0, len(body), 50_000))
    assert summary(http.post("/", params=params, content=chunks))["written_rows"] == 100_000
    query = BlockEncoder().feed(f"SELECT sum(a) FROM {table}".encode())
    answer = http.post("/", params={"compress": "1", "decompress": "1"}, content=query)
    assert b"".join(BlockDecoder().feed(answer.content)) == b"4999950000\n"
    both = {"compress": "1", "enable_http_compression": "1"}
    sql = f"SELECT * FROM {table} ORDER BY a FORMAT CSV"
    answer = http.post("/", params=both, content=sql, headers={"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"
    plain = b"".join(BlockDecoder().feed(answer.content))
    assert plain.startswith(b'0,"row 0"\n1,"row 1"\n')
    broken = http.post("/", params=both, content="SELECT * FROM nowhere")
    assert broken.status_code == 404
    assert b"UNKNOWN_TABLE" in b"".join(BlockDecoder().feed(broken.content))


def test_a_long_url(server):
    values = ",".join(str(n) for n in range(150_000))
    sql = f"SELECT+length([{values}])"
    assert 900_000 < len(sql) < 1_000_000
    assert get(server, f"/?max_query_size=2000000&query={sql}") == (200, b"150000\n")
    assert get(server, f"/?query=SELECT+'{'x' * (1 << 20)}'")[0] == 400


def get(server: str, path: str) -> tuple[int, bytes]:
    """GET without httpx, which has a limit of its own for URLs."""
    connection = HTTPConnection(urlsplit(server).netloc, timeout=20)
    with closing(connection):
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()


def test_a_post_must_say_its_length(server):
    address = urlsplit(server)
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        connection.sendall(b"POST /?query=SELECT%201 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = received_until(connection, b"HTTP_LENGTH_REQUIRED")
    assert answer.startswith(b"HTTP/1.1 411 ")


def test_two_kinds_of_credentials_at_once_are_refused(http):
    answer = http.post("/", content="SELECT 1", params={"user": "default"}, auth=("default", ""))
    assert answer.status_code == 403
    assert answer.headers["X-ClickHouse-Exception-Code"] == "516"
