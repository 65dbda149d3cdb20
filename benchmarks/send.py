"""Events per second of the ways to post the same messages to a server that only says yes.

- the SDK client: segment-analytics-python's own queue, with a flush at the end, as it documents
- the sender, with the transports `sdk` and `wire`: preflight, batches and requests, from the rows
  that ClickHouse returns, over one connection
- outbox to ledger: all of the sender's work, with reading, posting and recording side by side
- a bare loop: bodies joined beforehand, posted over one connection; the most that is possible

The messages are those of an invented chain, as dbt renders them; there is no rate limit. Each way
runs several times in turn, and its best round counts: whatever else the machine does slows it down.
So many messages are sent that opening connections weighs little; peers.py has it with few.
The server, and ClickHouse for the way from outbox to ledger, run in processes of their own and
share the machine's cores with the sender.

    python benchmarks/send.py --documents 100000 --rounds 5
"""

from __future__ import annotations

import gc
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

import delivered
import requests
from dateutil.parser import isoparse
from local_server import serving
from luigi.configuration import get_config
from report import Result, Row, parser_with_json, publish
from segment.analytics.client import Client
from shop import Shop, open_shop

from luigi_tasks import config
from luigi_tasks.delivery import batches, outbox, preflight
from luigi_tasks.delivery.ledger import Ledger
from luigi_tasks.delivery.preflight import Ready
from luigi_tasks.delivery.sender import Delivery
from luigi_tasks.runs.lease import Lease
from luigi_tasks.segment import endpoint as segment

KEY = "benchmark"
CALL = "track"
SLOT = datetime(2026, 1, 1)
PAGE = 10_000
CLAIM = (
    "Against segment-analytics-python's client the sender reaches 2 times the events/s with the "
    "transport sdk, from outbox to ledger too; with wire 10 times, and half of a bare loop."
)

Way = Callable[[], None]


async def say_yes(scope: dict, receive: Callable, send: Callable) -> None:
    """Answer every request as Segment answers a batch that it takes (an ASGI application)."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b'{"success": true}'})


@dataclass(frozen=True)
class Pending:
    """The outbox of a shop, which can be made pending again.

    Attributes:
        shop: Where it is.
        messages: Its messages as JSON, in order.
    """

    shop: Shop
    messages: list[str]

    def restore(self) -> None:
        """Forget what was sent."""
        self.shop.client.command(
            f"alter table {config.clickhouse().database}.segment_delivery_ledger "
            f"delete where call = '{CALL}' settings mutations_sync = 1"
        )


def pending(shop: Shop) -> Pending:
    """Return what the shop's outbox shows."""
    rows = shop.client.query(
        f"select message from {config.clickhouse().database}.segment_{CALL}_outbox "
        "order by enqueued_at, message_id"
    ).result_rows
    return Pending(shop, [message for (message,) in rows])


def with_sender(transport: str) -> Way:
    """The sender's work but for ClickHouse's part."""
    rows = [row for page in outbox.pages(CALL, outbox.cut(CALL), PAGE) for row in page]

    def run() -> None:
        os.environ["SEGMENT_TRANSPORT"] = transport
        endpoint = segment.Endpoint(KEY)
        settings = config.segment()
        size = batches.envelope_bytes(KEY)
        limits = batches.Limits(settings.batch_messages, settings.batch_bytes, size)
        ready = (item for row in rows if isinstance(item := preflight.check(row), Ready))
        for batch in batches.pack(ready, limits):
            verdict = endpoint.send([item.row.message for item in batch]).verdict
            if verdict.outcome is not segment.Outcome.ACCEPTED:
                raise RuntimeError(f"the server did not accept a batch: {verdict}")

    return run


def from_outbox_to_ledger(found: Pending, transport: str, connections: int) -> Way:
    """The sender as a task runs it."""

    def run() -> None:
        os.environ["SEGMENT_TRANSPORT"] = transport
        os.environ["SEGMENT_CONNECTIONS"] = str(connections)
        with Lease() as lease, Ledger(uuid4(), SLOT, CALL) as ledger:
            counts = Delivery(CALL, KEY, ledger, lease).drain(outbox.cut(CALL))
        if counts.accepted != len(found.messages):
            raise RuntimeError(f"the sender did not deliver everything: {counts}")

    return run


