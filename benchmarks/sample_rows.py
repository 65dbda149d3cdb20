"""The history of the sample chain as rows of a Retail Pro export: every value is text."""

from __future__ import annotations

import random
from collections import Counter
from datetime import datetime, timedelta
from decimal import Decimal

from sample_chain import SUBSIDIARIES, Chain, Customer, Document, Line, money

Row = dict[str, str]
Tables = dict[str, list[Row]]

COLUMNS = {
    "customer": "SID CUST_ID FIRST_NAME LAST_NAME EMAIL MARKETING_FLAG LTY_OPT_IN LTY_BALANCE "
    "TOTAL_TRANSACTIONS SALE_ITEM_COUNT RETURN_ITEM_COUNT YTD_SALE CREATED_DATETIME ACTIVE "
    "CUST_TYPE MODIFIED_DATETIME ROW_VERSION",
    "document": "SID DOC_NO BT_CUID ST_CUID BT_EMAIL ST_EMAIL HAS_SALE HAS_RETURN SOLD_QTY "
    "RETURN_QTY SALE_TOTAL_AMT SALE_SUBTOTAL SALE_TOTAL_TAX_AMT TOTAL_DISCOUNT_AMT SHIPPING_AMT "
    "CURRENCY_NAME TENDER_NAME STORE_CODE STORE_NO SBS_NO SHIP_METHOD POST_DATE CREATED_DATETIME "
    "STATUS IS_HELD RECEIPT_TYPE INVC_POST_DATE RETURN_SUBTOTAL RETURN_TOTAL_TAX_AMT "
    "TRANSACTION_TOTAL_AMT USE_VAT REF_SALE_SID MODIFIED_DATETIME ROW_VERSION",
    "document_item": "SID DOC_SID ITEM_POS ALU DESCRIPTION1 DCS_CODE VEND_CODE QTY PRICE "
    "ORIG_PRICE DISC_AMT TAX_AMT ITEM_SIZE ATTRIBUTE INVN_SBS_ITEM_SID ITEM_TYPE KIT_FLAG "
    "RETURNED_ITEM_INVOICE_SID MODIFIED_DATETIME ROW_VERSION",
}


def plain(number: Decimal) -> str:
    """Write a decimal as the database client does: 12.5, not 12.50 and not 1.25E+1."""
    return f"{number.normalize():f}" if number else "0"


def iso(when: datetime) -> str:
    """Write a time as Retail Pro's REST service does, with the store's offset."""
    return when.isoformat(timespec="milliseconds")


def naive(text: str) -> str:
    """Drop the zone from such a time, as a client that maps it to local time does."""
    return text[:19].replace("T", " ")


def document_row(document: Document, number: str, rng: random.Random) -> Row:
    """Return the header of a document; its money is computed from the lines."""
    store, shop, who = document.store, SUBSIDIARIES[document.store.sbs], document.customer
    sold, subtotal, discount, tax, total = money(document, 1)
    returned, return_subtotal, return_discount, return_tax, return_total = money(document, 2)
    total += document.shipping
    times = [iso(document.created + timedelta(seconds=s)) for s in (0, 60 + rng.randrange(240))]
    posted, modified = document.created + timedelta(minutes=rng.randrange(5, 900)), ""
    if rng.random() < 0.12:
        modified = iso(document.created + timedelta(minutes=rng.randrange(3, 300)))
    row = {
        "SID": document.sid, "DOC_NO": number, "BT_CUID": who.sid if who else "",
        "BT_EMAIL": who.email if who and rng.random() < 0.6 else "",
        "HAS_SALE": plain(Decimal(sold > 0)), "HAS_RETURN": plain(Decimal(returned > 0)),
        "SOLD_QTY": plain(sold), "RETURN_QTY": plain(returned), "SALE_TOTAL_AMT": plain(total),
        "SALE_SUBTOTAL": plain(subtotal), "SALE_TOTAL_TAX_AMT": plain(tax),
        "TOTAL_DISCOUNT_AMT": plain(discount + return_discount),
        "SHIPPING_AMT": plain(document.shipping), "CURRENCY_NAME": shop.currency,
        "TENDER_NAME": rng.choice(shop.tenders), "STORE_CODE": store.code,
        "STORE_NO": str(store.no), "SBS_NO": str(store.sbs), "POST_DATE": iso(posted),
        "CREATED_DATETIME": times[0], "STATUS": "3" if document.held else "4",
        "IS_HELD": "1" if document.held else rng.choice(("0", "0", "0", "")),
        "RECEIPT_TYPE": str(document.receipt_type), "INVC_POST_DATE": times[1],
        "RETURN_SUBTOTAL": plain(return_subtotal), "RETURN_TOTAL_TAX_AMT": plain(return_tax),
        "TRANSACTION_TOTAL_AMT": plain(total - return_total), "USE_VAT": str(int(shop.vat)),
        "REF_SALE_SID": document.sale_sid, "MODIFIED_DATETIME": modified,
        "ROW_VERSION": str(rng.randrange(1, 9)),
    }  # fmt: skip
    if document.shipping and who:
        row |= {"ST_CUID": who.sid, "ST_EMAIL": who.email, "SHIP_METHOD": shop.carrier}
    if rng.random() < 0.03:  # some tills' rows come without a zone
        for column in ("POST_DATE", "CREATED_DATETIME", "INVC_POST_DATE", "MODIFIED_DATETIME"):
            row[column] = naive(row[column])
    return row


