"""Which side of a receipt is an order, what its header and its lines say, and what it is worth."""

from decimal import Decimal
from typing import TypedDict

from tests.integration.cases.case import ABSENT, Case, Later, Row, customer, document, line, newer

SILENT = {"HAS_SALE": "", "HAS_RETURN": "", "SOLD_QTY": "", "RETURN_QTY": ""}
OF_25 = {"SALE_SUBTOTAL": "25", "SALE_TOTAL_TAX_AMT": "0", "SALE_TOTAL_AMT": "25"}
PURE_RETURN = {
    "HAS_SALE": "0",
    "HAS_RETURN": "1",
    "SOLD_QTY": "0",
    "RETURN_QTY": "1",
    "RECEIPT_TYPE": "1",
    "SALE_SUBTOTAL": "0",
    "SALE_TOTAL_TAX_AMT": "0",
    "SALE_TOTAL_AMT": "0",
}
EXCHANGE = {
    "HAS_RETURN": "1",
    "RETURN_QTY": "1",
    "USE_VAT": "0",
    "RETURN_SUBTOTAL": "20.00",
    "RETURN_TOTAL_TAX_AMT": "0",
}
COMPLETED, REFUNDED = {"event": "Order Completed"}, {"event": "Order Refunded"}


class Rows(TypedDict):
    """Rows of a case."""

    documents: list[Row]
    lines: list[Row]


def sale(**properties: object) -> dict[str, object]:
    """An Order Completed with these properties."""
    return {"event": "Order Completed", "properties": properties}


def refund(**properties: object) -> dict[str, object]:
    """An Order Refunded with these properties."""
    return {"event": "Order Refunded", "properties": properties}


def of(row: Row, *lines: dict[str, str]) -> Rows:
    """A document and its lines, each told by what is different about it."""
    return {"documents": [row], "lines": [line(row, **changes) for changes in lines]}


ORDERS = [
    Case(
        "a_layaway_payment_is_no_sale",
        **of(document(ORDER_TYPE="2", **SILENT, **OF_25), {"ITEM_TYPE": "3", "PRICE": "25"}),
    ),
    Case(
        "order_lines_say_more_than_a_header_that_only_has_a_total",
        **of(document(**SILENT, **OF_25), {"ITEM_TYPE": "3", "PRICE": "25"}),
    ),
    Case(
        "a_layaway_payment_whose_line_has_no_type",
        **of(document(ORDER_TYPE="2", **SILENT, **OF_25), {"ITEM_TYPE": "", "PRICE": "25"}),
    ),
    Case(
        "a_layaway_that_is_handed_over_is_a_sale",
        **of(document(ORDER_TYPE="2", **SILENT, **OF_25), {"ITEM_TYPE": "1", "PRICE": "25"}),
        messages=[sale(total=Decimal(25))],
    ),
    Case(
        "a_sale_of_which_all_lines_are_order_lines_is_held",
        **of(document(), {"ITEM_TYPE": "3"}),
        failures={"order_lines_only"},
    ),
    Case(
        "a_return_of_which_all_lines_are_order_lines_is_held",
        **of(document(**PURE_RETURN | {"RETURN_SUBTOTAL": "50"}), {"ITEM_TYPE": "3"}),
        failures={"order_lines_only"},
    ),
]

