"""GIF: stills and the frames of animations, with and without transparency."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from liif_cli.io.abilities import abilities
from liif_cli.io.base import Pixels
from liif_cli.io.refusals import damaged
from liif_cli.io.sources.frames import frame
from liif_cli.io.sources.whole import Header, WholeFileSource, read_exactly

_IMAGE, _EXTENSION, _END, _CONTROL = 0x2C, 0x21, 0x3B, 0xF9
_TO_BACKGROUND = 2


@dataclass(frozen=True)
class _Walk:
    """``alpha``: whether some of the screen may be transparent, at each of the pictures."""

    height: int
    width: int
    alpha: list[bool]


class GifSource(WholeFileSource):
    """A GIF file; pixels are always RGB, with alpha where the screen may show through.

    A later frame is what a player shows then: laid over those before it.
    """

    format = "gif"
    suffixes = (".gif",)
    reads = abilities("8", "alpha", "pages")

    @classmethod
    def matches(cls, path: Path, head: bytes) -> bool:
        return head.startswith((b"GIF87a", b"GIF89a"))

    @classmethod
    def read_page_header(cls, path: Path, file: BinaryIO, page: int) -> Header:
        walk = _walk(path, file)
        pages = len(walk.alpha)
        alpha = walk.alpha[min(page, pages) - 1]
        return Header(
            walk.height,
            walk.width,
            channels=3 + alpha,
            dtype=np.dtype(np.uint8),
            alpha=alpha,
            kind="palette",
            pages=pages,
        )

    def decode(self, data: bytes) -> Pixels:
        try:
            return frame(data, self.info.page, alpha=self.info.alpha)
        except ValueError:
            if self.info.page > 1 or self.info.alpha:
                raise
        # another codec is less strict about palettes, and composes nothing
        import imagecodecs

        pixels: Pixels = imagecodecs.gif_decode(data, index=0)
        return pixels[..., :3]


def _walk(path: Path, file: BinaryIO) -> _Walk:
    """Go through the blocks of the GIF89a specification to the trailer, without decoding."""
    signature, width, height, flags = struct.unpack(
        "<6sHHB2x", read_exactly(path, file, 13, "its header")
    )
    if signature[:3] != b"GIF":
        raise damaged(path, "no GIF signature")
    file.seek(_table_bytes(flags), 1)
    found, alpha = list[bool](), False
    transparent, disposal = False, 0
    while (kind := read_exactly(path, file, 1, "its blocks")[0]) != _END:
        if kind == _EXTENSION:
            label = read_exactly(path, file, 1, "an extension")[0]
            first = _sub_blocks(path, file)
            if label == _CONTROL and first:
                transparent, disposal = bool(first[0] & 1), first[0] >> 2 & 7
        elif kind == _IMAGE:
            left, top, columns, rows, flags = struct.unpack(
                "<HHHHB", read_exactly(path, file, 9, "a frame")
            )
            if left + columns > width or top + rows > height:
                raise damaged(path, f"a frame of {columns}x{rows} outside of {width}x{height}")
            # a later frame is laid over what is there
            alpha |= not found and (transparent or (columns, rows) != (width, height))
            found.append(alpha)
            alpha |= disposal >= _TO_BACKGROUND
            transparent, disposal = False, 0
            file.seek(_table_bytes(flags) + 1, 1)
            if not _sub_blocks(path, file):
                raise damaged(path, "a frame without pixels")
        else:
            raise damaged(path, f"a block of kind {kind:#04x}")
    if not found:
        raise damaged(path, "it holds no picture")
    return _Walk(height, width, found)


def _table_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _sub_blocks(path: Path, file: BinaryIO) -> bytes:
    """Skip a chain of sub-blocks; the content of the first one."""
    first = b""
    while length := read_exactly(path, file, 1, "its blocks")[0]:
        data = read_exactly(path, file, length, "its blocks")
        first = first or data
    return first
