"""The sample and the rows of a shop never meet: whichever comes second is refused."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from luigi_tasks import config
from luigi_tasks.errors import ConfigurationError
from luigi_tasks.landing import dictionary, origin
from luigi_tasks.landing.tables import LOADS_COLUMNS, Landing
from luigi_tasks.load_export import LoadExport
from luigi_tasks.segment import readiness
from tests.conftest import ClickHouseServer, own_database
from tests.integration.in_process import run_dbt
from tests.processes import PROJECT

Found = Callable[..., None]
SAMPLE = str(PROJECT / origin.SAMPLE)

# dbt's Jinja reads the regular expressions in the macros as text of Python.
pytestmark = pytest.mark.filterwarnings("ignore:invalid escape sequence:DeprecationWarning")


@pytest.fixture
def found(
    clickhouse_server: ClickHouseServer, delivery_tables: str, monkeypatch: pytest.MonkeyPatch
) -> Found:
    """Fills databases of the test's own: what was loaded, and whose rows the last build read."""
    client = clickhouse_server.connect()
    database, landing = own_database(client, "origin"), own_database(client, "origin_landing")
    for variable, value in clickhouse_server.environment.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("CLICKHOUSE_DATABASE", database)
    monkeypatch.setenv("RETAIL_PRO_DATABASE", landing)

    def fill(files: str = "", built: str = "") -> None:
        if files:
            Landing(client, landing).create(dictionary.load(PROJECT))
            _note_load(client, landing, files)
        if built:
            progress = f"{database}.segment_build_progress"
            client.command(f"create database {database}")
            client.command(f"create table {progress} as {delivery_tables}.segment_build_progress")
            client.command(
                f"insert into {progress} (call, finished_at, origin) values"
                f" ('track', now64(6), '{built}')"
            )

    return fill


def _note_load(client: Client, database: str, directory: str) -> None:
    values: dict[str, Any] = dict.fromkeys(LOADS_COLUMNS, "")
    values |= dict.fromkeys(("bytes", "rows", "rejected_rows", "loaded_at"), 0)
    values |= {"file": f"{directory}/customer.csv", "columns": []}
    client.insert("loads", [list(values.values())], column_names=list(values), database=database)


@pytest.mark.parametrize(
    ("files", "built", "directory", "refused"),
    [
        ("", "", "/exports/today", ""),
        ("/exports/yesterday", "shop", "/exports/today", ""),
        ("/old/place/of/seeds/sample", "sample", SAMPLE, ""),
        (SAMPLE, "", "/exports/today", r"holds the sample.*make clean.*SANDBOX_DIR"),
        ("", "sample", "/exports/today", r"was built from the sample.*make clean"),
        ("/exports/yesterday", "", SAMPLE, r"holds the export of a shop.*RETAIL_PRO_EXPORT_DIR"),
        ("", "shop", SAMPLE, r"was built from the export of a shop.*RETAIL_PRO_EXPORT_DIR"),
    ],
)
def test_an_export_is_not_loaded_where_another_is(
    found: Found, files: str, built: str, directory: str, refused: str
) -> None:
    found(files, built)
    if refused:
        with pytest.raises(origin.AnotherOriginError, match=refused):
            origin.refuse_another(Path(directory))
    else:
        origin.refuse_another(Path(directory))


def test_a_load_is_refused_before_anything_is_written(
    found: Found, clickhouse_server: ClickHouseServer
) -> None:
    found("/exports/yesterday")
    with pytest.raises(origin.AnotherOriginError):
        LoadExport(directory=SAMPLE).run()
    landing = config.retail_pro().landing_database
    assert clickhouse_server.connect().command(f"select count() from {landing}.customer") == 0


def test_a_copy_of_the_sample_is_a_shops_export_and_is_refused(
    found: Found, tmp_path: Path
) -> None:
    found()
    sample, copy = LoadExport(directory=SAMPLE), LoadExport(directory=tmp_path / "export")
    sample.run()
    assert sample.complete()
    shutil.copytree(SAMPLE, copy.directory)
    assert not copy.complete(), "though its content was loaded"
    with pytest.raises(origin.AnotherOriginError, match="is the export of a shop"):
        copy.run()


def test_only_the_sample_has_its_name(tmp_path: Path) -> None:
    assert origin.is_sample(SAMPLE)
    assert origin.is_sample("seeds/sample/")
    assert not origin.is_sample(tmp_path)
    other = tmp_path / origin.SAMPLE
    shutil.copytree(SAMPLE, other)
    with pytest.raises(ConfigurationError, match="Rename it"):
        origin.is_sample(other)


@pytest.mark.parametrize(
    ("settings", "built", "refused"),
    [
        (("landing", ""), "shop", False),
        (("landing", "/exports/today"), "", False),
        (("seeds", ""), "shop", True),
        (("", ""), "", True),
        (("landing", SAMPLE), "", True),
        (("landing", "/exports/today"), "sample", True),
    ],
)
def test_the_sample_goes_to_the_sandbox_only(
    found: Found,
    monkeypatch: pytest.MonkeyPatch,
    settings: tuple[str, str],
    built: str,
    refused: bool,
) -> None:
    found(built=built)
    for name, value in zip(("SOURCE", "EXPORT_DIR"), settings, strict=True):
        monkeypatch.setenv(f"RETAIL_PRO_{name}", value)
    monkeypatch.setenv("SEGMENT_HOST", "http://127.0.0.1:8765")
    readiness.check_rows()
    monkeypatch.setenv("SEGMENT_HOST", "https://api.segment.io")
    if refused:
        with pytest.raises(ConfigurationError, match=r"those of the sample.*nothing was sent"):
            readiness.check_rows()
    else:
        readiness.check_rows()


@pytest.mark.parametrize(
    ("given", "refused"),
    [
        (("", "shop", {}), "this command reads the sample. For the shop set RETAIL_PRO_SOURCE"),
        ((SAMPLE, "", {"RETAIL_PRO_SOURCE": "landing"}), "set RETAIL_PRO_EXPORT_DIR=seeds/sample"),
        (
            (
                *("/exports/today", "shop"),
                {"RETAIL_PRO_SOURCE": "landing", "RETAIL_PRO_MAPPINGS": "seeds/sample"},
            ),
            "Copy the files of seeds/shop",
        ),
    ],
)
def test_dbt_by_hand_is_refused_too(
    found: Found,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    given: tuple[str, str, dict[str, str]],
    refused: str,
) -> None:
    files, built, settings = given
    found(files, built)
    for name in ("RETAIL_PRO_SOURCE", "RETAIL_PRO_EXPORT_DIR", "RETAIL_PRO_MAPPINGS"):
        monkeypatch.setenv(name, settings.get(name, ""))
    directory = str(tmp_path)
    done = run_dbt(
        os.environ,
        *("seed", "--select", "failure_reasons"),
        *("--target-path", directory, "--log-path", directory, "--quiet"),
    )
    assert not done.success
    assert refused in done.output
