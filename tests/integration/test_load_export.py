"""LoadExport against a real ClickHouse: all of a file or nothing, once, exactly as exported."""

import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from luigi_tasks.landing import dictionary, export_check
from luigi_tasks.landing import tables as landing_module
from luigi_tasks.landing.export_file import CheckedFile, ExportRefusedError
from luigi_tasks.landing.export_limits import Limits
from luigi_tasks.landing.tables import Landing, LoadInterruptedError
from luigi_tasks.runs.invocation import utc_now
from luigi_tasks.runs.lease import LANDING, Lease
from tests.conftest import ClickHouseServer
from tests.processes import PROJECT, free_port

TABLES = {table.name: table for table in dictionary.load(PROJECT)}
CUSTOMERS = "SID,FIRST_NAME,EMAIL,UDF1\n1,007,,\n2,1e5,a@b.example,u\n"
FILES = {
    "customer.csv": CUSTOMERS,
    "Document.CSV": "sid,doc_no\r\n10,1\r\n",
    "DOCUMENT_ITEM.csv": "DOC_SID,SID\n10,100\n10,101\n",
}


@pytest.fixture
def client(clickhouse_server: ClickHouseServer) -> Iterator[Client]:
    with clickhouse_server.connect(autogenerate_session_id=False) as opened:
        yield opened


@pytest.fixture
def database(client: Client) -> Iterator[str]:
    name = f"landing_{uuid.uuid4().hex[:12]}"
    yield name
    client.command(f"drop database if exists {name}")


@pytest.fixture
def landing(client: Client, database: str) -> Landing:
    opened = Landing(client, database)
    opened.create(tuple(TABLES.values()))
    return opened


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    path = tmp_path / "export"
    path.mkdir()
    for name, content in FILES.items():
        (path / name).write_text(content, newline="")
    return path


@pytest.fixture
def rows(client: Client, database: str) -> Callable[[str], list[Any]]:
    def query(sql: str) -> list[Any]:
        return list(client.query(sql.replace("@", f"{database}.")).result_rows)

    return query


ABSENT = ",".join(
    f"{table.name}.{name}"
    for table in TABLES.values()
    for name in table.columns
    if name not in table.keys
)
"""Files of a few columns are enough for most tests."""


def command(directory: Path, database: str, *options: str, absent: str = ABSENT) -> list[str]:
    luigi = Path(sys.executable).with_name("luigi")
    return [
        *(str(luigi), "--module", "luigi_tasks", "LoadExport", "--local-scheduler"),
        *("--retail-pro-absent-columns", absent),
        *("--directory", str(directory), "--retail-pro-landing-database", database, *options),
    ]


