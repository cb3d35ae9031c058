"""QOI, the Quite OK Image Format: RGB of 8 bits, with and without alpha."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np

from liif_cli.io.abilities import abilities
from liif_cli.io.base import Pixels
from liif_cli.io.refusals import damaged, truncated
from liif_cli.io.sources.whole import Header, WholeFileSource, read_exactly

_END = b"\0\0\0\0\0\0\0\1"


class QoiSource(WholeFileSource):
    """A QOI file (https://qoiformat.org/qoi-specification.pdf)."""

    format = "qoi"
    suffixes = (".qoi",)
    reads = abilities("8", "alpha")

    @classmethod
    def matches(cls, path: Path, head: bytes) -> bool:
        return head.startswith(b"qoif")

    @staticmethod
    def read_header(path: Path, file: BinaryIO) -> Header:
        magic, width, height, channels, space = struct.unpack(
            ">4sIIBB", read_exactly(path, file, 14, "its header")
        )
        if magic != b"qoif" or channels not in (3, 4) or space > 1:
            raise damaged(path, "no QOI header")
        file.seek(max(14, file.seek(0, 2) - len(_END)))
        if file.read() != _END:
            raise truncated(path, "it has no end mark")
        return Header(height, width, channels, np.dtype(np.uint8), alpha=channels == 4)

    def decode(self, data: bytes) -> Pixels:
        import imagecodecs

        pixels: Pixels = imagecodecs.qoi_decode(data)
        return pixels
