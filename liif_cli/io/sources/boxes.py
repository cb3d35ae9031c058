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
