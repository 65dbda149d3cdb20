"""What makes a build one of everything, and what does not."""

import shutil
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from luigi_tasks import config
from luigi_tasks.build import dbt_code
from luigi_tasks.clickhouse import client as clickhouse
from luigi_tasks.runs import invocation, markers
from tests.conftest import ClickHouseServer
from tests.processes import PROJECT

SETTINGS = {"RETAIL_PRO_SOURCE": "landing", "CLICKHOUSE_PASSWORD": "one", "HOME": "/home/one"}


@pytest.fixture
def database(
    clickhouse_server: ClickHouseServer, delivery_tables: str, monkeypatch: pytest.MonkeyPatch
) -> str:
    """A database with the table of the builds' progress; the landing tables are in it too."""
    name = f"code_{uuid.uuid4().hex[:12]}"
    for variable, value in clickhouse_server.environment.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("CLICKHOUSE_DATABASE", name)
    monkeypatch.setenv("RETAIL_PRO_DATABASE", name)
    client = clickhouse_server.connect()
    client.command(f"create database {name}")
    client.command(
        f"create table {name}.segment_build_progress as {delivery_tables}.segment_build_progress"
    )
    return name


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of what dbt reads of the project."""
    for name in dbt_code.PARTS:
        source, target = PROJECT / name, tmp_path / name
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy(source, target)
    return tmp_path


def add_to(path: str) -> Callable[[Path], None]:
    """Return what adds a line to a file of a project."""

    def change(project: Path) -> None:
        with (project / path).open("a", encoding="utf-8") as file:
            file.write("\n")

    return change


@pytest.mark.parametrize(
    "change",
    [
        add_to("macros/cleaning/clean_sid.sql"),
        add_to("dbt_project/models/marts/orders.sql"),
        add_to("seeds/shop/dummy_customers.csv"),
        add_to("tests/dbt/integrity/rows_are_accounted_for.sql"),
        add_to("dbt_project.yml"),
        lambda project: (project / "macros" / "new.sql").touch(),
        lambda project: (project / "seeds" / "shop" / "dummy_customers.csv").unlink(),
    ],
)
def test_another_file_is_other_code(
    database: str, project: Path, change: Callable[[Path], None]
) -> None:
    before = dbt_code.fingerprint(project, SETTINGS)
    change(project)
    assert dbt_code.fingerprint(project, SETTINGS) != before


@pytest.mark.parametrize(
    ("name", "is_other"),
    [
        ("RETAIL_PRO_SOURCE", True),
        ("SEGMENT_NAMESPACE", True),
        ("DBT_TARGET", True),
        ("DBT_TARGET_PATH", False),
        ("CLICKHOUSE_PASSWORD", False),
        ("HOME", False),
    ],
)
def test_another_setting_is_other_code(
    database: str, project: Path, name: str, is_other: bool
) -> None:
    before = dbt_code.fingerprint(project, SETTINGS)
    after = dbt_code.fingerprint(project, SETTINGS | {name: "another"})
    assert (after != before) == is_other


def test_another_column_of_the_export_is_other_code(database: str, project: Path) -> None:
    client = clickhouse.connect()
    client.command(f"create table {database}.document (SID String) engine = MergeTree order by SID")
    before = dbt_code.fingerprint(project, SETTINGS)
    client.command(f"alter table {database}.document add column DIP_PRICE String")
    assert dbt_code.fingerprint(project, SETTINGS) != before


def note_build(code: str, invocation_id: str) -> None:
    """Write the marker of a BuildOutbox."""
    markers.MarkerTarget(f"BuildOutbox/{uuid.uuid4()}", task_family="BuildOutbox").touch(
        1, code=code, dbt_invocation_id=invocation_id
    )


def note_progress(invocation_id: str) -> None:
    """Write what a dbt build notes at its end."""
    rows = [[call, invocation.utc_now(), invocation_id] for call in ("identify", "track")]
    clickhouse.connect().insert(
        "segment_build_progress",
        rows,
        column_names=["call", "finished_at", "dbt_invocation_id"],
        database=config.clickhouse().database,
    )


def test_the_same_code_needs_the_changes_only(database: str) -> None:
    assert dbt_code.selector("code") is None, "nothing was built yet"
    note_progress("build-1")
    note_build("code", "build-1")
    assert dbt_code.selector("code") == "changes"
    assert dbt_code.selector("other code") is None
    note_progress("by hand")
    assert dbt_code.selector("code") is None, "somebody else has built"
    note_progress("build-2")
    note_build("other code", "build-2")
    assert dbt_code.selector("code") is None, "the code is an older one again"


def test_a_build_without_code_does_not_count(database: str) -> None:
    note_progress("build-1")
    identity = f"BuildOutbox/{uuid.uuid4()}"
    markers.MarkerTarget(identity, task_family="BuildOutbox").touch(1)
    assert dbt_code.selector("") is None
