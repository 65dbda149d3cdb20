"""The sample export and the reference seeds: reproducible, complete, and right to the cent."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from collections import defaultdict
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import yaml

ROOT = Path(__file__).parents[2]
SAMPLE, REFERENCE = ROOT / "seeds" / "sample", ROOT / "seeds" / "reference"
SHOP, TEST_SHOP = ROOT / "seeds" / "shop", ROOT / "tests" / "shop"
GENERATOR = ROOT / "benchmarks" / "make_sample_export.py"
DICTIONARY = ROOT / "dbt_project/models/staging/retail_pro/_retail_pro__sources.yml"
TABLES = ("customer", "document", "document_item")
COIN = {"1": Decimal("0.01"), "2": Decimal("0.01"), "3": Decimal(1)}
SID = re.compile(r"[0-9]{1,19}")
# Cases after which a document's header and lines disagree, as they are meant to.
UNEVEN = (
    "amount_unreadable", "header_off_by_a_cent", "header_sums_do_not_fit", "header_without_lines",
    "return_amount_in_lines_only", "return_amount_nowhere", "payment_only", "document_sid_excel",
    "document_sid_float", "line_sid_excel", "quantity_unreadable", "signed_return",
    "sign_against_type", "discount_negative", "exchange_without_item_type", "return_of_unknown_tax",
    "item_type_unreadable", "price_negative",
)  # fmt: skip


def read(path: Path) -> list[dict[str, str]]:
    """Read a CSV file into rows."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def generate(*arguments: str) -> str:
    """Run the generator as a user would."""
    command = [sys.executable, str(GENERATOR), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def sample() -> dict[str, list[dict[str, str]]]:
    return {table: read(SAMPLE / f"{table}.csv") for table in TABLES}


@pytest.fixture(scope="module")
def cases() -> dict[str, list[dict[str, str]]]:
    return json.loads(generate("--list-cases"))


def test_files_are_what_the_generator_writes(tmp_path: Path) -> None:
    generate("--out", str(tmp_path))
    for table in TABLES:
        assert (tmp_path / f"{table}.csv").read_bytes() == (SAMPLE / f"{table}.csv").read_bytes()


def test_another_seed_writes_another_history(tmp_path: Path) -> None:
    generate("--seed", "7", "--out", str(tmp_path))
    assert (tmp_path / "document.csv").read_bytes() != (SAMPLE / "document.csv").read_bytes()


def test_files_are_plain_utf8_csv_of_a_small_chain(sample) -> None:
    contents = [(SAMPLE / f"{table}.csv").read_bytes() for table in TABLES]
    assert sum(map(len, contents)) < 1_500_000
    assert not any(content.startswith(b"\xef\xbb\xbf") or b"\r" in content for content in contents)
    assert len(sample["customer"]) >= 500
    assert len(sample["document"]) >= 2_000
    assert len(sample["document_item"]) >= 5_000


@pytest.mark.parametrize("table", TABLES)
def test_columns_are_in_the_data_dictionary(sample, table: str) -> None:
    source = yaml.safe_load(DICTIONARY.read_text(encoding="utf-8"))["sources"][0]
    known = {entry["name"]: entry["columns"] for entry in source["tables"]}[table]
    assert set(sample[table][0]) <= {column["name"] for column in known}


def described(path: Path) -> dict[str, dict]:
    """Return the seeds that a YAML file describes, by name."""
    properties = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {seed["name"]: seed for seed in properties["seeds"]}


MAPPINGS = described(REFERENCE / "_mappings__seeds.yml")


@pytest.mark.parametrize(
    ("folder", "seeds"),
    [
        (SAMPLE, described(SAMPLE / "_sample__seeds.yml") | MAPPINGS),
        (REFERENCE, described(REFERENCE / "_reference__seeds.yml")),
        (SHOP, MAPPINGS),
        (TEST_SHOP, MAPPINGS),
    ],
)
def test_every_seed_column_has_a_type_and_a_description(folder: Path, seeds: dict) -> None:
    assert set(seeds) == {path.stem for path in folder.glob("*.csv")}
    for name, seed in seeds.items():
        header = (folder / f"{name}.csv").read_text(encoding="utf-8").splitlines()[0].split(",")
        assert list(seed["config"]["column_types"]) == header
        assert [column["name"] for column in seed["columns"]] == header
        assert all(column["description"] for column in seed["columns"])


def test_every_case_shows_in_the_files(sample, cases) -> None:
    sids = {row["SID"] for rows in sample.values() for row in rows}
    assert len(cases) > 85
    assert all(row["SID"] in sids for rows in cases.values() for row in rows)


def test_mangled_sids_stay_below_one_percent(sample) -> None:
    for rows in sample.values():
        bad = [row for row in rows if not SID.fullmatch(row["SID"])]
        assert 0 < len(bad) < len(rows) / 100


def test_lines_and_documents_know_each_other_but_for_the_cases(sample, cases) -> None:
    headers = {row["SID"] for row in sample["document"]}
    orphans = {row["DOC_SID"] for row in sample["document_item"]} - headers
    moved = {row["was"] for rows in cases.values() for row in rows if "was" in row}
    assert orphans <= moved | {row["DOC_SID"] for row in cases["line_without_header"]}
    for line in sample["document_item"]:
        assert line["RETURNED_ITEM_INVOICE_SID"] in headers | {""}


def expected_money(header: dict[str, str], lines: list[dict[str, str]], kind: str) -> tuple:
    """Compute subtotal, tax and total of one kind of line from the lines alone."""
    coin = COIN.get(header["SBS_NO"], Decimal("0.01"))
    coin = Decimal(1) if header["CURRENCY_NAME"].strip().upper() == "YEN" else coin
    own = [line for line in lines if line["ITEM_TYPE"] == kind and line["KIT_FLAG"] != "5"]
    amounts = [(Decimal(line["PRICE"]), Decimal(line["TAX_AMT"] or 0), line["QTY"]) for line in own]
    gross = sum((price * Decimal(qty) for price, _, qty in amounts), Decimal(0))
    tax = sum((tax * Decimal(qty) for _, tax, qty in amounts), Decimal(0))
    subtotal, tax = (value.quantize(coin, ROUND_HALF_UP) for value in (gross, tax))
    if kind == "1":
        subtotal -= Decimal(header["TOTAL_DISCOUNT_AMT"])
    with_tax = header["USE_VAT"] == "1" or (header["USE_VAT"] == "" and header["SBS_NO"] != "1")
    return subtotal, tax, subtotal if with_tax else subtotal + tax


def test_money_adds_up(sample, cases) -> None:
    uneven = {
        row[key]
        for name in UNEVEN
        for row in cases[name]
        for key in ("DOC_SID", "SID", "was")
        if key in row
    }
    lines: dict[str, dict[str, dict[str, str]]] = defaultdict(dict)
    for line in sample["document_item"]:
        lines[line["DOC_SID"]][line["SID"]] = line
    checked = 0
    for header in sample["document"]:
        if header["SID"] in uneven or header["RECEIPT_TYPE"] == "2":
            continue
        own = list(lines[header["SID"]].values())
        subtotal, tax, total = expected_money(header, own, "1")
        assert Decimal(header["SALE_SUBTOTAL"]) == subtotal
        assert Decimal(header["SALE_TOTAL_TAX_AMT"]) == tax
        assert Decimal(header["SALE_TOTAL_AMT"]) == total + Decimal(header["SHIPPING_AMT"])
        back, back_tax, back_total = expected_money(header, own, "2")
        assert Decimal(header["RETURN_SUBTOTAL"]) == back
        assert Decimal(header["RETURN_TOTAL_TAX_AMT"]) == back_tax
        net = Decimal(header["SALE_TOTAL_AMT"]) - back_total
        assert Decimal(header["TRANSACTION_TOTAL_AMT"]) == net
        checked += 1
    assert checked > 2_000


def test_pure_returns_have_no_sale_money(sample) -> None:
    returns = [row for row in sample["document"] if row["RECEIPT_TYPE"] == "1"]
    assert len(returns) > 100
    assert {(row["SALE_TOTAL_AMT"], row["SOLD_QTY"]) for row in returns} == {("0", "0")}


def test_mappings_of_a_shop_are_delivered_empty() -> None:
    assert {path.name: read(path) for path in SHOP.iterdir()} == {
        f"{name}.csv": [] for name in MAPPINGS
    }


def test_stores_of_the_sample_are_in_its_mappings(sample) -> None:
    stores = read(SAMPLE / "stores.csv")
    known = {(row["sbs_no"], row["store_code"]) for row in stores}
    assert len(known) == len(stores) == 9
    used = {(row["SBS_NO"], row["STORE_CODE"].upper()) for row in sample["document"]}
    assert known <= used
    for row in [*stores, *read(SAMPLE / "subsidiaries.csv")]:
        ZoneInfo(row["time_zone"])


def test_invented_addresses_reach_nobody(sample) -> None:
    fillers = {row["email_or_domain"] for row in read(REFERENCE / "placeholder_emails.csv")}
    assert not any(filler.endswith(".example") for filler in fillers)
    for row in sample["customer"]:
        for domain in re.findall(r"@([a-z.]+\.[a-z]+)", row["EMAIL"].lower()):
            address = row["EMAIL"].strip().lower()
            assert domain.endswith(".example") or {domain, address} & fillers


def test_currency_names_mean_one_currency_each() -> None:
    rows = read(REFERENCE / "currencies.csv")
    codes = {row["currency_name"]: row["currency_code"] for row in rows}
    assert len(codes) == len(rows)
    assert all(codes[code] == code for code in codes.values())
    assert all(name == " ".join(name.upper().split()) for name in codes)
    assert len({(row["currency_code"], row["minor_units"]) for row in rows}) == len(
        set(codes.values())
    )
    assert not {"DOLLAR", "DOLLARS", "PESO", "POUND", "CROWN", "KRONE", "DINAR", "$"} & set(codes)
    assert (codes["US DOLLARS"], codes["EURO"], codes["YEN"]) == ("USD", "EUR", "JPY")
