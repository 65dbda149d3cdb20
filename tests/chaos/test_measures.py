"""What a long outbox costs in memory, and an outage in time.

CHAOS_PENDING    messages in the long outbox
CHAOS_OUTAGE     seconds that Segment is away
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.sender import Forks, forks
from tests.chaos.world import World, make_world
from tests.conftest import ClickHouseServer

logger = logging.getLogger(__name__)

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(7200)]

PENDING = int(os.environ.get("CHAOS_PENDING", "20000"))
OUTAGE_SECONDS = float(os.environ.get("CHAOS_OUTAGE", "3"))

MOST_MEMORY = 300_000_000
EVENTS_PER_SECOND = 500
MOST_LOST_SECONDS = 10.0
"""Beyond the outage: the longest pause between attempts is 4, the rest is for a busy machine."""

NO_BRAKE = "[brake]\nsmallest_stop = 1000000000\n"


@pytest.fixture
def usual_world(
    request: pytest.FixtureRequest,
    clickhouse_server: ClickHouseServer,
    delivery_tables: str,
    project_env: dict[str, str],
    tmp_path: Path,
) -> Iterator[World]:
    """A world with the project's own settings, but for a rate."""
    settings = f"{NO_BRAKE}[delivery]\nevents_per_second = {request.param}\n"
    with make_world(
        clickhouse_server, delivery_tables, project_env, tmp_path, settings=settings
    ) as made:
        yield made


@pytest.fixture
def sender(usual_world: World) -> Iterator[Forks]:
    """Starts runs."""
    with forks(usual_world.env, usual_world.log) as warm:
        yield warm


@pytest.mark.parametrize("usual_world", [0], indirect=True)
def test_memory_does_not_grow_with_the_outbox(usual_world: World, sender: Forks) -> None:
    usual_world.enqueue_many(PENDING)
    began = time.monotonic()
    ended = sender.start(usual_world.new_slot()).ended(seconds=7200)
    seconds = time.monotonic() - began
    logger.info(
        "%s messages in %.0f s, at most %.0f MB of memory", PENDING, seconds, ended.peak_bytes / 1e6
    )
    assert ended.status == 0
    assert usual_world.segment.stats()["unique"] == PENDING
    assert 0 < ended.peak_bytes < MOST_MEMORY


@pytest.mark.parametrize("usual_world", [EVENTS_PER_SECOND], indirect=True)
def test_an_outage_costs_little_more_than_its_length(usual_world: World, sender: Forks) -> None:
    def seconds_to_send() -> float:
        usual_world.enqueue_many(4 * EVENTS_PER_SECOND)
        began = time.monotonic()
        assert sender.start(usual_world.new_slot()).ended(seconds=600).status == 0
        return time.monotonic() - began

    undisturbed = seconds_to_send()
    outage = {"refuse": True, "for_s": OUTAGE_SECONDS}
    timer = threading.Timer(1.5, usual_world.segment.fault, [outage])
    timer.start()
    lost = seconds_to_send() - undisturbed
    timer.join()
    logger.info("An outage of %.0f s cost %.1f s", OUTAGE_SECONDS, lost)
    assert usual_world.outbox.rows(
        "select 1 from {db}.segment_delivery_attempts where reason_code = 'connection_failed'"
    ), "the outage was over before the sender noticed"
    assert lost < OUTAGE_SECONDS + MOST_LOST_SECONDS
    assert usual_world.segment.stats()["unique"] == 8 * EVENTS_PER_SECOND
