"""What the person on call does, through real dbt, ClickHouse and Segment.

One story in order, since each step starts from what the step before has left.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ClickHouseServer, LuigiServer, SegmentServer
from tests.integration.in_process import run_dbt
from tests.integration.test_pipeline import Shop
from tests.processes import PROJECT

BIN = Path(sys.executable).parent
DELIVERY_TABLES = {
    "segment_identify_events": ["enqueued_at"],
    "segment_track_events": ["enqueued_at"],
    "segment_delivery_ledger": ["enqueued_at"],
    "segment_delivery_attempts": ["started_at"],
    "segment_outbox_watermarks": ["settled_until"],
}
POISON_CUSTOMER, REJECTED_ORDER = "700000000000000001", "700000000000000002"
INEXACT = "90071992547409.930001"
"""A number that a float cannot hold: the sender refuses it."""


class Desk(Shop):
    """A shop, with the commands of the person who looks after it."""

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one of the project's commands, whatever comes of it."""
        return subprocess.run(
            [str(BIN / arguments[0]), *arguments[1:]],
            cwd=PROJECT,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def operation(self, name: str, **arguments: Any) -> str:
        """Run an operation that must succeed; return what it printed."""
        done = run_dbt(self.env, "run-operation", name, "--args", json.dumps(arguments))
        assert done.success, done.output
        return done.output

    def refused(self, name: str, **arguments: Any) -> str:
        """Run an operation that must fail; return what it printed."""
        done = run_dbt(self.env, "run-operation", name, "--args", json.dumps(arguments))
        assert not done.success, done.output
        return done.output

    def explain(self, number: str) -> str:
        """What `explain` says of a number, in one line."""
        return " ".join(self.run("python", "-m", "luigi_tasks.explain", number).split())

    def deliver(self) -> str:
        """Build and send; the watermark follows at once instead of an hour later."""
        self.build()
        return self.send_pending()

    def send_pending(self) -> str:
        """Send what is in the outbox without a build; the watermark follows at once."""
        return self.send("--local-scheduler", "--delivery-watermark-lag-seconds", "0")

    def add_customer(self, sid: str, **columns: str) -> None:
        """Insert a row of a customer, as another pipeline would."""
        self._add("customer", {"SID": sid, **columns})

    def add_sale(self, sid: str, total: str, **columns: str) -> None:
        """Insert a sale of one piece."""
        header = {
            "DOC_NO": "9",
            "STATUS": "4",
            "SBS_NO": "1",
            "STORE_CODE": "001",
            "CURRENCY_NAME": "US DOLLARS",
        }
        amounts = {"SOLD_QTY": "1", "SALE_SUBTOTAL": total, "SALE_TOTAL_AMT": total}
        when = {"CREATED_DATETIME": "2026-11-01T10:00:00Z"}
        self._add("document", {"SID": sid, **header, **amounts, **when, **columns})
        line = {"SID": f"8{sid[1:]}", "DOC_SID": sid, "ITEM_TYPE": "1", "QTY": "1"}
        self._add("document_item", {**line, "PRICE": "5", "ALU": "4711"})

    def _add(self, table: str, row: dict[str, str]) -> None:
        self.client.insert(
            table, [list(row.values())], column_names=list(row), database=self.landing
        )

    def failures(self, entity_id: str) -> list[tuple[str, str]]:
        """(category, code) of the open failures of a customer or order."""
        return self.rows(
            "select error_category, error_code from {db}.segment_failed_events"
            f" where not resolved and entity_id = '{entity_id}'"
        )

    def counts(self) -> dict[str, int]:
        """Rows of each delivery table."""
        return {
            table: self.value(f"select count() from {{db}}.{table}") for table in DELIVERY_TABLES
        }

    def age(self, days: int) -> None:
        """Make everything that was delivered some days older."""
        for table, columns in DELIVERY_TABLES.items():
            shifted = ", ".join(f"{name} - interval {days} day as {name}" for name in columns)
            for statement in (
                f"create table {self.database}.aged as {self.database}.{table}",
                f"insert into {self.database}.aged select * replace ({shifted})"
                f" from {self.database}.{table}",
                f"truncate table {self.database}.{table}",
                f"insert into {self.database}.{table} select * from {self.database}.aged"
                " settings insert_deduplicate = 0",
                f"drop table {self.database}.aged",
            ):
                self.client.command(statement)


@pytest.fixture(scope="module")
def desk(
    clickhouse_server: ClickHouseServer,
    segment_server: SegmentServer,
    luigid: LuigiServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Desk:
    segment_server.reset()
    desk = Desk(clickhouse_server, segment_server, luigid, tmp_path_factory.mktemp("desk"))
    desk.run("luigi", "--module", "luigi_tasks", "LoadExport", "--directory", str(desk.export))
    # From here on rows are inserted: the export stays out of the way.
    del desk.env["RETAIL_PRO_EXPORT_DIR"]
    return desk


def test_a_plan_shows_everything_and_sends_nothing(desk: Desk) -> None:
    plan = desk.run("luigi", "--module", "luigi_tasks", "PlanSync", "--local-scheduler")
    pending = len(desk.outbox_ids())
    assert pending > 2800
    assert f"Plan: {pending:,} messages would be sent. Nothing was sent." in plan
    assert "for the first time this month" in plan
    assert "The brake would refuse" not in plan
    assert desk.segment.stats()["received"] == 0
    assert desk.counts()["segment_delivery_ledger"] == 0


def test_what_segment_did_not_take_yet_is_transient_until_it_is_delivered(desk: Desk) -> None:
    open_transient = (
        "select entity_id, error_code, retry_count, error_message, payload"
        " from {db}.segment_failed_events where error_category = 'transient'"
    )
    desk.segment.fault({"status": 401})
    sync = ("luigi", "--module", "luigi_tasks", "SyncToSegment")
    assert desk.command(*sync, *desk.built_slot()).returncode == 30
    rows = desk.rows(open_transient)
    assert len(rows) == 100, "the batch that was refused, and no other"
    assert {(code, retries) for _, code, retries, *_ in rows} == {("http_401", 1)}
    assert all(message.startswith("Not delivered yet") for *_, message, _ in rows)
    assert all(json.loads(payload)["userId"] == sid for sid, *_, payload in rows)
    assert "transient, http_401" in desk.explain(rows[0][0])
    refused = desk.refused(
        "resolve", entity_type="customer", entity_id=rows[0][0], error_code="http_401"
    )
    assert "they go out by themselves" in refused

    desk.send_pending()
    assert desk.rows(open_transient) == []
    assert desk.outbox_ids() == set()


def test_changes_are_planned_field_by_field(desk: Desk) -> None:
    sid, first_name, last_name = desk.rows(
        "select SID, FIRST_NAME, LAST_NAME from {landing}.customer"
        " where SID in (select customer_sid from {db}.customers where email != '') limit 1"
    )[0]
    desk.add_customer(
        sid,
        FIRST_NAME=first_name,
        LAST_NAME=last_name,
        EMAIL="new.address@alderfinch.com",
        MODIFIED_DATETIME="2026-11-20T10:00:00Z",
    )
    plan = desk.run("luigi", "--module", "luigi_tasks", "PlanSync", "--local-scheduler")
    assert "Plan: 1 messages would be sent" in plan
    assert f"Changes Identify of customer {sid}" in plan
    assert re.search(r'traits.email: .* -> "new.address@alderfinch.com"', plan)
    desk.send_pending()


def test_a_rejected_message_goes_out_again_under_a_new_id(desk: Desk) -> None:
    desk.add_customer(POISON_CUSTOMER, FIRST_NAME="Ann", LTY_BALANCE=INEXACT)
    desk.deliver()
    [first] = desk.ledger_ids("rejected")
    assert desk.failures(POISON_CUSTOMER) == [("permanent", "number_inexact")]

    none = desk.refused("retry_rejected", call="identify", error_code="http_400")
    assert "there is no refused message with the code http_400" in none
    assert desk.outbox_ids() == set()
    output = desk.operation("retry_rejected")
    assert "1 identify message(s)" in output
    assert "0 track message(s)" in output
    [again] = desk.outbox_ids()
    assert again != first
    hashes = "select uniqExact(payload_hash) from {db}.segment_identify_events where entity_id = "
    assert desk.value(f"{hashes}'{POISON_CUSTOMER}'") == 1, "the same content"

    desk.send_pending()
    assert desk.ledger_ids("rejected") == {first, again}
    assert desk.failures(POISON_CUSTOMER) == [("permanent", "number_inexact")]


def test_a_mended_order_that_was_rejected_is_accepted(desk: Desk) -> None:
    desk.add_sale(REJECTED_ORDER, "6")
    desk.segment.fault({"status": 400})
    desk.deliver()
    assert desk.failures(REJECTED_ORDER) == [("permanent", "http_400")]
    assert "retry_rejected" in desk.explain(REJECTED_ORDER)

    desk.add_sale(REJECTED_ORDER, "5", MODIFIED_DATETIME="2026-11-02T10:00:00Z")
    desk.build()
    desk.operation("retry_rejected", call="track")
    desk.send_pending()
    assert desk.failures(REJECTED_ORDER) == []
    accepted = [
        message["message"]["properties"]["total"]
        for message in desk.segment.messages()
        if message["message"].get("properties", {}).get("order_id") == REJECTED_ORDER
    ]
    assert accepted == [5]


def test_explain_says_where_a_customer_or_order_is(desk: Desk) -> None:
    accepted = desk.explain(REJECTED_ORDER)
    assert f"order {REJECTED_ORDER}" in accepted
    assert "Order Completed: Segment accepted it at" in accepted
    assert accepted.count("rejected, sent") == accepted.count("accepted, sent") == 1
    assert "rejected, HTTP 400 http_400" in accepted, "the request is shown too"

    held = desk.explain("608763582000223884")
    assert 'validation, currency_unmapped: CURRENCY_NAME is "DOLLAR". CURRENCY_NAME has' in held
    assert "document.csv" in held, "its file and line"

    excluded = desk.value(
        "select source_sid from {db}.customers where exclusion_reason = 'inactive' limit 1"
    )
    assert "not sent, because the customer is inactive" in desk.explain(excluded)

    cust_id, sid = desk.rows(
        "select cust_id, customer_sid from {db}.customers"
        " where failure_code is null and exclusion_reason is null and cust_id != '' limit 1"
    )[0]
    assert f"customer {sid} Identify: Segment accepted it" in desk.explain(cust_id)

    receipt, order = desk.rows(
        "select receipt_number, document_sid from {db}.orders where failure_code is null limit 1"
    )[0]
    assert f"order {order}" in desk.explain(receipt)

    unknown = desk.command("python", "-m", "luigi_tasks.explain", "12345")
    assert unknown.returncode == 1
    assert "No customer or document" in unknown.stdout


def test_reconcile_finds_what_lies_below_the_watermark_and_mends_it(desk: Desk) -> None:
    assert "0 track message(s) are pending below" in desk.operation("reconcile")
    lost = desk.value(
        "select message_id from {db}.segment_delivery_ledger"
        " where call = 'track' and status = 'accepted' order by enqueued_at limit 1"
    )
    desk.client.command(
        f"alter table {desk.database}.segment_delivery_ledger delete"
        f" where message_id = '{lost}' settings mutations_sync = 2"
    )
    assert desk.outbox_ids() == set(), "the outbox does not look there"

    assert "reconcile: messages were left behind (track)" in desk.refused("reconcile")
    desk.operation("reconcile", repair=True)
    assert desk.outbox_ids() == {lost.hex}
    desk.send_pending()
    assert "0 track message(s) are pending below" in desk.operation("reconcile")
    assert lost.hex in desk.ledger_ids()


def test_reconcile_tells_a_lost_ledger_from_messages_left_behind(desk: Desk) -> None:
    ledger, backup = f"{desk.database}.segment_delivery_ledger", f"{desk.database}.ledger_backup"
    desk.client.command(f"create table {backup} as {ledger}")
    desk.client.command(f"insert into {backup} select * from {ledger}")
    desk.client.command(
        f"alter table {ledger} delete where call = 'track' settings mutations_sync = 2"
    )
    for arguments in ({}, {"repair": True}):
        advice = desk.refused("reconcile", **arguments)
        assert "the ledger of track is incomplete" in advice
        assert "Restore segment_delivery_ledger from a backup" in advice
        assert desk.outbox_ids() == set(), "nothing is repaired unasked"
    assert "Set it to settle or send" in desk.refused("reconcile", lost_ledger="yes")

    output = desk.operation("reconcile", lost_ledger="settle")

    assert "0 track message(s) are pending below the watermark" in output
    assert desk.outbox_ids() == set()
    assert desk.value(
        "select count() = (select count() from {db}.segment_track_events)"
        " from {db}.segment_delivery_ledger where reason_code = 'ledger_lost' and call = 'track'"
    )
    for statement in (
        f"truncate table {ledger}",
        f"insert into {ledger} select * from {backup}",
        f"drop table {backup}",
    ):
        desk.client.command(statement)


def test_a_purge_that_would_reach_pending_messages_is_refused(desk: Desk) -> None:
    assert "31 or more" in desk.refused("purge_ledger", older_than_days=30)
    desk.add_customer("700000000000000003", FIRST_NAME="Bo")
    desk.build()
    desk.age(100)
    before = desk.counts()
    refusal = desk.refused("purge_ledger", older_than_days=40)
    assert "1 identify messages of that age lie above the watermark" in refusal
    assert desk.counts() == before


def test_a_purge_removes_the_past_and_nothing_is_sent_again(desk: Desk) -> None:
    desk.add_customer("700000000000000006", FIRST_NAME="Eve")
    desk.deliver()
    received = desk.segment.stats()["received"]
    last_messages = desk.value(
        "select count() from (select distinct entity_id, event from {db}.segment_identify_events"
        " union all select distinct entity_id, event from {db}.segment_track_events)"
    )
    rejected = desk.ledger_ids("rejected")
    before = desk.counts()

    output = desk.operation("purge_ledger", older_than_days=40)

    after = desk.counts()
    assert "row(s) removed from segment_delivery_ledger" in output
    # Rejections stay, and what came in just now.
    assert desk.ledger_ids("rejected") == rejected
    assert desk.rows(
        "select entity_id from {db}.segment_delivery_ledger where status = 'accepted'"
    ) == [("700000000000000006",)]
    assert after["segment_identify_events"] < before["segment_identify_events"]
    events = after["segment_identify_events"] + after["segment_track_events"]
    assert events == last_messages, "the last message of each customer and order event stays"
    kept = "select call, max(events_kept) > 0 from {db}.segment_delivery_purges group by call"
    assert sorted(desk.rows(kept)) == [("identify", True), ("track", True)], "for the next build"
    assert after["segment_delivery_attempts"] < before["segment_delivery_attempts"]
    assert desk.failures(POISON_CUSTOMER) == [("permanent", "number_inexact")]
    assert "its record has been purged since" in desk.explain(REJECTED_ORDER)

    assert "0 accepted, 0 rejected, 0 still pending" in desk.deliver()
    assert desk.segment.stats()["received"] == received
    assert desk.counts()["segment_identify_events"] == after["segment_identify_events"]
    assert "0 track message(s) are pending below" in desk.operation("reconcile")

    # Not even without the watermark, of which only time should depend.
    desk.client.command(f"truncate table {desk.database}.segment_outbox_watermarks")
    assert desk.outbox_ids() == set()


def test_after_a_purge_a_change_is_one_message_of_the_same_chain(desk: Desk) -> None:
    desk.add_customer(
        "700000000000000003", FIRST_NAME="Bea", MODIFIED_DATETIME="2026-11-21T10:00:00Z"
    )
    received = desk.segment.stats()["received"]
    desk.deliver()
    [new] = desk.segment.messages()[received:]
    assert (new["state"], new["message"]["traits"]["name"]) == ("accepted", "Bea")


def test_a_withdrawn_message_is_never_sent(desk: Desk) -> None:
    received = desk.segment.stats()["received"]
    desk.add_customer("700000000000000004", FIRST_NAME="Cy")
    desk.add_customer("700000000000000005", FIRST_NAME="Di")
    desk.build()
    output = desk.operation(
        "withdraw", call="identify", entity_id="700000000000000004", note="a test's customer"
    )
    assert "1 identify message(s) are out of the outbox" in output
    assert "a person settled it (withdrawn): a test's customer" in desk.explain(
        "700000000000000004"
    )
    desk.send_pending()
    [sent] = desk.segment.messages()[received:]
    assert sent["userId"] == "700000000000000005"


def test_operations_name_what_is_wrong_with_their_arguments(desk: Desk) -> None:
    assert "Set it to identify or track" in desk.refused("retry_rejected", call="identity")
    assert "Set it to identify or track" in desk.refused("requeue", call="identity")
    assert "requeue: give entity_id, since, until" in desk.refused("requeue", call="track")
    assert "withdraw: give entity_id" in desk.refused("withdraw", call="track", note="why")
