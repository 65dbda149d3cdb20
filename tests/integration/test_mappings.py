"""What a shop's mappings lack is printed, and rows that older versions kept are not lost."""

import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client

from luigi_tasks import mappings
from luigi_tasks.build import violations
from luigi_tasks.errors import ConfigurationError, OutboxMissingError
from luigi_tasks.landing import mapping_files, origin
from tests.conftest import ClickHouseServer
from tests.processes import PROJECT

TABLES = {
    "stg_retail_pro__documents": "row_key String, subsidiary Nullable(String),"
    " store_code Nullable(String), store_no Nullable(Int64), uses_vat Nullable(Int8),"
    " currency_name Nullable(String)",
    "unsendable_orders": "entity_id String, error_code String",
    "stores": "sbs_no String, store_code String, store_no String, store_name String,"
    " time_zone String",
    "subsidiaries": "sbs_no String, subsidiary_name String, use_vat String, time_zone String",
    "dummy_customers": "match_by String, value String, note String",
    "excluded_stores": "sbs_no String, store_code String, reason String",
    "marketing_flags": "marketing_flag String, opted_in String, consent_categories String",
    "suppressed_users": "user_id String, reason String",
}


@pytest.fixture
def client(clickhouse_server: ClickHouseServer, monkeypatch: pytest.MonkeyPatch) -> Client:
    """A database without tables, that the settings name; the rows are a shop's."""
    database = f"mappings_{uuid.uuid4().hex[:12]}"
    for variable, value in clickhouse_server.environment.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("CLICKHOUSE_DATABASE", database)
    monkeypatch.setenv("RETAIL_PRO_SOURCE", "landing")
    monkeypatch.delenv("RETAIL_PRO_EXPORT_DIR", raising=False)
    monkeypatch.delenv("RETAIL_PRO_MAPPINGS", raising=False)
    clickhouse_server.connect().command(f"create database {database}")
    return clickhouse_server.connect(database=database)


@pytest.fixture
def built(client: Client) -> Client:
    """The same with the tables of a build, which are empty."""
    for table, columns in TABLES.items():
        client.command(f"create table {table} ({columns}) engine = MergeTree order by tuple()")
    return client


