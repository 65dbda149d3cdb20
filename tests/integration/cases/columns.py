"""The same receipts in exports that lack one optional column each.

For a model a column that is not there is one that is empty in every row (retail_pro_rows), so
each case is a copy of the receipts with that column empty, and all of them share one build.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from luigi_tasks.landing import dictionary
from tests.integration.cases.case import ABSENT, Case, Row, customer, document, line, new_sid
from tests.processes import PROJECT

OPTIONAL = {(table.name, column) for table in dictionary.load(PROJECT) for column in table.optional}


@dataclass(frozen=True)
class Receipt:
    """A document, its lines and its buyer."""

    document: Row
    lines: list[Row]
    customer: Row | None = None


def sale() -> Receipt:
    """A sale of 50.00 and 5.00 tax to an employee."""
    buyer = customer(CUST_TYPE="1", MODIFIED_DATETIME="2026-02-01T10:00:00Z", ROW_VERSION="2")
    row = document(
        BT_CUID=buyer["SID"],
        USE_VAT="0",
        TRANSACTION_TOTAL_AMT="55.00",
        MODIFIED_DATETIME="2026-05-05T15:00:00Z",
        ROW_VERSION="3",
    )
    return Receipt(row, [line(row, KIT_FLAG="0", DIP_PRICE="50.00")], buyer)


def kit() -> Receipt:
    """A kit of 50.00 and its component, which costs nothing of its own."""
    row = document()
    return Receipt(row, [line(row), line(row, KIT_FLAG="5", PRICE="0.00", TAX_AMT="0.00")])


def exchange_by_sign() -> Receipt:
    """Two bought for 276.00, one of 129.00 brought back: what tells them apart is QTY."""
    row = document(
        HAS_RETURN="1",
        SOLD_QTY="2",
        RETURN_QTY="1",
        SALE_SUBTOTAL="276.00",
        SALE_TOTAL_TAX_AMT="0.00",
        SALE_TOTAL_AMT="276.00",
        TRANSACTION_TOTAL_AMT="147.00",
    )
    return Receipt(
        row,
        [
            line(row, ITEM_TYPE="2", QTY="-1", PRICE="129.00", TAX_AMT="0.00"),
            line(row, ITEM_TYPE="1", QTY="2", PRICE="138.00", TAX_AMT="0.00"),
        ],
    )


def exchange_by_type() -> Receipt:
    """The same with positive quantities: ITEM_TYPE tells the lines apart, else only the sums."""
    receipt = exchange_by_sign()
    receipt.document.update(RETURN_SUBTOTAL="129.00", RETURN_TOTAL_TAX_AMT="0.00")
    receipt.lines[0].update(QTY="1")
    return receipt


def refund(**changes: str) -> Receipt:
    """One piece of 20.00 and 2.00 tax brought back."""
    of = new_sid()
    row = document(
        RECEIPT_TYPE="1",
        HAS_SALE="0",
        HAS_RETURN="1",
        SOLD_QTY="0",
        RETURN_QTY="1",
        SALE_SUBTOTAL="0.00",
        SALE_TOTAL_TAX_AMT="0.00",
        SALE_TOTAL_AMT="0.00",
        USE_VAT="0",
        REF_SALE_SID=of,
    )
    row |= changes
    returned = line(row, ITEM_TYPE="2", PRICE="20.00", TAX_AMT="2.00", RETURNED_ITEM_INVOICE_SID=of)
    return Receipt(row, [returned])


def refund_by_header() -> Receipt:
    """What it paid back is in the header, without tax."""
    return refund(RETURN_SUBTOTAL="20.00", RETURN_TOTAL_TAX_AMT="2.00")


def refund_with_tax() -> Receipt:
    """What it paid back is in the header, with tax."""
    return refund(
        RETURN_SUBTOTAL_WITH_TAX="22.00", RETURN_TOTAL_TAX_AMT="2.00", USE_VAT="", REF_SALE_SID=""
    )


def refund_at_a_discount() -> Receipt:
    """What it paid back is in its line, after a discount of the document."""
    receipt = refund()
    receipt.lines[0].update(DIP_PRICE="18.00", TAX_AMT="1.80")
    return receipt


def parked() -> Receipt:
    """A receipt that is not finished, as only IS_HELD says."""
    row = document(IS_HELD="1")
    return Receipt(row, [line(row)])


def unposted() -> Receipt:
    """A receipt that is not finished, as only STATUS says."""
    row = document(STATUS="3")
    return Receipt(row, [line(row)])


def deposit() -> Receipt:
    """A deposit, as only RECEIPT_TYPE says."""
    row = document(RECEIPT_TYPE="2")
    return Receipt(row, [line(row)])


def sold(total: str, products: Any = None, **properties: Any) -> Mapping[str, Any]:
    """An Order Completed."""
    return _event("Order Completed", total, products, properties)


def returned(total: str, products: Any = None, **properties: Any) -> Mapping[str, Any]:
    """An Order Refunded."""
    return _event("Order Refunded", total, products, properties)


def _event(name: str, total: str, products: Any, properties: dict[str, Any]) -> Mapping[str, Any]:
    if products is not None:
        properties["products"] = products
    return {"event": name, "properties": {"total": Decimal(total)} | properties}


ONE: list[Any] = [{"quantity": 1}]
TWO: list[Any] = [{"quantity": 2}]

RECEIPTS = {
    "sale": (sale, [sold("55.00", ONE)]),
    "kit": (kit, [sold("55.00", ONE)]),
    "exchange_by_sign": (exchange_by_sign, [sold("276.00", TWO), returned("129.00", ONE)]),
    "exchange_by_type": (exchange_by_type, [sold("276.00", TWO), returned("129.00", ONE)]),
    "refund_by_header": (refund_by_header, [returned("22.00", ONE, tax=Decimal("2.00"))]),
    "refund_with_tax": (refund_with_tax, [returned("22.00", ONE, tax=Decimal("2.00"))]),
    "refund_at_a_discount": (refund_at_a_discount, [returned("19.80", ONE, tax=Decimal("1.80"))]),
    "parked": (parked, []),
    "unposted": (unposted, []),
    "deposit": (deposit, []),
}
"""Receipts, and the messages about them when no column is missing."""

OTHERWISE: dict[tuple[str, str], dict[str, list[Mapping[str, Any]]]] = {
    ("document", "STATUS"): {"unposted": [sold("55.00", ONE)]},
    ("document", "IS_HELD"): {"parked": [sold("55.00", ONE)]},
    ("document", "RECEIPT_TYPE"): {"deposit": [sold("55.00", ONE)]},
    ("document_item", "KIT_FLAG"): {"kit": [sold("55.00", [{"quantity": 1}, {"quantity": 1}])]},
    ("document_item", "DIP_PRICE"): {
        "refund_at_a_discount": [returned("21.80", ONE, tax=Decimal("1.80"))]
    },
}
"""The messages that another column decides about, by the column that is missing."""

EMPLOYEE = {"type": "identify", "traits": {"totalOrders": 1, "employee": True}}
ANYBODY = {"type": "identify", "traits": {"totalOrders": 1, "employee": ABSENT}}

WARNINGS = {("document_item", "KIT_FLAG"): {"quantities_differ"}}


def _case(table: str, column: str) -> Case:
    documents, lines, customers, messages = [], [], [], []
    identify = ANYBODY if column == "CUST_TYPE" else EMPLOYEE
    for name, (make, expected) in RECEIPTS.items():
        receipt = make()
        documents.append(receipt.document)
        lines += receipt.lines
        customers += [receipt.customer] if receipt.customer else []
        messages += OTHERWISE.get((table, column), {}).get(name, expected)
    for row in {"document": documents, "document_item": lines, "customer": customers}[table]:
        row.pop(column, None)
    return Case(
        f"without_{table}_{column}",
        customers=customers,
        documents=documents,
        lines=lines,
        messages=[identify, *sorted(messages, key=lambda message: str(message["event"]))],
        warnings=WARNINGS.get((table, column), set()),
    )


CASES = [_case(table, column) for table, column in sorted(OPTIONAL)]
