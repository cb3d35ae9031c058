"""Boxes of a file: JPEG 2000, JPEG XL, AVIF and their kin (ISO/IEC 14496-12, section 4.2)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from liif_cli.io.refusals import truncated
from liif_cli.io.sources.whole import read_exactly


def boxes_of(path: Path, file: BinaryIO, at: int = 0) -> Iterator[tuple[bytes, int, int]]:
    """(name, start of the body, bytes of the body) of the boxes of a file from ``at`` on.

    The file is at the start of the body, and may be moved in between.

    Raises:
        InputError: a box does not end within the file.
    """
    end = file.seek(0, 2)
    while at < end:
        file.seek(at)
        size, name = struct.unpack(">I4s", read_exactly(path, file, 8, "its boxes"))
        head = 8
        if size == 1:
            (size,) = struct.unpack(">Q", read_exactly(path, file, 8, "its boxes"))
            head = 16
        size = size or end - at
        if size < head or at + size > end:
            raise truncated(path, f"it ends in its {name.decode('latin-1')} box")
        yield name, at + head, size - head
        at += size


def boxes_in(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(name, body) of the boxes in ``data``.

    Raises:
        IndexError: a box shorter than its own head.
    """
    at = 0
    while at + 8 <= len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        head = 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, at + 8)
            head = 16
        size = size or len(data) - at
        if size < head:
            raise IndexError(f"a {name!r} box of {size} bytes")
        yield name, data[at + head : at + size]
        at += size


def box(name: bytes, body: bytes) -> bytes:
    """A box with a length of 32 bits."""
    return struct.pack(">I4s", 8 + len(body), name) + body
