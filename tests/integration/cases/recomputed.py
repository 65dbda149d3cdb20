"""Odd rows that the data tests, which add an export up again, must not take for a fault.

A data test that fails stops the sync of everybody else.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tests.integration.cases.case import ABSENT, Case, Later, document, line, newer

NOWHERE = {"SBS_NO": "77", "STORE_NO": "7", "STORE_CODE": "070"}
"""A store of which no mapping says whether its prices include tax."""


def refund(**changes: str) -> dict[str, str]:
    """A document that pays back what its lines say."""
    return (
        document(
            RECEIPT_TYPE="1",
            HAS_SALE="0",
            HAS_RETURN="1",
            SOLD_QTY="0",
            SALE_SUBTOTAL="0.00",
            SALE_TOTAL_TAX_AMT="0.00",
            SALE_TOTAL_AMT="0.00",
            USE_VAT="0",
        )
        | {"RETURN_QTY": "1"}
        | changes
    )


def back(of: dict[str, str], **changes: str) -> dict[str, str]:
    """A piece of 20.00 and 2.00 tax that was brought back."""
    return line(of, ITEM_TYPE="2", PRICE="20.00", TAX_AMT="2.00") | changes


def refunded(total: str, **properties: Any) -> dict[str, Any]:
    """A refund with this total."""
    return {"event": "Order Refunded", "properties": {"total": Decimal(total)} | properties}


def mangled(row: dict[str, str], sid: str) -> dict[str, str]:
    """The row with another SID."""
    return row | {"SID": sid}


FILLERS = refund(RETURN_TOTAL_TAX_AMT="NULL", RETURN_SUBTOTAL="N/A")
BAD_LINE = refund()
ZEROS = refund()
KIT = refund(RETURN_QTY="1")
WEIGHED = document(CURRENCY_NAME="PIASTRE OF NOWHERE", SOLD_QTY="0.75", SALE_TOTAL_AMT="12.50")
BLANKS = refund()
PAID = refund(**NOWHERE, USE_VAT="", SALE_TOTAL_AMT="-3.00", TRANSACTION_TOTAL_AMT="-25.00")
REPLACED = refund(STATUS="3")
MOVED, TARGET = refund(STATUS="3"), refund(STATUS="3")
STAYS, GOES = back(MOVED), back(MOVED)

CASES = [
    Case(
        "refund_with_fillers_for_its_amounts",
        documents=[FILLERS],
        lines=[back(FILLERS, DIP_PRICE="NULL")],
        messages=[refunded("22.00", tax=Decimal("2.00"))],
    ),
    Case(
        "refund_with_a_mangled_line",
        documents=[BAD_LINE],
        lines=[back(BAD_LINE), mangled(back(BAD_LINE), "5.92481E+17")],
        messages=[refunded("22.00")],
    ),
    Case(
        "refund_with_zeros_before_the_sid_of_a_line",
        documents=[ZEROS],
        lines=[back(ZEROS), mangled(back(ZEROS), "0710999")],
        messages=[refunded("22.00")],
    ),
    Case(
        "refund_of_a_kit_whose_flag_went_through_a_float",
        documents=[KIT],
        lines=[back(KIT, KIT_FLAG="0.0"), back(KIT, KIT_FLAG="5.0")],
        messages=[refunded("22.00")],
    ),
    Case(
        "weighed_line_in_an_unknown_currency",
        documents=[WEIGHED],
        lines=[line(WEIGHED, QTY="0.75", PRICE="10.00")],
        failures={"currency_unmapped"},
    ),
    Case(
        "sids_filled_with_blanks",
        documents=[BLANKS],
        lines=[
            row | {"SID": row["SID"].ljust(30), "DOC_SID": row["DOC_SID"].ljust(30)}
            for row in [back(BLANKS)]
        ],
        messages=[refunded("22.00")],
    ),
    Case(
        "refund_worth_the_whole_transaction",
        documents=[PAID],
        lines=[back(PAID)],
        messages=[refunded("25.00", tax=ABSENT)],
        warnings={"refund_tax_unknown"},
    ),
    Case(
        "refund_that_comes_again_with_another_line",
        documents=[REPLACED],
        lines=[back(REPLACED, PRICE="40.00")],
        later=Later(documents=[newer(REPLACED, STATUS="4")], lines=[back(REPLACED)]),
        messages=[refunded("22.00")],
    ),
    Case(
        "refund_of_which_a_line_moved_to_another",
        documents=[MOVED, TARGET],
        lines=[STAYS, GOES],
        later=Later(
            documents=[newer(MOVED, STATUS="4"), newer(TARGET, STATUS="4")],
            lines=[newer(GOES, DOC_SID=TARGET["SID"])],
        ),
        messages=[refunded("22.00"), refunded("22.00")],
    ),
]
