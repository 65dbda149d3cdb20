"""Tables of another pipeline, which writes a row every half second while builds run.

One that says when its rows came, and one that does not and is read whole by each build.
"""

import uuid
from pathlib import Path

import pytest

from luigi_tasks.landing import dictionary
from tests.chaos.faults import AT_LENGTH
from tests.conftest import ClickHouseServer
from tests.integration.arriving import Arriving, while_it_arrives
from tests.integration.incremental import Models
from tests.integration.test_arriving import ALL, due
from tests.processes import PROJECT

TABLES = {"customer": "shoppers", "document": "receipts", "document_item": "receipt_lines"}

pytestmark = [
    pytest.mark.chaos,
    AT_LENGTH,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore:invalid escape sequence:DeprecationWarning"),
]


@pytest.mark.parametrize("says_when", [True, False], ids=["with times", "without times"])
def test_rows_of_another_pipeline_arrive_while_all_data_tests_run(
    clickhouse_server: ClickHouseServer, tmp_path: Path, says_when: bool
) -> None:
    name = uuid.uuid4().hex[:12]
    client = clickhouse_server.connect()
    client.command(f"create database own_{name}")
    for table in dictionary.load(PROJECT):
        columns = [f"{column} String" for column in table.column_types() if column[0] != "_"]
        columns += ["_loaded_at DateTime default now()"] if says_when else []
        client.command(
            f"create table own_{name}.{TABLES[table.name]} ({', '.join(columns)})"
            " engine = MergeTree order by SID"
        )
    tables = ", ".join(f"retail_pro_{name}_table: {own}" for name, own in TABLES.items())
    options = ("--vars", f"{{{tables}}}")
    models = Models(
        client, f"models_{name}", f"own_{name}", clickhouse_server.environment, tmp_path
    )
    arriving = Arriving(
        clickhouse_server.connect(), f"own_{name}", ("receipts", "receipt_lines"), origin=()
    )
    arriving.begin()
    with while_it_arrives(arriving.insert_row):
        models.build(*ALL, *options)
        of_the_first = due(models)
        models.build(*ALL, *options)
    assert 0 < len(of_the_first) < len(due(models)) < len(arriving.due)
    models.build("run", *options)
    assert due(models) == sorted(arriving.due)
