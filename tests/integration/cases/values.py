"""Text, numbers, times and ids that are written in an unusual way."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from tests.integration.cases.case import ABSENT, Case, customer, document, line, new_sid

NOW = datetime.now(timezone.utc).replace(microsecond=0)


class UpToNow:
    """As an expected value: a time that has come."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and other <= datetime.now(timezone.utc).isoformat()

    __hash__ = None  # type: ignore[assignment]


def sale(name: str, *, sent: dict[str, Any] | None = None, **changes: str) -> Case:
    """A sale that goes out, with this in its message."""
    row = document(**changes)
    return Case(name, documents=[row], lines=[line(row)], messages=[sent or {}])


def named(what: str, value: str) -> str:
    """The name of a case about a value."""
    spelled = value.strip().replace("+", "plus_").replace("-", "minus_")
    return f"{what}_" + re.sub(r"\W", "_", spelled)


def held(name: str, failure: str, **changes: str) -> Case:
    """A sale that is held."""
    row = document(**changes)
    return Case(name, documents=[row], lines=[line(row)], failures={failure})


def person(name: str, traits: dict[str, Any], *warnings: str, **changes: str) -> Case:
    """A customer with these traits and warnings."""
    row = customer(**changes)
    return Case(name, customers=[row], messages=[{"traits": traits}], warnings=set(warnings))


# --- text -----------------------------------------------------------------------------------

ZERO_WIDTH = "\u200b\u200c\u200d\u2060\ufeff"
JOINED = "\U0001f469\u200d\U0001f4bb"
FLAG = "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"


def text() -> Iterator[Case]:
    blank_email = f"robin.{new_sid()}@mail.test"
    yield person(
        "blanks_of_any_script_are_blanks",
        {"firstName": "太郎", "lastName": "山 田", "email": blank_email},
        FIRST_NAME="\u3000太郎\u2003",
        LAST_NAME="山\u3000 田",
        EMAIL=f"{blank_email}\u3000",
    )
    yield person(
        "a_name_of_a_blank_alone_is_none",
        {"firstName": ABSENT, "lastName": "Case"},
        FIRST_NAME="\u3000\u2800",
    )
    yield person(
        "a_name_of_zero_width_characters_is_none",
        {"firstName": ABSENT, "lastName": ABSENT, "name": ABSENT},
        FIRST_NAME=ZERO_WIDTH,
        LAST_NAME=ZERO_WIDTH[::-1],
    )
    yield person(
        "marks_without_a_width_are_taken_out",
        {"firstName": "Ann", "lastName": "Lee"},
        FIRST_NAME="\ufeffAn\u200bn\u202e",
        LAST_NAME="L\u00ad\u2066ee\u200d",
    )
    yield person(
        "a_control_of_latin_1_is_taken_out_and_reported",
        {"lastName": "OBrien"},
        "text_damaged",
        LAST_NAME="O\u0092Brien",
    )
    yield person(
        "text_that_was_read_in_a_wrong_encoding",
        {"firstName": "MÃ¼ller", "lastName": "Oâ€™Brien"},
        "text_damaged",
        FIRST_NAME="MÃ¼ller",
        LAST_NAME="Oâ€™Brien",
    )
    yield person(
        "text_that_lost_its_letters", {"lastName": "?????"}, "text_damaged", LAST_NAME="?????"
    )
    yield person("umlauts_are_no_damage", {"firstName": "Müller Ãngel"}, FIRST_NAME="Müller Ãngel")
    yield person(
        "joiners_of_scripts_and_pictures_stay",
        {"firstName": f"\u0646\u0627\u0645\u0647\u200c\u0627\u06cc {JOINED}", "lastName": FLAG},
        FIRST_NAME=f"\u0646\u0627\u0645\u0647\u200c\u0627\u06cc\u200c {JOINED}",
        LAST_NAME=FLAG,
    )
    yield sale(
        "a_currency_and_a_sid_with_odd_blanks",
        sent={"properties": {"currency": "USD", "store_code": "001"}},
        CURRENCY_NAME="\ufeffUS\u3000DOLLARS\u3000",
        STORE_CODE="\u200b001\u00a0",
    )


# --- ids ------------------------------------------------------------------------------------


