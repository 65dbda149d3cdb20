"""HTTP content encodings in both directions, chunk by chunk.

Request bodies may hold several compressed frames in a row (clickhouse-connect sends one per
block), so every decoder starts over where a frame ends. A few bytes can stand for gigabytes, so
decoders give what they find piece by piece, and only as long as somebody asks for more.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator, Sequence
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


# The most that a decoder gives at once. zstd's has no such bound, but no four bytes of a frame
# stand for more than 128 KiB.
_PIECE_BYTES = 1 << 20
_ZSTD_SLICE_BYTES = 512  # up to 16 MiB
_LZMA_MEMORY_BYTES = 128 << 20  # twice what the strongest preset of xz needs


class Stage(Protocol):
    """One step on the way of a response: takes chunks, gives chunks."""

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


class BodyDecoder(Protocol):
    """One step on the way of a request body."""

    def feed(self, data: bytes, /) -> Iterator[bytes]:
        """Take one chunk, and give what it holds in pieces of bounded size."""
        ...

    def finish(self) -> None:
        """Check that the body was whole."""
        ...


class Decoding:
    """Decoders one after the other."""

    def __init__(self, *decoders: BodyDecoder) -> None:
        self._decoders = decoders

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Send one chunk through all decoders."""
        return self._feed(data, self._decoders)

    def _feed(self, data: bytes, decoders: Sequence[BodyDecoder]) -> Iterator[bytes]:
        if not decoders:
            yield data
            return
        for piece in decoders[0].feed(data):
            yield from self._feed(piece, decoders[1:])

    def finish(self) -> None:
        """Check that the body was whole for each of them."""
        for decoder in self._decoders:
            decoder.finish()


class _Frame(Protocol):
    """A decoder of one compressed frame.

    Attributes:
        eof: Whether the frame is over.
        rest: The bytes after its end.
    """

    @property
    def eof(self) -> bool: ...

    @property
    def rest(self) -> bytes: ...

    def feed(self, data: bytes, /) -> Iterator[bytes]: ...


class _ZlibFrame:
    def __init__(self) -> None:
        self._raw = zlib.decompressobj(_ANY_ZLIB_WINDOW)

    @property
    def eof(self) -> bool:
        return self._raw.eof

    @property
    def rest(self) -> bytes:
        return self._raw.unused_data

    def feed(self, data: bytes) -> Iterator[bytes]:
        piece = b""
        while data or len(piece) == _PIECE_BYTES:
            piece = self._raw.decompress(data, _PIECE_BYTES)
            yield piece
            data = self._raw.unconsumed_tail


class _ZstdFrame:
    def __init__(self) -> None:
        self._raw = zstandard.ZstdDecompressor().decompressobj()
        self.rest = b""

    @property
    def eof(self) -> bool:
        return self._raw.eof

    def feed(self, data: bytes) -> Iterator[bytes]:
        for end in range(_ZSTD_SLICE_BYTES, len(data) + _ZSTD_SLICE_BYTES, _ZSTD_SLICE_BYTES):
            yield self._raw.decompress(data[end - _ZSTD_SLICE_BYTES : end])
            if self._raw.eof:
                self.rest = self._raw.unused_data + data[end:]
                return


class _PatientFrame:
    """A frame of a decoder that says when it needs more input: xz, bz2, lz4."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    @property
    def eof(self) -> bool:
        return bool(self._raw.eof)

    @property
    def rest(self) -> bytes:
        return bytes(self._raw.unused_data or b"")

    def feed(self, data: bytes) -> Iterator[bytes]:
        yield self._raw.decompress(data, _PIECE_BYTES)
        while not (self._raw.eof or self._raw.needs_input):
            yield self._raw.decompress(b"", _PIECE_BYTES)


def _xz() -> _Frame:
    return _PatientFrame(lzma.LZMADecompressor(memlimit=_LZMA_MEMORY_BYTES))


_NEW_FRAME: dict[str, Callable[[], _Frame]] = {
    "gzip": _ZlibFrame,
    "deflate": _ZlibFrame,
    "lz4": lambda: _PatientFrame(lz4.frame.LZ4FrameDecompressor()),
    "zstd": _ZstdFrame,
    "xz": _xz,
    "bz2": lambda: _PatientFrame(bz2.BZ2Decompressor()),
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

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Decode one chunk.

        Raises:
            ClickHouseError: The bytes are not of this encoding (code 271).
        """
        if self._plain:
            yield data
            return
        try:
            while data:
                if self._frame is None:
                    self._frame = _NEW_FRAME[self._encoding]()
                yield from self._frame.feed(data)
                data = b""
                if self._frame.eof:
                    data = self._frame.rest
                    self._frame = None
        except (zlib.error, lzma.LZMAError, zstandard.ZstdError, OSError, RuntimeError) as error:
            raise self._broken(str(error)) from error

    def finish(self) -> None:
        """Check that the last frame was whole.

        Raises:
            ClickHouseError: The body ended inside a frame (code 271).
        """
        if self._frame is not None:
            raise self._broken("the body ends inside a compressed frame")

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
