"""Events per second of the sender and of the scripts that it stands beside.

A shop has a history that is delivered, and a day of new receipts that is not. Each way sends the
orders and refunds of that day, read from ClickHouse, to a server here that only says yes:

- row by row: `track` for each row and `flush` after each 100, as the SDK documents for scripts
  (https://www.twilio.com/docs/segment/connections/sources/catalog/libraries/server/python)
- query per order: the lines of each order by a query of its own; after each 100 rows `flush`, and
  a flag on them by a mutation (https://clickhouse.com/docs/sql-reference/statements/alter/update);
  ends when the flags are there. It sends 500 of them only, since each costs it the same
- SDK client: `track` for all, one `flush` at the end; the SDK groups and posts by itself
- bare loop: finished bodies, read and encoded beforehand, over one connection
- sender: luigi_tasks with lease, preflight and ledger, without its speed limit, by both transports

The first, the third and the bare loop keep no record of what was sent. Each way runs several times
in turn, so that what else the machine does meets all of them; the medians count.

    python benchmarks/peers.py --history 50000 --orders 10000 --rounds 3
"""

from __future__ import annotations

import json
import os
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import delivered
import requests
from clickhouse_connect.driver.client import Client
from local_server import serving
from report import Result, parser_with_json, publish
from report import Row as Measured
from segment.analytics.client import Client as Analytics
from send import say_yes
from shop import KEY, RUN_ID, Shop, open_shop

from luigi_tasks import config
from luigi_tasks.clickhouse import queries
from luigi_tasks.delivery import outbox

QUERIES = queries.parse(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))
BATCH = 100
SLOW = 500
"""So many orders does the script with a query per order send: each costs it the same."""
EVENTS = {"sale": "Order Completed", "return": "Order Refunded"}

Row = dict[str, Any]


def main() -> None:
    """Measure and publish."""
    parser = parser_with_json(__doc__)
    parser.add_argument("--history", type=int, default=50_000, help="receipts sent before")
    parser.add_argument("--orders", type=int, default=10_000, help="new receipts")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each way")
    arguments = parser.parse_args()
    with serving(say_yes) as url, open_shop(SEGMENT_HOST=url) as shop:
        fill(shop, arguments.history, arguments.orders)
        rates = measure(shop, url, arguments.rounds)
    publish(result(rates, arguments.history), arguments.json)


def fill(shop: Shop, history: int, orders: int) -> None:
    """Deliver a history, then build a day and deliver its customers."""
    customers = history // 10
    shop.add(documents=history, customers=customers)
    shop.build()
    shop.deliver()
    shop.add(first=history, documents=orders, customers=customers)
    shop.build()
    delivered.deliver(shop.client, config.clickhouse().database, ["identify"])
    shop.wait_for_merges()


def measure(shop: Shop, url: str, rounds: int) -> dict[str, list[float]]:
    """Return the events per second of each way and round."""
    client = shop.client
    events = outbox.cut("track").messages
    bodies = encoded()
    ways: dict[str, Callable[[Analytics], int]] = {
        "query per order": lambda analytics: query_per_order(client, analytics),
        "row by row": lambda analytics: row_by_row(client, analytics),
        "SDK client": lambda analytics: sdk_client(client, analytics),
        "sender, sdk": lambda _: send(shop, "sdk"),
        "sender, wire": lambda _: send(shop, "wire"),
        "bare loop": lambda _: bare_loop(bodies, events, url),
    }
    rates = defaultdict(list)
    for _ in range(rounds):
        for name, way in ways.items():
            for table in ("make_queue", "make_lines"):
                client.command(QUERIES[table], names())
            # The queue has to hold all of them, because the SDK drops the rest.
            analytics = Analytics(KEY, host=url, max_queue_size=events + 1)
            started = time.perf_counter()
            sent = way(analytics)
            rates[name].append(sent / (time.perf_counter() - started))
            analytics.join()
            client.command(QUERIES["forget_deliveries"], names() | {"run_id": RUN_ID})
    return rates


def row_by_row(client: Client, analytics: Analytics) -> int:
    """`track` for each row, `flush` after each 100."""
    lines, found = lines_by_order(client), orders(client)
    for number, order in enumerate(found, start=1):
        track(analytics, order, lines[order["document_sid"], order["kind"]])
        if number % BATCH == 0:
            analytics.flush()
    analytics.flush()
    return len(found)


