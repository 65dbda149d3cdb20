"""The tests in tests/dbt can fail: each finds data that was broken on purpose.

The sample is built once. Each case changes one of its tables, or a table in the place of one of its
views, runs the test's own SQL, and puts the old state back.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.integration.conftest import SampleBuild
from tests.processes import PROJECT

A_SALE = (
    "source_sid in (select source_sid from orders where kind = 'sale' and failure_code is null"
    " limit 1)"
)
A_LINE = "line_sid in (select line_sid from order_lines where kind = 'sale' limit 1)"

# Test, table, and what is done to the table.
BREAKS: dict[str, list[tuple[str, str]]] = {
    "integrity/orders_agree_with_the_export": [
        ("orders", f"update total = total + 0.01 where {A_SALE}"),
        ("orders", "update total = 0 where kind = 'return'"),
        ("orders", "update tax = tax * 2 where kind = 'sale'"),
        ("orders", "update revenue = total where shipping > 0"),
    ],
    "integrity/order_lines_agree_with_the_export": [
        ("order_lines", f"update quantity = quantity + 1 where {A_LINE}"),
        ("order_lines", f"update price = price / 2 where {A_LINE}"),
        ("order_lines", f"update kind = 'return' where {A_LINE}"),
        ("order_lines", f"update document_sid = '1' where {A_LINE}"),
    ],
    "integrity/times_and_currencies_agree_with_the_export": [
        ("orders", f"update occurred_at = now64(3) where {A_SALE}"),
        ("orders", f"update occurred_at = occurred_at + toIntervalHour(1) where {A_SALE}"),
        ("orders", "update currency = 'USD' where currency = 'JPY'"),
    ],
    "integrity/waiting_messages_agree_with_orders": [
        ("orders", f"update total = total + 1 where {A_SALE}"),
        (
            "segment_track_events",
            "update occurred_at = occurred_at + toIntervalDay(1) where event = 'Order Refunded'",
        ),
        ("order_lines", f"update quantity = quantity + 1 where {A_LINE}"),
        (
            "segment_track_events",
            """update message = replaceOne(message, '"tax":', '"tax":1') where 1""",
        ),
    ],
    "integrity/rows_are_accounted_for": [
        ("customers", "delete where total_orders = 3"),
        ("order_lines", f"delete where {A_LINE}"),
        ("segment_identify_events", "delete where entity_id like '%7'"),
        ("segment_track_events", "delete where event = 'Order Refunded'"),
    ],
    "integrity/new_rows_are_staged": [
        ("stg_retail_pro__customers", "delete where customer_sid like '%7'"),
        ("stg_retail_pro__documents", "delete where document_sid like '%7'"),
        ("stg_retail_pro__document_items", "delete where line_sid like '%7'"),
    ],
    "integrity/changed_rows_are_built": [
        ("int_customer_states", "delete where customer_sid like '%7'"),
        ("int_document_states", "delete where document_sid like '%7'"),
        ("int_document_states", "update lines = [] where document_sid like '%7'"),
        ("int_lines_explained", "delete where line_sid like '%7'"),
    ],
    "integrity/sendable_rows_have_a_message": [
        ("segment_identify_events", "delete where entity_id like '%7'"),
        ("segment_track_events", "delete where event = 'Order Refunded'"),
    ],
    "integrity/reference_stores_are_unique": [
        ("stores", "update store_code = '001' where sbs_no = '1'"),
    ],
    "outbox/planned_fields_are_built": [
        ("tracking_plan_fields", "delete where field = 'properties.tax'"),
        ("tracking_plan_fields", "update field = 'traits.phone' where field = 'traits.name'"),
        ("tracking_plan_fields", "update type = 'string' where field = 'properties.total'"),
        ("tracking_plan_fields", "update required = 0 where field = 'properties.total'"),
    ],
    "outbox/messages_follow_the_tracking_plan": [
        ("tracking_plan_fields", "delete where field = 'properties.products[].brand'"),
        ("tracking_plan_fields", "update type = 'boolean' where field = 'traits.email'"),
        ("tracking_plan_fields", "update required = 1 where field = 'context.traits.email'"),
    ],
    "outbox/identify_emails_are_valid": [
        ("customers", "update email = 'ann@mail' where email is not null"),
    ],
    "outbox/order_events_are_complete": [
        ("orders", f"update currency = 'dollars' where {A_SALE}"),
        ("orders", f"update total = -1 where {A_SALE}"),
        ("orders", f"update email = 'ann@mail' where {A_SALE}"),
    ],
    "outbox/messages_are_valid": [
        (
            "segment_identify_events",
            """update message = replaceOne(message, '"email":', '"x":null,"email":') where 1""",
        ),
        (
            "segment_track_events",
            """update message = replaceOne(message, '"userId"', '"user"') where 1""",
        ),
    ],
    "outbox/message_id_is_in_the_message": [
        (
            "segment_track_events",
            """update message = replaceOne(message, 'Id":"', 'Id":"0') where 1""",
        ),
    ],
}


DOCS = (PROJECT / "docs" / "retail-pro.md").read_text(encoding="utf-8")


def violations(sample_build: SampleBuild, test: str) -> int:
    return len(sample_build.client.query(sample_build.compiled_test(f"{test}.sql")).result_rows)


@pytest.mark.parametrize("test", BREAKS)
def test_sample_has_no_violation(sample_build: SampleBuild, test: str) -> None:
    assert violations(sample_build, test) == 0


@pytest.mark.parametrize(
    ("test", "table", "change"),
    [(test, table, change) for test, breaks in BREAKS.items() for table, change in breaks],
)
def test_broken_data_is_found(
    sample_build: SampleBuild, test: str, table: str, change: str
) -> None:
    with kept(sample_build, table):
        sample_build.client.command(f"alter table {table} {change} settings mutations_sync = 2")
        assert violations(sample_build, test) > 0


@contextmanager
def kept(sample_build: SampleBuild, table: str) -> Iterator[None]:
    """Keep a table or view as it is; a view is a table meanwhile, which can be changed."""
    command = sample_build.client.command
    [[engine, definition]] = sample_build.client.query(
        "select engine, create_table_query from system.tables"
        f" where database = '{sample_build.database}' and name = '{table}'"
    ).result_rows
    command(f"create or replace table kept engine = Memory as select * from {table}")
    try:
        if engine == "View":
            command(f"drop view {table}")
            command(
                f"create table {table} engine = MergeTree order by tuple() as select * from kept"
            )
        yield
    finally:
        if engine == "View":
            command(f"drop table {table}")
            command(definition)
        else:
            command(f"truncate table {table}")
            command(f"insert into {table} select * from kept")
        command("drop table kept")


def test_every_reason_of_the_sample_is_documented(sample_build: SampleBuild) -> None:
    reasons = sample_build.client.query(
        "select distinct reason from segment_row_accounting where reason != ''"
    ).result_rows
    assert len(reasons) > 15
    assert {reason for (reason,) in reasons if f"| `{reason}` |" not in DOCS} == set()
