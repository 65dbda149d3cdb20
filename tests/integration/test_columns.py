"""Exports with exactly the well-known columns, as files and as tables of other types.

The rows are those of all cases. Each build runs the data tests, which stop a sync that they fail.
"""

from collections.abc import Mapping
from datetime import datetime, timezone
from decimal import Decimal
from itertools import chain
from typing import Any

import pytest

from luigi_tasks.landing import dictionary
from tests.conftest import ClickHouseServer, own_database
from tests.integration.cases.case import ABSENT, Row
from tests.integration.cases.columns import ONE, RECEIPTS, TWO, Receipt, returned, sold
from tests.integration.hostile_rows import Batch, Delivery
from tests.integration.incremental import Models, create_landing, land
from tests.integration.test_cases import CASES, Found, seen
from tests.processes import PROJECT

TABLES = dictionary.load(PROJECT)

UNKNOWN_SUBSIDIARY = {"SBS_NO": "77", "STORE_NO": "7", "STORE_CODE": "070"}
"""Of which no mapping says whether its prices include tax."""

EXPECTED: dict[str, list[Mapping[str, Any]]] = {
    "sale": [sold("55.00", ONE)],
    "kit": [sold("55.00", [*ONE, *ONE])],
    "exchange_by_sign": [sold("276.00", TWO), returned("129.00", ONE)],
    "exchange_by_type": [sold("276.00", ABSENT)],
    "refund_by_header": [returned("20.00", ONE, tax=ABSENT)],
    "refund_with_tax": [returned("20.00", ONE, tax=ABSENT)],
    "refund_at_a_discount": [returned("20.00", ONE, tax=ABSENT)],
    "parked": [sold("55.00", ONE)],
    "unposted": [sold("55.00", ONE)],
    "deposit": [sold("55.00", ONE)],
}
"""The messages about each of the receipts."""

INTEGER, FLOAT, DECIMAL = "Nullable(Int64)", "Nullable(Float64)", "Nullable(Decimal(18, 4))"
FLAG, NULLABLE, TIME = "Nullable(Bool)", "Nullable(String)", "Nullable(DateTime64(3, 'UTC'))"
TYPES = {
    "customer": {
        "SID": "Int64",
        "LAST_NAME": NULLABLE,
        "FIRST_NAME": "LowCardinality(String)",
        "EMAIL": NULLABLE,
        "MARKETING_FLAG": INTEGER,
        "LTY_OPT_IN": FLAG,
        "LTY_BALANCE": DECIMAL,
        "TOTAL_TRANSACTIONS": INTEGER,
        "SALE_ITEM_COUNT": FLOAT,
        "RETURN_ITEM_COUNT": FLOAT,
        "YTD_SALE": DECIMAL,
        "CREATED_DATETIME": TIME,
    },
    "document": {
        "SID": "Int64",
        "DOC_NO": INTEGER,
        "BT_CUID": INTEGER,
        "ST_CUID": INTEGER,
        "BT_EMAIL": NULLABLE,
        "SALE_TOTAL_AMT": DECIMAL,
        "SALE_SUBTOTAL": FLOAT,
        "SALE_TOTAL_TAX_AMT": FLOAT,
        "TOTAL_DISCOUNT_AMT": DECIMAL,
        "SHIPPING_AMT": DECIMAL,
        "SOLD_QTY": FLOAT,
        "RETURN_QTY": DECIMAL,
        "STORE_CODE": "LowCardinality(String)",
        "STORE_NO": INTEGER,
        "SBS_NO": INTEGER,
        "HAS_SALE": FLAG,
        "HAS_RETURN": FLAG,
        "POST_DATE": "Nullable(DateTime)",
        "CREATED_DATETIME": "Nullable(DateTime('America/New_York'))",
    },
    "document_item": {
        "SID": "Int64",
        "DOC_SID": INTEGER,
        "ITEM_POS": INTEGER,
        "QTY": FLOAT,
        "PRICE": DECIMAL,
        "ORIG_PRICE": FLOAT,
        "DISC_AMT": DECIMAL,
        "TAX_AMT": FLOAT,
        "INVN_SBS_ITEM_SID": INTEGER,
    },
}
"""Column types as a pipeline of one's own fills them; the others are text."""

# dbt's Jinja reads the regular expressions in the macros as text of Python.
pytestmark = pytest.mark.filterwarnings("ignore:invalid escape sequence:DeprecationWarning")


