"""Events per second of three ways to post the same messages to a server that only says yes.

- the sender: preflight, batches and transport of luigi_tasks, without rate limit and ledger
- the SDK client: segment-analytics-python's own queue, with a flush at the end, as it documents
- a bare loop: bodies encoded beforehand, posted over one connection; the most that is possible

Each way runs several times in turn, so that what else the machine does meets all of them; the
medians count. The server runs in a process of its own on this machine.

    python benchmarks/send.py --messages 20000 --rounds 3
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from datetime import datetime, timezone
from uuid import UUID, uuid4

import requests
from local_server import serving
from rich.console import Console
from rich.table import Table
from segment.analytics.client import Client

from luigi_tasks import batches, preflight, segment
from luigi_tasks.outbox import OutboxRow
from luigi_tasks.preflight import Ready

KEY = "benchmark"
BATCH = 100
NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)


async def say_yes(scope: dict, receive: Callable, send: Callable) -> None:
    """Answer every request as Segment answers a batch that it takes (an ASGI application)."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b'{"success": true}'})


def order(number: int) -> dict:
    """Return a message of a usual size: a sale with three lines, about 1.1 KB."""
    product = {"sku": "071234160403", "name": "Wrap Dress", "price": 138.5, "quantity": 1}
    return {
        "messageId": uuid4().hex,
        "timestamp": "2026-01-01T12:00:00.000Z",
        "type": "track",
        "event": "Order Completed",
        "userId": str(592481256000000000 + number),
        "context": {"traits": {"email": "ann.meyer@mail.example"}},
        "properties": {
            "order_id": str(600000000000000000 + number),
            "total": 498.6,
            "revenue": 415.5,
            "tax": 83.1,
            "currency": "EUR",
            "products": [
                {"product_id": "071234160403", "position": position, "brand": "FINCH"}
                | {"category": "APPWDRE", "variant": "XL / MOSS", "currency": "EUR"}
                | product
                for position in (1, 2, 3)
            ],
            "source": "retail_pro",
        },
    }


def with_sender(messages: list[dict]) -> Callable[[], None]:
    """The sender's own way, from the text that ClickHouse renders."""
    rows = [
        OutboxRow(
            UUID(message["messageId"]), "track", message["event"], "order", "1",
            json.dumps(message), 0, "", NOW, "",
        )
        for message in messages
    ]  # fmt: skip

    def run() -> None:
        limits = batches.Limits(BATCH, 475_000, batches.envelope_bytes(KEY))
        ready = [item for row in rows if isinstance(item := preflight.check(row), Ready)]
        for batch in batches.pack(ready, limits):
            verdict = segment.send([item.body for item in batch], key=KEY).verdict
            if verdict.outcome is not segment.Outcome.ACCEPTED:
                raise RuntimeError(f"the server did not accept a batch: {verdict}")

    return run


def with_client(messages: list[dict], url: str) -> Callable[[], None]:
    """The SDK's queueing client."""

    def run() -> None:
        client = Client(KEY, host=url, max_queue_size=len(messages) + 1, upload_size=BATCH)
        for message in messages:
            client.track(
                message["userId"],
                message["event"],
                message["properties"],
                message["context"].copy(),
                NOW,
                message_id=message["messageId"],
            )
        client.flush()
        client.join()

    return run


def with_bare_loop(messages: list[dict], url: str) -> Callable[[], None]:
    """Prepared bodies over one connection."""
    chunks = (messages[at : at + BATCH] for at in range(0, len(messages), BATCH))
    bodies = [json.dumps({"batch": chunk, "writeKey": KEY}).encode() for chunk in chunks]

    def run() -> None:
        with requests.Session() as session:
            for body in bodies:
                session.post(f"{url}/v1/batch", data=body, timeout=15).raise_for_status()

    return run


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=20_000, help="messages per round")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each way")
    arguments = parser.parse_args()

    with serving(say_yes) as url:
        measure(arguments.messages, arguments.rounds, url)


def measure(count: int, rounds: int, url: str) -> None:
    """Run each way `rounds` times in turn and print the medians."""
    os.environ["SEGMENT_HOST"] = url
    messages = [order(number) for number in range(count)]
    ways = {
        "SDK client": with_client(messages, url),
        "sender": with_sender(messages),
        "bare loop": with_bare_loop(messages, url),
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, run in ways.items():
            started = time.perf_counter()
            run()
            rates[name].append(count / (time.perf_counter() - started))
    table = Table(title=f"{count:,} messages, batches of {BATCH}, median of {rounds}")
    table.add_column("way")
    table.add_column("events/s", justify="right")
    table.add_column("against the SDK client", justify="right")
    baseline = statistics.median(rates["SDK client"])
    for name, values in rates.items():
        rate = statistics.median(values)
        table.add_row(name, f"{rate:,.0f}", f"{rate / baseline:.1f} x")
    Console().print(table)


if __name__ == "__main__":
    main()