SIDES = [
    Case(
        "a_sale_without_a_line_of_its_own_is_told",
        **of(document(), {"ITEM_TYPE": "4"}),
        messages=[sale(products=ABSENT)],
        warnings={"quantities_differ"},
    ),
    Case(
        "a_sale_without_quantities_and_without_a_line_of_its_own_is_told",
        **of(document(SOLD_QTY="", RETURN_QTY=""), {"ITEM_TYPE": "4"}),
        messages=[sale(products=ABSENT)],
        warnings={"quantities_differ"},
    ),
    Case(
        "a_return_without_a_line_of_its_own_is_told",
        **of(document(**EXCHANGE), {}),
        messages=[sale(total=Decimal(55)), refund(total=Decimal(20), products=ABSENT)],
        warnings={"quantities_differ"},
    ),
    Case(
        "the_sale_of_an_exchange_without_a_line_of_its_own_is_told",
        **of(document(**EXCHANGE), {"ITEM_TYPE": "2", "PRICE": "20"}),
        messages=[sale(total=Decimal(55), products=ABSENT), REFUNDED],
        warnings={"quantities_differ"},
    ),
    Case(
        "a_header_that_writes_returns_as_negative_sales_fits_its_lines",
        **of(
            document(
                **PURE_RETURN
                | {"HAS_SALE": "", "SOLD_QTY": "-1", "RETURN_QTY": "", "RETURN_SUBTOTAL": "50"},
                RETURN_TOTAL_TAX_AMT="0",
            ),
            {"ITEM_TYPE": "2"},
        ),
        messages=[refund(total=Decimal(50))],
    ),
    Case(
        "a_kind_that_cannot_be_read_is_no_kind_without_sides",
        **of(document(**SILENT, RECEIPT_TYPE="x")),
        failures={"flag_unreadable"},
    ),
    Case(
        "a_total_that_cannot_be_read_is_no_total_of_nothing",
        **of(document(**SILENT | {"SALE_TOTAL_AMT": "55 and more"})),
        failures={"number_unreadable"},
    ),
    Case(
        "a_sale_line_without_a_quantity_is_a_sale_line",
        **of(document(**SILENT, RECEIPT_TYPE=""), {"QTY": ""}),
        failures={"number_unreadable"},
    ),
    Case(
        "lines_are_compared_with_the_total_where_there_is_no_subtotal",
        **of(document(SALE_SUBTOTAL=""), {"PRICE": "10"}),
        messages=[sale(total=Decimal(55), subtotal=ABSENT, revenue=Decimal(50))],
        warnings={"sums_do_not_fit", "lines_differ_from_header"},
    ),
    Case(
        "lines_that_fit_the_total_where_there_is_no_subtotal",
        **of(document(SALE_SUBTOTAL="", SHIPPING_AMT="5", SALE_TOTAL_AMT="60"), {}),
        messages=[sale(total=Decimal(60), subtotal=ABSENT, revenue=Decimal(50))],
        warnings={"sums_do_not_fit"},
    ),
    Case(
        "returned_lines_are_compared_with_a_total_that_includes_tax",
        **of(
            document(**PURE_RETURN, RETURN_SUBTOTAL_WITH_TAX="55", RETURN_TOTAL_TAX_AMT="5"),
            {"ITEM_TYPE": "2", "PRICE": "10"},
        ),
        messages=[refund(total=Decimal(55), subtotal=Decimal(50))],
        warnings={"lines_differ_from_header"},
    ),
    Case(
        "returned_lines_that_fit_a_total_that_includes_tax",
        **of(
            document(**PURE_RETURN, RETURN_SUBTOTAL_WITH_TAX="55", RETURN_TOTAL_TAX_AMT="5"),
            {"ITEM_TYPE": "2"},
        ),
        messages=[refund(total=Decimal(55), subtotal=Decimal(50))],
    ),
    Case(
        "a_return_whose_lines_are_worth_less_than_nothing_is_held",
        **of(document(**PURE_RETURN, USE_VAT="0"), {"ITEM_TYPE": "2", "PRICE": "-50"}),
        failures={"sign_conflict"},
    ),
]

PAYER, RETURNER = customer(), customer()

