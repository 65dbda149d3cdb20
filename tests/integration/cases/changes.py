"""Orders that the export changes after they were sent: what is told, and to whom they belong."""

from decimal import Decimal
from typing import Any

from tests.integration.cases.case import ABSENT, Case, Later, Row, customer, document, line, newer

TAKEN_BACK: dict[str, tuple[dict[str, str], str]] = {
    "held": ({"IS_HELD": "1"}, "held"),
    "not_posted_any_more": ({"STATUS": "3"}, "not_posted"),
    "without_its_number": ({"DOC_NO": ""}, "not_posted"),
    "an_order_by_its_receipt_type": ({"RECEIPT_TYPE": "2"}, "order_or_deposit"),
}


def cancelled(row: Row, reason: str) -> dict[str, Any]:
    """What is said of a sale of customer()'s that a later version takes back."""
    return {
        "event": "Order Cancelled",
        "userId": row["BT_CUID"],
        "timestamp": "2026-05-06T14:00:00.000Z",
        "properties": {
            "order_id": row["SID"],
            "reason": reason,
            "total": Decimal("55.00"),
            "currency": "USD",
            "products": [{"price": Decimal("50.00"), "quantity": 1}],
            "revenue": ABSENT,
            "fee": ABSENT,
        },
    }


def sale_taken_back(name: str, changes: dict[str, str], reason: str) -> Case:
    """A sale of a customer who has no other, and what a later version of it says."""
    buyer = customer()
    sale = document(BT_CUID=buyer["SID"])
    return Case(
        f"a_sent_sale_is_{name}",
        customers=[buyer],
        documents=[sale],
        lines=[line(sale)],
        later=Later(documents=[newer(sale, **changes)]),
        messages=[
            {"type": "identify", "traits": {"totalOrders": 1, "lifetimeRevenue": Decimal(50)}},
            {
                "type": "identify",
                "traits": {
                    "totalOrders": 0,
                    "lifetimeItemsPurchased": 0,
                    "lifetimeRevenue": 0,
                    "averageOrderValue": None,
                    "firstOrderAt": None,
                    "lastOrderAt": None,
                },
            },
            cancelled(sale, reason),
            {"event": "Order Completed"},
        ],
    )


RETURNED = document(BT_CUID=(RETURNER := customer())["SID"])
RETURNED_LINE = line(RETURNED)

HELD_BY_A_RULE = document()
UNREADABLE = document()
NOTED = document(BT_EMAIL="one@mail.test")

FIRST_OWNER, SECOND_OWNER = customer(), customer()
MOVED = document(BT_CUID=FIRST_OWNER["SID"])
GUESTS = document()
GUESTS_OWNER = customer()

RETURN_COLUMNS = {
    "HAS_SALE": "0",
    "HAS_RETURN": "1",
    "SOLD_QTY": "0",
    "RETURN_QTY": "1",
    "SALE_SUBTOTAL": "0",
    "SALE_TOTAL_TAX_AMT": "0",
    "SALE_TOTAL_AMT": "0",
    "RETURN_SUBTOTAL": "50.00",
    "RETURN_TOTAL_TAX_AMT": "5.00",
    "USE_VAT": "0",
}
REFUND, VOIDED_REFUND = document(**RETURN_COLUMNS), document(**RETURN_COLUMNS)
REFUNDED_OWNER = customer()

