"""What the export has not changed is not said again: mappings, variables, upgrades, suppression.

One story in order, since each step starts from what the step before has left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path

import pytest

from tests.integration.cases.case import Row, customer, document, line, newer
from tests.integration.hostile_rows import Batch, Delivery
from tests.integration.incremental import BUILD, Models, land
from tests.integration.test_incremental import copy_of_the_project, make_models

__all__ = ["make_models"]

# dbt's Jinja reads the regular expressions in the macros as text of Python.
pytestmark = pytest.mark.filterwarnings("ignore:invalid escape sequence:DeprecationWarning")

RETURN = {
    "HAS_SALE": "0",
    "HAS_RETURN": "1",
    "SOLD_QTY": "0",
    "RETURN_QTY": "1",
    "RETURN_SUBTOTAL": "50.00",
    "RETURN_TOTAL_TAX_AMT": "5.00",
    "USE_VAT": "0",
}

Said = tuple[str, str, str]


def put(
    models: Models,
    documents: Sequence[Row],
    lines: Sequence[Row] = (),
    customers: Sequence[Row] = (),
) -> None:
    """Rows as another pipeline brings them."""
    now = datetime.now(timezone.utc)
    rows = {"customer": customers, "document": documents, "document_item": lines}
    deliveries = [Delivery(table, list(of), now, "") for table, of in rows.items() if of]
    land(models.client, models.landing, Batch(deliveries, []))


def said_by(models: Models, *build: str) -> list[Said]:
    """(event, SID, store) of what a build enqueues."""
    models.build(*BUILD, *build)
    return [
        (event, sid, store)
        for event, sid, store in models.rows("""
            select event, entity_id, JSONExtractString(message, 'properties', 'affiliation')
            from (
                select * from {db}.segment_track_events
                union all
                select * from {db}.segment_identify_events
            )
            where dbt_invocation_id = (
                select argMax(dbt_invocation_id, finished_at) from {db}.segment_build_progress
            )
            order by all
        """)
    ]


def failures(models: Models) -> list[tuple[str, str]]:
    """(SID, code) of what is held."""
    return [
        (sid, code)
        for sid, code in models.rows("select entity_id, error_code from {db}.segment_failed_events")
    ]


def test_only_a_change_of_the_export_is_said(
    make_models: Callable[..., Models], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    models = make_models(copy_of_the_project(tmp_path / "project"))
    shop = models.project / models.mappings

    def edit(name: str, old: str, new: str) -> None:
        text = (shop / name).read_text()
        assert old in text
        (shop / name).write_text(text.replace(old, new))

    buyer = customer()
    of_buyer, of_nobody, held = document(BT_CUID=buyer["SID"]), document(), document()
    refund = document(**RETURN)
    put(
        models,
        [of_buyer, of_nobody, held, refund],
        [*map(line, (of_buyer, of_nobody, held)), line(refund, ITEM_TYPE="2")],
        [buyer],
    )
    soho = "Alder & Finch SoHo"
    assert said_by(models) == sorted(
        [
            *(("Order Completed", row["SID"], soho) for row in (of_buyer, of_nobody, held)),
            ("Order Refunded", refund["SID"], soho),
            ("Identify", buyer["SID"], ""),
        ]
    )

    # A store is renamed and a user suppressed; one sale changes into something that is held.
    edit("stores.csv", soho, "SoHo")
    edit("suppressed_users.csv", "reason\n", f"reason\n{buyer['SID']},asked\n")
    withheld = document(BT_CUID=buyer["SID"])
    in_piastres = newer(held, CURRENCY_NAME="PIASTRE OF NOWHERE")
    put(models, [withheld, in_piastres], [line(withheld)])
    assert said_by(models) == []
    assert failures(models) == [(held["SID"], "currency_unmapped")]

    # What was held goes out once it can be read. The user is identified, and what was withheld
    # is not sent.
    edit("currency_names.csv", "\n", "\nPIASTRE OF NOWHERE,EUR\n")
    edit("suppressed_users.csv", f"{buyer['SID']},asked\n", "")
    assert said_by(models) == [
        ("Identify", buyer["SID"], ""),
        ("Order Updated", held["SID"], "SoHo"),
    ]
    assert failures(models) == []
    [(reason,)] = models.rows(
        f"select reason from {{db}}.order_outcomes where document_sid = '{withheld['SID']}'"
    )
    assert reason == "suppressed"

    # A database of before has no note of what the export said. What came with other content since
    # its last build is a change, whatever else the new version says otherwise.
    models.client.command(f"optimize table {models.database}.segment_message_basis final")
    models.client.command(
        f"alter table {models.database}.segment_message_basis delete where state != 'withheld'"
        " settings mutations_sync = 2"
    )
    edit("stores.csv", "SoHo", "SoHo Broadway")
    put(models, [newer(of_nobody, TENDER_NAME="Cash"), newer(of_buyer)])
    assert said_by(models, "--vars", "{exclude_gift_cards: true}") == [
        ("Order Updated", of_nobody["SID"], "SoHo Broadway")
    ]
    assert failures(models) == []

    # Deliberately: first how many, then those.
    def resend(*arguments: str) -> str:
        done = models.dbt("run-operation", "resend_orders", *arguments)
        return capfd.readouterr().out + ("" if done.success else " failed")

    assert "resend_orders: 2 sale(s)" in resend()
    assert "failed" in resend("--args", "{orders: 3}")
    assert "2 Order Updated" in resend("--args", "{orders: 2}")
    assert "resend_orders: 0 sale(s)" in resend()
    assert models.rows(
        "select entity_id from {db}.segment_track_outbox where event = 'Order Updated'"
        " and dbt_invocation_id != (select argMax(dbt_invocation_id, finished_at)"
        " from {db}.segment_build_progress) and entity_id in"
        f" ('{of_buyer['SID']}', '{held['SID']}') and position(message, 'SoHo Broadway') > 0"
        " order by entity_id"
    ) == [(of_buyer["SID"],), (held["SID"],)]