def ids() -> Iterator[Case]:
    yield held("a_customer_id_with_a_zero_before_it", "sid_malformed", BT_CUID=f"0{new_sid()}")
    yield held("an_id_of_zeros_alone", "sid_malformed", BT_CUID="000")
    yield held("a_document_id_with_a_zero_before_it", "sid_malformed", SID=f"0{new_sid()}")
    buyer = customer(SID=f"0{new_sid()}")
    yield Case("a_customer_with_a_zero_before_it", customers=[buyer], failures={"sid_malformed"})
    row = document()
    yield Case(
        "references_with_a_zero_before_them",
        documents=[row],
        lines=[line(row, ALU="", INVN_SBS_ITEM_SID="0123", RETURNED_ITEM_INVOICE_SID="0123")],
        messages=[{"properties": {"products": [{"product_id": ABSENT}]}}],
        warnings={"product_unidentified", "reference_malformed"},
    )


# --- times ----------------------------------------------------------------------------------


def moment(text: str) -> dict[str, Any]:
    return {"timestamp": text}


def times() -> Iterator[Case]:
    for offset in ("+99:99", "+24:00", "+05:75", "+14:01", "-12:30", "-13:00"):
        yield held(
            named("an_offset_of", offset),
            "timestamp_unreadable",
            INVC_POST_DATE=f"2026-05-05T10:00:00{offset}",
        )
    for offset, instant in (
        ("-04", "2026-05-05T14:00:00.000Z"),
        ("+14:00", "2026-05-04T20:00:00.000Z"),
        ("-12:00", "2026-05-05T22:00:00.000Z"),
        ("+0545", "2026-05-05T04:15:00.000Z"),
        (" GMT", "2026-05-05T10:00:00.000Z"),
        (" Asia/Tokyo", "2026-05-05T01:00:00.000Z"),
    ):
        yield sale(
            named("an_offset_of", offset),
            sent=moment(instant),
            INVC_POST_DATE=f"2026-05-05 10:00:00{offset}",
        )


def changes_of_the_clock() -> Iterator[Case]:
    """Naive times in New York and Rome, on the days on which the clocks change."""
    rome = {"SBS_NO": "2", "STORE_CODE": "", "STORE_NO": ""}
    for place, store, clock, instant, warnings in (
        ("new_york_skips", {}, "2026-03-08 02:30:00", "2026-03-08T07:30:00.000Z", {"time_skipped"}),
        (
            "new_york_has_twice",
            {},
            "2026-11-01 01:30:00",
            "2026-11-01T05:30:00.000Z",
            {"time_repeated"},
        ),
        ("rome_skips", rome, "2026-03-29 02:30:00", "2026-03-29T01:30:00.000Z", {"time_skipped"}),
        (
            "rome_has_twice",
            rome,
            "2026-10-25 02:30:00",
            "2026-10-25T00:30:00.000Z",
            {"time_repeated"},
        ),
        ("comes_after_a_skip", {}, "2026-03-08 03:00:00", "2026-03-08T07:00:00.000Z", set()),
        ("comes_after_a_repetition", {}, "2026-11-01 02:00:00", "2026-11-01T07:00:00.000Z", set()),
    ):
        row = document(**store, INVC_POST_DATE=clock)
        yield Case(
            f"a_time_that_{place}",
            documents=[row],
            lines=[line(row)],
            messages=[moment(instant)],
            warnings=warnings,
        )
    rows = [document(INVC_POST_DATE=f"2026-03-08 02:{minute:02}:00") for minute in range(30)]
    yield Case(
        "many_times_that_the_clock_skips_stop_nobody",
        documents=rows,
        lines=[line(row) for row in rows],
        messages=[moment(f"2026-03-08T07:{minute:02}:00.000Z") for minute in range(30)],
        warnings={"time_skipped"},
    )