def run_luigi(
    directory: Path, database: str, env: dict[str, str], *options: str, absent: str = ABSENT
) -> tuple[int, str]:
    """Return the exit code, and what was printed, without line breaks and repeated blanks."""
    done = subprocess.run(
        command(directory, database, *options, absent=absent),
        cwd=PROJECT,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def customer_file(directory: Path, content: str) -> CheckedFile:
    path = directory / "customer.csv"
    path.write_text(content, newline="")
    return export_check.check(path, TABLES["customer"])


def test_a_load_is_committed_at_its_own_time_when_the_clock_is_set_meanwhile(
    landing: Landing,
    directory: Path,
    rows: Callable[[str], list[Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Dbt looks for the rows of a load from a day before it was committed."""
    times = iter([utc_now(), utc_now() + timedelta(days=2), utc_now() + timedelta(days=2)])
    monkeypatch.setattr(landing_module, "utc_now", lambda: next(times))
    landing.load(customer_file(directory, CUSTOMERS), Limits(0.01, 0.01))
    [(seconds,)] = rows(
        "select dateDiff('second', (select max(_loaded_at) from @customer), max(loaded_at))"
        " from @loads"
    )
    assert 0 <= seconds < 60


def test_the_command_loads_an_export_once(
    directory: Path, database: str, project_env: dict[str, str], rows: Callable[[str], list[Any]]
) -> None:
    code, output = run_luigi(directory, database, project_env)
    assert code == 0, output
    assert "customer.csv: 2 rows, 0 rejected, loaded" in output
    assert re.search(r"DOCUMENT_ITEM.csv . 2 . 0 . loaded", output)
    values = "SID, FIRST_NAME, EMAIL, LAST_NAME, _extra, _line, _file"
    path = str(directory / "customer.csv")
    assert rows(f"select {values} from @customer order by SID") == [
        ("1", "007", "", "", {}, 2, path),
        ("2", "1e5", "a@b.example", "", {"UDF1": "u"}, 3, path),
    ]
    assert rows("select SID, DOC_NO from @document") == [("10", "1")]
    assert rows("select SID, DOC_SID from @document_item order by SID") == [
        ("100", "10"),
        ("101", "10"),
    ]
    assert rows("select uniqExact(_loaded_at), uniqExact(_load_id) from @document_item") == [(1, 1)]
    assert rows("select table_name, rows, columns from @loads order by table_name") == [
        ("customer", 2, ["SID", "FIRST_NAME", "EMAIL", "UDF1"]),
        ("document", 1, ["sid", "doc_no"]),
        ("document_item", 2, ["DOC_SID", "SID"]),
    ]

    code, output = run_luigi(directory, database, project_env)
    assert code == 0, output
    assert "1 complete ones were encountered" in output

    with (directory / "customer.csv").open("a") as file:
        file.write("3,new,,\n")
    code, output = run_luigi(directory, database, project_env)
    assert code == 0, output
    assert "customer.csv: 3 rows, 0 rejected, loaded" in output
    assert "Document.CSV: 0 rows, 0 rejected, skipped, was loaded before" in output
    assert rows("select count() from @loads") == [(4,)]
    assert rows("select count() from @document") == [(1,)]


@pytest.mark.parametrize(
    "bad",
    [
        ("customer.csv", None, "has no file customer.csv. Nothing was loaded"),
        ("customer.csv", b"", "customer.csv is empty"),
        ("Document.CSV", b"SID,DOC_NO\r\n", "Document.CSV has a header and no rows"),
        ("DOCUMENT_ITEM.csv", b"SID,QTY\n1,2\n", "line 1: the header has no column DOC_SID"),
        ("DOCUMENT_ITEM.csv", b"SID,DOC_SID\n1,\xe9\n", "line 2: the bytes e9 0a at offset 14"),
        ("DOCUMENT_ITEM.csv", b'SID,DOC_SID\n1,"2\n', "line 2: a quotation mark is opened"),
    ],
)
def test_a_file_that_cannot_be_loaded_stops_the_command_before_anything_is_loaded(
    directory: Path,
    database: str,
    project_env: dict[str, str],
    rows: Callable[[str], list[Any]],
    bad: tuple[str, bytes | None, str],
) -> None:
    name, content, message = bad
    if content is None:
        (directory / name).unlink()
    else:
        (directory / name).write_bytes(content)
    code, output = run_luigi(directory, database, project_env)
    assert code == 30, output  # [retcode] task_failed
    assert message in output
    assert str(directory) in output
    assert rows(f"select count() from system.databases where name = '{database}'") == [(0,)]


def test_an_export_without_a_column_is_refused_unless_the_settings_list_it(
    directory: Path, database: str, project_env: dict[str, str], rows: Callable[[str], list[Any]]
) -> None:
    absent = ABSENT.replace("document.DOC_NO,", "")
    (directory / "Document.CSV").write_text("SID,DOC_NUM\n10,1\n")
    code, output = run_luigi(directory, database, project_env, absent=absent)
    assert code == 30, output
    assert "Document.CSV has no column DOC_NO." in output
    assert "DOC_NUM: did you mean DOC_NO?" in output
    assert f"absent_columns={ABSENT}" in output
    assert rows(f"select count() from system.databases where name = '{database}'") == [(0,)]


def test_no_answer_from_clickhouse_is_a_clear_error(
    directory: Path, database: str, project_env: dict[str, str]
) -> None:
    env = project_env | {"CLICKHOUSE_PORT": str(free_port())}
    patience = ("--delivery-clickhouse-patience-seconds", "1")
    code, output = run_luigi(directory, database, env, *patience)
    assert code == 35, output  # [retcode] scheduling_error: it cannot be known what is loaded
    address = f"{env['CLICKHOUSE_HOST']}:{env['CLICKHOUSE_PORT']}"
    assert f"ClickHouse does not answer at {address}" in output


def test_a_load_waits_for_another_one(
    directory: Path, database: str, project_env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in project_env.items():
        monkeypatch.setenv(name, value)
    with Lease(purpose=LANDING):
        code, output = run_luigi(directory, database, project_env, "--lease-wait-seconds", "0")
        assert code == 30
        assert "Another run is loading an export (process " in output
        later = subprocess.Popen(
            command(directory, database), cwd=PROJECT, env=project_env, stderr=subprocess.PIPE
        )
        assert later.stderr is not None
        while b"Waiting for another run to finish" not in later.stderr.readline():
            assert later.poll() is None
    _, output = later.communicate(timeout=60)
    assert later.returncode == 0, output


def test_limits_are_options_of_the_command(
    directory: Path, database: str, project_env: dict[str, str], rows: Callable[[str], list[Any]]
) -> None:
    content = "SID\n" + "".join(f"{number}\n" for number in range(98)) + "5.9E+17\n5.8E+17\n"
    (directory / "customer.csv").write_text(content)
    code, output = run_luigi(directory, database, project_env)
    assert code == 30, output
    assert "2 of 100 rows have a malformed SID" in output
    assert "line 100: SID = '5.9E+17'" in output
    assert rows("select count() from @customer") == [(0,)]

    code, output = run_luigi(directory, database, project_env, "--max-malformed-sid-share", "0.02")
    assert code == 0, output
    assert rows("select count() from @customer where SID like '5.%'") == [(2,)]


def test_a_killed_load_leaves_nothing_that_counts_and_the_next_one_loads_once(
    directory: Path, database: str, project_env: dict[str, str], rows: Callable[[str], list[Any]]
) -> None:
    number = 400_000
    with (directory / "DOCUMENT_ITEM.csv").open("w") as file:
        file.write("SID,DOC_SID,DESCRIPTION1\n")
        file.writelines(f"{n},{n // 3},{'x' * 60}\n" for n in range(number))
    process = subprocess.Popen(
        command(directory, database),
        cwd=PROJECT,
        env=project_env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_for_rows(process, database, rows)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert 0 < rows("select count() from @document_item")[0][0] < number
    assert rows("select count() from @loads where table_name = 'document_item'") == [(0,)]

    code, output = run_luigi(directory, database, project_env)
    assert code == 0, output
    assert "of a load that did not finish" in output
    assert rows("select count(), uniqExact(SID) from @document_item") == [(number, number)]
    assert rows("select min(_line), max(_line) from @document_item") == [(2, number + 1)]


def wait_for_rows(
    process: subprocess.Popen[bytes], database: str, rows: Callable[[str], list[Any]]
) -> None:
    tables = f"select count() from system.tables where database = '{database}'"
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        if rows(tables) == [(5,)] and rows("select count() from @document_item") != [(0,)]:
            return
        time.sleep(0.02)
    raise AssertionError("the load did not begin, or ended before it could be killed")


def test_a_file_of_another_size_is_known_to_be_new_without_reading_it(
    client: Client, tmp_path: Path, landing: Landing
) -> None:
    file = customer_file(tmp_path, CUSTOMERS)
    assert not landing.has_size(file.table, file.size)
    assert landing.columns_of_last_load(file.table) == ()
    landing.load(file, Limits())
    assert landing.columns_of_last_load(file.table) == ("SID", "FIRST_NAME", "EMAIL", "UDF1")
    assert Landing(client, "nowhere").columns_of_last_load(file.table) == ()
    assert landing.has_size(file.table, file.size)
    assert not landing.has_size(file.table, file.size + 1)
    assert not landing.has_size(TABLES["document"], file.size)
    assert not Landing(client, "nowhere").has_size(file.table, file.size)


def test_rejected_rows_are_kept_with_line_text_and_reason(
    tmp_path: Path, landing: Landing, rows: Callable[[str], list[Any]]
) -> None:
    content = 'SID,EMAIL\n1,a\n2\n3,"b" c\n4,"d\ne"\n5,f,g\n'
    loaded = landing.load(customer_file(tmp_path, content), Limits(rejected_rows=0.6))
    assert (loaded.rows, loaded.rejected, loaded.is_new) == (2, 3, True)
    assert rows("select line, text, reason from @rejected_rows order by line") == [
        (3, "2", "1 fields instead of 2"),
        (4, '3,"b" c', "not CSV: ',' expected after '\"'"),
        (7, "5,f,g", "3 fields instead of 2"),
    ]
    assert rows("select rows, rejected_rows from @loads") == [(2, 3)]
    assert rows(
        "select uniqExact(l.load_id) from @loads l join @rejected_rows r using load_id"
    ) == [(1,)]
    assert rows("select SID, EMAIL, _line from @customer order by SID") == [
        ("1", "a", 2),
        ("4", "d\ne", 5),
    ]


def test_hostile_text_arrives_unchanged(
    tmp_path: Path, landing: Landing, rows: Callable[[str], list[Any]]
) -> None:
    text = "\0\x01\\N\\t' \t\r\n\u2028é世🙂 NULL"
    content = f'SID,FIRST_NAME,EMAIL,"a ""b"""\n1,"{text}", 007 ,"{text}"\n'
    landing.load(customer_file(tmp_path, content), Limits())
    values = rows("select FIRST_NAME, EMAIL, _extra from @customer")
    assert values == [(text, " 007 ", {'a "b"': text})]


def test_a_refused_file_leaves_no_rows(
    tmp_path: Path, landing: Landing, rows: Callable[[str], list[Any]]
) -> None:
    file = customer_file(tmp_path, "SID,EMAIL\n1,a\n2\n3")
    with pytest.raises(ExportRefusedError, match="the last row is cut off"):
        landing.load(file, Limits())
    for table in ("customer", "rejected_rows", "loads"):
        assert rows(f"select count() from @{table}") == [(0,)]


def test_a_second_load_at_the_same_time_loses_no_rows(
    tmp_path: Path, landing: Landing, rows: Callable[[str], list[Any]]
) -> None:
    file = customer_file(tmp_path, CUSTOMERS)

    def disturb(_: int) -> None:
        landing.remove_unfinished_loads(TABLES["customer"])

    with pytest.raises(LoadInterruptedError, match="2 rows were written to customer, but 0"):
        landing.load(file, Limits(), disturb)
    assert rows("select count() from @loads") == [(0,)]
    assert landing.load(file, Limits()).is_new
    assert rows("select count() from @customer") == [(2,)]


def test_rows_of_another_pipeline_are_left_alone(
    client: Client,
    database: str,
    tmp_path: Path,
    landing: Landing,
    rows: Callable[[str], list[Any]],
) -> None:
    client.command(f"insert into {database}.customer (SID) values ('9')")
    landing.load(customer_file(tmp_path, CUSTOMERS), Limits())
    assert rows("select SID from @customer order by SID") == [("1",), ("2",), ("9",)]


def test_columns_that_the_dictionary_gained_are_added(
    client: Client, database: str, landing: Landing, rows: Callable[[str], list[Any]]
) -> None:
    client.command(f"alter table {database}.customer drop column EMAIL, drop column _extra")
    landing.create(tuple(TABLES.values()))
    found = rows(
        "select name, type, default_expression from system.columns "
        f"where database = '{database}' and table = 'customer' and name in ('EMAIL', '_extra') "
        "order by name"
    )
    assert found == [("EMAIL", "String", "''"), ("_extra", "Map(String, String)", "")]


def test_a_load_is_later_than_all_before_it_whatever_the_clock_says(
    client: Client,
    database: str,
    landing: Landing,
    tmp_path: Path,
    rows: Callable[[str], list[Any]],
) -> None:
    """Which version of a row is the newest, and where a build looks for rows, hangs on it."""
    client.command(
        f"insert into {database}.loads (load_id, table_name, loaded_at)"
        " select 'ahead', 'document', now64(3) + interval 2 day"
    )
    # While this load goes on, the clock is set back by four days.
    now = utc_now()
    times = iter([now, *[now - timedelta(days=4)] * 9])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("luigi_tasks.landing.tables.utc_now", lambda: next(times))
        landing.load(customer_file(tmp_path, CUSTOMERS), Limits())
    assert rows(
        "select min(_loaded_at) > (select max(loaded_at) from @loads where load_id = 'ahead'),"
        " dateDiff('hour', min(_loaded_at),"
        " (select max(loaded_at) from @loads where load_id != 'ahead')) from @customer"
    ) == [(1, 0)]
