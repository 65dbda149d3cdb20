"""Put a shop into the state it has after years: all that was due is delivered.

After `dbt build`, every pending message gets the ledger row of an accepted one, written by
ClickHouse itself in chunks, and the watermark moves up to it by the project's own code.

    python benchmarks/delivered.py
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

from clickhouse_connect.driver.client import Client
from luigi.configuration import get_config

from luigi_tasks import config
from luigi_tasks.clickhouse import client as clickhouse
from luigi_tasks.clickhouse import queries
from luigi_tasks.delivery import outbox

QUERIES = queries.parse(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))
CHUNK = timedelta(seconds=1)
"""Messages of one build enter a microsecond apart: a million, which bounds the memory."""


CALLS = ("identify", "track")


def deliver(client: Client, database: str, calls: Sequence[str] = CALLS) -> dict[str, int]:
    """Settle all that is pending; return the number of messages of each call."""
    # The watermark stays behind the clock for builds that may still be inserting. Here is none,
    # and the history of a real shop is older than that.
    get_config().set("delivery", "watermark_lag_seconds", "0")
    run_id = uuid4()
    settled = {}
    for call in calls:
        names = {
            "database": database,
            "outbox": f"segment_{call}_outbox",
            "events": f"segment_{call}_events",
        }
        [(messages, first, last)] = client.query(QUERIES["pending_span"], names).result_rows
        since = first
        while messages and since <= last:
            span = {"since": since, "until": since + CHUNK, "run_id": run_id}
            client.command(QUERIES["settle"], names | span)
            since += CHUNK
        outbox.advance_watermark(call)
        settled[call] = messages
    return settled


def main() -> None:
    """Deliver what is pending where the environment says."""
    for call, messages in deliver(clickhouse.connect(), config.clickhouse().database).items():
        print(f"{call}: {messages:,} messages settled")  # noqa: T201


if __name__ == "__main__":
    main()
