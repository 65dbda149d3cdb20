"""Rows of a shop that does to its export whatever has been seen to happen, from a seed.

The shop keeps the last version of each row. A batch is a few dozen new rows and versions, in
deliveries: inserted by another pipeline, or as loads of which some are committed batches later.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

Row = dict[str, str]

TABLES = ("customer", "document", "document_item")
A_BATCH = timedelta(minutes=20)
A_FEW = 20

# Of a seed: a dummy by SID, by name and by e-mail address; an address that stands for none.
DUMMY_SID = "590482117000133990"
DUMMY_NAME = "Tourist."
DUMMY_EMAIL = "tourist@alderfinch.example"
# Two addresses of a till at one domain, and one at a provider of addresses (a seed).
TILLS = ("soho@till.test", "brera@till.test", "soho.till@gmail.com")
PLACEHOLDER_EMAIL = "none@none.com"

CURRENCIES = ("US DOLLARS", "EURO", "PIASTRE OF NOWHERE", "")
STORES = (
    *(("1", "001", "1"), ("1", "002", "2"), ("2", "", "9"), ("100", "", "")),
    *(("7", "77", "77"), ("7", "077", "77"), ("7", "", "77")),
)
A_CARD = "VISA 4111 1111 1111 1111"
MANGLED = ("5.92481E+17", "592481256000133.0", "59248x")


@dataclass
class Delivery:
    """Rows of one table that come together.

    Attributes:
        table: Name of the landing table.
        rows: The rows, by column of the export.
        at: Their time of arrival.
        load_id: Their load; empty for rows that no loader brought.
    """

    table: str
    rows: list[Row]
    at: datetime
    load_id: str


@dataclass
class Batch:
    """What came between two builds: rows, and the loads that count from now on."""

    deliveries: list[Delivery]
    commits: list[Delivery]


class Shop:
    """A shop whose tills, exporter and pipelines are all to be feared.

    Args:
        seed: Makes the same shop again.
        batches: How many batches will be asked for; all of them lie in the past.
    """

    def __init__(self, seed: int, batches: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - a shop that can be repeated
        self._clock = datetime.now(timezone.utc).replace(microsecond=0) - (batches + 2) * A_BATCH
        self._seed = seed
        self._sids = 600_000_000_000_000_000 + seed * 1_000_000
        self._changes = 0
        self._loads = 0
        self._uncommitted: list[Delivery] = []
        self._versions: dict[str, dict[str, list[Row]]] = {table: {} for table in TABLES}
        self._addresses = [f"shared{number}@mail.test" for number in range(3)]
        self._came: list[tuple[str, Row]] = []

    def batch(self, events: int) -> Batch:
        """Let so many things happen, and give the rows of them."""
        self._clock += A_BATCH
        self._came = []
        for _ in range(events):
            self._pick(
                (4 if len(self._versions["customer"]) < A_FEW else 1, self._new_customer),
                (6, self._change_customer),
                (6, self._new_document),
                (8, self._change_document),
                (4, self._change_line),
                (2, self._move_line),
                (3, self._resend),
                (1, self._come_and_stay_mangled),
                (2, self._crowd),
                (2, self._till_fills_in),
                (1, self._orphan),
            )
        return self._deliver()

    # --- customers ------------------------------------------------------------------------

    def _new_customer(self) -> None:
        sid = DUMMY_SID if self._one_in(40) else self._sid()
        self._put(
            "customer",
            {
                "SID": sid,
                "CUST_ID": self._random.choice(("", "C1", f"C{self._random.randrange(9)}")),
                "FIRST_NAME": self._random.choice(
                    ("Ann", "Zoë", "Ann Marie", "", "An\u200bn\u3000", "O\u0092B", A_CARD)
                ),
                "LAST_NAME": self._random.choice(("Lee", "Byron", "")),
                "EMAIL": self._address(sid),
                "LTY_BALANCE": str(self._random.randrange(50)),
                "ACTIVE": "1",
                "CREATED_DATETIME": self._random.choice(("", "2026-01-05T10:00:00Z", "whenever")),
            },
        )

    def _change_customer(self) -> None:
        row = self._any("customer")
        if row is None:
            return
        versions = self._versions["customer"][row["SID"]]
        self._pick(
            (4, lambda: self._put("customer", row | {"EMAIL": self._address(row["SID"])})),
            (2, lambda: self._put("customer", row | {"EMAIL": ""})),
            # Back to what it was.
            (4, lambda: self._put("customer", dict(self._random.choice(versions)))),
            (2, lambda: self._put("customer", row | {"LTY_BALANCE": str(self._changes)})),
            (1, lambda: self._put("customer", row | {"FIRST_NAME": DUMMY_NAME, "LAST_NAME": ""})),
            (1, lambda: self._put("customer", row | {"EMAIL": DUMMY_EMAIL})),
            (
                1,
                lambda: self._put(
                    "customer", row | {"ACTIVE": self._random.choice(("0", "1", "?"))}
                ),
            ),
        )

    def _crowd(self) -> None:
        """So many take or leave one address that it becomes nobody's, or somebody's again."""
        address = self._random.choice(self._addresses)
        rows = [versions[-1] for versions in self._versions["customer"].values()]
        joins = self._one_in(2)
        if not joins:
            rows = [row for row in rows if row["EMAIL"] == address]
        for row in self._random.sample(rows, min(len(rows), self._random.choice((1, 2, 6, 9)))):
            self._put("customer", row | {"EMAIL": address if joins else self._own(row["SID"])})

    def _till_fills_in(self) -> None:
        """Guest receipts of a store and day get the till's own address, or lose it again."""
        address = self._random.choice(TILLS)
        rows = [versions[-1] for versions in self._versions["document"].values()]
        fills_in = self._one_in(2)
        if not fills_in:
            rows = [row for row in rows if row["BT_EMAIL"] == address]
        day, store = (
            self._random.choice(("2026-03-03", "2026-03-04")),
            self._random.choice(STORES[:2]),
        )
        place = dict(zip(("SBS_NO", "STORE_CODE", "STORE_NO"), store, strict=True))
        for row in self._random.sample(rows, min(len(rows), self._random.choice((1, 3, 6, 9)))):
            there = place | {
                "BT_CUID": "",
                "BT_EMAIL": address,
                "INVC_POST_DATE": f"{day}T10:00:00Z",
            }
            self._put("document", row | (there if fills_in else {"BT_EMAIL": ""}))

    def _address(self, sid: str) -> str:
        return self._random.choice(
            (
                *self._addresses,
                self._own(sid),
                self._own(sid),
                "",
                PLACEHOLDER_EMAIL,
                "ann smith@mail",
                f" {self._own(sid).upper()} ; {self._addresses[0]}",
            )
        )

    @staticmethod
    def _own(sid: str) -> str:
        return f"c{sid[-5:]}@mail.test"

    # --- documents and their lines --------------------------------------------------------

    def _new_document(self, sid: str = "") -> None:
        subsidiary, code, number = self._random.choice(STORES[:2] * 8 + STORES)
        sold, returned = self._random.choice(((2, 0),) * 3 + ((1, 0), (0, 1), (1, 1), (0, 0)))
        row = {
            "SID": sid or self._sid(),
            "DOC_NO": str(self._random.randrange(1, 99)),
            "STATUS": "4",
            "RECEIPT_TYPE": "0",
            "SBS_NO": subsidiary,
            "STORE_CODE": code,
            "STORE_NO": number,
            "BT_CUID": self._buyer(),
            "BT_EMAIL": self._random.choice(
                (
                    "",
                    "",
                    *self._addresses,
                    DUMMY_EMAIL,
                    *TILLS,
                    f"g{self._random.randrange(9)}@mail.test",
                )
            ),
            "CURRENCY_NAME": self._currency(),
            "TENDER_NAME": "Cash",
            "ORDER_TYPE": self._random.choice(("",) * 8 + ("2",)),
            "INVC_POST_DATE": self._business_time(),
        }
        self._put("document", row | self._amounts(sold, returned))
        if not self._one_in(8):
            self._lines(row["SID"], sold, returned)

    def _lines(self, document: str, sold: int, returned: int) -> None:
        # An exchange whose lines only their sums tell apart.
        is_untyped = sold > 0 and returned > 0 and self._one_in(2)
        for kind, count in (("1", sold), ("2", returned)):
            types = ("",) if is_untyped else (*(kind,) * 20, "", "", "3", "4")
            for position in range(count):
                self._put(
                    "document_item",
                    {
                        "SID": self._sid(),
                        "DOC_SID": document,
                        "ITEM_POS": str(position + 1),
                        "ITEM_TYPE": self._random.choice(types),
                        "KIT_FLAG": self._random.choice(("0",) * 8 + ("5", "10")),
                        "QTY": self._random.choice(("1", "1", "1", "1", "1", "1", "0", "0.75")),
                        "PRICE": "10.00" if kind == "1" else "7.00",
                        "TAX_AMT": "1.00",
                        "ALU": self._random.choice(("A1", "A2", "")),
                    },
                )

    def _change_document(self) -> None:
        row = self._any("document")
        if row is None:
            return
        versions = self._versions["document"][row["SID"]]

        def put(**changes: str) -> None:
            self._put("document", row | changes)

        self._pick(
            (3, lambda: put(BT_CUID=self._buyer())),
            (3, lambda: put(IS_HELD="0" if row.get("IS_HELD") == "1" else "1")),
            (1, lambda: put(STATUS="3" if row["STATUS"] == "4" else "4")),
            (1, lambda: put(RECEIPT_TYPE="2" if row["RECEIPT_TYPE"] == "0" else "0")),
            (1, lambda: put(DOC_NO="" if row["DOC_NO"] else "17")),
            (1, lambda: put(DOC_NO=self._random.choice(("ABC", "0")))),
            (2, lambda: put(CURRENCY_NAME=self._currency())),
            (4, lambda: put(TENDER_NAME=f"Voucher {self._changes}")),
            (1, lambda: put(TOTAL_FEE_AMT=self._random.choice(("", "1.00", "2.00")))),
            (2, lambda: put(BT_EMAIL=self._random.choice((*self._addresses, *TILLS)))),
            (1, lambda: put(TENDER_NAME=A_CARD, SALE_TOTAL_AMT="10.999999999999998")),
            (1, lambda: put(RETURN_SUBTOTAL="ten", USE_VAT="?")),
            (1, lambda: put(STORE_CODE="002")),
            (1, lambda: put(SBS_NO="100", STORE_CODE="", STORE_NO="")),
            (3, lambda: put(SBS_NO="1", STORE_CODE="001", STORE_NO="1")),
            (3, lambda: put(IS_HELD="0", STATUS="4", RECEIPT_TYPE="0", DOC_NO="18")),
            (1, lambda: put(INVC_POST_DATE=self._business_time())),
            (1, lambda: put(SOLD_QTY=self._random.choice(("one", "-1", "1")))),
            (1, lambda: put(BT_CUID=self._random.choice(MANGLED))),
            (4, lambda: self._put("document", dict(self._random.choice(versions)))),
            (4, lambda: self._resell(row)),
            (1, lambda: self._oversize(row)),
        )

    def _resell(self, row: Row) -> None:
        """The document comes again with other sides, and with some of its lines or others."""
        sold, returned = self._random.choice(((2, 0), (1, 0), (0, 1), (1, 1), (0, 2)))
        self._put("document", row | self._amounts(sold, returned))
        lines = self._lines_of(row["SID"])
        for line in self._random.sample(lines, self._random.randint(0, len(lines))):
            self._put("document_item", line | {"QTY": self._random.choice(("1", "2"))})
        if self._one_in(2):
            self._lines(row["SID"], sold, returned)

    def _oversize(self, row: Row) -> None:
        """More lines than fit into a message, or few again by a newer version of the document."""
        if not self._one_in(4):
            return
        self._put("document", dict(row))
        for position in range(70):
            self._put(
                "document_item",
                {
                    "SID": self._sid(),
                    "DOC_SID": row["SID"],
                    "ITEM_POS": str(position),
                    "ITEM_TYPE": "1",
                    "QTY": "1",
                    "PRICE": "1.00",
                    "ALU": f"{position} " + "long" * 80,
                },
            )

    def _change_line(self) -> None:
        row = self._any("document_item")
        if row is None:
            return
        versions = self._versions["document_item"][row["SID"]]
        self._pick(
            (3, lambda: self._put("document_item", row | {"QTY": self._random.choice("123")})),
            (1, lambda: self._put("document_item", row | {"PRICE": "ten"})),
            (1, lambda: self._put("document_item", row | {"PRICE": "10.00"})),
            (1, lambda: self._put("document_item", row | {"PRICE": "9.999999999999998"})),
            (1, lambda: self._put("document_item", row | {"TAX_AMT": "one"})),
            (1, lambda: self._put("document_item", row | {"KIT_FLAG": "5"})),
            (1, lambda: self._put("document_item", row | {"DOC_SID": MANGLED[0]})),
            (3, lambda: self._put("document_item", dict(self._random.choice(versions)))),
            # The document comes again without most of its lines.
            (
                2,
                lambda: (
                    self._put("document", dict(self._versions["document"][row["DOC_SID"]][-1]))
                    if row["DOC_SID"] in self._versions["document"]
                    else None
                ),
            ),
        )

    def _move_line(self) -> None:
        line, document = self._any("document_item"), self._any("document")
        if line is None or document is None:
            return
        target = self._sid() if self._one_in(6) else document["SID"]
        self._put("document_item", line | {"DOC_SID": target})
        if self._one_in(3):
            self._put("document", dict(document))

    def _orphan(self) -> None:
        """Lines of a document that comes later, or has come by now."""
        orphans = {
            versions[-1]["DOC_SID"]
            for versions in self._versions["document_item"].values()
            if versions[-1]["DOC_SID"] not in self._versions["document"]
        }
        if orphans and not self._one_in(4):
            sid = self._random.choice(sorted(orphans))
            self._new_document(sid if sid.isdigit() else "")
        else:
            self._lines(self._sid(), 1, 1)

    # --- any row ----------------------------------------------------------------------------

    def _resend(self) -> None:
        """A version that was there before: the same, or an older one, or with other content."""
        table = self._random.choice(TABLES)
        row = self._any(table)
        if row is None:
            return
        row = dict(self._random.choice(self._versions[table][row["SID"]]))
        if self._one_in(2):
            column = {"customer": "LAST_NAME", "document": "TENDER_NAME", "document_item": "QTY"}
            row[column[table]] = str(self._changes)
        if self._one_in(3):
            row["MODIFIED_DATETIME"] = "2026-01-01T00:00:00Z"
        self._came.append((table, row))

    def _come_and_stay_mangled(self) -> None:
        """Rows whose SID a spreadsheet or a float has destroyed, and perhaps a good one later."""
        mangled = self._random.choice(MANGLED)
        table = self._random.choice(TABLES)
        row = self._any(table)
        if row is None:
            return
        for _ in range(self._random.randint(1, 4)):
            self._changes += 1
            changes = {"ROW_VERSION": str(self._changes), "SID": mangled}
            if table == "customer":
                changes["EMAIL"] = self._random.choice(self._addresses)
            self._came.append((table, row | changes))
        if self._one_in(2):
            self._put(table, row | {"SID": self._sid()})

    def _put(self, table: str, row: Row) -> None:
        """A new version, which becomes the newest."""
        self._changes += 1
        changed_at = datetime(2026, 2, 1, tzinfo=timezone.utc) + timedelta(minutes=self._changes)
        # Of a line without a zone it depends on when its document came.
        forms = ("%Y-%m-%dT%H:%M:%SZ",) * 9 + ("%Y-%m-%d %H:%M:%S",) * (table != "document_item")
        row = row | {
            "MODIFIED_DATETIME": changed_at.strftime(self._random.choice(forms)),
            "ROW_VERSION": str(self._changes),
        }
        self._versions[table].setdefault(row["SID"], []).append(row)
        self._came.append((table, row))

    # --- deliveries -------------------------------------------------------------------------

    def _deliver(self) -> Batch:
        """Some rows by another pipeline, in any order, the others in loads of one table each."""
        deliveries: list[Delivery] = []
        remaining = list(self._came)
        if self._one_in(2):
            self._random.shuffle(remaining)
        while remaining:
            count = self._random.randint(1, max(1, len(remaining) // 2) + 3)
            part, remaining = remaining[:count], remaining[count:]
            is_load = self._one_in(2)
            at = self._clock + timedelta(
                seconds=self._random.randint(0, 600)
                if is_load
                else self._random.randint(-2400, 600)
            )
            tables = sorted({table for table, _ in part}, key=lambda _: self._random.random())
            for table in tables:
                rows = [row for of, row in part if of == table]
                # Files of one export begin one after the other, inserts at the same moment.
                at += timedelta(seconds=self._random.randint(1, 9) if is_load else 0)
                deliveries.append(Delivery(table, rows, at, self._load_id() if is_load else ""))
        commits = [delivery for delivery in deliveries if delivery.load_id]
        late = [delivery for delivery in commits if self._one_in(4)]
        commits = [delivery for delivery in commits if delivery not in late]
        commits += [delivery for delivery in self._uncommitted if self._one_in(2)]
        self._uncommitted = [
            delivery for delivery in (*self._uncommitted, *late) if delivery not in commits
        ]
        return Batch(deliveries, commits)

    def _load_id(self) -> str:
        self._loads += 1
        return f"load-{self._seed}-{self._loads}"

    # --- chance -----------------------------------------------------------------------------

    def _pick(self, *choices: tuple[int, Callable[[], object]]) -> None:
        weights = [weight for weight, _ in choices]
        [(_, happens)] = self._random.choices(choices, weights)
        happens()

    def _one_in(self, times: int) -> bool:
        return self._random.randrange(times) == 0

    def _sid(self) -> str:
        self._sids += 1
        return str(self._sids)

    def _any(self, table: str) -> Row | None:
        sids = list(self._versions[table])
        return self._versions[table][self._random.choice(sids)][-1] if sids else None

    def _lines_of(self, document: str) -> list[Row]:
        newest = [versions[-1] for versions in self._versions["document_item"].values()]
        return [line for line in newest if line["DOC_SID"] == document]

    def _buyer(self) -> str:
        customers = list(self._versions["customer"])
        return self._random.choice(("", "0", DUMMY_SID, self._sid(), *customers[-6:], *customers))

    def _currency(self) -> str:
        return self._random.choice(CURRENCIES[:1] * 12 + CURRENCIES)

    def _business_time(self) -> str:
        day = f"2026-0{self._random.randint(1, 9)}-1{self._random.randrange(10)}"
        tomorrow = (self._clock + timedelta(days=1)).strftime("%Y-%m-%d %H:%M:%S-05")
        odd = (
            "",
            "soon",
            f"{day} 10:00:00",
            "2026-03-08 02:30:00",
            tomorrow,
            "2031-01-01T10:00:00Z",
        )
        return self._random.choice((f"{day}T10:00:00Z",) * 20 + odd)

    def _amounts(self, sold: int, returned: int) -> Row:
        fee = 1 if sold and self._one_in(4) else 0
        amounts = {
            "SOLD_QTY": str(sold),
            "RETURN_QTY": str(returned),
            "SALE_SUBTOTAL": f"{10 * sold}.00",
            "SALE_TOTAL_TAX_AMT": f"{sold}.00",
            "SALE_TOTAL_AMT": f"{11 * sold + fee}.00",
            "TOTAL_FEE_AMT": self._random.choice(("1.00",) if fee else ("", "", "", "1", "-1")),
            "RETURN_SUBTOTAL": f"{7 * returned}.00",
            "RETURN_TOTAL_TAX_AMT": f"{returned}.00",
        }
        silent = ("SOLD_QTY", "RETURN_QTY") if self._one_in(8) else ()
        return amounts | dict.fromkeys(silent, "")
