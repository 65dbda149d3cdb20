"""Both transports, and several connections: the same messages, in order, by the same rules."""

import json
import uuid
from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from luigi_tasks.delivery import outbox as reader
from luigi_tasks.delivery import preflight
from luigi_tasks.delivery.ledger import ANSWER_COLUMNS, Ledger
from luigi_tasks.delivery.preflight import Ready
from luigi_tasks.delivery.sender import Counts, Delivery
from luigi_tasks.errors import CredentialsRefusedError
from luigi_tasks.runs.lease import Lease
from luigi_tasks.segment.transport import TRANSPORTS
from tests.conftest import ClickHouseServer, SegmentServer
from tests.integration.conftest import SampleBuild
from tests.integration.delivery import SLOT, Outbox, customers, orders, outbox

__all__ = ["outbox"]

KEY = "sandbox-write-key"
Send = Callable[[str], Counts]


def deliver(call: str, waits: list[float]) -> Counts:
    """Sends an outbox without really waiting."""
    with Lease() as lease, Ledger(uuid.uuid4(), SLOT, call) as ledger:
        return Delivery(call, KEY, ledger, lease, sleep=waits.append).drain(reader.cut(call))


@pytest.fixture(params=[(name, count) for name in TRANSPORTS for count in (1, 3)], ids=str)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[str, int]:
    """A transport and a number of connections."""
    transport, connections = request.param
    monkeypatch.setenv("SEGMENT_TRANSPORT", transport)
    monkeypatch.setenv("SEGMENT_CONNECTIONS", str(connections))
    return transport, connections


# --- Which messages ClickHouse lets pass without a look into them -------------------------------

HEAD = '"messageId":"ID","type":"track","event":"Order Completed","userId":"5001"'
GOOD = [
    f'{{{HEAD},"properties":{{"total":12.5,"name":"Müller / S"}}}}',
    f'{{{HEAD},"properties":{{"total":99999999999.99,"quantity":1,"sku":"071234160403"}}}}',
    f'{{{HEAD},"context":{{"traits":{{"email":"a@b.example"}}}},"properties":{{}}}}',
    f'{{{HEAD.replace("userId", "anonymousId")},"properties":{{"products":[]}}}}',
    f'{{{HEAD},"properties":{{"name":"漢字 😀 a, b: c"}}}}',
]
ODD = [
    "",
    "not json",
    "[]",
    "null",
    "{}",
    f"{{{HEAD}",
    f"{{{HEAD}}} {{}}",
    f'{{{HEAD},"a":NaN}}',
    f'{{{HEAD},"a":-Infinity}}',
    f'{{{HEAD},"properties":{{"name":"\\ud800"}}}}',
    f'{{{HEAD},"properties":{{"name":"M\\u00fcller \\/ S"}}}}',
    f'{{{HEAD},"properties":{{"total":12345678901234567.89}}}}',
    f'{{{HEAD},"properties":{{"total":0.12345678901234567891}}}}',
    f'{{{HEAD},"properties":{{"total":1e400}}}}',
    f'{{{HEAD},"properties":{{"total":12.50}}}}',
    f'{{{HEAD},"properties":{{"total":1e3}}}}',
    f'{{{HEAD},"properties":{{"total":123456789012345678901234567890}}}}',
    f'{{{HEAD},"properties":[]}}',
    f'{{{HEAD},"properties":"a"}}',
    f'{{{HEAD},"properties":null}}',
    f'{{{HEAD},"traits":5}}',
    f'{{{HEAD},"userId":"5002"}}',
    f'{{{HEAD},"userId":7}}',
    f'{{{HEAD},"type":"identify"}}',
    f'{{{HEAD},"messageId":"another"}}',
    f'{{{HEAD},"anonymousId":""}}',
    f'{{{HEAD},"anonymousId":7}}',
    f"{{{HEAD.replace('5001', '')}}}",
    f"{{{HEAD.replace('5001', '  ')}}}",
    f"{{{HEAD.replace(chr(34) + '5001' + chr(34), '5001')}}}",
    f"{{{HEAD.replace(chr(34) + '5001' + chr(34), 'null')}}}",
    f"{{{HEAD.replace('Order Completed', '')}}}",
    f"{{{HEAD.replace(chr(34) + 'Order Completed' + chr(34), '1')}}}",
    f"{{{HEAD.replace('track', 'identify')}}}",
    f"{{{HEAD.replace('ID', 'f' * 32)}}}",
    f"{{{HEAD.replace(chr(34) + 'ID' + chr(34), '7')}}}",
    '{"messageId":"ID","type":"track","event":"Order Completed","context":{"userId":"5001"}}',
    '{"messageId":"ID","type":"track","context":{"event":"Order Completed"},"userId":"5001"}',
    '{"type":"track","event":"Order Completed","userId":"5001"}',
    f'{{{HEAD},"a":' + '{"a":' * 1000 + "1" + "}" * 1001,
    f'{{{HEAD},"properties":{{"name":"{"x" * 40_000}"}}}}',
    f'{{{HEAD},"properties":{{"name":"{"é" * 6_000}"}}}}',
    f'{{{HEAD}, "properties": {{"blanks": true}}}}',
]