FEES = [
    Case(
        "a_fee_is_part_of_the_sum",
        **of(
            document(
                SALE_SUBTOTAL="100",
                SALE_TOTAL_TAX_AMT="0",
                SALE_TOTAL_AMT="101",
                TOTAL_FEE_AMT="1",
            ),
            {"PRICE": "100"},
        ),
        messages=[
            sale(total=Decimal(101), subtotal=Decimal(100), revenue=Decimal(101), fee=Decimal(1))
        ],
    ),
    Case(
        "a_fee_counts_as_revenue_of_the_customer",
        customers=[PAYER],
        **of(document(BT_CUID=PAYER["SID"], SALE_TOTAL_AMT="56", TOTAL_FEE_AMT="1.00"), {}),
        messages=[
            {"type": "identify", "traits": {"lifetimeRevenue": Decimal(51)}},
            sale(subtotal=Decimal(50), revenue=Decimal(51), tax=Decimal(5), fee=Decimal(1)),
        ],
    ),
    Case(
        "a_fee_beside_prices_that_include_tax",
        **of(
            document(SALE_SUBTOTAL="55", SALE_TOTAL_AMT="57", TOTAL_FEE_AMT="2", USE_VAT="1"),
            {"PRICE": "55"},
        ),
        messages=[sale(subtotal=Decimal(50), revenue=Decimal(52), tax=Decimal(5), fee=Decimal(2))],
    ),
    Case(
        "a_fee_as_large_as_the_tax_that_prices_include",
        **of(
            document(SALE_SUBTOTAL="55", SALE_TOTAL_AMT="60", TOTAL_FEE_AMT="5", USE_VAT="1"),
            {"PRICE": "55"},
        ),
        messages=[sale(subtotal=Decimal(50), revenue=Decimal(55), tax=Decimal(5), fee=Decimal(5))],
    ),
    Case(
        "a_fee_as_large_as_the_tax_that_may_be_added",
        **of(document(SALE_SUBTOTAL="55", SALE_TOTAL_AMT="60", TOTAL_FEE_AMT="5"), {"PRICE": "55"}),
        messages=[sale(subtotal=Decimal(55), revenue=Decimal(55), tax=Decimal(5), fee=ABSENT)],
        warnings={"fee_unexplained"},
    ),
    Case(
        "a_fee_that_the_sum_does_not_hold_changes_nothing",
        **of(document(TOTAL_FEE_AMT="1"), {}),
        messages=[sale(total=Decimal(55), subtotal=Decimal(50), revenue=Decimal(50), fee=ABSENT)],
        warnings={"fee_unexplained"},
    ),
    Case(
        "a_negative_fee_changes_nothing",
        **of(document(SALE_TOTAL_AMT="54", TOTAL_FEE_AMT="-1"), {}),
        messages=[sale(total=Decimal(54), subtotal=ABSENT, revenue=Decimal(49), fee=ABSENT)],
        warnings={"fee_unexplained", "sums_do_not_fit"},
    ),
    Case(
        "no_fee_is_not_sent",
        **of(document(TOTAL_FEE_AMT="0.00"), {}),
        messages=[sale(fee=ABSENT)],
    ),
    Case(
        "a_fee_that_cannot_be_read_holds_the_order",
        **of(document(TOTAL_FEE_AMT="one"), {}),
        failures={"number_unreadable"},
    ),
    Case(
        "a_fee_in_the_sale_of_an_exchange",
        **of(
            document(
                **EXCHANGE, SALE_TOTAL_AMT="56", TRANSACTION_TOTAL_AMT="36", TOTAL_FEE_AMT="1"
            ),
            {},
            {"ITEM_TYPE": "2", "PRICE": "20"},
        ),
        messages=[
            sale(total=Decimal(56), fee=Decimal(1)),
            refund(total=Decimal(20), subtotal=Decimal(20), fee=ABSENT),
        ],
    ),
    Case(
        "a_fee_in_the_return_of_an_exchange",
        **of(
            document(**EXCHANGE, TRANSACTION_TOTAL_AMT="34", TOTAL_FEE_AMT="1"),
            {},
            {"ITEM_TYPE": "2", "PRICE": "20"},
        ),
        messages=[
            sale(total=Decimal(55), fee=ABSENT),
            refund(total=Decimal(21), subtotal=Decimal(20), fee=Decimal(1)),
        ],
    ),
    Case(
        "a_fee_that_fits_both_sides_of_an_exchange_counts_once",
        **of(
            document(
                **EXCHANGE, SALE_TOTAL_AMT="56", TRANSACTION_TOTAL_AMT="35", TOTAL_FEE_AMT="1"
            ),
            {},
            {"ITEM_TYPE": "2", "PRICE": "20"},
        ),
        messages=[sale(fee=Decimal(1)), refund(total=Decimal(20), fee=ABSENT)],
    ),
    Case(
        "a_fee_that_fits_no_side_of_an_exchange",
        **of(
            document(**EXCHANGE, TRANSACTION_TOTAL_AMT="36", TOTAL_FEE_AMT="1"),
            {},
            {"ITEM_TYPE": "2", "PRICE": "20"},
        ),
        messages=[sale(fee=ABSENT), refund(total=Decimal(20), fee=ABSENT)],
        warnings={"fee_unexplained"},
    ),
    Case(
        "a_fee_that_is_paid_back",
        customers=[RETURNER],
        **of(
            document(
                **PURE_RETURN,
                BT_CUID=RETURNER["SID"],
                USE_VAT="0",
                RETURN_SUBTOTAL="50",
                RETURN_TOTAL_TAX_AMT="5",
                TRANSACTION_TOTAL_AMT="-56",
                TOTAL_FEE_AMT="1",
            ),
            {"ITEM_TYPE": "2"},
        ),
        messages=[
            {"type": "identify", "traits": {"lifetimeRevenue": Decimal(-51)}},
            refund(total=Decimal(56), subtotal=Decimal(50), tax=Decimal(5), fee=Decimal(1)),
        ],
    ),
    Case(
        "a_fee_tells_whether_a_returned_amount_includes_tax",
        **of(
            document(
                **PURE_RETURN,
                RETURN_SUBTOTAL="55",
                RETURN_TOTAL_TAX_AMT="5",
                TRANSACTION_TOTAL_AMT="-56",
                TOTAL_FEE_AMT="1",
            ),
            {"ITEM_TYPE": "2", "PRICE": "55"},
        ),
        messages=[refund(total=Decimal(56), subtotal=Decimal(50), fee=Decimal(1))],
    ),
    Case(
        "a_fee_on_a_return_that_no_sum_holds",
        **of(
            document(**PURE_RETURN, USE_VAT="0", RETURN_SUBTOTAL="50", TOTAL_FEE_AMT="1"),
            {"ITEM_TYPE": "2", "TAX_AMT": "5"},
        ),
        messages=[refund(total=Decimal(55), subtotal=Decimal(50), fee=ABSENT)],
        warnings={"fee_unexplained"},
    ),
]

