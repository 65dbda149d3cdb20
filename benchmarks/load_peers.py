"""Two other ways to load a document_item.csv, for load.py to compare with; neither checks anything.

- `dict-reader`: csv.DictReader, and clickhouse-connect's insert in blocks: what one writes first
- `pyarrow`: pyarrow's streaming reader, its blocks inserted as they are: hardly less is possible

    python benchmarks/load_peers.py dict-reader FILE DATABASE
"""

from __future__ import annotations

import argparse
import csv
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
from clickhouse_connect.driver.client import Client

from luigi_tasks.clickhouse import client as clickhouse

TABLE = "document_item"
ROWS = 10_000
"""In a block, as in the examples of most clients."""

BLOCK_BYTES = 4 << 20


def dict_reader(client: Client, path: Path, database: str) -> None:
    """Load with the csv module and lists of values."""
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        columns = list(reader.fieldnames or [])
        while rows := [list(row.values()) for row in islice(reader, ROWS)]:
            client.insert(TABLE, rows, column_names=columns, database=database)


def pyarrow_stream(client: Client, path: Path, database: str) -> None:
    """Load with pyarrow's CSV reader and clickhouse-connect's insert of Arrow tables."""
    with path.open(encoding="utf-8") as file:
        names = next(csv.reader(file))
    reader = pyarrow.csv.open_csv(
        path,
        read_options=pyarrow.csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
        ),
    )
    for batch in reader:
        client.insert_arrow(TABLE, pa.Table.from_batches([batch]), database=database)


PEERS = {"dict-reader": dict_reader, "pyarrow": pyarrow_stream}


def main() -> None:
    """Load one file in one way."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("way", choices=PEERS)
    parser.add_argument("file", type=Path)
    parser.add_argument("database")
    arguments = parser.parse_args()
    PEERS[arguments.way](clickhouse.connect(), arguments.file, arguments.database)


if __name__ == "__main__":
    main()
