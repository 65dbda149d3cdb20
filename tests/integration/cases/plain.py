"""The ordinary rows themselves: what every other case differs from."""

from decimal import Decimal

from tests.integration.cases.case import ABSENT, Case, customer, document, line

SALE = document()
BOUGHT = document(BT_CUID=(BUYER := customer())["SID"])

CASES = [
    Case(
        "an_ordinary_sale_to_nobody",
        documents=[SALE],
        lines=[line(SALE)],
        messages=[
            {
                "event": "Order Completed",
                "userId": ABSENT,
                "timestamp": "2026-05-05T14:00:00.000Z",
                "properties": {
                    "order_id": SALE["SID"],
                    "total": Decimal("55.00"),
                    "revenue": Decimal("50.00"),
                    "tax": Decimal("5.00"),
                    "currency": "USD",
                    "products": [{"price": Decimal("50.00"), "quantity": 1}],
                },
            }
        ],
    ),
    Case(
        "an_ordinary_customer_with_a_sale",
        customers=[BUYER],
        documents=[BOUGHT],
        lines=[line(BOUGHT)],
        messages=[
            {"type": "identify", "userId": BUYER["SID"], "traits": {"totalOrders": 1}},
            {"event": "Order Completed", "userId": BUYER["SID"]},
        ],
    ),
]