CASES = [
    *(sale_taken_back(name, *taken_back) for name, taken_back in TAKEN_BACK.items()),
    Case(
        "a_sent_sale_is_turned_into_a_return",
        customers=[RETURNER],
        documents=[RETURNED],
        lines=[RETURNED_LINE],
        later=Later(
            documents=[newer(RETURNED, **RETURN_COLUMNS)],
            lines=[newer(RETURNED_LINE, ITEM_TYPE="2")],
        ),
        messages=[
            {"type": "identify", "traits": {"lifetimeRevenue": Decimal(50)}},
            {
                "type": "identify",
                "traits": {
                    "totalOrders": 0,
                    "lifetimeRevenue": Decimal(-50),
                    "averageOrderValue": None,
                    "lastOrderAt": None,
                },
            },
            cancelled(RETURNED, "no_sale"),
            {"event": "Order Completed"},
            {"event": "Order Refunded", "properties": {"total": Decimal("55.00")}},
        ],
    ),
    Case(
        "a_sent_sale_that_cannot_be_read_any_more_is_not_cancelled",
        documents=[HELD_BY_A_RULE, UNREADABLE],
        lines=[line(HELD_BY_A_RULE), line(UNREADABLE)],
        later=Later(
            documents=[
                newer(HELD_BY_A_RULE, CURRENCY_NAME="PIASTRE OF NOWHERE"),
                newer(UNREADABLE, STATUS="posted", SOLD_QTY="none"),
            ]
        ),
        messages=[{"event": "Order Completed"}, {"event": "Order Completed"}],
        failures={"currency_unmapped", "flag_unreadable"},
    ),
    Case(
        "a_sent_sale_comes_again_with_other_notes",
        documents=[NOTED],
        lines=[line(NOTED)],
        later=Later(documents=[newer(NOTED, BT_EMAIL="other@mail.test", POST_DATE="2026-05-06")]),
        messages=[{"event": "Order Completed"}],
    ),
    Case(
        "a_sale_moves_to_another_customer",
        customers=[FIRST_OWNER, SECOND_OWNER],
        documents=[MOVED],
        lines=[line(MOVED)],
        later=Later(documents=[newer(MOVED, BT_CUID=SECOND_OWNER["SID"])]),
        messages=[
            {"userId": FIRST_OWNER["SID"], "traits": {"lifetimeRevenue": Decimal(50)}},
            {"userId": FIRST_OWNER["SID"], "traits": {"totalOrders": 0, "lifetimeRevenue": 0}},
            {"userId": SECOND_OWNER["SID"], "traits": {"lifetimeRevenue": ABSENT}},
            {"userId": SECOND_OWNER["SID"], "traits": {"lifetimeRevenue": Decimal(50)}},
            {"event": "Order Completed", "userId": FIRST_OWNER["SID"]},
            {
                "event": "Order Updated",
                "userId": SECOND_OWNER["SID"],
                "properties": {"order_id": MOVED["SID"], "revenue": Decimal("50.00")},
            },
        ],
        warnings={"customer_changed"},
    ),
    Case(
        "a_guests_receipt_gets_its_customer_later",
        documents=[GUESTS],
        lines=[line(GUESTS)],
        later=Later(
            customers=[GUESTS_OWNER], documents=[newer(GUESTS, BT_CUID=GUESTS_OWNER["SID"])]
        ),
        messages=[
            {"userId": GUESTS_OWNER["SID"], "traits": {"totalOrders": 1}},
            {"event": "Order Completed", "userId": ABSENT},
            {
                "event": "Order Updated",
                "userId": GUESTS_OWNER["SID"],
                "anonymousId": ABSENT,
            },
        ],
        warnings={"customer_changed"},
    ),
    Case(
        "refunds_that_move_or_are_voided_are_listed",
        documents=[REFUND, VOIDED_REFUND],
        lines=[line(REFUND, ITEM_TYPE="2"), line(VOIDED_REFUND, ITEM_TYPE="2")],
        later=Later(
            customers=[REFUNDED_OWNER],
            documents=[
                newer(REFUND, BT_CUID=REFUNDED_OWNER["SID"]),
                newer(VOIDED_REFUND, IS_HELD="1"),
            ],
        ),
        messages=[
            {"userId": REFUNDED_OWNER["SID"], "traits": {"lifetimeRevenue": Decimal(-50)}},
            {"event": "Order Refunded"},
            {"event": "Order Refunded"},
        ],
        failures={"refund_changed"},
    ),
]
