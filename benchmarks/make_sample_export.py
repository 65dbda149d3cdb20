"""Write the sample export: customer.csv, document.csv and document_item.csv of an invented chain.

`sample_chain.py` makes up the chain and its clean history, `sample_rows.py` turns it into rows as
Retail Pro exports them. Here `CASES` spoils a few rows, each in one way that real exports show.
The same seed always writes the same bytes.

    python benchmarks/make_sample_export.py --out seeds/sample
    python benchmarks/make_sample_export.py --list-cases
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from sample_chain import Chain
from sample_rows import COLUMNS, Row, Tables, clean_tables, naive, plain


@dataclass(frozen=True)
class Case:
    """One kind of dirt: how many rows of a table get it, which may, and what becomes of a row."""

    name: str
    table: str
    rows: int
    change: Callable[[Row, int], Row]
    where: Callable[[Row], bool] = lambda row: True
    lines: str = "keep"  # a document's lines: keep, drop, or untype (no ITEM_TYPE)
    added: bool = False  # the changed row comes behind the row as it was, instead of in its place


def has_email(row: Row) -> bool:
    """Whether the customer left an e-mail address."""
    return bool(row["EMAIL"])


def never_bought(row: Row) -> bool:
    """Whether no document names the customer."""
    return row["TOTAL_TRANSACTIONS"] == "0"


def is_sale(row: Row) -> bool:
    """Whether the document is a posted sale without returns."""
    return (row["HAS_SALE"], row["HAS_RETURN"], row["STATUS"]) == ("1", "0", "4")


def is_return(row: Row) -> bool:
    """Whether the document is a pure return."""
    return row["RECEIPT_TYPE"] == "1"


def is_exchange(row: Row) -> bool:
    """Whether the document has both sides."""
    return (row["HAS_SALE"], row["HAS_RETURN"]) == ("1", "1")


def is_taxed_return(row: Row) -> bool:
    """Whether the document is a pure return with tax, with a zone in its times."""
    return is_return(row) and row["RETURN_TOTAL_TAX_AMT"] != "0" and "T" in row["INVC_POST_DATE"]


def is_held(row: Row) -> bool:
    """Whether the document is parked."""
    return row["IS_HELD"] == "1"


def sold_line(row: Row) -> bool:
    """Whether the line is an ordinary piece sold."""
    return row["ITEM_TYPE"] == "1" and row["KIT_FLAG"] == "0" and row["ITEM_SIZE"] != ""


def known_buyer(row: Row) -> bool:
    """Whether the document is a sale over the counter to a customer."""
    return is_sale(row) and row["BT_CUID"] != "" and row["ST_CUID"] == ""


def unknown_buyer(row: Row) -> bool:
    """Whether the document is a sale to nobody known."""
    return is_sale(row) and row["BT_CUID"] == ""


def pick(*values: str) -> Callable[[int], str]:
    """Return a chooser that goes round the values as a case goes through its rows."""
    return lambda index: values[index % len(values)]


def put(**columns: str | Callable[[int], str]) -> Callable[[Row, int], Row]:
    """Return a change that writes fixed values, or those that a chooser picks, into columns."""
    return lambda row, i: row | {k: v if isinstance(v, str) else v(i) for k, v in columns.items()}


def edit(edits: dict[str, Callable[[str], str]]) -> Callable[[Row, int], Row]:
    """Return a change that rewrites columns from what they hold."""
    return lambda row, i: row | {column: change(row[column]) for column, change in edits.items()}


def later(**columns: str) -> Callable[[Row, int], Row]:
    """Return a change to a newer version of the row."""
    return lambda row, i: (
        row
        | {"ROW_VERSION": str(int(row["ROW_VERSION"]) + 1)}
        | {"MODIFIED_DATETIME": f"2026-11-15T09:0{i}:00.000+00:00"}
        | columns
    )


def minus_a_cent(text: str) -> str:
    """Return an amount less 0.01."""
    return plain(Decimal(text) - Decimal("0.01"))


CASES = [
    # Customers: e-mail addresses as typed at the till.
    Case("email_placeholder", "customer", 5, put(EMAIL=pick(
        "noemail@gmail.com", "none@none.com", "NA@NA.COM", "ann@example.com", "no@no.com"))),
    Case("email_case_and_blanks", "customer", 5, edit(
        {"EMAIL": lambda t: f" {t.upper()} "}), has_email),
    Case("email_several", "customer", 3, put(EMAIL=pick(
        "lea.first@mail.example;lea.second@post.example", "n/a, kim.valid@inbox.example",
        "ruth.one@mail.example / ruth.two@mail.example"))),
    Case("email_malformed", "customer", 4, put(EMAIL=pick(
        "ann.mail.example", "bo@@mail.example", "cy@mail", "di reed@mail.example"))),
    Case("email_of_the_store", "customer", 7, put(EMAIL="soho@alderfinch.example")),
    Case("email_of_two_customers", "customer", 2, put(EMAIL="family.conti@mail.example")),
    # Customers: names.
    Case("name_filler", "customer", 4, put(LAST_NAME=pick("-", ".", "N/A", "XXX"))),
    Case("name_all_fillers", "customer", 1, put(FIRST_NAME="x", LAST_NAME="n/a")),
    Case("name_whole_in_first", "customer", 3, put(
        FIRST_NAME=pick("NGUYEN THI AN", "Carla Maria Neri", "OKAFOR, CHIDI"), LAST_NAME="")),
    Case("name_not_latin", "customer", 3, put(
        FIRST_NAME=pick("Анна", "فاطمة", "Ελένη"), LAST_NAME=pick("Иванова", "الزهراء", "Παππά"))),
    Case("name_quote_and_comma", "customer", 2, put(
        FIRST_NAME=pick('Robert "Bob"', "Eve"), LAST_NAME=pick("Neil, Jr.", 'O"Hara'))),
    Case("name_line_break", "customer", 1, put(FIRST_NAME="Maria\nGrazia")),
    Case("name_control_character", "customer", 1, put(FIRST_NAME="  Ann\x07  Lee\t")),
    # Customers: numbers, flags, counters and times.
    Case("cust_id_reused", "customer", 2, put(CUST_ID="000012345")),
    Case("cust_id_empty", "customer", 4, put(CUST_ID="")),
    Case("marketing_flag_code", "customer", 3, put(MARKETING_FLAG="3")),
    Case("loyalty_flag_text", "customer", 4, put(LTY_OPT_IN=pick("true", "false", "Y", ""))),
    Case("loyalty_balance_negative", "customer", 1, put(LTY_BALANCE="-120")),
    Case("loyalty_balance_unreadable", "customer", 1, put(LTY_BALANCE="1.250,50")),
    Case("counters_wrong", "customer", 3, put(TOTAL_TRANSACTIONS="0"),
         lambda r: not never_bought(r)),
    Case("inactive", "customer", 4, put(ACTIVE="0")),
    Case("employee", "customer", 4, put(CUST_TYPE="1")),
    Case("created_without_zone", "customer", 8, edit({"CREATED_DATETIME": naive})),
    Case("created_impossible", "customer", 1, put(
        CREATED_DATETIME="1899-12-30T00:00:00.000+00:00")),
    Case("created_oracle", "customer", 1, put(
        CREATED_DATETIME="01-MAY-24 10.15.00.000000 AM +03:00")),
    Case("created_ambiguous", "customer", 1, put(CREATED_DATETIME="05/06/24")),
    # Customers: ids and versions.
    Case("customer_sid_excel", "customer", 1, put(SID="5.92481E+17"), never_bought),
    Case("customer_sid_float", "customer", 1, edit({"SID": lambda t: t + ".0"}), never_bought),
    Case("customer_exact_copy", "customer", 2, put(), added=True),
    Case("customer_newer_version", "customer", 2, later(EMAIL="moved.house@mail.example"),
         added=True),
    # Documents: who bought.
    Case("customer_without_row", "document", 4, put(BT_CUID=pick(
        "602648113000140071", "602648113000140072")), known_buyer),
    Case("customer_zero", "document", 2, put(BT_CUID="0"), unknown_buyer),
    Case("guest_with_email", "document", 8, put(
        BT_EMAIL=lambda i: f"guest{i + 1}@post.example"), unknown_buyer),
    Case("guest_with_placeholder", "document", 2, put(BT_EMAIL="none@none.com"), unknown_buyer),
    Case("email_differs", "document", 2, put(BT_EMAIL="old.address@mail.example"), known_buyer),
    Case("ship_to_only", "document", 1, lambda r, i: r | {"BT_CUID": "", "ST_CUID": r["BT_CUID"]},
         known_buyer),
    # Documents: money.
    Case("currency_unmapped", "document", 2, put(
        CURRENCY_NAME=pick("DOLLAR", "STORE POINTS")), is_sale),
    Case("currency_empty", "document", 1, put(CURRENCY_NAME=""), is_sale),
    Case("currency_case_and_blanks", "document", 3, edit(
        {"CURRENCY_NAME": lambda t: f" {t.title()} "}), is_sale),
    Case("amount_unreadable", "document", 2, put(
        SALE_TOTAL_AMT=pick("1.234,50", "########")), is_sale),
    Case("header_off_by_a_cent", "document", 2, edit(
        {"SALE_SUBTOTAL": minus_a_cent, "SALE_TOTAL_AMT": minus_a_cent}),
        lambda r: is_sale(r) and r["SBS_NO"] != "3"),
    Case("header_sums_do_not_fit", "document", 1, edit(
        {"SALE_TOTAL_AMT": lambda t: plain(Decimal(t) + 7)}),
        lambda r: is_sale(r) and r["SBS_NO"] == "1"),
    Case("tax_method_not_said", "document", 4, put(USE_VAT=""), is_sale),
    # Documents: what kind they are.
    Case("flags_as_text", "document", 4, put(HAS_SALE="true", HAS_RETURN="false"), is_sale),
    Case("flags_empty", "document", 2, put(HAS_SALE="", HAS_RETURN=""), is_sale),
    Case("flag_denies_return", "document", 1, put(HAS_RETURN="0"), is_return),
    Case("return_amount_in_lines_only", "document", 2, put(
        RETURN_SUBTOTAL="", RETURN_TOTAL_TAX_AMT="", TRANSACTION_TOTAL_AMT=""), is_return),
    Case("return_amount_nowhere", "document", 1, put(
        RETURN_SUBTOTAL="", RETURN_TOTAL_TAX_AMT="", TRANSACTION_TOTAL_AMT=""), is_return,
        lines="drop"),
    Case("header_without_lines", "document", 2, put(), is_sale, lines="drop"),
    Case("payment_only", "document", 3, put(
        HAS_SALE="0", SOLD_QTY="0", SALE_TOTAL_AMT="0", SALE_SUBTOTAL="0", SALE_TOTAL_TAX_AMT="0",
        TOTAL_DISCOUNT_AMT="0", SHIPPING_AMT="0", TRANSACTION_TOTAL_AMT="120",
        TENDER_NAME="Charge"),
        known_buyer, lines="drop"),
    # Documents: where and when.
    Case("store_code_case", "document", 4, put(STORE_CODE="b135"),
         lambda r: r["STORE_CODE"] == "B135"),
    Case("store_code_lost_zeros", "document", 2, put(STORE_CODE="1"),
         lambda r: r["STORE_CODE"] == "001"),
    Case("store_unknown", "document", 1, put(STORE_CODE="077", STORE_NO="77"), is_sale),
    Case("zone_unknown", "document", 1, lambda r, i: r | {
        "STORE_CODE": "501", "STORE_NO": "1", "SBS_NO": "9",
        "INVC_POST_DATE": "2026-05-02 11:20:00",
        "CREATED_DATETIME": "2026-05-02 11:18:30"}, is_sale),
    Case("ledger_subsidiary", "document", 3, put(
        SBS_NO="100", STORE_CODE="000", STORE_NO="0"), is_sale),
    Case("no_business_time", "document", 4, put(INVC_POST_DATE=""), is_sale),
    Case("impossible_business_time", "document", 2, put(INVC_POST_DATE=pick(
        "0001-01-01T00:00:00.000+00:00", "2099-12-31T00:00:00.000+00:00")), is_sale),
    Case("time_ambiguous", "document", 1, put(
        INVC_POST_DATE="05/06/26", CREATED_DATETIME="05/06/26"), is_sale),
    Case("time_oracle", "document", 2, put(
        INVC_POST_DATE="14-AUG-26 03.40.12.000000 PM -04:00",
        CREATED_DATETIME="14-AUG-26 03.38.00.000000 PM -04:00"), is_sale),
    Case("text_line_break", "document", 1, put(
        SHIP_METHOD='Collect "in store",\nside door'), is_sale),
    Case("tender_empty", "document", 4, put(TENDER_NAME=""), is_sale),
    # Documents: ids and versions.
    Case("document_sid_excel", "document", 1, put(SID="6.17481E+17"), is_sale),
    Case("document_sid_float", "document", 1, edit({"SID": lambda t: t + ".0"}), is_sale),
    Case("document_exact_copy", "document", 2, put(), is_sale, added=True),
    Case("document_newer_same_content", "document", 2, later(), is_sale, added=True),
    Case("document_newer_version", "document", 2, later(TENDER_NAME="Store Credit"), is_sale,
         added=True),
    Case("held_then_posted", "document", 1, later(IS_HELD="0", STATUS="4", DOC_NO="9001"), is_held,
         added=True),
    # Lines.
    Case("line_without_header", "document_item", 2, lambda r, i: r | {
        "SID": f"63699000{i}000990001", "DOC_SID": "636990000000990000"}, sold_line, added=True),
    Case("zero_quantity", "document_item", 3, lambda r, i: r | {
        "SID": f"63699001{i}000990001", "ITEM_POS": "20", "QTY": "0"}, sold_line, added=True),
    Case("price_above_list", "document_item", 2, put(ORIG_PRICE="1", DISC_AMT="0"), sold_line),
    Case("signed_return", "document_item", 1, put(QTY="-1"), lambda r: r["ITEM_TYPE"] == "2"),
    Case("sign_against_type", "document_item", 1, put(QTY="-1"), sold_line),
    Case("quantity_unreadable", "document_item", 2, put(QTY=pick("1,5", "one")), sold_line),
    Case("alu_missing", "document_item", 2, put(ALU=pick("", "N/A")), sold_line),
    Case("alu_excel", "document_item", 1, put(ALU="7.1234E+10"), sold_line),
    Case("description_dirty", "document_item", 3, put(DESCRIPTION1=pick(
        'Shell 3/4", zip', "Tee\nlong", "  Sock \x07 3-Pack ")), sold_line),
    Case("line_sid_excel", "document_item", 1, put(SID="6.17481E+17"), sold_line),
    Case("line_exact_copy", "document_item", 2, put(), sold_line, added=True),
    Case("line_newer_version", "document_item", 1, later(ATTRIBUTE="PLUM"), sold_line, added=True),
    # Behind the others, so that their rows stay what they were. Customers.
    Case("name_damaged", "customer", 2, put(LAST_NAME=pick("MÃ¼ller", "?????"))),
    Case("name_null", "customer", 1, put(LAST_NAME="NULL")),
    Case("cust_id_filler", "customer", 1, put(CUST_ID="-")),
    Case("active_unreadable", "customer", 1, put(ACTIVE="x"), never_bought),
    Case("created_named_zone", "customer", 1, put(
        CREATED_DATETIME="2026-03-02 10:15:00 Europe/Rome")),
    Case("customer_version_conflict", "customer", 1, put(FIRST_NAME="Alex"), added=True),
    # Documents.
    Case("customer_sid_float_on_document", "document", 1, edit(
        {"BT_CUID": lambda t: t + ".0"}), known_buyer),
    Case("customer_sid_excel_on_document", "document", 1, put(BT_CUID="5.92481E+17"), known_buyer),
    Case("status_unreadable", "document", 1, put(STATUS="posted"), is_sale),
    Case("flag_unreadable", "document", 1, put(HAS_SALE="maybe", SOLD_QTY=""), is_sale),
    Case("posted_without_number", "document", 1, put(DOC_NO=""), is_sale),
    Case("discount_negative", "document", 1, put(TOTAL_DISCOUNT_AMT="-10"), is_sale),
    Case("null_as_text", "document", 2, put(
        TENDER_NAME=pick("NULL", "n/a"), SHIP_METHOD="null"), is_sale),
    Case("time_named_zone", "document", 1, put(
        INVC_POST_DATE="14-AUG-26 03.40.12.000000 PM AMERICA/NEW_YORK",
        CREATED_DATETIME="14-AUG-26 03.38.00.000000 PM AMERICA/NEW_YORK"), is_sale),
    Case("time_without_seconds", "document", 1, put(
        INVC_POST_DATE="2026-08-14T15:40Z", CREATED_DATETIME="2026-08-14T15:38Z"), is_sale),
    Case("time_of_day_missing", "document", 1, put(
        INVC_POST_DATE="14-AUG-26", CREATED_DATETIME="14-AUG-26"), is_sale),
    Case("exchange_without_item_type", "document", 3, put(), is_exchange, lines="untype"),
    Case("return_of_unknown_tax", "document", 1, put(
        SBS_NO="9", STORE_CODE="501", STORE_NO="1", USE_VAT="", TRANSACTION_TOTAL_AMT=""),
        is_taxed_return),
    Case("return_reference_mangled", "document", 1, put(REF_SALE_SID="6.17481E+17"), is_return),
    Case("document_version_conflict", "document", 1, put(TENDER_NAME="Voucher"), is_sale,
         added=True),
    # Lines.
    Case("item_type_unreadable", "document_item", 1, put(ITEM_TYPE="S"), sold_line),
    Case("description_missing", "document_item", 2, put(DESCRIPTION1=pick("", "N/A")), sold_line),
    Case("price_negative", "document_item", 1, edit({"PRICE": lambda t: f"-{t}"}), sold_line),
]  # fmt: skip


def spoil(tables: Tables, used: set[str], rng: random.Random) -> dict[str, list[Row]]:
    """Apply every case to rows that no other case has touched.

    Args:
        tables: The clean rows; changed in place.
        used: SIDs of customers and documents that must stay as they are.
        rng: The source of chance.

    Returns:
        For each case the SID (of a line also its document's) of its rows as they stand in the
        file, and under `was` the SID that a case took away.
    """
    touched: dict[str, list[Row]] = {}
    for case in CASES:
        rows, key = tables[case.table], "DOC_SID" if case.table == "document_item" else "SID"
        free = [row for row in rows if row[key] not in used and case.where(row)]
        for index, row in enumerate(rng.sample(free, case.rows)):
            used.add(row[key])
            changed = case.change(dict(row), index)
            place = next(i for i, other in enumerate(rows) if other is row)
            rows[place : place + 1] = [row, changed] if case.added else [changed]
            lines = tables["document_item"]
            if case.lines == "drop":
                lines[:] = [line for line in lines if line["DOC_SID"] != row["SID"]]
            elif case.lines == "untype":
                for line in lines:
                    if line["DOC_SID"] == row["SID"]:
                        line["ITEM_TYPE"] = ""
            ids = {name: changed[name] for name in ("SID", "DOC_SID") if name in changed}
            lost = {} if row["SID"] == changed["SID"] or case.added else {"was": row["SID"]}
            touched.setdefault(case.name, []).append(ids | lost)
    return touched


def make_export(seed: int) -> tuple[Tables, dict[str, list[Row]]]:
    """Return the three tables of the sample export and the rows of each case."""
    chain = Chain(seed)
    tables = clean_tables(chain)
    shared = {who.sid for who in chain.customers if not who.weight}
    returned = {line["RETURNED_ITEM_INVOICE_SID"] for line in tables["document_item"]}
    of_shared = {row["SID"] for row in tables["document"] if row["BT_CUID"] in shared}
    return tables, spoil(tables, shared | returned | of_shared, chain.rng)


def write(tables: Tables, directory: Path) -> None:
    """Write one CSV file per table: UTF-8, line feeds, quotes only where needed."""
    directory.mkdir(parents=True, exist_ok=True)
    for table, rows in tables.items():
        path = directory / f"{table}.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS[table].split(), restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--seed", type=int, default=2026, help="another seed, another history")
    parser.add_argument(
        "--out", type=Path, default=Path("seeds/sample"), help="directory to write to"
    )
    parser.add_argument("--list-cases", action="store_true",
                        help="print the rows of each case as JSON and write nothing")  # fmt: skip
    options = parser.parse_args()
    tables, cases = make_export(options.seed)
    if options.list_cases:
        json.dump(cases, sys.stdout, indent=1)
        sys.stdout.write("\n")
        return
    write(tables, options.out)
    counts = ", ".join(f"{len(rows)} {table} rows" for table, rows in tables.items())
    sys.stdout.write(f"{options.out}: {counts}\n")


if __name__ == "__main__":
    main()