def times_ahead() -> Iterator[Case]:
    yield held("a_time_of_another_decade", "time_in_future", INVC_POST_DATE="2031-05-05T10:00:00Z")
    tomorrow = (NOW + timedelta(hours=24)).isoformat()
    row = document(INVC_POST_DATE=tomorrow, BT_CUID=(buyer := customer())["SID"])
    yield Case(
        "a_time_of_tomorrow_and_the_customer_of_it",
        customers=[buyer],
        documents=[row],
        lines=[line(row)],
        messages=[
            {"traits": {"totalOrders": 1, "firstOrderAt": UpToNow(), "lastOrderAt": UpToNow()}},
            moment(tomorrow.replace("+00:00", ".000Z")),
        ],
        warnings={"time_ahead"},
    )
    two_days_ago = (NOW - timedelta(days=2)).isoformat()
    row = document(INVC_POST_DATE=two_days_ago)
    yield Case(
        "a_time_that_was_ahead_when_the_row_came_stays_held",
        old_documents=[row],
        lines=[line(row)],
        failures={"time_in_future"},
    )
    row = document(INVC_POST_DATE=two_days_ago)
    yield Case(
        "a_time_that_was_ahead_goes_out_when_the_row_comes_again",
        old_documents=[row],
        documents=[row],
        lines=[line(row)],
        messages=[moment(two_days_ago.replace("+00:00", ".000Z"))],
    )
    yield person(
        "a_customer_of_tomorrow",
        {"createdAt": ABSENT},
        "time_ahead",
        CREATED_DATETIME=tomorrow,
    )
    row = customer(MODIFIED_DATETIME="2031-05-05T10:00:00Z")
    yield Case(
        "a_customer_that_is_changed_in_another_decade",
        customers=[row],
        messages=[{"timestamp": UpToNow()}],
    )


def versions() -> Iterator[Case]:
    """Which of two versions of a row is the newer one."""

    def two(name: str, older: dict[str, str], newer: dict[str, str], **common: str) -> Case:
        row = document(**common)
        return Case(
            name,
            # The newer one first, so that its place in the file does not count for it.
            documents=[
                row | newer | {"TENDER_NAME": "newer"},
                row | older | {"TENDER_NAME": "older"},
            ],
            lines=[line(row)],
            messages=[{"properties": {"payment_method": "newer"}}],
        )

    yield two(
        "a_change_whose_time_lost_its_offset",
        {"MODIFIED_DATETIME": "2026-05-06T12:00:00-04:00"},
        {"MODIFIED_DATETIME": "2026-05-06 13:00:00"},
    )
    yield two(
        "a_change_whose_time_got_an_offset",
        {"MODIFIED_DATETIME": "2026-05-06 12:00:00"},
        {"MODIFIED_DATETIME": "2026-05-06T18:30:00+02:00"},
    )
    yield two(
        "arrivals_with_different_offsets",
        {"POST_DATE": "2026-05-06T12:00:00+02:00"},
        {"POST_DATE": "2026-05-06T11:00:00-04:00"},
    )
    yield two(
        "an_arrival_that_lost_its_offset",
        {"POST_DATE": "2026-05-06T12:00:00-04:00"},
        {"POST_DATE": "2026-05-06 13:00:00"},
    )
    yield two(
        "a_change_in_a_zone_that_has_a_name",
        {"MODIFIED_DATETIME": "2026-05-06 12:00:00 America/New_York"},
        {"MODIFIED_DATETIME": "2026-05-06T16:30:00Z"},
    )
    row = document()
    sold = line(row)
    yield Case(
        "a_line_whose_change_lost_its_offset",
        documents=[row],
        lines=[
            sold | {"MODIFIED_DATETIME": "2026-05-06 13:00:00", "DESCRIPTION1": "newer"},
            sold | {"MODIFIED_DATETIME": "2026-05-06T12:00:00-04:00", "DESCRIPTION1": "older"},
        ],
        messages=[{"properties": {"products": [{"name": "newer"}]}}],
    )
    row = document()
    yield Case(
        "a_version_of_another_decade_does_not_stay_for_ever",
        old_documents=[row | {"MODIFIED_DATETIME": "2031-05-05T10:00:00Z", "TENDER_NAME": "older"}],
        documents=[
            row
            | {
                "MODIFIED_DATETIME": (NOW - timedelta(hours=1)).isoformat(),
                "TENDER_NAME": "newer",
            }
        ],
        lines=[line(row)],
        messages=[{"properties": {"payment_method": "newer"}}],
    )


# --- numbers --------------------------------------------------------------------------------


