"""Fill the landing tables with the rows of an invented chain, of any size.

The rows are made inside ClickHouse by history.sql; the same seed always makes the same rows. A
second call with a higher `--first` goes on in time, for a day with new receipts.

    python benchmarks/history.py --documents 1000000 --customers 50000
    python benchmarks/history.py --first 1000000 --documents 1000
"""

from __future__ import annotations

import argparse
from pathlib import Path

from clickhouse_connect.driver.client import Client

from luigi_tasks import clickhouse, config, dictionary, queries
from luigi_tasks.landing import Landing

HERE = Path(__file__).parent
QUERIES = queries.parse((HERE / "history.sql").read_text(encoding="utf-8"))
CHUNK = 1_000_000
"""Receipts per insert, which bounds the memory."""

STEPS = ("make_receipts", "insert_documents", "insert_document_items", "drop_receipts")
"""The queries that add a chunk of receipts."""


def create(client: Client, database: str) -> None:
    """Create the landing tables."""
    Landing(client, database).create(dictionary.load(HERE.parent))


def add_customers(client: Client, database: str, seed: int, first: int, count: int) -> None:
    """Insert customers number `first` to `first + count`."""
    binds = {"database": database, "seed": seed, "first": first, "documents": count}
    client.command(QUERIES["insert_customers"], binds)


def add_documents(
    client: Client, database: str, seed: int, *, customers: int, first: int, count: int
) -> None:
    """Insert receipts number `first` to `first + count`, of so many customers, with their lines."""
    for start in range(first, first + count, CHUNK):
        binds = {
            "database": database,
            "seed": seed,
            "customers": customers,
            "first": start,
            "documents": min(CHUNK, first + count - start),
        }
        for query in STEPS:
            client.command(QUERIES[query], binds)


def main() -> None:
    """Generate what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, required=True, help="receipts to make")
    parser.add_argument("--customers", type=int, default=50_000, help="customers of the chain")
    parser.add_argument("--first", type=int, default=0, help="number of the first receipt")
    parser.add_argument("--seed", type=int, default=1, help="what the random values start from")
    arguments = parser.parse_args()

    client = clickhouse.connect()
    database = config.retail_pro().landing_database
    create(client, database)
    if arguments.first == 0:
        add_customers(client, database, arguments.seed, 0, arguments.customers)
    add_documents(
        client,
        database,
        arguments.seed,
        customers=arguments.customers,
        first=arguments.first,
        count=arguments.documents,
    )


if __name__ == "__main__":
    main()