def test_what_clickhouse_calls_plain_would_pass_the_preflight(outbox: Outbox) -> None:
    outbox.enqueue("track", [*GOOD, *ODD])
    [page] = reader.pages("track", reader.cut("track"), 1000)
    assert [row.is_plain for row in page[: len(GOOD)]] == [1] * len(GOOD)
    for row in page:
        quick, full = preflight.check(row), preflight.check(row._replace(is_plain=False))
        assert isinstance(quick, Ready) == isinstance(full, Ready), row.message[:200]
        if isinstance(quick, Ready) and isinstance(full, Ready):
            exact = json.loads(full.row.message, parse_float=Decimal)
            assert json.loads(quick.row.message, parse_float=Decimal) == exact
            assert quick.size >= full.size
            assert quick.size >= len(quick.row.message.encode())


# --- Every message of the sample ----------------------------------------------------------------


def test_every_sample_message_arrives_the_same_by_both_transports(
    sample_build: SampleBuild,
    clickhouse_server: ClickHouseServer,
    segment_server: SegmentServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in clickhouse_server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CLICKHOUSE_DATABASE", sample_build.database)
    monkeypatch.setenv("SEGMENT_HOST", segment_server.url)
    arrived: dict[str, list[dict[str, Any]]] = {}
    settled: dict[str, list[Any]] = {}
    same = ", ".join(f"{name}" for name in ("http_status", "attempt", "status", "reason_code"))
    for transport in TRANSPORTS:
        segment_server.reset()
        monkeypatch.setenv("SEGMENT_TRANSPORT", transport)
        assert all(row.is_plain for call in ("identify", "track") for row in pending(call))
        try:
            sent = [deliver(call, []).accepted for call in ("identify", "track")]
            settled[transport] = sample_build.client.query(
                f"select columns('.*') except ({', '.join(ANSWER_COLUMNS)}), {same} "
                "from segment_delivery_ledger order by enqueued_at, message_id"
            ).result_rows
        finally:
            for table in ("ledger", "attempts"):
                sample_build.client.command(f"truncate table segment_delivery_{table}")
        arrived[transport] = segment_server.messages(state="accepted")
        assert len(arrived[transport]) == sum(sent) > 2000
    pairs = zip(arrived["sdk"], arrived["wire"], strict=True)
    assert all(sdk["message"] == wire["message"] for sdk, wire in pairs)
    assert settled["sdk"] == settled["wire"]


def pending(call: str) -> list[reader.OutboxRow]:
    """All messages of an outbox."""
    return [row for page in reader.pages(call, reader.cut(call), 10_000) for row in page]


# --- The rules, with both transports and several connections ------------------------------------


def test_everything_arrives_once_and_in_order_per_user(
    way: tuple[str, int], outbox: Outbox, segment_server: SegmentServer
) -> None:
    """With lost answers, an outage, a rate limit and poison in between."""
    messages = [
        {
            "userId": str(number * 7 % 40),
            "event": "Order Completed",
            "properties": {"order_id": f"{'poison' if number in {3, 400} else 'good'}-{number}"},
        }
        for number in range(1000)
    ]
    ids = outbox.enqueue("track", messages)
    users = dict(zip(ids, (message["userId"] for message in messages), strict=True))
    segment_server.fault(
        {"status": 400, "match": "poison", "times": 1000},
        {},
        *({"reset": "after"}, {"status": 503}, {}, {"status": 429, "retry_after": 1}),
        *({"status": 500, "accept": True}, {}, {"body": "<html>"}, {"reset": "before"}),
    )
    waits: list[float] = []
    counts = deliver("track", waits)
    assert (counts.accepted, counts.rejected) == (998, 2)
    ledger = outbox.ledger()
    assert {found for found, row in ledger.items() if row[0] == "rejected"} == {ids[3], ids[400]}
    accepted = segment_server.messages(state="accepted")
    arrived = [item["message"]["messageId"] for item in accepted]
    assert sorted(arrived) == sorted({*ids} - {ids[3], ids[400]})
    by_user: dict[str, list[str]] = defaultdict(list)
    for message_id in arrived:
        by_user[users[message_id]].append(message_id)
    place = {message_id: number for number, message_id in enumerate(ids)}
    for found in by_user.values():
        assert found == sorted(found, key=place.__getitem__)
    assert outbox.pending("track") == 0


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("name", ["é" * 14_700, "漢" * 9_800, '","' * 6_500])
def test_a_message_that_only_escapes_make_too_large_arrives(
    name: str,
    transport: str,
    outbox: Outbox,
    segment_server: SegmentServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SEGMENT_TRANSPORT", transport)
    large = {"userId": "1", "event": "Order Completed", "properties": {"name": name}}
    outbox.enqueue("track", [*orders(3), large])
    counts = deliver("track", [])
    assert (counts.accepted, counts.rejected, counts.requests) == (4, 0, 1)
    arrived = [item["message"] for item in segment_server.messages(state="accepted")]
    assert arrived[-1]["properties"] == large["properties"]


def test_a_users_messages_take_one_connection(outbox: Outbox) -> None:
    outbox.enqueue("track", [*orders(50), *orders(50)])
    lanes: dict[str, set[int]] = defaultdict(set)
    for page in reader.pages("track", reader.cut("track"), 30, lanes=4):
        for row in page:
            lanes[json.loads(row.message)["userId"]].add(row.lane)
    assert {len(found) for found in lanes.values()} == {1}
    assert set.union(*lanes.values()) == {0, 1, 2, 3}


def test_lanes_and_shards_divide_the_users_independently(outbox: Outbox) -> None:
    outbox.enqueue("track", orders(400))
    for shard in (0, 1):
        [page] = reader.pages("track", reader.cut("track", shard, 2), 1000, lanes=2)
        assert {row.lane for row in page} == {0, 1}


def test_a_message_that_segment_would_drop_is_not_sent(
    way: tuple[str, int], outbox: Outbox, segment_server: SegmentServer
) -> None:
    bad = '{"messageId": "ID", "type": "track", "event": "Order Completed", "properties": {}}'
    ids = outbox.enqueue("track", [*orders(20), bad, *orders(20)])
    counts = deliver("track", [])
    assert (counts.accepted, counts.rejected) == (40, 1)
    assert outbox.ledger()[ids[20]] == ("rejected", "user_missing", 0, 0)
    assert segment_server.stats()["received"] == 40


def test_a_refused_key_stops_all_connections_and_rejects_nothing(
    way: tuple[str, int], outbox: Outbox, segment_server: SegmentServer
) -> None:
    outbox.enqueue("track", orders(2000))
    segment_server.fault({"status": 401, "times": 1000})
    with pytest.raises(CredentialsRefusedError, match="SEGMENT_WRITE_KEY"):
        deliver("track", [])
    assert outbox.ledger() == {}
    assert outbox.pending("track") == 2000
    assert len(outbox.attempts()) <= way[1]


def test_the_size_of_the_bodies_is_recorded(way: tuple[str, int], outbox: Outbox) -> None:
    outbox.enqueue("identify", customers(300))
    counts = deliver("identify", [])
    # Without the blanks, with which no message is rendered and which are not posted by wire.
    [(requested, messages)] = outbox.rows(
        "select sum(bytes), (select sum(length(replaceRegexpAll(message, '([:,]) ', '\\\\1')))"
        " from {db}.segment_identify_events) from {db}.segment_delivery_attempts"
    )
    assert requested == counts.sent_bytes
    assert messages < requested < 1.2 * messages


def test_ledger_rows_hold_any_text(
    way: tuple[str, int], outbox: Outbox, segment_server: SegmentServer
) -> None:
    """A message's part of the row comes from ClickHouse and goes back; the answer is added."""
    outbox.enqueue("track", orders(1))
    strange = "tab\\tline\\nback\\\\slash \\'quote"
    events = f"{outbox.database}.segment_track_events"
    outbox.client.command(
        f"alter table {events} update entity_id = '{strange}', dbt_invocation_id = '{strange}' "
        "where 1 settings mutations_sync = 1"
    )
    segment_server.fault({"status": 500, "body": 'a\tb\nc\\d "e"'}, {})
    deliver("track", [])
    [same] = outbox.rows(
        "select (select (entity_id, dbt_invocation_id, enqueued_at) "
        "from {db}.segment_delivery_ledger) = "
        "(select (entity_id, dbt_invocation_id, enqueued_at) from {db}.segment_track_events)"
    )
    assert same == (True,)