def query_per_order(client: Client, analytics: Analytics) -> int:
    """A query for the lines of each order; `flush` and a mutation after each 100."""
    found = orders(client)[:SLOW]
    tracked: list[str] = []

    def mark() -> None:
        analytics.flush()
        client.command(QUERIES["mark_sent"], names() | {"documents": tracked})
        tracked.clear()

    for order in found:
        key = {"document": order["document_sid"], "kind": order["kind"]}
        track(analytics, order, ask(client, "lines_of_order", **key))
        tracked.append(order["document_sid"])
        if len(tracked) == BATCH:
            mark()
    if tracked:
        mark()
    while ask(client, "unfinished_mutations") != [{"mutations": 0}]:
        time.sleep(0.01)
    return len(found)


def sdk_client(client: Client, analytics: Analytics) -> int:
    """`track` for all, one `flush`."""
    lines, found = lines_by_order(client), orders(client)
    for order in found:
        track(analytics, order, lines[order["document_sid"], order["kind"]])
    analytics.flush()
    return len(found)


def send(shop: Shop, transport: str) -> int:
    """The project's own sender, with one of its transports."""
    os.environ["SEGMENT_TRANSPORT"] = transport
    return shop.send("track").accepted


def bare_loop(bodies: list[bytes], events: int, url: str) -> int:
    """Prepared bodies over one connection."""
    with requests.Session() as session:
        for body in bodies:
            session.post(f"{url}/v1/batch", data=body, timeout=15).raise_for_status()
    return events


def encoded() -> list[bytes]:
    """The bodies of all requests."""
    pages = outbox.pages("track", outbox.cut("track"), BATCH)
    batches = ([json.loads(row.message) for row in page] for page in pages)
    return [json.dumps({"batch": batch, "writeKey": KEY}).encode() for batch in batches]


def track(analytics: Analytics, order: Row, lines: list[Row]) -> None:
    """Send an order or a refund, as a script would put it together."""
    properties = {
        "order_id": order["order_id"],
        "receipt_number": order["receipt_number"],
        "total": float(order["total"]),
        "subtotal": number(order["subtotal"]),
        "tax": number(order["tax"]),
        "currency": order["currency"],
        "payment_method": order["payment_method"],
        "affiliation": order["store_name"],
        "store_code": order["store_code"],
        "products": [
            {
                "product_id": line["product_id"],
                "sku": line["product_id"],
                "name": line["product_name"],
                "category": line["category"],
                "brand": line["brand"],
                "variant": line["variant"],
                "price": number(line["price"]),
                "quantity": number(line["quantity"]),
                "position": line["position"],
                "currency": order["currency"],
            }
            for line in lines
        ],
        "source": "retail_pro",
    }
    if order["kind"] == "sale":
        amounts = ("revenue", "shipping", "discount")
        properties |= {name: number(order[name]) for name in amounts}
    else:
        properties["refund_id"] = order["document_sid"]
    analytics.track(
        order["customer_sid"],
        EVENTS[order["kind"]],
        properties,
        {"traits": {"email": order["email"]}} if order["email"] else {},
        order["occurred_at"],
        None if order["customer_sid"] else f"store-{order['store_code']}",
    )


def number(amount: Any) -> float | None:
    """An amount as scripts send it."""
    return None if amount is None else float(amount)


def orders(client: Client) -> list[Row]:
    """The orders and refunds to send."""
    return ask(client, "orders")


def lines_by_order(client: Client) -> dict[tuple[str, str], list[Row]]:
    """The lines of all that is to be sent."""
    found = defaultdict(list)
    for line in ask(client, "lines"):
        found[line["document_sid"], line["kind"]].append(line)
    return found


def ask(client: Client, name: str, **binds: str) -> list[Row]:
    """Run a query of peers.sql; each row is a dictionary, as scripts have them."""
    return list(client.query(QUERIES[name], names() | binds).named_results())


def names() -> dict[str, Any]:
    """The database that the queries are about."""
    return {"database": config.clickhouse().database}


def result(rates: dict[str, list[float]], history: int) -> Result:
    """The claim: the sender is not slower than any script, though it keeps the books."""
    medians = {name: statistics.median(values) for name, values in rates.items()}
    scripts = ("query per order", "row by row", "SDK client")
    base = medians["SDK client"]
    return Result(
        "peers",
        "The sender, which checks each message and records each answer, by either transport "
        "delivers more events per second than a script that calls the SDK row by row, a script "
        "with a query per order and a mutation per 100 rows, and the SDK's own queueing client.",
        [Measured(name, rate, "events/s", rate / base) for name, rate in medians.items()],
        min(medians["sender, sdk"], medians["sender, wire"])
        > max(medians[name] for name in scripts),
        "the SDK client",
        f"New receipts on a history of {history:,}; batches of {BATCH}. The server is on the same "
        "machine and answers at once: what counts is the work of the client.",
    )


if __name__ == "__main__":
    main()