def with_client(found: Pending, url: str) -> Way:
    """The SDK's queueing client, which is given the parts of each message."""
    calls = []
    for text in found.messages:
        message = json.loads(text)
        calls.append(
            {
                "user_id": message.get("userId"),
                "anonymous_id": message.get("anonymousId"),
                "event": message["event"],
                "properties": message["properties"],
                "context": message.get("context", {}),
                "timestamp": isoparse(message["timestamp"]),
                "message_id": message["messageId"],
            }
        )

    def run() -> None:
        size = config.segment().batch_messages
        client = Client(KEY, host=url, max_queue_size=len(calls) + 1, upload_size=size)
        for call in calls:
            # The client writes into the context that it is given.
            client.track(**call | {"context": call["context"].copy()})
        client.flush()
        client.join()

    return run


def with_bare_loop(found: Pending, url: str) -> Way:
    """Prepared bodies over one connection."""
    size = config.segment().batch_messages
    chunks = [found.messages[at : at + size] for at in range(0, len(found.messages), size)]
    rest = f'"sentAt": "{batches.LONGEST_SENT_AT}", "writeKey": "{KEY}"}}'
    bodies = [f'{{"batch": [{", ".join(chunk)}], {rest}'.encode() for chunk in chunks]

    def run() -> None:
        with requests.Session() as session:
            for body in bodies:
                session.post(f"{url}/v1/batch", data=body, timeout=15).raise_for_status()

    return run


def best(ways: dict[str, Way], count: int, rounds: int, restore: Way) -> dict[str, float]:
    """Run each way `rounds` times in turn; return the events per second of their best rounds."""
    rates = dict.fromkeys(ways, 0.0)
    for _ in range(rounds):
        for name, run in ways.items():
            restore()
            started = time.perf_counter()
            run()
            rates[name] = max(rates[name], count / (time.perf_counter() - started))
    return rates


def measure(shop: Shop, url: str, rounds: int, connections: int) -> Result:
    """Compare the ways."""
    os.environ["SEGMENT_HOST"] = url
    get_config().set("delivery", "events_per_second", "0")
    found = pending(shop)
    count = len(found.messages)
    ways = {
        "SDK client": with_client(found, url),
        "sender, sdk": with_sender("sdk"),
        "sender, wire": with_sender("wire"),
        "outbox to ledger, sdk": from_outbox_to_ledger(found, "sdk", connections),
        "outbox to ledger, wire": from_outbox_to_ledger(found, "wire", connections),
        "bare loop": with_bare_loop(found, url),
    }
    # The prepared messages are not for the garbage collector to look at again and again.
    gc.freeze()
    rates = best(ways, count, rounds, found.restore)
    client, sdk, wire, whole_sdk, _, bare = rates.values()
    size = sum(map(len, found.messages)) / count
    return Result(
        name="send",
        claim=CLAIM,
        rows=[Row(name, rate, "events/s", rate / client) for name, rate in rates.items()],
        holds=min(sdk, whole_sdk) >= 2 * client and wire >= max(10 * client, bare / 2),
        base="the SDK client",
        note=(
            f"{count:,} messages of {size:,.0f} characters, {config.segment().batch_messages} in a "
            f"batch, best of {rounds} rounds; {connections} connection(s) from outbox to ledger. "
            f"The transport wire reaches {wire / bare:.0%} of the bare loop."
        ),
    )


def main() -> None:
    """Measure, and print a table."""
    parser = parser_with_json(__doc__)
    parser.add_argument("--documents", type=int, default=100_000, help="receipts of the shop")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each way")
    parser.add_argument("--connections", type=int, default=1, help="connections of the sender")
    arguments = parser.parse_args()

    with open_shop(SEGMENT_WRITE_KEY=KEY) as shop, serving(say_yes) as url:
        shop.add(documents=arguments.documents, customers=arguments.documents // 10)
        shop.build()
        # Orders wait for their customers.
        delivered.deliver(shop.client, config.clickhouse().database, ["identify"])
        publish(measure(shop, url, arguments.rounds, arguments.connections), arguments.json)


if __name__ == "__main__":
    main()
