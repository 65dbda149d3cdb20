"""The whole way of a row, on real parts: export, ClickHouse, dbt, Luigi with luigid, Segment.

One story in order, since each step starts from what the step before has left.
"""

import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import (
    ClickHouseServer,
    LuigiServer,
    SegmentServer,
    own_database,
    shared_parse,
)
from tests.integration.in_process import run_dbt
from tests.integration.incremental import BUILD
from tests.processes import MAPPINGS, PROJECT, clean_environment

BIN = Path(sys.executable).parent


class Shop:
    """A shop with an export of its own, a database of its own and the project's commands."""

    def __init__(
        self,
        clickhouse: ClickHouseServer,
        segment: SegmentServer,
        luigid: LuigiServer,
        directory: Path,
    ) -> None:
        self.segment = segment
        self.luigid = luigid
        self.client = clickhouse.connect()
        self.database = own_database(self.client, "shop")
        self.landing = own_database(self.client, "shop_landing")
        self.export = directory / "export"
        shutil.copytree(PROJECT / "seeds" / "sample", self.export)
        self._past_slots = count()
        self.env = (
            clean_environment()
            | clickhouse.environment
            | {
                "CLICKHOUSE_DATABASE": self.database,
                "RETAIL_PRO_DATABASE": self.landing,
                "RETAIL_PRO_EXPORT_DIR": str(self.export),
                "RETAIL_PRO_SOURCE": "landing",
                "RETAIL_PRO_MAPPINGS": MAPPINGS,
                "SEGMENT_HOST": segment.url,
                "SEGMENT_WRITE_KEY": "sandbox-write-key",
                "LUIGI_HOST": "127.0.0.1",
                "LUIGI_PORT": str(luigid.port),
                "DBT_TARGET_PATH": str(shared_parse(directory / "target", self.database)),
                "DBT_LOG_PATH": str(directory / "logs"),
                "NO_PROXY": "*",
            }
        )

    def run(self, command: str, *arguments: str, **env: str) -> str:
        """Run one of the project's commands from the repository root; it must succeed."""
        done = subprocess.run(
            [str(BIN / command), *arguments],
            cwd=PROJECT,
            env=self.env | env,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, f"{command} {arguments}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def sync(self, *arguments: str, **env: str) -> str:
        """Run one sync; `arguments` go to luigi."""
        return self.run("luigi", "--module", "luigi_tasks", "SyncToSegment", *arguments, **env)

    def built_slot(self) -> tuple[str, str]:
        """Options of a slot that is over and counts as built, so that a sync only sends."""
        slot = datetime(2026, 1, 1) + timedelta(minutes=15 * next(self._past_slots))
        name = f"{slot:%Y-%m-%dT%H%M}"
        marker = [f"BuildOutbox/{name}", "BuildOutbox", "{}"]
        columns = ["task_id", "task_family", "params"]
        self.client.insert("luigi_markers", [marker], column_names=columns, database=self.database)
        return "--slot", name

    def send(self, *arguments: str) -> str:
        """Send what is in the outbox; nothing is built."""
        return self.sync(*self.built_slot(), *arguments)

    def build(self) -> None:
        """Build what is new, and send nothing; without data tests, which the syncs run."""
        done = run_dbt(self.env, *BUILD, "--selector", "changes")
        assert done.success, done.failures() or done.output

    def built(self) -> set[str]:
        """Return how the nodes of the last dbt command are materialized; hooks do not count."""
        target = Path(self.env["DBT_TARGET_PATH"])
        results = json.loads((target / "run_results.json").read_text(encoding="utf-8"))["results"]
        nodes = json.loads((target / "manifest.json").read_text(encoding="utf-8"))["nodes"]
        built = [node["unique_id"] for node in results]
        return {
            nodes[name]["config"]["materialized"]
            for name in built
            if name in nodes and nodes[name]["resource_type"] != "operation"
        }

    def rows(self, sql: str) -> list[Any]:
        """Query ClickHouse; `{db}` and `{landing}` name the shop's databases."""
        text = sql.format(db=self.database, landing=self.landing)
        return list(self.client.query(text).result_rows)

    def value(self, sql: str) -> Any:
        """Return the one value of a query."""
        [[value]] = self.rows(sql)
        return value

    def outbox_ids(self) -> set[str]:
        """Return the ids of all messages that are still to be sent."""
        return {
            row[0].hex
            for row in self.rows(
                "select message_id from {db}.segment_identify_outbox"
                " union all select message_id from {db}.segment_track_outbox"
            )
        }

    def ledger_ids(self, status: str = "accepted") -> set[str]:
        """Return the ids that the ledger holds with a status."""
        sql = "select message_id from {db}.segment_delivery_ledger final where status = "
        return {row[0].hex for row in self.rows(f"{sql}'{status}'")}

    def append(self, file: str, change: Callable[[list[dict[str, str]]], dict[str, str]]) -> None:
        """Add a row to a file of the export, made of those that are there."""
        self.rewrite(file, lambda rows: [*rows, change(rows)])

    def rewrite(
        self, file: str, change: Callable[[list[dict[str, str]]], list[dict[str, str]]]
    ) -> None:
        """Write a file of the export anew from the rows that are there."""
        path = self.export / file
        with path.open(newline="", encoding="utf-8") as source:
            rows = list(csv.DictReader(source))
        with path.open("w", newline="", encoding="utf-8") as target:
            writer = csv.DictWriter(target, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(change(rows))


@pytest.fixture(scope="module")
def shop(
    clickhouse_server: ClickHouseServer,
    segment_server: SegmentServer,
    luigid: LuigiServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Shop:
    segment_server.reset()
    return Shop(clickhouse_server, segment_server, luigid, tmp_path_factory.mktemp("shop"))


def test_export_is_loaded_and_built_by_hand(shop: Shop) -> None:
    output = shop.run(
        "luigi", "--module", "luigi_tasks", "LoadExport", "--directory", str(shop.export)
    )
    assert "document_item.csv: 5,726 rows, 0 rejected, loaded" in output
    assert shop.value("select count() from {landing}.document_item") == 5726

    assert "ERROR=0" in shop.run("dbt", "build")

    assert len(shop.outbox_ids()) > 2800
    assert shop.ledger_ids() == set()


def test_everything_due_arrives_and_is_recorded(shop: Shop) -> None:
    due = shop.outbox_ids()

    output = shop.sync()

    received = shop.segment.messages()
    assert {message["state"] for message in received} == {"accepted"}
    assert len(received) == len(due)
    assert {message["messageId"] for message in received} == due
    assert shop.ledger_ids() == due
    assert shop.outbox_ids() == set()
    assert f"{len(due):,} accepted, 0 rejected, 0 still pending" in output
    assert shop.luigid.url in output
    assert shop.segment.url in output


def test_what_arrived_is_what_sql_rendered(shop: Shop) -> None:
    rendered = {
        message_id.hex: json.loads(message)
        for message_id, message in shop.rows(
            "select message_id, message from {db}.segment_identify_events"
            " union all select message_id, message from {db}.segment_track_events"
        )
    }
    for message in shop.segment.messages():
        assert json.loads(message["raw"]) == rendered[message["messageId"]]


def test_customers_arrive_before_their_orders_and_orders_in_time(shop: Shop) -> None:
    messages = [message["message"] for message in shop.segment.messages()]
    kinds = [message["type"] for message in messages]
    assert kinds == sorted(kinds), "identify calls come first"
    by_user: dict[str, list[str]] = {}
    for message in messages:
        if message["type"] == "track" and "userId" in message:
            by_user.setdefault(message["userId"], []).append(message["timestamp"])
    assert all(times == sorted(times) for times in by_user.values())


def test_attempts_account_for_every_message(shop: Shop) -> None:
    requests, messages = shop.rows(
        "select count(), sum(messages) from {db}.segment_delivery_attempts"
        " where outcome = 'accepted'"
    )[0]
    assert requests == shop.segment.stats()["requests"]
    assert messages == len(shop.ledger_ids())


def test_scheduler_shows_the_tasks_with_progress(shop: Shop) -> None:
    answer = httpx.get(
        f"{shop.luigid.url}/api/task_list", params={"data": '{"status": "DONE"}'}, trust_env=False
    )
    tasks = {task["name"]: task for task in answer.json()["response"].values()}
    assert set(tasks) >= {"SyncToSegment", "ReportRun", "SendTrack", "SendIdentify", "BuildOutbox"}
    assert tasks["SendTrack"]["progress_percentage"] == 100
    assert "accepted" in tasks["SendTrack"]["status_message"]
    history = httpx.get(f"{shop.luigid.url}/history/by_name/SyncToSegment", trust_env=False)
    assert history.status_code == 200
    assert "SyncToSegment" in history.text


def test_second_sync_sends_nothing_and_leaves_views_and_seeds_alone(shop: Shop) -> None:
    before = shop.segment.stats()["received"]
    assert {"seed", "view", "table", "incremental"} <= shop.built()
    held = shop.value(
        "select count() from {db}.segment_failed_events"
        " where error_category = 'validation' and event_type != '' and not resolved"
    )
    assert held > 0
    output = shop.sync()
    assert f"Nothing new: 0 accepted, 0 rejected, 0 still pending, {held} held." in output
    assert f"{held} held, until" in output
    assert shop.segment.stats()["received"] == before
    assert shop.built() == {"table", "incremental", "test"}


HELD_SALE = "700000000000000020"
OTHER_CUSTOMER = "700000000000000009"
FAILURES_OF_THE_SALE = (
    f"select error_code from {{db}}.segment_failed_events where entity_id = '{HELD_SALE}'"
)


def insert_sale(shop: Shop, amount: str, modified: str) -> None:
    """Insert a version of a sale, with its line, as another pipeline would."""
    columns = (
        "SID, DOC_NO, STATUS, SBS_NO, STORE_CODE, CURRENCY_NAME, SOLD_QTY, SALE_SUBTOTAL,"
        " SALE_TOTAL_AMT, CREATED_DATETIME, MODIFIED_DATETIME"
    )
    header = f"'{HELD_SALE}', '9', '4', '1', '001', 'US DOLLARS', '1'"
    shop.client.command(
        f"insert into {shop.landing}.document ({columns}) values"
        f" ({header}, '{amount}', '{amount}', '2026-11-01T10:00:00Z', '{modified}')"
    )
    shop.client.command(
        f"insert into {shop.landing}.document_item (SID, DOC_SID, ITEM_TYPE, QTY, PRICE, ALU)"
        f" values ('700000000000000021', '{HELD_SALE}', '1', '1', '5', '4711')"
    )


def test_what_is_new_in_the_export_and_by_another_pipeline_is_sent_and_nothing_else(
    shop: Shop,
) -> None:
    before = shop.segment.stats()["received"]
    customer, document, line = "700000000000000001", "700000000000000002", "700000000000000003"
    template = "600039073000245254"

    def sale(rows: list[dict[str, str]]) -> dict[str, str]:
        nonlocal template
        row = next(
            row
            for row in rows
            if (row["SOLD_QTY"], row["STATUS"]) == ("1", "4")
            and row["RETURN_QTY"] in {"", "0"}
            and row["INVC_POST_DATE"]
        )
        template = row["SID"]
        return row | {"SID": document, "BT_CUID": customer}

    shop.append("customer.csv", lambda rows: rows[40] | {"SID": customer, "FIRST_NAME": "Zoë"})
    shop.append("document.csv", sale)
    shop.append(
        "document_item.csv",
        lambda rows: (
            next(row for row in rows if row["DOC_SID"] == template)
            | {"SID": line, "DOC_SID": document}
        ),
    )

    shop.client.command(
        f"insert into {shop.landing}.customer (SID, FIRST_NAME, LAST_NAME)"
        f" values ('{OTHER_CUSTOMER}', 'Ada', 'Byron')"
    )
    insert_sale(shop, "-5", modified="")

    shop.sync()

    new = [message["message"] for message in shop.segment.messages()[before:]]
    by_user = {(message["type"], message["userId"]): message for message in new}
    assert by_user.keys() == {
        ("identify", customer),
        ("identify", OTHER_CUSTOMER),
        ("track", customer),
    }
    assert len(new) == 3
    assert by_user["identify", customer]["traits"]["firstName"] == "Zoë"
    assert by_user["identify", customer]["traits"]["totalOrders"] == 1
    assert by_user["identify", OTHER_CUSTOMER]["traits"]["name"] == "Ada Byron"
    assert by_user["track", customer]["event"] == "Order Completed"
    assert by_user["track", customer]["properties"]["order_id"] == document
    assert shop.rows(FAILURES_OF_THE_SALE) == [("sign_conflict",)]


def test_order_that_changed_is_updated_once(shop: Shop) -> None:
    before = shop.segment.stats()["received"]
    document, change = "700000000000000002", "2026-11-20T10:00:00.000Z"

    def newer(rows: list[dict[str, str]]) -> list[dict[str, str]]:
        return [
            row | {"MODIFIED_DATETIME": change, "ROW_VERSION": "99", "TENDER_NAME": "Voucher"}
            if row["SID"] == document
            else row
            for row in rows
        ]

    shop.rewrite("document.csv", newer)
    # Its only line is another one now; the earlier one is gone from the export.
    other = {"SID": "700000000000000004", "ALU": "4711"}
    shop.rewrite(
        "document_item.csv",
        lambda rows: [row | other if row["DOC_SID"] == document else row for row in rows],
    )

    shop.sync()

    [update] = [message["message"] for message in shop.segment.messages()[before:]]
    assert (update["event"], update["timestamp"]) == ("Order Updated", change)
    assert update["properties"]["order_id"] == document
    assert update["properties"]["payment_method"] == "Voucher"
    assert [product["sku"] for product in update["properties"]["products"]] == ["4711"]

    # Another version with the same content. The next sync, in the next test, says nothing of it.
    shop.append("document.csv", lambda rows: newer(rows)[-1] | {"ROW_VERSION": "100"})


def test_full_refresh_by_hand_resends_nothing_and_keeps_the_ledger(shop: Shop) -> None:
    before, ledger = shop.segment.stats()["received"], shop.ledger_ids()
    shop.run("dbt", "build", "--full-refresh", "--exclude-resource-type", "unit_test")
    assert shop.outbox_ids() == set()
    shop.sync("--local-scheduler")
    assert shop.segment.stats()["received"] == before
    assert shop.ledger_ids() == ledger
    assert {"seed", "view"} <= shop.built(), "after a build by hand a sync builds everything"


def test_what_was_held_and_what_was_requeued_go_out(shop: Shop) -> None:
    before = shop.segment.stats()["received"]
    insert_sale(shop, "5", modified="2026-11-02T10:00:00Z")
    arguments = json.dumps({"call": "identify", "entity_id": OTHER_CUSTOMER})
    output = shop.run("dbt", "run-operation", "requeue", "--args", arguments)
    assert "1 identify message(s)" in output

    shop.sync(RETAIL_PRO_EXTRA="another setting")

    assert {"seed", "view"} <= shop.built(), "with another setting a sync builds everything"
    again, sale = shop.segment.messages()[before:]
    # The sale was held until its amounts agreed with its flags.
    assert shop.rows(FAILURES_OF_THE_SALE) == []
    assert sale["message"]["properties"]["order_id"] == HELD_SALE
    assert sale["message"]["properties"]["total"] == 5
    # The customer was sent again under a new id.
    [first, _] = [m for m in shop.segment.messages() if m["userId"] == OTHER_CUSTOMER]
    assert again["state"] == "accepted"
    assert first["messageId"] != again["messageId"]
    assert first["message"]["traits"] == again["message"]["traits"]


def test_requeue_of_an_unsent_message_sends_it_once(shop: Shop) -> None:
    shop.client.command(
        f"insert into {shop.landing}.customer (SID, FIRST_NAME) values ('700000000000000010', 'Bo')"
    )
    shop.build()
    [old] = shop.outbox_ids()
    arguments = json.dumps({"call": "identify", "entity_id": "700000000000000010"})
    shop.run("dbt", "run-operation", "requeue", "--args", arguments)
    [new] = shop.outbox_ids()
    assert new != old
    assert shop.ledger_ids("requeued") == {old}


def test_failure_is_listed_and_can_be_resolved(shop: Shop) -> None:
    sql = "select entity_id from {db}.segment_failed_events where not resolved and error_code = "
    unmapped = {row[0] for row in shop.rows(f"{sql}'currency_unmapped'")}
    assert "608763582000223884" in unmapped, "its CURRENCY_NAME is DOLLAR, which could be any"
    arguments = json.dumps(
        {
            "entity_type": "order",
            "entity_id": "608763582000223884",
            "error_code": "currency_unmapped",
            "note": "the store's till \\ closed",
        }
    )
    shop.run("dbt", "run-operation", "resolve", "--args", arguments)
    open_now = {row[0] for row in shop.rows(f"{sql}'currency_unmapped'")}
    assert open_now == unmapped - {"608763582000223884"}


def test_docs_site_is_generated(shop: Shop, tmp_path: Path) -> None:
    shop.run("dbt", "docs", "generate", "--target-path", str(tmp_path))
    catalog = json.loads((tmp_path / "catalog.json").read_text())
    assert "model.retail_pro_segment.segment_track_outbox" in catalog["nodes"]
    assert (tmp_path / "index.html").is_file()
