"""ClickHouse's own compressed blocks."""

import os
import struct
import tracemalloc

import pytest
import zstandard
from clickhouse_cityhash.cityhash import CityHash128

from sandbox.clickhouse.blocks import BlockDecoder, BlockEncoder
from sandbox.clickhouse.errors import ClickHouseError

# The answer to `SELECT * FROM nope` with `compress=1`, as ClickHouse 18.16 sent it.
FROM_A_SERVER = bytes.fromhex(
    "42ecdfa263a52f829be6b50a37ec0d6a826500000067000000f03d436f64653a2036302c20652e646973706c61"
    "79546578742829203d2044423a3a457863657074696f6e3a205461626c652064656661756c742e6e6f70652064"
    "6f65736e27742065786973742e44003b7768613d005074696f6e0a"
)
DATA = b"1\tsome text\n" * 200_000 + os.urandom(70_000)


def block(method: int, data: bytes, size: int) -> bytes:
    rest = struct.pack("<BII", method, 9 + len(data), size) + data
    checksum = CityHash128(rest)
    return struct.pack("<QQ", checksum >> 64, checksum & (1 << 64) - 1) + rest


def decode(body: bytes, step: int = 1 << 20, verify: bool = True) -> bytes:
    decoder = BlockDecoder(verify)
    chunks = (body[at : at + step] for at in range(0, len(body), step))
    plain = b"".join(part for chunk in chunks for part in decoder.feed(chunk))
    decoder.finish()
    return plain


def code_of(body: bytes) -> int:
    with pytest.raises(ClickHouseError) as caught:
        decode(body)
    return caught.value.code


@pytest.mark.parametrize("step", [101, 1 << 20])
@pytest.mark.parametrize("parts", [[], [b"1\n"], [DATA, b"x", DATA]])
def test_what_is_encoded_decodes_again(parts, step):
    encoder = BlockEncoder()
    body = b"".join(encoder.feed(part) for part in parts) + encoder.finish()
    assert decode(body, step) == b"".join(parts)


def test_blocks_of_other_methods():
    body = block(0x90, zstandard.compress(DATA), len(DATA)) + block(0x02, b"plain", 5)
    assert decode(body) == DATA + b"plain"


def test_damaged_bodies():
    good = BlockEncoder().feed(DATA)
    assert code_of(good[:-1]) == 33
    assert code_of(good[:-1] + bytes([good[-1] ^ 1])) == 40
    assert code_of(b"INSERT INTO a_table FORMAT CSV\n1,2\n") == 89
    assert code_of(block(0x02, b"", 1 << 31)) == 129
    assert code_of(block(0x82, b"\xff\xff", 400)) == 271
    assert code_of(block(0x02, b"plain", 6)) == 271


@pytest.mark.parametrize("says_size", [True, False])
def test_a_block_takes_no_more_memory_than_it_says(says_size):
    zeros = bytes(64 << 20)
    data = zstandard.ZstdCompressor(write_content_size=says_size).compress(zeros)
    body = block(0x90, data, 100)
    tracemalloc.start()
    assert code_of(body) == 271
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000


def test_a_block_may_not_be_larger_than_128_mib():
    assert code_of(block(0x90, zstandard.compress(b"x"), (128 << 20) + 1)) == 129


def test_blocks_are_decoded_one_at_a_time():
    zeros = bytes(1 << 20)
    chunk = block(0x90, zstandard.compress(zeros), len(zeros)) * 1000
    pieces = BlockDecoder().feed(chunk)
    assert [len(next(pieces)) for _ in range(3)] == [1 << 20] * 3


def test_a_block_that_clickhouse_wrote():
    text = decode(FROM_A_SERVER).decode()
    assert text.startswith("Code: 60, e.displayText() = DB::Exception: Table default.nope")
    assert text.endswith("e.what() = DB::Exception\n")


def test_checksums_can_be_left_unchecked():
    good = block(0x02, b"plain", 5)
    assert decode(bytes(16) + good[16:], verify=False) == b"plain"
