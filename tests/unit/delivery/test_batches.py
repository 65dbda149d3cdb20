"""A request never carries more than Segment takes, measured on the bodies that are posted."""

import itertools
from typing import Any

import pytest
import requests
from segment.analytics import request

from luigi_tasks.delivery import batches, preflight
from luigi_tasks.delivery.batches import Limits
from luigi_tasks.delivery.preflight import Ready
from luigi_tasks.segment.transport import TRANSPORTS, Address
from tests.unit.outbox_rows import row

KEY = "sandbox-write-key"


def ready(name: str = "x") -> Ready:
    checked = preflight.check(row(properties={"name": name}))
    assert isinstance(checked, Ready)
    return checked


def limits(messages: int = 100, body_bytes: int = 475_000) -> Limits:
    return Limits(messages, body_bytes, batches.envelope_bytes(KEY))


def posted_bytes(transport: str, batch: list[Ready], monkeypatch: pytest.MonkeyPatch) -> int:
    """The size of the body that a transport would really post."""
    sizes: list[int] = []

    def send(prepared: requests.PreparedRequest, **options: Any) -> requests.Response:
        sizes.append(len(prepared.body or ""))
        answer = requests.Response()
        answer.status_code = 200
        return answer

    monkeypatch.setattr(request._session, "send", send)
    address = Address("http://segment.example", KEY, (1, 1))
    TRANSPORTS[transport](address).post([item.row.message for item in batch], 0)
    return sizes[0]


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("count", [1, 2, 100])
def test_no_body_is_larger_than_computed(
    count: int, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = [ready("Müller, Schmidt: 漢字 😀")] * count
    computed = batches.body_bytes(batch, batches.envelope_bytes(KEY))
    assert 0.5 * computed < posted_bytes(transport, batch, monkeypatch) <= computed


def test_messages_are_grouped_by_count_in_order() -> None:
    items = [ready(str(number)) for number in range(250)]
    packed = list(batches.pack(items, limits()))
    assert [len(batch) for batch in packed] == [100, 100, 50]
    assert [item for batch in packed for item in batch] == items


def test_no_body_is_above_the_limit_of_bytes() -> None:
    items = [ready("x" * (number * 397 % 30_000)) for number in range(200)]
    packed = list(batches.pack(items, limits()))
    envelope = batches.envelope_bytes(KEY)
    assert all(batches.body_bytes(batch, envelope) <= 475_000 for batch in packed)
    assert sum(len(batch) for batch in packed) == 200
    # And no more batches than needed: two neighbours never fit into one.
    sizes = [batches.body_bytes(batch, envelope) for batch in packed]
    assert all(a + b - envelope > 475_000 - 33_000 for a, b in itertools.pairwise(sizes))


def test_a_message_above_the_limit_goes_alone() -> None:
    items = [ready("a"), ready("b" * 5000), ready("c")]
    assert [len(batch) for batch in batches.pack(items, limits(body_bytes=1000))] == [1, 1, 1]


@pytest.mark.parametrize(("asked", "used"), [(10_000, 2500), (2500, 2500), (1, 1), (0, 1)])
def test_the_count_is_capped_at_what_segment_takes(asked: int, used: int) -> None:
    assert limits(messages=asked).capped_messages == used


def test_nothing_makes_no_batch() -> None:
    assert list(batches.pack([], limits())) == []


@pytest.mark.parametrize(
    ("events_per_second", "messages"),
    [(0, 100), (1000, 100), (250, 83), (300, 100), (30, 30), (0.5, 1), (5000, 100), (999, 99)],
)
def test_a_whole_number_of_batches_makes_up_a_second(
    events_per_second: float, messages: int
) -> None:
    assert Limits(100, 475_000, 60, events_per_second).capped_messages == messages
