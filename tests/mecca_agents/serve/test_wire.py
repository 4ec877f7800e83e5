"""Packed arrays: both ways, and nothing believed that a header says."""

from __future__ import annotations

import struct
import tracemalloc
from typing import Any

import numpy as np
import pytest

from mecca_agents.serve.wire import MAGIC, TYPES, TooLarge, WireError, pack, read_header, unpack
from tests.support.viewers import packed, unpacked

MOST = 1 << 20


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize(("codec", "parts"), [(1, 1), (2, 3)])
def test_arrays_arrive_as_they_were_sent(name: str, codec: int, parts: int) -> None:
    array = np.random.default_rng(0).integers(0, 2, (1, 5, 7, 3)).astype(name)
    found = unpack(packed(array, codec, parts), most=MOST)
    assert found.dtype == array.dtype and np.array_equal(found, array)
    back = unpacked(pack(array[0].T))
    assert back.dtype == array.dtype and np.array_equal(back, array[0].T)


def _head(dtype: bytes = b"uint8", shape: tuple[int, ...] = (2, 2, 2), **other: Any) -> bytes:
    start = struct.pack("<4B", other.get("version", 1), other.get("codec", 1), len(shape), len(dtype))
    return b"NNIA" + start + dtype + struct.pack(f"<{len(shape)}q", *shape) + struct.pack("<I", other.get("chunks", 1))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "ends? in its header|end in its header"),
        (_head()[:20], "end in its header"),
        (b"NOPE" + _head()[4:], "expected b'NNIA' and version 1"),
        (_head(version=2), "found b'NNIA' and 2"),
        (_head(codec=7), "expected a codec of"),
        (_head(b"object"), "expected a type of"),
        (_head(b"O"), "expected a type of"),
        (_head(b"float\xe9"), "expected a type of"),
        (_head(b">f4"), "expected a type of"),
        (_head(shape=(0, 2, 2)), "sizes of at least 1"),
        (_head(shape=(-4, 2, 2)), "sizes of at least 1"),
        (_head(shape=(1,) * 5), "1 to 4 sizes"),
        (_head(), "another chunk, found the end"),
        (_head(chunks=0), "chunks of another size"),
        (_head(chunks=1 << 31), "chunks of up to"),
        (_head() + struct.pack("<QQ", 8, 999) + b"x" * 40, "within the array and the body"),
        (_head() + struct.pack("<QQ", 9, 40) + b"x" * 40, "within the array and the body"),
        (_head() + struct.pack("<QQ", 8, 40) + b"x" * 40, "expected a chunk"),
        (_head() + struct.pack("<QQ", 8, 3) + b"xxx", "expected a chunk of blosc2"),
        (packed(np.zeros((2, 2, 2), np.uint8)) + b"more", "bytes, found"),
        (_head(shape=(2, 2, 3)) + packed(np.zeros((2, 2, 2), np.uint8))[41:], "chunks of another size"),
    ],
)
def test_what_is_not_right_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(WireError, match=message):
        unpack(data, most=MOST)


def test_a_frame_that_unpacks_to_more_than_it_should_is_refused() -> None:
    large = packed(np.zeros((64, 64, 64), np.uint8))[41:]
    frame = large[16:]
    lying = _head() + struct.pack("<QQ", 8, len(frame)) + frame
    with pytest.raises(WireError, match="expected a chunk of 8 bytes"):
        unpack(lying, most=MOST)


@pytest.mark.parametrize("shape", [(1 << 20, 2, 1), (1 << 62, 1 << 62, 4, 4), (1 << 40, 1, 1)])
def test_no_memory_is_taken_for_what_is_too_large(shape: tuple[int, ...]) -> None:
    tracemalloc.start()
    with pytest.raises(TooLarge, match=f"at most {MOST} bytes"):
        unpack(_head(b"float64", shape), most=MOST)
    assert tracemalloc.get_traced_memory()[1] < 1 << 16
    tracemalloc.stop()


def test_a_header_can_be_read_before_the_rest_has_arrived() -> None:
    header = read_header(packed(np.zeros((3, 4, 5), np.int16))[:60], most=MOST)
    assert (header.dtype.name, header.shape, header.chunks, header.size) == ("int16", (3, 4, 5), 1, 120)
    assert MAGIC == b"NNIA"