NUMBERS = [
    Case(
        "a_receipt_number_without_digits_is_held",
        **of(document(DOC_NO="ABC"), {}),
        failures={"receipt_number_unreadable"},
    ),
    Case(
        "a_receipt_number_in_other_digits_is_held",
        **of(document(DOC_NO="٢٤٣"), {}),
        failures={"receipt_number_unreadable"},
    ),
    Case(
        "a_posted_document_with_the_number_0_is_held",
        **of(document(DOC_NO="0"), {}),
        failures={"receipt_number_unreadable"},
    ),
    Case(
        "a_receipt_number_without_digits_is_held_where_no_status_says_what_it_is",
        **of(document(DOC_NO="ABC", STATUS=""), {}),
        failures={"receipt_number_unreadable"},
    ),
    Case("a_document_without_a_number_is_not_posted", **of(document(DOC_NO=""), {})),
    Case(
        "a_document_with_the_number_0_is_not_posted_where_no_status_says_so",
        **of(document(DOC_NO="000", STATUS=""), {}),
    ),
]

UNNAMED_LINES = {"ITEM_TYPE": "", "TAX_AMT": ""}

EXCHANGES = [
    Case(
        "lines_of_an_exchange_without_types_that_divide_in_one_way",
        **of(
            document(**EXCHANGE),
            {**UNNAMED_LINES, "ALU": "bought"},
            {**UNNAMED_LINES, "ALU": "back", "PRICE": "20"},
        ),
        messages=[
            sale(products=[{"product_id": "bought", "price": Decimal(50), "position": 1}]),
            refund(products=[{"product_id": "back", "price": Decimal(20), "position": 1}]),
        ],
    ),
    Case(
        "lines_of_an_exchange_without_types_that_divide_in_two_ways",
        **of(
            document(**EXCHANGE | {"RETURN_SUBTOTAL": "50"}),
            {**UNNAMED_LINES},
            {**UNNAMED_LINES},
        ),
        messages=[sale(products=ABSENT), refund(total=Decimal(50), products=ABSENT)],
    ),
    Case(
        "lines_of_an_exchange_without_types_that_divide_in_no_way",
        **of(document(**EXCHANGE), {**UNNAMED_LINES}, {**UNNAMED_LINES, "PRICE": "25"}),
        messages=[sale(products=ABSENT), refund(total=Decimal(20), products=ABSENT)],
    ),
]

OF_TWO = {
    "SOLD_QTY": "2",
    "SALE_SUBTOTAL": "100",
    "SALE_TOTAL_TAX_AMT": "10",
    "SALE_TOTAL_AMT": "110",
}
OF_ONE = {
    "SOLD_QTY": "1",
    "SALE_SUBTOTAL": "50",
    "SALE_TOTAL_TAX_AMT": "5",
    "SALE_TOTAL_AMT": "55",
}
SHRUNK = [document(**OF_TWO), document(**OF_TWO)]
LINES_OF_THE_SHRUNK = [[line(row), line(row, ITEM_POS="2")] for row in SHRUNK]
UPDATED = {"event": "Order Updated"}