def line_row(line: Line, document: Document, position: int, sid: str) -> Row:
    """Return a document line."""
    return {
        "SID": sid, "DOC_SID": document.sid, "ITEM_POS": str(position), "ALU": line.alu,
        "DESCRIPTION1": line.product[0], "DCS_CODE": line.product[1],
        "VEND_CODE": line.product[2], "QTY": plain(line.qty), "PRICE": plain(line.price),
        "ORIG_PRICE": plain(line.list_price), "DISC_AMT": plain(line.list_price - line.price),
        "TAX_AMT": "" if line.kit_flag == 10 else plain(line.tax), "ITEM_SIZE": line.size,
        "ATTRIBUTE": line.colour, "INVN_SBS_ITEM_SID": line.item_sid,
        "ITEM_TYPE": str(line.item_type), "KIT_FLAG": str(line.kit_flag),
        "RETURNED_ITEM_INVOICE_SID": line.sale_sid, "ROW_VERSION": "1",
    }  # fmt: skip


def customer_row(who: Customer, number: int, documents: list[Document], rng: random.Random) -> Row:
    """Return a customer with the counters that Retail Pro keeps."""
    sales, returns = ([money(doc, kind) for doc in documents] for kind in (1, 2))
    paid = [sale[4] - back[4] for sale, back in zip(sales, returns, strict=True)]
    points = sum(paid, Decimal(0)) / SUBSIDIARIES[who.store.sbs].factor
    loyal = rng.random() < 0.6
    last = max([who.created, *(doc.created for doc in documents)])
    return {
        "SID": who.sid, "CUST_ID": f"{number:09d}", "FIRST_NAME": who.first,
        "LAST_NAME": who.last, "EMAIL": who.email, "MARKETING_FLAG": rng.choice(("", "0", "1")),
        "LTY_OPT_IN": str(int(loyal)), "LTY_BALANCE": str(int(points) if loyal else 0),
        "TOTAL_TRANSACTIONS": str(len(documents)),
        "SALE_ITEM_COUNT": plain(sum((sale[0] for sale in sales), Decimal(0))),
        "RETURN_ITEM_COUNT": plain(sum((back[0] for back in returns), Decimal(0))),
        "YTD_SALE": plain(sum((amount for amount, doc in zip(paid, documents, strict=True)
                               if doc.created.year == 2026), Decimal(0))),
        "CREATED_DATETIME": iso(who.created), "ACTIVE": "1", "CUST_TYPE": "0",
        "MODIFIED_DATETIME": iso(last) if documents else "",
        "ROW_VERSION": str(1 + len(documents)),
    }  # fmt: skip


def clean_tables(chain: Chain) -> Tables:
    """Return the rows of the whole history, without dirt."""
    tables: Tables = {table: [] for table in COLUMNS}
    numbers: Counter[tuple[object, int]] = Counter()
    for document in chain.documents:
        sequence = (document.store, document.receipt_type)  # so a number comes up in many stores
        numbers[sequence] += 0 if document.held else 1
        number = "" if document.held else str(1040 + numbers[sequence])
        tables["document"].append(document_row(document, number, chain.rng))
        for position, line in enumerate(document.lines, 1):
            sid = chain.sid(document.created)
            tables["document_item"].append(line_row(line, document, position, sid))
    posted = [doc for doc in chain.documents if not doc.held and doc.receipt_type != 2]
    by_age = sorted(chain.customers, key=lambda who: who.sid)
    for cust_id, who in enumerate(by_age, 10_001):
        own = [doc for doc in posted if doc.customer is who]
        tables["customer"].append(customer_row(who, cust_id, own, chain.rng))
    for table, columns in COLUMNS.items():
        blank = dict.fromkeys(columns.split(), "")
        tables[table] = [blank | row for row in tables[table]]
    return tables
