"""Codecs for Zarr chunks of unknown origin, which never give more than a chunk can hold.

A small chunk may unpack to gigabytes. That of Blosc may do worse: numcodecs believes its header,
and reads behind the chunk's end where that is not true, so that the process dies, or pixels are
what lies in memory there. What comes after that header, c-blosc checks itself.
"""

from __future__ import annotations

import asyncio
import gzip
import io
import math
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numcodecs
import numcodecs.registry
import zarr
from zarr.codecs import BloscCodec, GzipCodec, ZstdCodec
from zarr.registry import fully_qualified_name, register_codec

# checksums of codecs further in
_SPARE = 2**16
_HEADER = struct.Struct("<BBBBIII")
"""Two versions, flags, sample size, bytes unpacked, bytes of a block, bytes packed (c-blosc 1)."""


def check_blosc(data: bytes | memoryview, most: int | None = None) -> None:
    """Refuse a Blosc chunk that is not as long as it says, or unpacks to more than it may.

    Args:
        data: the whole chunk.
        most: bytes unpacked, at most.

    Raises:
        ValueError: it is refused.
    """
    if len(data) < _HEADER.size:
        raise ValueError(f"a Blosc chunk of {len(data)} bytes")
    *_, unpacked, block, packed = _HEADER.unpack_from(data)
    if packed != len(data) or (unpacked and not block):
        raise ValueError(f"a Blosc chunk of {len(data)} bytes that says it has {packed}")
    if most is not None and unpacked > most:
        raise ValueError(f"a chunk of {unpacked:,} bytes unpacked, {most:,} at most expected")


def gunzipped(data: bytes, most: int) -> bytes:
    """A gzip stream of ``most`` bytes unpacked at most.

    Raises:
        ValueError: it has more.
    """
    data_unpacked = gzip.GzipFile(fileobj=io.BytesIO(data)).read(most + 1)
    if len(data_unpacked) > most:
        raise ValueError(f"a chunk of more than {most:,} bytes unpacked")
    return data_unpacked


def _most(chunk_spec: Any) -> int:
    # a data type of Zarr's own since zarr 3.1
    item = getattr(chunk_spec.dtype, "item_size", None) or chunk_spec.dtype.itemsize
    return int(math.prod(chunk_spec.shape) * item + _SPARE)


async def _unpacked(
    decode: Callable[[bytes, int], bytes], chunk_bytes: Any, chunk_spec: Any
) -> Any:
    data = await asyncio.to_thread(decode, chunk_bytes.to_bytes(), _most(chunk_spec))
    return chunk_spec.prototype.buffer.from_bytes(data)


class BoundedBlosc(BloscCodec):
    """Blosc in Zarr of version 3."""

    async def _decode_single(self, chunk_bytes: Any, chunk_spec: Any) -> Any:
        check_blosc(chunk_bytes.to_bytes(), _most(chunk_spec))
        return await super()._decode_single(chunk_bytes, chunk_spec)


class BoundedGzip(GzipCodec):
    """Gzip in Zarr of version 3."""

    async def _decode_single(self, chunk_bytes: Any, chunk_spec: Any) -> Any:
        return await _unpacked(gunzipped, chunk_bytes, chunk_spec)


class BoundedZstd(ZstdCodec):
    """Zstandard in Zarr of version 3."""

    async def _decode_single(self, chunk_bytes: Any, chunk_spec: Any) -> Any:
        import imagecodecs

        def decode(data: bytes, most: int) -> bytes:
            return bytes(imagecodecs.zstd_decode(data, out=most))

        return await _unpacked(decode, chunk_bytes, chunk_spec)


class CheckedBlosc(numcodecs.Blosc):  # type: ignore[misc]
    """numcodecs' Blosc, which Zarr of version 2 decodes by, with the check of its length."""

    def decode(self, buf: Any, out: Any = None) -> Any:
        check_blosc(memoryview(buf).cast("B"))
        return super().decode(buf, out)


_BOUNDED = {"blosc": BoundedBlosc, "gzip": BoundedGzip, "zstd": BoundedZstd}


@cache
def _register() -> None:
    for name, codec in _BOUNDED.items():
        register_codec(name, codec)
    # of version 2 one class is known, for everybody in this process; it decodes all that it did
    numcodecs.registry.register_codec(CheckedBlosc, "blosc")


@contextmanager
def bounded_codecs() -> Iterator[None]:
    """Arrays that are opened in the body, and read later, unpack no more than their chunks hold."""
    _register()
    names = {f"codecs.{name}": fully_qualified_name(codec) for name, codec in _BOUNDED.items()}
    with zarr.config.set(names):
        yield
