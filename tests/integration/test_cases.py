"""Odd rows of an export become the right messages, warnings and failures.

The cases stand in tests/integration/cases; one build makes all of them, and one what comes later.
"""

import importlib
import json
import pkgutil
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from itertools import chain
from typing import Any

import pytest

from tests.conftest import ClickHouseServer, own_database
from tests.integration import cases
from tests.integration.cases.case import ABSENT, Case, Later, Row
from tests.integration.hostile_rows import Batch, Delivery
from tests.integration.incremental import Models, create_landing, land

CASES: list[Case] = [
    case
    for module in pkgutil.iter_modules(cases.__path__, f"{cases.__name__}.")
    for case in getattr(importlib.import_module(module.name), "CASES", [])
]

MESSAGES = """
select entity_id, if(call = 'identify', '', event) as event, message
from (
    select 'identify' as call, entity_id, event, message, enqueued_at
    from {db}.segment_identify_events
    union all
    select 'track', entity_id, event, message, enqueued_at from {db}.segment_track_events
)
order by entity_id, event, enqueued_at
"""

HELD_IN = ("orders", "customers")
PLAN = "explain indexes = 1 select * from {db}.VIEW where ifNull(failure_code, '') != ''"

# dbt's Jinja reads the regular expressions in the macros as text of Python.
pytestmark = pytest.mark.filterwarnings("ignore:invalid escape sequence:DeprecationWarning")


class Found:
    """What the build made of all cases, by SID."""

    def __init__(self, models: Models) -> None:
        self.messages: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.warnings: dict[str, set[str]] = defaultdict(set)
        self.failures: dict[str, set[str]] = defaultdict(set)
        self.plans = {view: str(models.rows(PLAN.replace("VIEW", view))) for view in HELD_IN}
        self.told: dict[str, list[str]] = defaultdict(list)
        for sid, _, message in models.rows(MESSAGES):
            self.messages[sid].append(json.loads(message, parse_float=Decimal))
        for table, column, found in (
            ("segment_warnings", "warning_code", self.warnings),
            ("segment_failed_events", "error_code", self.failures),
        ):
            for entity, code in models.rows(f"select entity_id, {column} from {{db}}.{table}"):
                found[entity].add(code)
        sql = "select entity_id, error_message from {db}.segment_failed_events"
        for entity, message in models.rows(sql):
            self.told[entity].append(message)


def deliver(models: Models, cases: Sequence[Case | Later]) -> None:
    """Put the rows of all cases into the landing tables, as another pipeline does."""
    rows: dict[str, list[Row]] = {
        "customer": list(chain.from_iterable(case.customers for case in cases)),
        "document": list(chain.from_iterable(case.documents for case in cases)),
        "document_item": list(chain.from_iterable(case.lines for case in cases)),
    }
    now = datetime.now(timezone.utc)
    deliveries = [Delivery(table, of, now, "") for table, of in rows.items()]
    land(models.client, models.landing, Batch(deliveries, []))


@pytest.fixture(scope="module")
def found(clickhouse_server: ClickHouseServer, tmp_path_factory: pytest.TempPathFactory) -> Found:
    client = clickhouse_server.connect()
    landing = own_database(client, "landing")
    create_landing(client, landing)
    directory = tmp_path_factory.mktemp("cases")
    name = own_database(client, "models_0")
    models = Models(client, name, landing, clickhouse_server.environment, directory)
    old_documents = list(chain.from_iterable(case.old_documents for case in CASES))
    long_ago = datetime.now(timezone.utc) - timedelta(days=5)
    land(client, landing, Batch([Delivery("document", old_documents, long_ago, "")], []))
    deliver(models, CASES)
    models.build("build", "--exclude-resource-type", "unit_test")
    deliver(models, [case.later for case in CASES])
    models.build("build", "--selector", "changes", "--exclude-resource-type", "unit_test")
    return Found(models)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(found: Found, case: Case) -> None:
    messages = [message for sid in case.sids for message in found.messages[sid]]
    messages.sort(key=lambda message: message.get("event", ""))

    pairs = zip(messages, case.messages, strict=False)
    assert [seen(message, expected) for message, expected in pairs] == list(case.messages)
    assert len(messages) == len(case.messages), messages
    assert set(chain.from_iterable(found.warnings[sid] for sid in case.sids)) == case.warnings
    assert set(chain.from_iterable(found.failures[sid] for sid in case.sids)) == case.failures
    told = list(chain.from_iterable(found.told[sid] for sid in case.sids))
    for beginning in case.told:
        assert any(message.startswith(beginning) for message in told), told


def test_what_is_held_is_found_by_an_index(found: Found) -> None:
    for view, plan in found.plans.items():
        assert "Name: held" in plan, view


def seen(value: Any, expected: Any) -> Any:
    """The part of a value that an expected one says something about."""
    if isinstance(expected, Mapping) and isinstance(value, Mapping):
        return {key: seen(value.get(key, ABSENT), wanted) for key, wanted in expected.items()}
    if isinstance(expected, list) and isinstance(value, list) and len(value) == len(expected):
        return [seen(one, wanted) for one, wanted in zip(value, expected, strict=True)]
    return value
