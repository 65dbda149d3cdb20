"""Fill the landing tables with the rows of an invented chain, of any size.

The rows are made inside ClickHouse by history.sql; the same seed always makes the same rows. The
nightly loads of a history lie in the past, from 2008 on. A second call with a higher `--first` goes
on: it is a day with new receipts and customers that is loaded now.

    python benchmarks/history.py --documents 1000000 --customers 50000
    python benchmarks/history.py --documents 1000 --first 1000000 --new-customers 50
"""

from __future__ import annotations

import argparse
from pathlib import Path

from clickhouse_connect.driver.client import Client

from luigi_tasks import config
from luigi_tasks.clickhouse import client as clickhouse
from luigi_tasks.clickhouse import queries
from luigi_tasks.landing import dictionary
from luigi_tasks.landing.tables import Landing

HERE = Path(__file__).parent
QUERIES = queries.parse((HERE / "history.sql").read_text(encoding="utf-8"))
CHUNK = 500_000
"""Receipts per insert, which bounds the memory."""

STEPS = ("make_receipts", "insert_documents", "insert_document_items", "drop_receipts")
"""The queries that add a chunk of receipts."""


def add(
    client: Client,
    database: str,
    *,
    seed: int = 1,
    first: int = 0,
    documents: int,
    customers: int,
    new_customers: int = 0,
) -> None:
    """Add receipts and customers; a history when it begins with receipt 0, else a day of it.

    Args:
        client: A client for ClickHouse.
        database: The landing database.
        seed: What the random values start from.
        first: Number of the first receipt.
        documents: Receipts to add.
        customers: Customers whom the receipts are of. A history brings them.
        new_customers: Customers that a day adds to them.
    """
    is_history = first == 0
    Landing(client, database).create(dictionary.load(HERE.parent))
    common = {"database": database, "seed": seed, "is_history": is_history}
    people = (0, customers) if is_history else (customers, new_customers)
    client.command(
        QUERIES["insert_customers"], common | {"first": people[0], "customers": people[1]}
    )
    for start in range(first, first + documents, CHUNK):
        chunk = {"first": start, "documents": min(CHUNK, first + documents - start)}
        for step in STEPS:
            client.command(QUERIES[step], common | chunk | {"customers": customers})


def main() -> None:
    """Generate what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--documents", type=int, required=True, help="receipts to make")
    parser.add_argument("--customers", type=int, default=50_000, help="customers of the chain")
    parser.add_argument("--new-customers", type=int, default=0, help="customers of a day")
    parser.add_argument("--first", type=int, default=0, help="number of the first receipt")
    parser.add_argument("--seed", type=int, default=1, help="what the random values start from")
    add(clickhouse.connect(), config.retail_pro().landing_database, **vars(parser.parse_args()))


if __name__ == "__main__":
    main()