def amounts(name: str, *warnings: str, **changes: str) -> Case:
    """A sale whose amounts are written in another way and are those of any other."""
    row = document(**changes)
    expected = {"total": Decimal(55), "tax": Decimal(5), "revenue": Decimal(50)}
    return Case(
        name,
        documents=[row],
        lines=[line(row)],
        messages=[{"properties": expected}],
        warnings=set(warnings),
    )


def numbers() -> Iterator[Case]:
    yield amounts(
        "zeros_after_the_decimals", SALE_TOTAL_AMT="55.0000000000", SALE_SUBTOTAL="50.0000000000"
    )
    yield amounts(
        "the_noise_of_floats",
        "number_rounded",
        SALE_TOTAL_AMT="54.99999999999999",
        SALE_SUBTOTAL="50.000000000000014",
        SHIPPING_AMT="3.55271367880050E-15",
    )
    yield held("a_float_that_is_no_noise", "number_unreadable", SALE_TOTAL_AMT="54.98765432109876")
    yield held("an_exponent_is_no_number", "number_unreadable", SALE_TOTAL_AMT="5.5E+01")
    row = document()
    yield Case(
        "a_price_with_the_noise_of_a_float",
        documents=[row],
        lines=[line(row, PRICE="49.999999999999996")],
        messages=[{"properties": {"products": [{"price": Decimal(50)}]}}],
        warnings={"number_rounded"},
    )
    yield person(
        "points_with_the_noise_of_a_float",
        {"loyaltyPoints": Decimal("19.99")},
        "number_rounded",
        LTY_BALANCE="19.989999999999998",
    )


def unused() -> Iterator[Case]:
    """Columns that a message is not made of, with what nobody can read."""
    row = document(
        RETURN_SUBTOTAL="x",
        RETURN_SUBTOTAL_WITH_TAX="x",
        RETURN_TOTAL_TAX_AMT="x",
        TRANSACTION_TOTAL_AMT="x",
        USE_VAT="x",
        HAS_SALE="x",
        HAS_RETURN="x",
    )
    yield Case(
        "what_a_sale_does_not_use_does_not_hold_it",
        documents=[row],
        lines=[
            line(row, TAX_AMT="x", DIP_PRICE="x"),
            line(row, ITEM_TYPE="3", PRICE="x", QTY="x"),
            line(row, QTY="0", PRICE="x"),
        ],
        messages=[{"properties": {"total": Decimal(55)}}],
    )
    back = {
        "HAS_SALE": "0",
        "HAS_RETURN": "1",
        "SOLD_QTY": "0",
        "RETURN_QTY": "1",
        "RETURN_SUBTOTAL": "50.00",
        "RETURN_SUBTOTAL_WITH_TAX": "55.00",
        "RETURN_TOTAL_TAX_AMT": "5.00",
    }
    row = document(
        **back,
        SALE_TOTAL_AMT="x",
        SALE_SUBTOTAL="x",
        SALE_TOTAL_TAX_AMT="x",
        SHIPPING_AMT="x",
        TOTAL_DISCOUNT_AMT="x",
        TRANSACTION_TOTAL_AMT="x",
        USE_VAT="x",
    )
    yield Case(
        "what_a_refund_does_not_use_does_not_hold_it",
        documents=[row],
        lines=[line(row, ITEM_TYPE="2", TAX_AMT="x", DIP_PRICE="x")],
        messages=[{"event": "Order Refunded", "properties": {"total": Decimal(55)}}],
    )
    for column in ("TAX_AMT", "DIP_PRICE", "PRICE"):
        without_header = {name: "" for name in back if name.startswith("RETURN_S")}
        row = document(**back | without_header | {"RETURN_TOTAL_TAX_AMT": ""})
        yield Case(
            f"a_refund_whose_amount_comes_from_{column}",
            documents=[row],
            lines=[line(row, ITEM_TYPE="2", **{column: "x"})],
            failures={"number_unreadable"},
        )
    row = document(**back | {"RETURN_SUBTOTAL_WITH_TAX": "", "USE_VAT": "x"})
    yield Case(
        "a_refund_that_depends_on_whether_tax_is_included",
        documents=[row],
        lines=[line(row, ITEM_TYPE="2")],
        failures={"flag_unreadable"},
    )
    row = document(**back | {"HAS_SALE": "1", "SOLD_QTY": "1", "RETURN_SUBTOTAL": "x"})
    yield Case(
        "a_sale_goes_out_whose_refund_is_held",
        documents=[row],
        lines=[line(row), line(row, ITEM_TYPE="2")],
        messages=[{"event": "Order Completed", "properties": {"total": Decimal(55)}}],
        failures={"number_unreadable"},
    )
    yield held("a_quantity_that_decides_what_the_row_is", "number_unreadable", SOLD_QTY="x")


