"""Rows of a shop that changes what it exported: as its back office does, and cleanly.

What hostile rows do to the models is the business of `hostile_rows`. Here every row can be read, so
that what is said of a shop that grew must be what is said of one that is exported once.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

from tests.integration.cases.case import Row, customer, document, line

BEGINNING = datetime(2026, 6, 1, tzinfo=timezone.utc)
TABLES = ("customer", "document", "document_item")
TAKEN_BACK = ({"IS_HELD": "1"}, {"STATUS": "3"}, {"DOC_NO": ""}, {"RECEIPT_TYPE": "2"})
AS_BEFORE = {"IS_HELD": "0", "STATUS": "4", "DOC_NO": "4711", "RECEIPT_TYPE": "0"}


class ChangingShop:
    """A shop that keeps the newest version of each row.

    Args:
        seed: Makes the same changes again.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - a shop that can be repeated
        self._changes = 0
        self.newest: dict[str, dict[str, Row]] = {table: {} for table in TABLES}
        """All rows of the export as it is now, by table and SID."""
        self._sales: list[str] = []
        self._touched: set[str] = set()

    def sync(self, events: int) -> dict[str, list[Row]]:
        """Let so many things happen, and give the rows that are exported for them.

        These are the newest versions of what was touched, and of a document all its lines.
        """
        self._touched = set()
        for _ in range(events):
            weights, what = zip(
                (2, self._new_customer),
                (4, self._new_sale),
                (1, self._new_return),
                (2, self._change_customer),
                (3, self._change_sale),
                (3, self._take_back),
                (3, self._move),
                (1, self._turn_into_return),
                (2, self._delete_a_line),
                (1, self._export_again),
                strict=True,
            )
            [happens] = self._random.choices(what, weights)
            happens()
        return {
            table: [row for row in rows.values() if row.get("DOC_SID", row["SID"]) in self._touched]
            for table, rows in self.newest.items()
        }

    # --- what happens ---------------------------------------------------------------------

    def _new_customer(self) -> None:
        self._put("customer", customer())

    def _change_customer(self) -> None:
        if row := self._any("customer"):
            self._put("customer", row | {"LTY_BALANCE": str(self._changes)})

    def _new_sale(self) -> None:
        row = document(BT_CUID=self._buyer(), STORE_CODE=self._random.choice(("001", "002")))
        row["STORE_NO"] = row["STORE_CODE"][-1]
        lines = [line(row, PRICE=f"{10 * n}.00") for n in range(1, self._random.randint(2, 4))]
        self._sales.append(row["SID"])
        self._export(row, lines)

    def _new_return(self) -> None:
        row = document(BT_CUID=self._buyer())
        self._export(self._as_return(row), [line(row, ITEM_TYPE="2", PRICE="10.00")])

    def _change_sale(self) -> None:
        self._of_a_sale(
            lambda row, lines: self._export(
                row | {"TENDER_NAME": f"Voucher {self._changes}"},
                [of | {"QTY": self._random.choice("12")} for of in lines],
            )
        )

    def _take_back(self) -> None:
        """A sale is voided or parked, and one of these may come back."""

        def take(row: Row, lines: list[Row]) -> None:
            is_back = any(row.get(name) != value for name, value in AS_BEFORE.items())
            self._export(
                row | AS_BEFORE | ({} if is_back else self._random.choice(TAKEN_BACK)), lines
            )

        self._of_a_sale(take)

    def _move(self) -> None:
        self._of_a_sale(lambda row, lines: self._export(row | {"BT_CUID": self._buyer()}, lines))

    def _turn_into_return(self) -> None:
        def turn(row: Row, lines: list[Row]) -> None:
            self._sales.remove(row["SID"])
            as_return = self._as_return(row | AS_BEFORE)
            self._export(as_return, [of | {"ITEM_TYPE": "2"} for of in lines])

        self._of_a_sale(turn)

    def _delete_a_line(self) -> None:
        def delete(row: Row, lines: list[Row]) -> None:
            if len(lines) > 1:
                gone = lines.pop(self._random.randrange(len(lines)))
                del self.newest["document_item"][gone["SID"]]
                self._export(row, lines)

        self._of_a_sale(delete)

    def _export_again(self) -> None:
        """The same in another form, which says nothing else."""
        self._of_a_sale(lambda row, lines: self._export(row | {"BT_EMAIL": "n/a"}, lines))

    # --- how ------------------------------------------------------------------------------

    def _of_a_sale(self, happens: Callable[[Row, list[Row]], None]) -> None:
        if self._sales:
            row = self.newest["document"][self._random.choice(self._sales)]
            items = self.newest["document_item"].values()
            happens(row, [of for of in items if of["DOC_SID"] == row["SID"]])

    def _export(self, row: Row, lines: list[Row]) -> None:
        """A document comes with all its lines, and says what they are worth."""
        worth = sum(int(of["QTY"]) * float(of["PRICE"]) for of in lines)
        pieces = str(sum(int(of["QTY"]) for of in lines))
        if row["HAS_SALE"] == "1":
            row = row | {
                "SOLD_QTY": pieces,
                "SALE_SUBTOTAL": f"{worth:.2f}",
                "SALE_TOTAL_AMT": f"{worth + 5:.2f}",
            }
        else:
            row = row | {"RETURN_QTY": pieces, "RETURN_SUBTOTAL": f"{worth:.2f}"}
        self._put("document", row)
        for of in lines:
            self._put("document_item", of)

    @staticmethod
    def _as_return(row: Row) -> Row:
        return row | {
            "HAS_SALE": "0",
            "SOLD_QTY": "0",
            "SALE_SUBTOTAL": "0",
            "SALE_TOTAL_TAX_AMT": "0",
            "SALE_TOTAL_AMT": "0",
            "HAS_RETURN": "1",
            "RETURN_TOTAL_TAX_AMT": "5.00",
            "USE_VAT": "0",
        }

    def _put(self, table: str, row: Row) -> None:
        self._changes += 1
        changed_at = BEGINNING + timedelta(minutes=self._changes)
        row = row | {"MODIFIED_DATETIME": f"{changed_at:%Y-%m-%dT%H:%M:%SZ}"}
        self.newest[table][row["SID"]] = row
        self._touched.add(row["SID"])

    def _any(self, table: str) -> Row | None:
        rows = list(self.newest[table].values())
        return self._random.choice(rows) if rows else None

    def _buyer(self) -> str:
        return self._random.choice(("", "", *self.newest["customer"]))