class Built:
    """What came of the same rows in text columns and in typed ones, and the receipts among them."""

    def __init__(self) -> None:
        self.receipts: dict[str, Receipt] = {name: make() for name, (make, _) in RECEIPTS.items()}
        for receipt in self.receipts.values():
            receipt.document.update(UNKNOWN_SUBSIDIARY)
        self.as_text: Found
        self.typed: Found

    def rows(self) -> dict[str, list[Row]]:
        """Rows of all cases and of the receipts, without optional columns."""
        own = self.receipts.values()
        found = {
            "customer": [*_all("customers"), *(one.customer for one in own if one.customer)],
            "document": [*_all("documents"), *(one.document for one in own)],
            "document_item": [*_all("lines"), *chain.from_iterable(one.lines for one in own)],
        }
        return {
            table.name: [
                {name: value for name, value in row.items() if name not in table.optional}
                for row in found[table.name]
            ]
            for table in TABLES
        }


def _all(kind: str) -> list[Row]:
    return list(chain.from_iterable(getattr(case, kind) for case in CASES))


@pytest.fixture(scope="module")
def built(clickhouse_server: ClickHouseServer, tmp_path_factory: pytest.TempPathFactory) -> Built:
    client = clickhouse_server.connect()
    landing, name = own_database(client, "landing"), own_database(client, "models_0")
    directory = tmp_path_factory.mktemp("columns")
    models = Models(client, name, landing, clickhouse_server.environment, directory)
    result = Built()

    create_landing(client, landing)
    for table in TABLES:
        drops = ", ".join(f"drop column {name}" for name in sorted(table.optional))
        client.command(f"alter table {landing}.{table.name} {drops}")
    now = datetime.now(timezone.utc)
    batch = Batch([Delivery(table, of, now, "") for table, of in result.rows().items()], [])
    land(client, landing, batch)
    models.build("build", "--exclude-resource-type", "unit_test")
    result.as_text = Found(models)

    # In the place of the first database, because dbt need not read the project again then.
    client.command(f"drop database {models.database} sync")
    for table in TABLES:
        make_typed(models, table)
    client.command(f"drop table {landing}.loads sync")
    models.build("build", "--exclude-resource-type", "unit_test")
    result.typed = Found(models)
    return result


def make_typed(models: Models, table: dictionary.Table) -> None:
    """Make a table into one of another pipeline: typed, in lower case, with nothing of ours."""
    types = TYPES[table.name]
    columns = [name for name in table.columns if name not in table.optional]
    name, text = f"{models.landing}.{table.name}", f"{models.landing}.as_text"
    models.client.command(f"rename table {name} to {text}")
    models.client.command(
        f"create table {name} engine = MergeTree order by tuple() as select "
        + ", ".join(
            f"{typed(column, types.get(column, 'String'))} as {column.lower()}"
            for column in columns
        )
        + f" from {text} where toInt64OrNull(SID) is not null"
    )
    models.client.command(f"drop table {text} sync")


def typed(column: str, kind: str) -> str:
    """A text column in another type; null for what does not fit."""
    value = {
        INTEGER: f"toInt64OrNull({column})",
        FLOAT: f"toFloat64OrNull({column})",
        DECIMAL: f"toDecimal64OrNull({column}, 4)",
        FLAG: f"if({column} in ('0', '1'), {column} = '1', null)",
        "Int64": f"toInt64({column})",
    }.get(kind, column)
    if "DateTime" in kind:
        value = f"parseDateTime64BestEffortOrNull({column}, 3)"
    return f"cast({value} as {kind})"


@pytest.mark.parametrize("name", RECEIPTS)
def test_well_known_columns_are_enough(built: Built, name: str) -> None:
    sid = built.receipts[name].document["SID"]
    messages = built.as_text.messages[sid]
    assert [seen(*pair) for pair in zip(messages, EXPECTED[name], strict=True)] == EXPECTED[name]
    unknown = {"refund_amount_unknown"} if name == "exchange_by_type" else set()
    assert built.as_text.failures[sid] == unknown


@pytest.mark.parametrize("name", RECEIPTS)
def test_typed_columns_make_the_same_messages(built: Built, name: str) -> None:
    receipt = built.receipts[name]
    buyer = [receipt.customer["SID"]] if receipt.customer else []
    for sid in (receipt.document["SID"], *buyer):
        assert timeless(built.typed.messages[sid]) == timeless(built.as_text.messages[sid])
        assert built.typed.warnings[sid] == built.as_text.warnings[sid]
        assert built.typed.failures[sid] == built.as_text.failures[sid]


def timeless(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Messages without what hangs on the build: an identify bears the time of its entry."""
    return [
        {
            key: value
            for key, value in message.items()
            if message["type"] != "identify" or key not in {"messageId", "timestamp"}
        }
        for message in messages
    ]


def test_an_exchange_by_sign_is_worth_what_its_lines_are(built: Built) -> None:
    sid = built.receipts["exchange_by_sign"].document["SID"]
    sale, refund = built.as_text.messages[sid]
    assert sale["properties"]["revenue"] == Decimal("276.00")
    assert refund["properties"]["total"] == Decimal("129.00")
    assert refund["properties"]["tax"] == 0