def test_missing_rows_are_printed_ready_to_paste(
    built: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    built.command(
        "insert into stg_retail_pro__documents values"
        " ('1', '1', '001', 1, 0, 'EURO'), ('2', '1', '002', 2, 0, 'Dollar, \"old\"'),"
        " ('3', '1', '02', 2, null, null), ('4', '7', 'B7', null, 1, 'X\\x1b[2J'),"
        " ('5', '7', 'b7', null, 1, 'EURO'), ('6', '9', null, 3, 0, 'EURO'),"
        " ('7', '9', null, 3, 1, 'EURO'), ('8', '100', '001', 1, 0, 'EURO'),"
        " ('9', '1', '099', 99, 0, 'EURO'), ('10', null, null, null, null, 'EURO')"
    )
    built.command("insert into stores values ('1', '001', '1', 'First', 'Europe/Rome')")
    built.command("insert into subsidiaries values ('1', 'Own', '0', 'Europe/Rome')")
    built.command("insert into excluded_stores values ('100', '', 'Ledger'), ('1', '099', 'Depot')")
    built.command(
        "insert into unsendable_orders values ('2', 'currency_unmapped'),"
        " ('4', 'currency_unmapped'), ('3', 'currency_unmapped'), ('1', 'sign_conflict')"
    )
    # The shell that asks need not be set up as that of the build.
    monkeypatch.delenv("RETAIL_PRO_SOURCE")
    printed = mappings.report(mappings.missing())
    assert [line for line in printed.splitlines() if not line.startswith("#")] == [
        *("7,,1,", "9,,,", ""),
        *("1,002,2,1-002,Europe/Rome", "7,B7,,7-B7,", "9,,3,9-3,", ""),
        *('"DOLLAR, ""OLD""",', "X\\x1b[2J,"),
    ]
    assert "# seeds/shop/stores.csv: time_zone is an IANA zone" in printed


def test_nothing_missing_is_said(built: Client) -> None:
    assert mappings.report(mappings.missing()).startswith("The mappings have every store")


def test_the_command_prints_nothing_but_its_report(built: Client) -> None:
    command = [sys.executable, "-m", "luigi_tasks.mappings"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("The mappings have every store")
    assert done.stderr == ""


def test_before_the_first_build(client: Client) -> None:
    with pytest.raises(OutboxMissingError):
        mappings.missing()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose shop has one store."""
    for name in (mapping_files.SHOP, origin.SAMPLE, mapping_files.OLD_PLACE):
        shutil.copytree(PROJECT / name, tmp_path / name)
    shutil.copy(PROJECT / "profiles.yml", tmp_path)
    with (tmp_path / mapping_files.SHOP / "stores.csv").open("a", encoding="utf-8") as file:
        file.write("5,010,10,Tenth,Europe/Rome\n")
    monkeypatch.setenv("DBT_PROJECT_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def build_by(built: Client, delivery_tables: str) -> Callable[[str], None]:
    """Lets the last build be one of the sample's stores, the shop's, and one more."""
    built.command(
        "insert into stores values ('1', '001', '1', 'Alder & Finch SoHo', 'America/New_York'),"
        " ('5', '010', '10', 'Tenth', 'Europe/Rome'), ('5', '011', '11', 'Eleventh', 'UTC')"
    )
    built.command("insert into dummy_customers values ('name', 'WALK IN', 'Walk-in customer')")

    def build(noted: str) -> None:
        built.command(
            f"create table segment_build_progress as {delivery_tables}.segment_build_progress"
        )
        if noted == "no column":
            built.command("alter table segment_build_progress drop column origin")
        columns, values = ("", "") if noted == "no column" else (", origin", f", '{noted}'")
        built.command(
            f"insert into segment_build_progress (call, finished_at{columns})"
            f" values ('track', now64(6){values})"
        )

    return build


@pytest.mark.parametrize("noted", ["no column", ""])
def test_rows_that_only_an_older_version_had_stop_the_build(
    project: Path, build_by: Callable[[str], None], noted: str
) -> None:
    build_by(noted)
    with pytest.raises(
        ConfigurationError,
        match=r"seeds/shop/stores.csv lacks 1 rows .*seeds/reference/stores.csv: 5,011,11,Eleventh",
    ):
        mapping_files.check()
    with (project / mapping_files.SHOP / "stores.csv").open("a", encoding="utf-8") as file:
        file.write("5,011,11,Eleventh,UTC\n")
    mapping_files.check()


def test_rows_may_go_afterwards(project: Path, build_by: Callable[[str], None]) -> None:
    build_by("shop")
    mapping_files.check()


def test_a_missing_file_is_named(
    project: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETAIL_PRO_MAPPINGS", "mappings")
    shutil.copytree(project / mapping_files.SHOP, project / "mappings")
    mapping_files.check()
    (project / "mappings" / "excluded_stores.csv").unlink()
    with pytest.raises(ConfigurationError, match=r"mappings/excluded_stores.csv is missing. Copy"):
        mapping_files.check()


def test_a_file_in_the_old_place_stops_the_build(project: Path, client: Client) -> None:
    (project / mapping_files.OLD_PLACE / "stores.csv").touch()
    with pytest.raises(
        ConfigurationError, match=r"seeds/reference/stores.csv is not read .*seeds/shop/stores.csv"
    ):
        mapping_files.check()


def test_a_failed_test_shows_its_first_rows(client: Client) -> None:
    node = {
        "unique_id": "test.retail_pro_segment.orders",
        "status": "fail",
        "compiled_code": "with a as (select number as sid, 'x\\x1b[2J' as text from numbers(9))"
        " select * from a settings max_threads = 1",
    }
    assert violations.first_rows(node) == [
        f"sid={number}, text=x\\x1b[2J" for number in range(violations.ROWS)
    ]
    assert violations.first_rows(node | {"status": "error"}) == []
    assert violations.first_rows(node | {"unique_id": "model.retail_pro_segment.orders"}) == []
    [told] = violations.first_rows(node | {"compiled_code": "select 1 from nowhere"})
    assert told.startswith("its rows cannot be shown: ")
    assert "nowhere" in told