VERSIONS = [
    Case(
        "a_document_that_comes_again_with_some_of_its_lines",
        documents=SHRUNK[:1],
        lines=LINES_OF_THE_SHRUNK[0],
        later=Later(documents=[newer(SHRUNK[0])], lines=LINES_OF_THE_SHRUNK[0][:1]),
        messages=[COMPLETED, {**UPDATED, "properties": {"products": [{"position": 1}]}}],
        warnings={"lines_may_be_missing", "quantities_differ", "lines_differ_from_header"},
    ),
    Case(
        "a_document_that_comes_again_with_fewer_pieces",
        documents=SHRUNK[1:],
        lines=LINES_OF_THE_SHRUNK[1],
        later=Later(documents=[newer(SHRUNK[1], **OF_ONE)], lines=LINES_OF_THE_SHRUNK[1][:1]),
        messages=[COMPLETED, {**UPDATED, "properties": {"total": Decimal(55)}}],
    ),
]

UNKNOWN_STORE = {"SBS_NO": "1", "STORE_NO": "33", "CURRENCY_NAME": "US DOLLARS"}
VISITOR = customer()
STORE_BY_ANY_CODE = [
    document(BT_CUID=VISITOR["SID"], **UNKNOWN_STORE, STORE_CODE="33"),
    document(BT_CUID=VISITOR["SID"], **UNKNOWN_STORE, STORE_CODE="033"),
    document(BT_CUID=VISITOR["SID"], **UNKNOWN_STORE, STORE_CODE=""),
    document(BT_CUID=VISITOR["SID"], STORE_CODE="001"),
    document(BT_CUID=VISITOR["SID"], STORE_CODE="001"),
]
GUEST_BY_ANY_CODE = [
    document(**UNKNOWN_STORE, STORE_CODE="33"),
    document(**UNKNOWN_STORE, STORE_CODE="033"),
]
REGULAR = customer()
VISITS = [
    document(BT_CUID=REGULAR["SID"], **UNKNOWN_STORE, STORE_CODE="33"),
    document(BT_CUID=REGULAR["SID"], **UNKNOWN_STORE, STORE_CODE="033"),
    document(BT_CUID=REGULAR["SID"], STORE_CODE="001"),
]
UNNAMED = {"affiliation": "1-33"}

STORES = [
    Case(
        "a_store_outside_the_mapping_is_one_store_by_its_number",
        customers=[VISITOR],
        documents=STORE_BY_ANY_CODE,
        lines=[line(row) for row in STORE_BY_ANY_CODE],
        messages=[
            {"type": "identify", "traits": {"totalOrders": 5, "favoriteStore": "33"}},
            *[{"event": "Order Completed", "properties": UNNAMED}] * 3,
            *[{"event": "Order Completed"}] * 2,
        ],
    ),
    Case(
        "an_order_that_is_held_after_it_was_sent_stays_in_its_store",
        customers=[REGULAR],
        documents=VISITS,
        lines=[line(row) for row in VISITS],
        later=Later(
            documents=[
                newer(VISITS[1], CURRENCY_NAME="PIASTRE OF NOWHERE"),
                newer(VISITS[2], TENDER_NAME="Cash"),
            ],
            customers=[newer(REGULAR, LAST_NAME="Regular")],
        ),
        messages=[
            {"type": "identify", "traits": {"totalOrders": 3, "favoriteStore": "33"}},
            {"type": "identify", "traits": {"totalOrders": 3, "favoriteStore": "33"}},
            *[COMPLETED] * 3,
            UPDATED,
        ],
        failures={"currency_unmapped"},
    ),
    Case(
        "guests_of_a_store_outside_the_mapping_have_one_id",
        documents=GUEST_BY_ANY_CODE,
        lines=[line(row) for row in GUEST_BY_ANY_CODE],
        messages=[
            {"anonymousId": "retail-pro-store-1-no-33", "properties": UNNAMED},
            {"anonymousId": "retail-pro-store-1-no-33", "properties": UNNAMED},
        ],
    ),
]

CASES = [*ORDERS, *SIDES, *EXCHANGES, *FEES, *NUMBERS, *VERSIONS, *STORES]
