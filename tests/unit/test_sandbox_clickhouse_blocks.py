"""ClickHouse's own compressed blocks."""

import os
import struct

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
    parts = [decoder.feed(body[at : at + step]) for at in range(0, len(body), step)]
    return b"".join(parts) + decoder.finish()


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


def test_a_block_that_clickhouse_wrote():
    text = decode(FROM_A_SERVER).decode()
    assert text.startswith("Code: 60, e.displayText() = DB::Exception: Table default.nope")
    assert text.endswith("e.what() = DB::Exception\n")


def test_checksums_can_be_left_unchecked():
    good = block(0x02, b"plain", 5)
    assert decode(bytes(16) + good[16:], verify=False) == b"plain"
