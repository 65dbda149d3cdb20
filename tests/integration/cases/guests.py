"""Guests: who an order without a customer belongs to, and which address on it is theirs."""

from hashlib import sha256

from tests.integration.cases.case import ABSENT, Case, Row, customer, document, line

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
        "receipts_of_a_dummy_are_guest_receipts",
        customers=[DUMMY],
        documents=DUMMYS,
        lines=lines(DUMMYS),
        messages=without_email(6),
        warnings={"email_of_the_store"},
    ),
]
