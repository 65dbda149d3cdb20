"""ClickHouse's disk fills up while a sender is at work, and is full for the run after it.

Another program fills it at a chosen moment, so that from then on ClickHouse refuses every insert,
with code 243, and still answers every query.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import pytest

from tests.chaos.faults import AT_LENGTH, POINTS, Point
from tests.chaos.gate import Trap
from tests.chaos.invariants import check_copies, check_instant, check_settled
from tests.chaos.sender import forks
from tests.chaos.world import CONNECTIONS, World, make_world
from tests.conftest import ClickHouseServer
from tests.integration.conftest import make_delivery_tables
from tests.small_disk import SmallDisk, server_with_a_small_disk

logger = logging.getLogger(__name__)

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900), AT_LENGTH]

MEGABYTES = 192
WAYS = {
    "sdk": ("--segment-transport", "sdk"),
    "wire": ("--segment-transport", "wire", "--delivery-connections", str(CONNECTIONS)),
}
MOMENTS = [point for point in POINTS if "insert" in point.name and not point.forwarded]
DOUBTS = re.compile(r"([\d,]+) (?:identify|track) messages may have arrived already")


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallDisk]:
    """The disk of a ClickHouse."""
    directory = tmp_path_factory.mktemp("small_disk")
    with server_with_a_small_disk(directory / "data", MEGABYTES) as made:
        yield made


@pytest.fixture(scope="module")
def server(disk: SmallDisk, tmp_path_factory: pytest.TempPathFactory) -> ClickHouseServer:
    """The server on that disk, with delivery tables to be copied."""
    parts = urlsplit(disk.url)
    made = ClickHouseServer(str(parts.hostname), int(parts.port or 0))
    make_delivery_tables(made, tmp_path_factory.mktemp("delivery_tables"))
    return made


@pytest.fixture
def full_world(
    server: ClickHouseServer, project_env: dict[str, str], tmp_path: Path
) -> Iterator[World]:
    """A world on that server, with some hundreds of messages."""
    env = project_env | server.environment
    with make_world(server, "delivery_tables", env, tmp_path) as made:
        made.enqueue(Random(3), users=120, tracks=480, poison=0)  # noqa: S311
        yield made


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("moment", MOMENTS, ids=str)
def test_a_disk_that_fills_up_in_mid_send(
    way: str, moment: Point, full_world: World, disk: SmallDisk
) -> None:
    world = full_world
    world.calm()
    slots = [world.new_slot() for _ in range(2)]
    # The claim is the first insert into the leases; the first marker says that identify is done.
    number = {"leases": 6, "markers": 1}.get(moment.name.split()[-1], 8)
    trap = world.clickhouse_gate.set(Trap(moment.pattern, number))
    with forks(world.env, world.log) as sender:
        run = sender.start(slots[0], *WAYS[way])
        assert trap.sprung.wait(30), "the sender did not come to the point"
        disk.fill()
        try:
            trap.release()
            assert run.ended().status != 0
            check_instant(world)
            said = world.log.read_text()
            lost = unrecorded(world)
            assert "NOT_ENOUGH_SPACE" in said
            assert "ClickHouse's disk is full" in said
            assert not lost or "They stay in the outbox and go out again" in said

            requests = len(world.requests())
            assert sender.start(slots[0], *WAYS[way]).ended().status != 0
            assert len(world.requests()) == requests, "a run that cannot record has sent"
        finally:
            disk.free()
        recorded, before = len(world.ledger()), len(world.log.read_text())
        assert sender.start(slots[1], *WAYS[way]).ended().status == 0
    check_settled(world)
    check_copies(world, interrupted=1)
    again = {found.message_id for found in world.arrived() if found.state == "duplicate"}
    told = sum(
        int(count.replace(",", "")) for count in DOUBTS.findall(world.log.read_text()[before:])
    )
    assert again == lost, "what went out again is not what was not recorded"
    assert len(again) <= told
    logger.info(
        "%d of %d in the ledger when the disk was full, %d sent and not recorded, %d told as in"
        " doubt, %d sent again",
        *(recorded, len(world.due), len(lost), told, len(again)),
    )


def unrecorded(world: World) -> set[str]:
    """What has arrived and is not in the ledger."""
    arrived = {message.message_id for message in world.arrived() if message.state == "accepted"}
    return arrived - {message_id for message_id, *_ in world.ledger()}