# --- card numbers ---------------------------------------------------------------------------


def cards() -> Iterator[Case]:
    row = document(TENDER_NAME="VISA 4111 1111 1111 1111 05/27", DOC_NO="4111111111111111")
    yield Case(
        "a_card_number_in_the_payment",
        documents=[row],
        lines=[line(row)],
        messages=[
            {
                "properties": {
                    "payment_method": "VISA [card] 05/27",
                    "receipt_number": "4111111111111111",
                }
            }
        ],
        warnings={"card_number_removed"},
    )
    row = document(SHIP_METHOD="pays 3782-822463-10005")
    yield Case(
        "card_numbers_in_the_shipping_method_and_a_product",
        documents=[row],
        lines=[line(row, DESCRIPTION1="Paid by 5555555555554444", ALU="4111111111111111")],
        messages=[
            {
                "properties": {
                    "shipping_method": "pays [card]",
                    "products": [{"name": "Paid by [card]", "product_id": "4111111111111111"}],
                }
            }
        ],
        warnings={"card_number_removed"},
    )
    yield person(
        "a_card_number_in_a_name",
        {"lastName": "Lee [card]", "customerId": "4111111111111111"},
        "card_number_removed",
        LAST_NAME="Lee 6011111111111117",
        CUST_ID="4111111111111111",
    )
    for number in (
        "4111111111111112",
        "1234567812345670",
        "41111111111111111",
        "4111.1111.1111.1111",
    ):
        yield sale(
            named("no_card_number", number),
            sent={"properties": {"payment_method": f"Voucher {number}"}},
            TENDER_NAME=f"Voucher {number}",
        )


# --- stores ---------------------------------------------------------------------------------


def stores() -> Iterator[Case]:
    for name, changes, warnings in (
        ("a_number_and_a_code_of_two_stores", {"STORE_NO": "1", "STORE_CODE": "002"}, True),
        ("a_code_of_a_store_with_another_number", {"STORE_NO": "777", "STORE_CODE": "002"}, True),
        ("a_code_that_nobody_lists", {"STORE_NO": "1", "STORE_CODE": "1"}, False),
    ):
        row = document(**changes)
        yield Case(
            name,
            documents=[row],
            lines=[line(row)],
            messages=[{}],
            warnings={"stores_differ"} if warnings else set(),
        )


# --- refunds --------------------------------------------------------------------------------


def refunds() -> Iterator[Case]:
    """A sale of 55.00 and returns of it, each with the same amount."""
    for name, amount, tax, warnings in (
        ("a_sale_that_is_refunded_twice", "50.00", "5.00", {"refunds_exceed_sale"}),
        ("a_sale_that_is_refunded_in_two_parts", "25.00", "2.50", set()),
    ):
        sold = document()
        back = [
            document(
                HAS_SALE="0",
                HAS_RETURN="1",
                SOLD_QTY="0",
                RETURN_QTY="1",
                SALE_SUBTOTAL="0",
                SALE_TOTAL_TAX_AMT="0",
                SALE_TOTAL_AMT="0",
                RETURN_SUBTOTAL=amount,
                RETURN_TOTAL_TAX_AMT=tax,
                REF_SALE_SID=sold["SID"],
            )
            for _ in range(2)
        ]
        yield Case(
            name,
            documents=[sold, *back],
            lines=[line(sold), *(line(row, ITEM_TYPE="2", PRICE=amount) for row in back)],
            messages=[{"event": "Order Completed"}, *[{"event": "Order Refunded"}] * 2],
            warnings=warnings,
        )


CASES = [
    *text(),
    *ids(),
    *times(),
    *changes_of_the_clock(),
    *times_ahead(),
    *versions(),
    *numbers(),
    *unused(),
    *cards(),
    *stores(),
    *refunds(),
]
