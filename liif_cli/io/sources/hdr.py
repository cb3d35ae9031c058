"""Radiance HDR: RGB of shared exponents, as floats."""

from __future__ import annotations

import re
from pathlib import Path
from typing import BinaryIO

import numpy as np

from liif_cli.io.abilities import abilities
from liif_cli.io.base import Pixels
from liif_cli.io.linear import linear_profile
from liif_cli.io.orientation import Orientation
from liif_cli.io.refusals import damaged, kind_of_pixels
from liif_cli.io.sources.whole import Header, WholeFileSource

_SIGNATURES = (b"#?RADIANCE", b"#?RGBE")
_MOST_HEADER = 65536
_SIZE = re.compile(rb"([+-])([XY]) (\d+) ([+-])([XY]) (\d+)\n")


class HdrSource(WholeFileSource):
    """A Radiance picture (Ward, Real Pixels, 1991). Colours are amounts of light."""

    format = "hdr"
    suffixes = (".hdr", ".rgbe")
    reads = abilities("float", "ICC")

    @classmethod
    def matches(cls, path: Path, head: bytes) -> bool:
        return head.startswith(_SIGNATURES)

    @staticmethod
    def read_header(path: Path, file: BinaryIO) -> Header:
        data = file.read(_MOST_HEADER)
        lines, _, rest = data.partition(b"\n\n")
        if b"FORMAT=32-bit_rle_xyze" in lines:
            raise kind_of_pixels(path, "a Radiance picture of XYZ")
        match = _SIZE.match(rest)
        if match is None:
            raise damaged(path, "no size in its header")
        first, axis, rows, second, other, cols = match.groups()
        if axis == other:
            raise damaged(path, "a size of one axis")
        # "-Y 10 +X 20" is the usual one: from the top down, from the left to the right
        turned = axis == b"X"
        down, right = (second, first) if turned else (first, second)
        orientation = Orientation(transpose=turned, flip_rows=down == b"+", flip_cols=right == b"-")
        return Header(
            int(rows),
            int(cols),
            3,
            np.dtype(np.float32),
            orientation,
            icc=linear_profile(),
            linear=True,
        )

    def decode(self, data: bytes) -> Pixels:
        import imagecodecs

        # the codec knows one signature and the usual order of rows
        _, _, rest = data.partition(b"\n\n")
        match = _SIZE.match(rest)
        assert match is not None
        size = f"-Y {self._header.height} +X {self._header.width}\n".encode()
        usual = b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n" + size + rest[match.end() :]
        pixels: Pixels = imagecodecs.rgbe_decode(usual)
        return pixels
