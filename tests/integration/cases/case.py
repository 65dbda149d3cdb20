"""What a case consists of, and ordinary rows for it to differ from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

Row = dict[str, str]

ABSENT: Any = "(must not be there)"
"""As an expected value: the message does not have this key."""

_SIDS = count(710_000_000_000_000_001)


@dataclass(frozen=True)
class Later:
    """Rows that come later: newer versions, or new ones."""

    documents: Sequence[Row] = ()
    lines: Sequence[Row] = ()
    customers: Sequence[Row] = ()


@dataclass(frozen=True)
class Case:
    """Rows of an export, and all that must come of them.

    Attributes:
        name: What is odd, as a name of a test.
        documents: Rows of document.csv.
        lines: Rows of document_item.csv.
        old_documents: Rows of document.csv that came five days before all others.
        customers: Rows of customer.csv.
        later: Rows that come after the first build.
        messages: Every message about these documents and customers, ordered by event and
            then by entry. A message is compared only where this says something; ABSENT says that a
            key is missing.
        warnings: Every code in `segment_warnings` about them.
        failures: Every code in `segment_failed_events` about them.
        told: Beginnings of the messages there, each of one failure.
    """

    name: str
    documents: Sequence[Row] = ()
    lines: Sequence[Row] = ()
    old_documents: Sequence[Row] = ()
    customers: Sequence[Row] = ()
    later: Later = Later()
    messages: Sequence[Mapping[str, Any]] = ()
    warnings: frozenset[str] | set[str] = frozenset()
    failures: frozenset[str] | set[str] = frozenset()
    told: Sequence[str] = ()

    @property
    def sids(self) -> list[str]:
        """The SIDs of its documents and customers, which no other case has."""
        rows = (
            *(*self.old_documents, *self.documents, *self.customers),
            *(*self.later.documents, *self.later.customers),
        )
        return list(dict.fromkeys(row["SID"] for row in rows))


def new_sid() -> str:
    """A SID that no other row has."""
    return str(next(_SIDS))


def document(**changes: str) -> Row:
    """A posted sale of 50.00 and 5.00 tax in New York to nobody, but for the changes."""
    return {
        "SID": new_sid(),
        "DOC_NO": "4711",
        "STATUS": "4",
        "IS_HELD": "0",
        "RECEIPT_TYPE": "0",
        "HAS_SALE": "1",
        "HAS_RETURN": "0",
        "SOLD_QTY": "1",
        "RETURN_QTY": "0",
        "SBS_NO": "1",
        "STORE_CODE": "001",
        "STORE_NO": "1",
        "CURRENCY_NAME": "US DOLLARS",
        "SALE_SUBTOTAL": "50.00",
        "SALE_TOTAL_TAX_AMT": "5.00",
        "SALE_TOTAL_AMT": "55.00",
        "INVC_POST_DATE": "2026-05-05T10:00:00-04:00",
        "CREATED_DATETIME": "2026-05-05T09:58:00-04:00",
    } | changes


def line(of: Row, **changes: str) -> Row:
    """A line of a document that sells one piece for 50.00, but for the changes."""
    sid = new_sid()
    return {
        "SID": sid,
        "DOC_SID": of["SID"],
        "ITEM_POS": "1",
        "ITEM_TYPE": "1",
        "ALU": f"A{sid}",
        "DESCRIPTION1": "Thing",
        "QTY": "1",
        "PRICE": "50.00",
        "ORIG_PRICE": "50.00",
        "TAX_AMT": "5.00",
    } | changes


def customer(**changes: str) -> Row:
    """A customer with a name and an e-mail address of its own, but for the changes."""
    sid = new_sid()
    return {
        "SID": sid,
        "CUST_ID": sid[-6:],
        "FIRST_NAME": "Robin",
        "LAST_NAME": "Case",
        "EMAIL": f"robin.{sid}@mail.test",
        "CREATED_DATETIME": "2026-01-01T10:00:00-05:00",
        "ACTIVE": "1",
    } | changes


def newer(row: Row, **changes: str) -> Row:
    """A later version of a row, with these changes."""
    return row | {"MODIFIED_DATETIME": "2026-05-06T10:00:00-04:00"} | changes
