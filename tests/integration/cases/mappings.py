"""What only the shop knows, and does not say: the failure names it."""

from tests.integration.cases.case import Case, document, line

ELSEWHERE = document(
    SBS_NO="9", STORE_CODE="077", STORE_NO="7", INVC_POST_DATE="2026-05-05 10:00:00"
)
PIASTRES = document(CURRENCY_NAME="Piastre\u0007 of\tNowhere")
NO_CURRENCY = document(CURRENCY_NAME="")
UNREADABLE = document(SALE_TOTAL_TAX_AMT="5,o0")
UNREADABLE_LINE = document()
BAD_LINE = line(UNREADABLE_LINE, PRICE="fifty " * 20)
BAD_TIME = document(INVC_POST_DATE="05/05/26 10:00")
BAD_FLAG = document(IS_HELD="perhaps")
BAD_NUMBER = document(DOC_NO="ABC")
BAD_BUYER = document(BT_CUID="5E+17")

CASES = [
    Case(
        "a_store_without_zone_is_named",
        documents=[ELSEWHERE],
        lines=[line(ELSEWHERE)],
        failures={"timezone_unknown"},
        told=[
            'SBS_NO is "9", STORE_NO is "7", STORE_CODE is "077", INVC_POST_DATE is '
            '"2026-05-05 10:00:00". The time has no zone'
        ],
    ),
    Case(
        "an_unknown_currency_is_named",
        documents=[PIASTRES],
        lines=[line(PIASTRES)],
        failures={"currency_unmapped"},
        told=['CURRENCY_NAME is "Piastre of Nowhere". CURRENCY_NAME has no ISO code.'],
    ),
    Case(
        "an_empty_currency_is_named",
        documents=[NO_CURRENCY],
        lines=[line(NO_CURRENCY)],
        failures={"currency_unmapped"},
        told=["CURRENCY_NAME is empty. "],
    ),
    Case(
        "an_unreadable_number_is_named",
        documents=[UNREADABLE],
        lines=[line(UNREADABLE)],
        failures={"number_unreadable"},
        told=['SALE_TOTAL_TAX_AMT is "5,o0". '],
    ),
    Case(
        "an_unreadable_number_of_a_line_is_named_and_cut",
        documents=[UNREADABLE_LINE],
        lines=[BAD_LINE],
        failures={"number_unreadable"},
        told=[f'line {BAD_LINE["SID"]}: PRICE is "fifty fifty fifty fifty fifty fifty fif…". '],
    ),
    Case(
        "an_unreadable_time_is_named",
        documents=[BAD_TIME],
        lines=[line(BAD_TIME)],
        failures={"timestamp_unreadable"},
        told=['INVC_POST_DATE is "05/05/26 10:00". '],
    ),
    Case(
        "an_unreadable_flag_is_named",
        documents=[BAD_FLAG],
        lines=[line(BAD_FLAG)],
        failures={"flag_unreadable"},
        told=['IS_HELD is "perhaps". '],
    ),
    Case(
        "a_receipt_number_without_digits_is_named",
        documents=[BAD_NUMBER],
        lines=[line(BAD_NUMBER)],
        failures={"receipt_number_unreadable"},
        told=['DOC_NO is "ABC". '],
    ),
    Case(
        "a_mangled_customer_of_an_order_is_named",
        documents=[BAD_BUYER],
        lines=[line(BAD_BUYER)],
        failures={"sid_malformed"},
        told=['BT_CUID is "5E+17". '],
    ),
]
