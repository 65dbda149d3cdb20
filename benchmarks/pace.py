"""How well the speed limit is used, and what an outage of Segment costs.

The sender's pace, patience and transport post batches to a server of this machine, which notes when
each one arrived. The busiest second must not be above the limit; between the first and the last
arrival as much of it as possible should be used. Then the server is away for a while in the middle.

    python benchmarks/pace.py --limit 1000 --seconds 10 --outage 30
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from uuid import uuid4

import requests
from local_server import serving
from report import Result, Row, parser_with_json, publish
from shop import use_own_environment

from luigi_tasks import config
from luigi_tasks.delivery import batches, pace
from luigi_tasks.delivery.patience import Patience
from luigi_tasks.segment import endpoint as segment

KEY = "benchmark"
LEAST_USED, MOST_AFTERMATH = 0.95, 5.0
ARRIVALS: list[tuple[float, int]] = []
AWAY = {"until": 0.0}


async def note_arrivals(scope: dict, receive: Callable, send: Callable) -> None:
    """Say yes, or 503 during an outage; GET tells the arrivals (an ASGI application)."""
    if scope["type"] != "http":
        return
    arrived_at, body = time.time(), b""
    while True:
        part = await receive()
        body += part.get("body", b"")
        if not part.get("more_body"):
            break
    status, answer = 200, b'{"success": true}'
    if scope["path"] == "/":
        answer = b""
    elif scope["path"] == "/arrivals":
        answer = json.dumps(ARRIVALS).encode()
        ARRIVALS.clear()
    elif scope["path"] == "/outage":
        AWAY["until"] = time.time() + float(body)
    elif arrived_at < AWAY["until"]:
        status = 503
    else:
        ARRIVALS.append((arrived_at, len(json.loads(body)["batch"])))
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


def post(limit: float, count: int) -> float:
    """Post so many messages under the limit; return the seconds it took."""
    settings = config.delivery()
    speed, patience = pace.Pace(limit), Patience(settings, time.sleep)
    size = batches.Limits(
        config.segment().batch_messages,
        config.segment().batch_bytes,
        batches.envelope_bytes(KEY),
        limit,
    ).capped_messages
    began = time.perf_counter()
    for start in range(0, count, size):
        bodies = [json.dumps({"messageId": uuid4().hex}) for _ in range(min(size, count - start))]

        def post_once(bodies: list[str] = bodies) -> segment.Attempt:
            with speed.slot(len(bodies)) as slot:
                attempt = segment.Endpoint(KEY).send(bodies)
                slot.answered = attempt.verdict.http_status > 0
            return attempt

        verdict = patience.repeat(post_once).verdict
        if verdict.outcome is not segment.Outcome.ACCEPTED:
            raise RuntimeError(f"the server did not accept a batch: {verdict}")
    return time.perf_counter() - began


def arrivals(url: str) -> list[tuple[float, int]]:
    """Return and forget what arrived: (time, messages)."""
    return [tuple(item) for item in requests.get(f"{url}/arrivals", timeout=15).json()]


def measure(limits: list[float], seconds: float, outage: float, url: str) -> Result:
    """Post under each limit, and through an outage."""
    rows, used, busiest = [], [], []
    for limit in limits:
        post(limit, round(limit * seconds))
        found = arrivals(url)
        rate = sum(count for _, count in found[:-1]) / (found[-1][0] - found[0][0])
        most = max(sum(n for at, n in found if 0 <= at - first < 1) for first, _ in found)
        used.append(rate / limit)
        busiest.append(most / limit)
        rows.append(Row(f"limit {limit:g}: rate", rate, "events/s", rate / limit))
        rows.append(Row(f"limit {limit:g}: busiest second", most, "events", most / limit))
    requests.post(f"{url}/outage", data=f"{outage}", timeout=15)
    lost = post(limits[0], round(limits[0] * seconds)) - seconds
    rows.append(Row(f"seconds lost to an outage (503) of {outage:g} s", lost, "s"))
    return Result(
        "pace",
        f"No second has more arrivals than the limit, at least {LEAST_USED:.0%} of it is used, and "
        f"an outage costs at most {MOST_AFTERMATH:g} s more than it lasts.",
        rows,
        max(busiest) <= 1 and min(used) >= LEAST_USED and lost <= outage + MOST_AFTERMATH,
        "the limit",
    )


def main() -> None:
    """Measure and publish."""
    parser = parser_with_json(__doc__)
    parser.add_argument("--limit", type=float, nargs="+", default=[1000.0, 250.0])
    parser.add_argument("--seconds", type=float, default=10, help="work per limit")
    parser.add_argument("--outage", type=float, default=30, help="seconds")
    arguments = parser.parse_args()
    with serving(note_arrivals) as url:
        use_own_environment({"SEGMENT_HOST": url})
        found = measure(arguments.limit, arguments.seconds, arguments.outage, url)
    publish(found, arguments.json)


if __name__ == "__main__":
    main()
