"""HTTP content encodings in both directions, chunk by chunk.

Request bodies may hold several compressed frames in a row (clickhouse-connect sends one per
block), so every decoder starts anew where a frame ends.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import Any, Protocol

import lz4.frame  # type: ignore[import-untyped]
import zstandard

from sandbox.clickhouse.errors import (
    CANNOT_DECOMPRESS,
    UNKNOWN_COMPRESSION_METHOD,
    ClickHouseError,
)

_GZIP_WINDOW = 31
_ANY_ZLIB_WINDOW = 47


class Stage(Protocol):
    """One step on the way of a body: takes chunks, gives chunks."""

    def feed(self, data: bytes, /) -> bytes:
        """Take one chunk; may return nothing while bytes are gathered."""
        ...

    def finish(self) -> bytes:
        """Return what is left when all chunks have been fed."""
        ...


class Pipeline:
    """Stages one after the other."""

    def __init__(self, *stages: Stage) -> None:
        self._stages = stages

    def feed(self, data: bytes) -> bytes:
        """Send one chunk through all stages."""
        for stage in self._stages:
            data = stage.feed(data)
        return data

    def finish(self) -> bytes:
        """End the stages in turn."""
        data = b""
        for stage in self._stages:
            data = stage.feed(data) + stage.finish()
        return data


class _Frame(Protocol):
    """A decoder of one compressed frame, as the standard library and lz4 shape it."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes | None: ...

    def decompress(self, data: bytes, /) -> bytes: ...


_NEW_FRAME: dict[str, Callable[[], _Frame]] = {
    "gzip": lambda: zlib.decompressobj(_ANY_ZLIB_WINDOW),
    "deflate": lambda: zlib.decompressobj(_ANY_ZLIB_WINDOW),
    "lz4": lz4.frame.LZ4FrameDecompressor,
    "zstd": lambda: zstandard.ZstdDecompressor().decompressobj(),
    "xz": lzma.LZMADecompressor,
    "bz2": bz2.BZ2Decompressor,
}
# In the order of preference: what costs least on one machine comes first.
RESPONSE_ENCODINGS = ("lz4", "zstd", "gzip", "deflate")


class Decoder:
    """Takes a request body's chunks and gives back the plain bytes.

    Args:
        encoding: The ``Content-Encoding`` of the request; empty or ``identity`` for plain bytes.

    Raises:
        ClickHouseError: The encoding is not known (code 89).
    """

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding.strip().lower()
        self._plain = self._encoding in ("", "identity")
        if not self._plain and self._encoding not in _NEW_FRAME:
            known = ", ".join(_NEW_FRAME)
            raise ClickHouseError.of(
                UNKNOWN_COMPRESSION_METHOD,
                f"Unknown Content-Encoding '{encoding}'. Send one of: {known}",
            )
        self._frame: _Frame | None = None

    def feed(self, data: bytes) -> bytes:
        """Decode one chunk.

        Raises:
            ClickHouseError: The bytes are not of this encoding (code 271).
        """
        if self._plain:
            return data
        parts = []
        try:
            while data:
                if self._frame is None:
                    self._frame = _NEW_FRAME[self._encoding]()
                parts.append(self._frame.decompress(data))
                data = b""
                if self._frame.eof:
                    data = self._frame.unused_data or b""
                    self._frame = None
        except (zlib.error, lzma.LZMAError, zstandard.ZstdError, OSError, RuntimeError) as error:
            raise self._broken(str(error)) from error
        return b"".join(parts)

    def finish(self) -> bytes:
        """Check that the last frame was whole; nothing is held back.

        Raises:
            ClickHouseError: The body ended inside a frame (code 271).
        """
        if self._frame is not None:
            raise self._broken("the body ends inside a compressed frame")
        return b""

    def _broken(self, reason: str) -> ClickHouseError:
        return ClickHouseError.of(
            CANNOT_DECOMPRESS, f"Cannot decode the request body as {self._encoding}: {reason}"
        )


class Encoder:
    """Compresses a response body chunk by chunk into one frame."""

    def __init__(self, encoding: str | None) -> None:
        self._lz4 = lz4.frame.LZ4FrameCompressor() if encoding == "lz4" else None
        self._begun = False
        self._stream: Any = None
        if encoding == "zstd":
            self._stream = zstandard.ZstdCompressor(level=1).compressobj()
        elif encoding == "gzip":
            self._stream = zlib.compressobj(level=3, wbits=_GZIP_WINDOW)
        elif encoding == "deflate":
            self._stream = zlib.compressobj(level=3)

    def feed(self, data: bytes) -> bytes:
        """Compress one chunk; may return nothing while the encoder gathers bytes."""
        if self._lz4 is not None:
            return self._begin_lz4() + bytes(self._lz4.compress(data))
        return bytes(self._stream.compress(data)) if self._stream is not None else data

    def finish(self) -> bytes:
        """Return the bytes that end the frame."""
        if self._lz4 is not None:
            return self._begin_lz4() + bytes(self._lz4.flush())
        return bytes(self._stream.flush()) if self._stream is not None else b""

    def _begin_lz4(self) -> bytes:
        if self._begun or self._lz4 is None:
            return b""
        self._begun = True
        return bytes(self._lz4.begin())


def choose_encoding(accept_encoding: str) -> str | None:
    """Pick the encoding of a response, or None when the client accepts none of ours."""
    accepted = {
        name.strip().lower()
        for name, _, quality in (item.partition(";") for item in accept_encoding.split(","))
        if quality.replace(" ", "") not in ("q=0", "q=0.0")
    }
    return next((name for name in RESPONSE_ENCODINGS if name in accepted), None)
