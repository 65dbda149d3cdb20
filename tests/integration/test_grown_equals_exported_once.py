"""A database that grew by many small syncs says what one sync of the final export says.

The marts and the last message about each customer and order, field by field, and whose it is.
`INCREMENTAL_SEEDS=1-3 INCREMENTAL_SYNCS=30` plays as many shops and syncs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ClickHouseServer, own_database
from tests.integration.cases.case import Row
from tests.integration.changing_shop import ChangingShop
from tests.integration.hostile_rows import Batch, Delivery
from tests.integration.incremental import BUILD, CHANGES, Models, create_landing, land
from tests.integration.test_incremental import seeds

SYNCS = int(os.environ.get("INCREMENTAL_SYNCS", "4"))
FIRST, LATER = 40, 12
"""So many things happen before the first sync, and before each other one."""

MARTS = {
    "customers": "select * except (_file, _line, _loaded_at) from {db}.customers",
    # That lines may be missing shows only beside an earlier version of the document, which an
    # export that is loaded once does not have. A case of its own has that warning.
    "orders": (
        "select * except (_file, _line, _loaded_at)"
        " replace (arrayFilter(code -> code != 'lines_may_be_missing', warnings) as warnings)"
        " from {db}.orders"
    ),
    "order_lines": "select * from {db}.order_lines",
}

# Of a cancelled sale nothing is said in the end, and of a refund what was said first.
LAST_MESSAGES = """
    select concat(entity_id, ' ', chain), user_id, anonymous_id, message
    from (
        select
            *, multiIf(call = 'identify', '', event = 'Order Refunded', 'return', 'sale') as chain
        from (
            select * from {db}.segment_identify_events
            union all
            select * from {db}.segment_track_events
        )
        order by enqueued_at desc
        limit 1 by entity_id, chain
    )
    where event != 'Order Cancelled'
"""

# dbt's Jinja reads the regular expressions in the macros as text of Python.
pytestmark = pytest.mark.filterwarnings("ignore:invalid escape sequence:DeprecationWarning")


@pytest.mark.parametrize("seed", seeds())
def test_many_small_syncs_say_what_one_sync_of_the_final_export_says(
    clickhouse_server: ClickHouseServer, tmp_path: Path, seed: int
) -> None:
    grown, at_once = (database(clickhouse_server, tmp_path, number) for number in range(2))
    shop = ChangingShop(seed)
    for number in range(SYNCS):
        deliver(grown, shop.sync(LATER if number else FIRST))
        grown.build(*(CHANGES if number else BUILD))
        grown.deliver_some()
    deliver(at_once, {table: list(rows.values()) for table, rows in shop.newest.items()})
    at_once.build(*BUILD)

    for name, sql in MARTS.items():
        assert difference(rows(grown, sql), rows(at_once, sql)) == {}, f"seed {seed}: {name}"
    assert difference(messages(grown), messages(at_once)) == {}, f"seed {seed}: messages"
    assert grown.rows("select entity_id, error_code from {db}.segment_failed_events") == []


def database(server: ClickHouseServer, directory: Path, number: int) -> Models:
    """A database of models with a landing database of its own."""
    client = server.connect()
    landing = own_database(client, f"landing_{number}")
    create_landing(client, landing)
    name = own_database(client, f"models_{number}")
    return Models(client, name, landing, server.environment, directory)


def deliver(models: Models, came: Mapping[str, Sequence[Row]]) -> None:
    """Rows as another pipeline brings them."""
    now = datetime.now(timezone.utc)
    deliveries = [Delivery(table, list(of), now, "") for table, of in came.items() if of]
    land(models.client, models.landing, Batch(deliveries, []))


def rows(models: Models, sql: str) -> dict[str, Any]:
    """The rows of a query, by their text."""
    return {text: text for (text,) in models.rows(f"select toJSONString(tuple(*)) from ({sql})")}


def messages(models: Models) -> dict[str, Any]:
    """What was said last, by whom and what it is about."""
    return {key: (*whose, content(text)) for key, *whose, text in models.rows(LAST_MESSAGES)}


def content(text: str) -> dict[str, Any]:
    """A message without what tells one time that it is said from another.

    A customer who lost all sales is told of no revenue, one who never had any is told nothing.
    """
    message = json.loads(text, parse_float=Decimal)
    for name in ("messageId", "timestamp", "event"):
        message.pop(name, None)
    if traits := message.get("traits"):
        message["traits"] = {
            name: value
            for name, value in traits.items()
            if value is not None and (name, value) != ("lifetimeRevenue", 0)
        }
    return dict(message)


def difference(found: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """What one says and the other does not, a few of each."""
    keys = [key for key in {**found, **wanted} if found.get(key) != wanted.get(key)]
    return {key: (found.get(key), wanted.get(key)) for key in keys[:4]}
