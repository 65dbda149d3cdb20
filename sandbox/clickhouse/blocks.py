"""ClickHouse's own block compression, asked for with ``compress=1`` and ``decompress=1``.

A block is a checksum (16 bytes, CityHash128 of what follows), a method (1 byte), its size without
the checksum and its size when decompressed (4 bytes each, little-endian), and the compressed data.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import lz4.block  # type: ignore[import-untyped]
import zstandard
from clickhouse_cityhash.cityhash import CityHash128  # type: ignore[import-untyped]

from sandbox.clickhouse.errors import (
    CANNOT_DECOMPRESS,
    CANNOT_READ_ALL_DATA,
    CHECKSUM_DOESNT_MATCH,
    TOO_LARGE_SIZE_COMPRESSED,
    UNKNOWN_COMPRESSION_METHOD,
    ClickHouseError,
)

_CHECKSUM_BYTES = 16
_HEADER = struct.Struct("<BII")
_NONE, _LZ4, _ZSTD = 0x02, 0x82, 0x90
_BLOCK_BYTES = 1 << 20
# A block is held as a whole. A server takes up to 1 GiB; clients write blocks of about 1 MiB.
_MAX_BLOCK_BYTES = 128 << 20


class BlockDecoder:
    """Takes the chunks of a compressed request body and gives back the plain bytes.

    Args:
        verify: Whether checksums are checked.
    """

    def __init__(self, verify: bool = True) -> None:
        self._verify = verify
        self._pending = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Decode the blocks that are whole by now, one after the other.

        Raises:
            ClickHouseError: A block is damaged (codes 40, 89, 129 and 271).
        """
        self._pending += data
        while (size := self._size()) is not None and len(self._pending) >= size:
            block = bytes(self._pending[:size])
            del self._pending[:size]
            yield self._decode(block)

    def finish(self) -> None:
        """Check that the last block was whole.

        Raises:
            ClickHouseError: The body ended inside a block (code 33).
        """
        if self._pending:
            raise ClickHouseError.of(
                CANNOT_READ_ALL_DATA, "The request body ends inside a compressed block"
            )

    def _size(self) -> int | None:
        """Size of the next block with its checksum; None while its header is not here."""
        if len(self._pending) < _CHECKSUM_BYTES + _HEADER.size:
            return None
        method, compressed, plain = _HEADER.unpack_from(self._pending, _CHECKSUM_BYTES)
        if method not in (_NONE, _LZ4, _ZSTD):
            raise ClickHouseError.of(
                UNKNOWN_COMPRESSION_METHOD,
                f"Unknown compression method: 0x{method:02x}. Send LZ4, ZSTD or none. Most likely "
                "the request body is not in ClickHouse's compressed format",
            )
        if not _HEADER.size <= compressed <= _MAX_BLOCK_BYTES or plain > _MAX_BLOCK_BYTES:
            raise ClickHouseError.of(
                TOO_LARGE_SIZE_COMPRESSED,
                f"Too large size: a block of {compressed} bytes, {plain} when decompressed. "
                "Most likely corrupted data",
            )
        return _CHECKSUM_BYTES + int(compressed)

    def _decode(self, block: bytes) -> bytes:
        checksum, rest = block[:_CHECKSUM_BYTES], block[_CHECKSUM_BYTES:]
        if self._verify and _checksum(rest) != checksum:
            raise ClickHouseError.of(CHECKSUM_DOESNT_MATCH, "Checksum doesn't match")
        method, _, size = _HEADER.unpack_from(rest)
        try:
            plain = _decompress(method, rest[_HEADER.size :], size)
        except (lz4.block.LZ4BlockError, zstandard.ZstdError) as error:
            raise ClickHouseError.of(
                CANNOT_DECOMPRESS, f"Cannot decompress a block: {error}"
            ) from error
        if len(plain) != size:
            raise ClickHouseError.of(
                CANNOT_DECOMPRESS,
                f"Cannot decompress a block: it says {size} bytes and has {len(plain)}",
            )
        return plain


class BlockEncoder:
    """Compresses a response with LZ4, in blocks of at most 1 MiB of plain bytes."""

    def feed(self, data: bytes) -> bytes:
        """Compress one chunk; it gets blocks of its own."""
        starts = range(0, len(data), _BLOCK_BYTES)
        return b"".join(_encode(data[start : start + _BLOCK_BYTES]) for start in starts)

    def finish(self) -> bytes:
        """Nothing is held back."""
        return b""


def _encode(plain: bytes) -> bytes:
    data = bytes(lz4.block.compress(plain, store_size=False))
    rest = _HEADER.pack(_LZ4, _HEADER.size + len(data), len(plain)) + data
    return _checksum(rest) + rest


def _decompress(method: int, data: bytes, size: int) -> bytes:
    if method == _LZ4:
        return bytes(lz4.block.decompress(data, uncompressed_size=size))
    if method == _ZSTD:
        # A size in the frame goes before max_output_size, and memory is taken for it at once.
        if zstandard.frame_content_size(data) > size:
            raise zstandard.ZstdError("the frame is larger than its block says")
        return bytes(zstandard.ZstdDecompressor().decompress(data, max_output_size=size))
    return data


def _checksum(rest: bytes) -> bytes:
    value: Any = CityHash128(rest)
    return struct.pack("<QQ", value >> 64, value & 0xFFFF_FFFF_FFFF_FFFF)
