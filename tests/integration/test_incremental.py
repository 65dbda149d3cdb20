"""Builds of what is new end in the state that a build of all rows ends in, whatever happened.

`INCREMENTAL_SEEDS=1-20` plays as many other shops, of `INCREMENTAL_BATCHES` batches in each of
which `INCREMENTAL_EVENTS` things happen.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from datetime import datetime, timezone
from itertools import count
from pathlib import Path

import pytest

from tests.conftest import ClickHouseServer, own_database
from tests.integration.hostile_rows import Batch, Delivery, Row, Shop
from tests.integration.incremental import (
    BUILD,
    CHANGES,
    RUN,
    Models,
    create_landing,
    differences,
    land,
)
from tests.processes import MAPPINGS, PROJECT

BATCHES = int(os.environ.get("INCREMENTAL_BATCHES", "4"))
EVENTS = int(os.environ.get("INCREMENTAL_EVENTS", "40"))

# Builds that stop somewhere. The one that comes after them makes up for it.
PARTS = (
    ("run", "--vars", "{shared_email_limit: 1}", "--exclude", "segment_track_events+"),
    ("run", "--vars", "{send_documents_without_lines: true}", "--exclude", "segment_track_events+"),
    ("run", "--exclude", "int_order_states+"),
    ("run", "--full-refresh", "--select", "int_order_states"),
    ("run", "--select", "staging"),
    ("run", "--exclude", "segment_identify_events+"),
    ("run", "--select", "+int_document_states"),
    ("run", "--empty"),
    ("run", "--selector", "changes", "--full-refresh"),
)


def seeds() -> list[int]:
    """The shops to be played: one, or those that the environment asks for."""
    first, _, last = os.environ.get("INCREMENTAL_SEEDS", "8").partition("-")
    return list(range(int(first), int(last or first) + 1))


MakeModels = Callable[..., Models]

# dbt's Jinja reads the regular expressions in the macros as text of Python.
pytestmark = pytest.mark.filterwarnings("ignore:invalid escape sequence:DeprecationWarning")


@pytest.fixture
def make_models(clickhouse_server: ClickHouseServer, tmp_path: Path) -> MakeModels:
    """Makes databases of models that read the same landing database."""
    client = clickhouse_server.connect()
    landing = own_database(client, "landing")
    create_landing(client, landing)
    numbers = count()

    def make(project: Path = PROJECT) -> Models:
        name = own_database(client, f"models_{next(numbers)}")
        return Models(client, name, landing, clickhouse_server.environment, tmp_path, project)

    return make


@pytest.mark.parametrize("seed", seeds())
def test_builds_of_what_is_new_end_where_a_build_of_all_rows_ends(
    make_models: MakeModels, seed: int
) -> None:
    grown, rebuilt = make_models(), make_models()
    shop = Shop(seed, BATCHES)
    chance = random.Random(seed)  # noqa: S311 - a story that can be repeated
    for number in range(BATCHES):
        land(grown.client, grown.landing, shop.batch(EVENTS))
        stops = number > 0 and chance.random() < 0.5
        if stops:
            stop_half_way(grown, chance)
        grown.build(*(BUILD if stops or not number else CHANGES))
        grown.deliver_some()
        assert grown.violations() == {}, f"seed {seed}, batch {number}"

    rebuilt.take_record_of(grown)
    rebuilt.build(*BUILD)

    assert differences(grown.content(), rebuilt.content()) == {}, f"seed {seed}"
    assert rebuilt.messages() == grown.messages(), f"seed {seed}: what is due was missed"


def stop_half_way(models: Models, chance: random.Random) -> None:
    """Build a part, and lose some of what was staged, as an insert does that breaks off."""
    before = models.finished()
    models.build(*chance.choice(PARTS))
    assert models.finished() == before, "a build of a part must not count as one of all"
    if chance.random() < 0.5:
        models.lose_half_of_what_was_staged()


def test_a_first_build_that_broke_off_is_made_up_for(make_models: MakeModels) -> None:
    models = make_models()
    land(models.client, models.landing, sales({"SID": "11", "CURRENCY_NAME": "US DOLLARS"}))
    models.build(*BUILD, "--select", "+int_build_scope")
    assert models.finished() == []
    models.build(*BUILD)
    assert due(models) == ["11"]
    assert works_on_all_rows(models) is False


def test_changed_settings_make_all_messages_anew_and_send_what_was_held(
    make_models: MakeModels, tmp_path: Path
) -> None:
    models = make_models(copy_of_the_project(tmp_path / "project"))
    land(
        models.client,
        models.landing,
        sales(
            {"SID": "11", "CURRENCY_NAME": "US DOLLARS"},
            {"SID": "12", "CURRENCY_NAME": "PIASTRE OF NOWHERE"},
            {"SID": "13", "CURRENCY_NAME": "EURO", "INVC_POST_DATE": "2026-02-01 10:00:00"},
            {
                **{"SID": "14", "CURRENCY_NAME": "YEN", "INVC_POST_DATE": "2026-02-01 10:00:00"},
                **{"SBS_NO": "3", "STORE_CODE": "001"},
            },
        ),
    )
    models.build(*BUILD)
    assert due(models) == ["11", "14"]
    assert held(models) == [("12", "currency_unmapped"), ("13", "timezone_unknown")]

    # A mapping, of which dbt run alone does not know yet.
    currencies = models.project / MAPPINGS / "currency_names.csv"
    currencies.write_text(currencies.read_text() + "Piastre of Nowhere,EUR\n")
    models.build(*RUN)
    models.build(*BUILD)
    assert due(models) == ["11", "12", "14"]
    assert works_on_all_rows(models) is False

    # Mappings that move to another place, rows and all, change nothing.
    for file in (models.project / MAPPINGS).iterdir():
        file.replace(models.project / "seeds/shop" / file.name)
    models.mappings = ""
    assert works_on_all_rows(models) is False
    models.build(*BUILD)
    assert due(models) == ["11", "12", "14"]
    assert held(models) == [("13", "timezone_unknown")]

    # A macro, by a comment.
    macro = models.project / "macros/cleaning/comparable_name.sql"
    macro.write_text(macro.read_text().replace("trim(trim(", "/* anew */ trim(trim("))
    assert works_on_all_rows(models) is True

    # A variable.
    zone = ("--vars", "{default_timezone: Europe/Rome}")
    models.build(*BUILD, *zone)
    assert due(models) == ["11", "12", "13", "14"]
    assert held(models) == []
    assert works_on_all_rows(models, *zone) is False

    # What one model was made anew of is what the last build worked on, and not all.
    models.build("run", "--full-refresh", "--select", "int_order_states", *zone)
    assert works_on_all_rows(models, *zone) is True


def copy_of_the_project(directory: Path) -> Path:
    """A copy of what dbt reads, to be changed."""
    for name in ("dbt_project", "macros", "seeds", "tests/dbt", "tests/shop"):
        shutil.copytree(PROJECT / name, directory / name)
    for name in ("dbt_project.yml", "profiles.yml"):
        shutil.copy(PROJECT / name, directory / name)
    return directory


def sales(*rows: Row) -> Batch:
    """Sales of guests in a store that no seed knows, of a piece each."""
    row = {
        "DOC_NO": "1",
        "STATUS": "4",
        "SBS_NO": "7",
        "SOLD_QTY": "1",
        "SALE_SUBTOTAL": "5",
        "SALE_TOTAL_AMT": "5",
        "INVC_POST_DATE": "2026-02-01T10:00:00Z",
    }
    line = {"ITEM_TYPE": "1", "QTY": "1", "PRICE": "5", "ALU": "A1"}
    lines = [line | {"SID": f"{row['SID']}1", "DOC_SID": row["SID"]} for row in rows]
    now = datetime.now(timezone.utc)
    return Batch(
        [
            Delivery("document", [row | of_it for of_it in rows], now, ""),
            Delivery("document_item", lines, now, ""),
        ],
        [],
    )


def due(models: Models) -> list[str]:
    """The sales that have a message, each one."""
    sql = "select entity_id from {db}.segment_track_events order by 1"
    return [entity_id for (entity_id,) in models.rows(sql)]


def held(models: Models) -> list[tuple[str, str]]:
    """The sales that have none, and why."""
    return [
        (entity_id, code)
        for entity_id, code in models.rows(
            "select entity_id, error_code from {db}.segment_failed_events order by 1"
        )
    ]


def works_on_all_rows(models: Models, *options: str) -> bool:
    """Whether the next build would."""
    models.build("run", "--select", "int_build_scope", *options)
    return bool(models.value("select is_rebuild from {db}.int_build_scope"))
