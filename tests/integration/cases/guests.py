"""Guests: who an order without a customer belongs to, and which address on it is theirs."""

from hashlib import sha256

from tests.integration.cases.case import (
    ABSENT,
    Case,
    Later,
    Row,
    customer,
    document,
    line,
)

STORE = "retail-pro-store-1-001"
NAMESPACE = "retailpro-sandbox"


def guest_id(email: str) -> str:
    """The anonymousId of a guest with an address."""
    return "retail-pro-guest-" + sha256(f"{NAMESPACE}|guest|{email}".encode()).hexdigest()[:32]


def receipts(count: int, day: int = 5, **changes: str) -> list[Row]:
    """Guest receipts of one store and day."""
    return [
        document(INVC_POST_DATE=f"2026-05-{day:02}T{9 + hour:02}:00:00-04:00", **changes)
        for hour in range(count)
    ]


def lines(documents: list[Row]) -> list[Row]:
    """A line of each."""
    return [line(of) for of in documents]


def with_email(email: str, count: int = 1) -> list[dict[str, object]]:
    """Orders of the guest with this address."""
    return [
        {
            "event": "Order Completed",
            "userId": ABSENT,
            "anonymousId": guest_id(email),
            "context": {"traits": {"email": email}},
        }
    ] * count


def without_email(count: int = 1) -> list[dict[str, object]]:
    """Orders of somebody in the store."""
    return [{"event": "Order Completed", "anonymousId": STORE, "context": ABSENT}] * count


EXCHANGE = document(
    BT_EMAIL="swap@guests.test", HAS_RETURN="1", RETURN_QTY="1", RETURN_SUBTOTAL="50.00"
)
DIRTY = [document(BT_EMAIL="Dirt@Guests.test "), document(BT_EMAIL="x; dirt@guests.test")]
FILLER = [document(BT_EMAIL="none@none.com"), document(BT_EMAIL="ann smith@guests")]
AS_MANY_AS_ALLOWED = receipts(5, BT_EMAIL="five@guests.test")
OFTEN = [
    receipt for day in range(1, 9) for receipt in receipts(1, day, BT_EMAIL="often@guests.test")
]
TWO_STORES = receipts(4, BT_EMAIL="tour@guests.test") + receipts(
    4, BT_EMAIL="tour@guests.test", STORE_CODE="002", STORE_NO="2"
)
TILL = receipts(6, BT_EMAIL="soho@till-of-store.test")
QUIET_TILL = [document(BT_EMAIL="brera@till-of-store.test", STORE_CODE="002", STORE_NO="2")]
PRIVATE_TILL = receipts(6, BT_EMAIL="soho.store@gmail.com")
PRIVATE = [document(BT_EMAIL="ann.of.soho@gmail.com")]
DUMMY = customer(FIRST_NAME="TOURIST.", LAST_NAME="", EMAIL="")
DUMMYS = receipts(6, BT_EMAIL="house@account.test", BT_CUID=DUMMY["SID"])
FIRST = document(BT_EMAIL="porto@till-found-later.test", TENDER_NAME="Cash")
MORE = receipts(6, BT_EMAIL="porto@till-found-later.test")
CORRECTED = document(BT_EMAIL="wrong@guests.test")
TAKEN_BACK = document(BT_EMAIL="back@guests.test")
REFUNDED = document(BT_EMAIL="refund@guests.test")
SOLD = line(REFUNDED)
BUSY = receipts(6, BT_EMAIL="busy@day.test")
CALM = receipts(1, 7, BT_EMAIL="busy@day.test")

