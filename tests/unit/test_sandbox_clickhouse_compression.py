"""Content encodings of request and response bodies."""

import bz2
import gzip
import lzma
import os
import zlib

import lz4.frame
import pytest
import zstandard

from sandbox.clickhouse.compression import (
    RESPONSE_ENCODINGS,
    Decoder,
    Decoding,
    Encoder,
    choose_encoding,
)
from sandbox.clickhouse.errors import ClickHouseError

COMPRESS = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "lz4": lz4.frame.compress,
    "zstd": zstandard.compress,
    "xz": lzma.compress,
    "bz2": bz2.compress,
}
DATA = b"a,b\n1,2\n" * 5_000 + os.urandom(5_000)


def decode(encoding: str, body: bytes, step: int) -> bytes:
    decoder = Decoder(encoding)
    chunks = (body[at : at + step] for at in range(0, len(body), step))
    plain = b"".join(piece for chunk in chunks for piece in decoder.feed(chunk))
    decoder.finish()
    return plain


@pytest.mark.parametrize("encoding", COMPRESS)
def test_a_few_bytes_that_stand_for_many_come_out_in_pieces(encoding):
    size = 200 << 20
    body = COMPRESS[encoding](bytes(size))
    sizes = [len(piece) for piece in Decoder(encoding).feed(body)]
    assert sum(sizes) == size
    assert max(sizes) <= 16 << 20


def test_a_dictionary_of_gigabytes_is_refused():
    preset = {"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 1 << 30}
    body = lzma.compress(b"x" * 100, filters=[preset])
    with pytest.raises(ClickHouseError) as caught:
        decode("xz", body, 1000)
    assert caught.value.code == 271


def test_decoders_follow_each_other():
    decoding = Decoding(Decoder("gzip"), Decoder("zstd"))
    body = gzip.compress(zstandard.compress(DATA))
    assert b"".join(decoding.feed(body)) == DATA
    decoding.finish()


@pytest.mark.parametrize("encoding", COMPRESS)
@pytest.mark.parametrize("step", [7, 1 << 20])
def test_several_frames_in_a_row(encoding, step):
    frames = b"".join(COMPRESS[encoding](part) for part in (DATA, b"tail", DATA))
    assert decode(encoding, frames, step) == DATA + b"tail" + DATA


@pytest.mark.parametrize("encoding", COMPRESS)
def test_a_body_cut_short_is_an_error(encoding):
    with pytest.raises(ClickHouseError) as caught:
        decode(encoding, COMPRESS[encoding](DATA)[:-9], 1000)
    assert caught.value.code == 271


@pytest.mark.parametrize("encoding", COMPRESS)
def test_other_bytes_are_an_error(encoding):
    with pytest.raises(ClickHouseError) as caught:
        decode(encoding, b"INSERT INTO t FORMAT CSV\n1,2\n", 1000)
    assert caught.value.code == 271


def test_unknown_encoding():
    with pytest.raises(ClickHouseError, match="br") as caught:
        Decoder("br")
    assert caught.value.code == 89


@pytest.mark.parametrize("encoding", [None, *RESPONSE_ENCODINGS])
@pytest.mark.parametrize("parts", [[], [DATA], [b"", DATA, b"x", DATA]])
def test_a_response_is_one_valid_frame(encoding, parts):
    encoder = Encoder(encoding)
    body = b"".join(encoder.feed(part) for part in parts) + encoder.finish()
    assert decode(encoding or "", body, 1 << 16) == b"".join(parts)


@pytest.mark.parametrize(
    ("accepted", "chosen"),
    [
        ("", None),
        ("identity", None),
        ("br", None),
        ("gzip", "gzip"),
        ("gzip, deflate, br", "gzip"),
        ("lz4,zstd,br,gzip,deflate", "lz4"),
        ("lz4;q=0, ZSTD;q=0.5", "zstd"),
    ],
)
def test_choice_of_the_response_encoding(accepted, chosen):
    assert choose_encoding(accepted) == chosen
