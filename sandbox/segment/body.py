"""Reads a request's body with bounded memory, plain or gzip."""

import zlib
from collections.abc import AsyncIterator

from sandbox.segment.rules import MAX_BODY_BYTES


class BodyError(ValueError):
    """The body cannot be read; the text says why."""


class BodyTooLargeError(BodyError):
    """The body is larger than Segment takes."""


async def read_body(chunks: AsyncIterator[bytes], encoding: str) -> bytes:
    """Reads to the end, and keeps no more than Segment's limit.

    The rest of an oversize body is read and thrown away: a client that is still writing when the
    connection closes sees a broken pipe instead of the 400.

    Args:
        chunks: The body as it comes in.
        encoding: The Content-Encoding header; empty when there is none.

    Raises:
        BodyTooLargeError: The body, after decompression, is above the limit.
        BodyError: The encoding is unknown, or the compressed data is damaged.
    """
    kept = bytearray()
    async for chunk in chunks:
        kept += chunk[: MAX_BODY_BYTES + 1 - len(kept)]
    if len(kept) > MAX_BODY_BYTES:
        raise BodyTooLargeError(_too_large("the body"))
    if encoding in ("", "identity"):
        return bytes(kept)
    if encoding != "gzip":
        raise BodyError("unsupported Content-Encoding; send gzip or none")
    return _inflate(bytes(kept))


def _inflate(data: bytes) -> bytes:
    inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        plain = inflater.decompress(data, MAX_BODY_BYTES + 1)
    except zlib.error as error:
        raise BodyError("the body is not valid gzip") from error
    if len(plain) > MAX_BODY_BYTES:
        raise BodyTooLargeError(_too_large("the decompressed body"))
    if not inflater.eof:
        raise BodyError("the gzip data ends too early")
    return plain


def _too_large(what: str) -> str:
    return f"{what} is larger than {MAX_BODY_BYTES:,} bytes"
