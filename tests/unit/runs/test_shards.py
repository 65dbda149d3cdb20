"""Shards: who may send at the same time, and at what share of the limit."""

from datetime import datetime
from itertools import combinations

import pytest

from luigi_tasks import BuildOutbox, SendIdentify, SendTrack, SyncToSegment
from luigi_tasks.errors import ConfigurationError
from luigi_tasks.report import ReportRun
from luigi_tasks.runs import lease, markers
from luigi_tasks.runs.shards import WHOLE, Shard

SLOT = datetime(2026, 1, 31, 10, 15)
ALL = [Shard(number, of) for of in range(1, 7) for number in range(of)]
HASHES = range(60)  # A multiple of all numbers up to 6.


def users(shard: Shard) -> set[int]:
    return {found for found in HASHES if found % shard.of == shard.number}


def test_shards_overlap_when_a_user_can_be_in_both() -> None:
    for one in ALL:
        for other in ALL:
            assert one.overlaps(other) == bool(users(one) & users(other)), (one, other)


def test_shares_of_shards_without_a_common_user_never_exceed_the_limit() -> None:
    for number in (2, 3, 4):
        for some in combinations(ALL, number):
            if not any(one.overlaps(other) for one, other in combinations(some, 2)):
                assert sum(shard.share for shard in some) <= 1 + 1e-9, some


@pytest.mark.parametrize(("number", "of"), [(0, 0), (-1, 4), (4, 4), (0, 65)])
def test_a_shard_that_is_none_is_refused(number: int, of: int) -> None:
    with pytest.raises(ConfigurationError, match=f"no shard {number} of {of}.*--shards"):
        Shard(number, of)


def test_the_lease_of_a_shard_is_named_after_it() -> None:
    assert lease.lease_name(WHOLE) == "delivery"
    assert lease.lease_name(Shard(2, 4)) == "delivery/2/4"
    assert lease.lease_name(WHOLE, lease.LANDING) == "landing"
    for shard in ALL:
        assert lease.shard_of(lease.lease_name(shard)) == shard


def test_a_load_excludes_loads_and_nothing_else() -> None:
    assert lease.are_against("landing", "landing")
    for name in ("delivery", "delivery/2/4"):
        assert not lease.are_against("landing", name)
        assert not lease.are_against(name, "landing")
        assert lease.are_against(name, "delivery")


def test_a_sync_has_one_sender_of_each_call_per_shard() -> None:
    report = SyncToSegment(slot=SLOT, shards=3).requires()
    assert report == ReportRun(slot=SLOT, shards=3)
    tracks = report.requires()
    assert [task.part for task in tracks] == [Shard(0, 3), Shard(1, 3), Shard(2, 3)]
    for track in tracks:
        assert isinstance(track, SendTrack)
        identify = track.requires()
        assert identify == SendIdentify(slot=SLOT, shards=3, shard=track.shard)
        assert identify.requires() == BuildOutbox(slot=SLOT)


def test_each_shard_has_a_marker_of_its_own() -> None:
    def identity(**shard: int) -> str:
        return SendTrack(slot=SLOT, **shard).output().identity.partition("/dry-run/")[0]

    assert identity() == "SendTrack/2026-01-31T1015"
    assert identity(shards=4, shard=3) == "SendTrack/2026-01-31T1015/3-of-4"
    assert markers.for_slot(ReportRun(slot=SLOT, shards=4), SLOT).identity == (
        "ReportRun/2026-01-31T1015"
    )