CASES = [
    Case(
        "a_guest_with_an_address_is_a_person_by_it",
        documents=DIRTY,
        lines=lines(DIRTY),
        messages=with_email("dirt@guests.test", 2),
    ),
    Case(
        "guests_without_a_usable_address_are_their_stores",
        documents=FILLER,
        lines=lines(FILLER),
        messages=without_email(2),
    ),
    Case(
        "both_sides_of_a_guests_exchange_are_the_same_persons",
        documents=[EXCHANGE],
        lines=[line(EXCHANGE), line(EXCHANGE, ITEM_TYPE="2")],
        messages=[
            *with_email("swap@guests.test"),
            with_email("swap@guests.test")[0] | {"event": "Order Refunded"},
        ],
    ),
    Case(
        "an_address_on_as_many_receipts_of_a_day_as_allowed_is_the_guests",
        documents=AS_MANY_AS_ALLOWED,
        lines=lines(AS_MANY_AS_ALLOWED),
        messages=with_email("five@guests.test", 5),
    ),
    Case(
        "a_guest_who_comes_often_keeps_the_address",
        documents=OFTEN,
        lines=lines(OFTEN),
        messages=with_email("often@guests.test", 8),
    ),
    Case(
        "a_guest_in_several_stores_keeps_the_address",
        documents=TWO_STORES,
        lines=lines(TWO_STORES),
        messages=with_email("tour@guests.test", 8),
    ),
    Case(
        "an_address_on_more_receipts_of_a_store_and_day_is_the_stores_and_so_is_its_domain",
        documents=TILL + QUIET_TILL,
        lines=lines(TILL + QUIET_TILL),
        messages=[*without_email(6), {"anonymousId": "retail-pro-store-1-002", "context": ABSENT}],
        warnings={"email_of_the_store"},
    ),
    Case(
        "a_store_at_a_provider_of_private_addresses_does_not_own_the_domain",
        documents=PRIVATE_TILL,
        lines=lines(PRIVATE_TILL),
        messages=without_email(6),
        warnings={"email_of_the_store"},
    ),
    Case(
        "a_guest_at_the_provider_of_a_stores_address_keeps_theirs",
        documents=PRIVATE,
        lines=lines(PRIVATE),
        messages=with_email("ann.of.soho@gmail.com"),
    ),
    Case(
        "an_address_that_is_found_to_be_the_stores_changes_no_id_that_was_sent",
        documents=[FIRST],
        lines=[line(FIRST)],
        later=Later(documents=[FIRST | {"TENDER_NAME": "Visa"}, *MORE], lines=lines(MORE)),
        messages=[
            *with_email("porto@till-found-later.test"),
            *without_email(6),
            {
                "event": "Order Updated",
                "anonymousId": guest_id("porto@till-found-later.test"),
                "context": ABSENT,
                "properties": {"payment_method": "Visa"},
            },
        ],
        warnings={"email_of_the_store"},
    ),
    Case(
        "a_corrected_address_changes_no_id_that_was_sent",
        documents=[CORRECTED],
        lines=[line(CORRECTED)],
        later=Later(
            documents=[CORRECTED | {"BT_EMAIL": "right@guests.test", "SHIP_METHOD": "UPS"}]
        ),
        messages=[
            *with_email("wrong@guests.test"),
            {
                "event": "Order Updated",
                "anonymousId": guest_id("wrong@guests.test"),
                "context": ABSENT,
            },
        ],
    ),
    Case(
        "a_guests_order_is_cancelled_as_the_guests",
        documents=[TAKEN_BACK],
        lines=[line(TAKEN_BACK)],
        later=Later(documents=[TAKEN_BACK | {"IS_HELD": "1"}]),
        messages=[
            with_email("back@guests.test")[0] | {"event": "Order Cancelled"},
            *with_email("back@guests.test"),
        ],
    ),
    Case(
        "a_guests_document_is_refunded_as_the_guests_also_without_the_address",
        documents=[REFUNDED],
        lines=[SOLD],
        later=Later(
            documents=[
                REFUNDED
                | {"BT_EMAIL": "", "HAS_RETURN": "1", "RETURN_QTY": "1", "RETURN_SUBTOTAL": "50.00"}
            ],
            lines=[SOLD, line(REFUNDED, ITEM_TYPE="2")],
        ),
        messages=[
            *with_email("refund@guests.test"),
            {
                "event": "Order Refunded",
                "anonymousId": guest_id("refund@guests.test"),
                "context": ABSENT,
            },
        ],
    ),
    Case(
        "an_address_that_is_on_fewer_receipts_by_now_is_the_guests",
        documents=BUSY,
        lines=lines(BUSY),
        later=Later(
            documents=[
                BUSY[0] | {"INVC_POST_DATE": "2026-05-06T10:00:00-04:00"},
                BUSY[1] | {"TENDER_NAME": "Visa"},
                *CALM,
            ],
            lines=lines(CALM),
        ),
        messages=[
            *without_email(6),
            *with_email("busy@day.test"),
            {"event": "Order Updated", "anonymousId": STORE, "context": ABSENT},
        ],
    ),
    Case(
        "receipts_of_a_dummy_are_guest_receipts",
        customers=[DUMMY],
        documents=DUMMYS,
        lines=lines(DUMMYS),
        messages=without_email(6),
        warnings={"email_of_the_store"},
    ),
]
