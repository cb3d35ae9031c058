"""JPEG 2000: JP2 files and bare codestreams, gray and RGB of 1 to 16 bits, also with alpha."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from liif_cli.io.abilities import abilities
from liif_cli.io.base import Pixels
from liif_cli.io.metadata import Metadata
from liif_cli.io.refusals import damaged, kind_of_pixels, truncated
from liif_cli.io.sources.boxes import boxes_of
from liif_cli.io.sources.whole import Header, WholeFileSource, read_exactly

_SIGNATURE = b"\0\0\0\x0cjP  \r\n\x87\n"
CODESTREAM = b"\xff\x4f\xff\x51"
_END = b"\xff\xd9"
XMP_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
"""Of the box that holds XMP (XMP specification, part 3)."""
_SRGB, _GRAY, _SYCC = 16, 17, 18
_COLOURS = {_SRGB: 3, _GRAY: 1, _SYCC: 3}
_INCH = 0.0254


@dataclass
class _Boxes:
    """What the boxes of a JP2 file say; ``alpha`` is the number of a channel that is one."""

    space: int | None = None
    icc: bytes | None = None
    alpha: int | None = None
    palette: bool = False
    resolution: tuple[float, float] | None = None
    xmp: bytes | None = None
    start: int = -1
    metadata: Metadata = field(default_factory=Metadata)


class Jpeg2000Source(WholeFileSource):
    """A JPEG 2000 image (ISO/IEC 15444-1); other depths than 8 and 16 bits are scaled to these."""

    format = "jp2"
    suffixes = (".jp2", ".j2k", ".j2c", ".jpc", ".jpx", ".jpf")
    reads = abilities("8", "16", "alpha", "ICC", "XMP", "resolution")

    @classmethod
    def matches(cls, path: Path, head: bytes) -> bool:
        return head.startswith((_SIGNATURE, CODESTREAM))

    @staticmethod
    def read_header(path: Path, file: BinaryIO) -> Header:
        boxes = _Boxes(start=0)
        if file.read(4) != CODESTREAM:
            boxes = _boxes(path, file)
        if boxes.start < 0:
            raise truncated(path, "no codestream in it")
        if boxes.palette:
            raise kind_of_pixels(path, "a JPEG 2000 with a palette", "save it as PNG")
        file.seek(boxes.start)
        height, width, depths, signed = _size(path, file)
        count = len(depths)
        # a bare codestream says nothing of its channels
        known = boxes.space in _COLOURS or (boxes.space is None and boxes.icc is None)
        alpha = boxes.alpha is not None or (known and count in (2, 4))
        if alpha and boxes.alpha not in (None, count - 1):
            raise kind_of_pixels(path, "a JPEG 2000 whose alpha is not its last channel")
        if count - alpha not in (1, 3) or len(set(depths)) > 1 or max(depths) > 16 or signed:
            kind = "signed" if signed else "unsigned"
            raise kind_of_pixels(
                path, f"a JPEG 2000 of {count} channels of {max(depths)} {kind} bits"
            )
        return Header(
            height,
            width,
            count,
            np.dtype(np.uint16 if depths[0] > 8 else np.uint8),
            icc=boxes.icc,
            resolution=boxes.resolution,
            xmp=boxes.xmp,
            alpha=alpha,
            dropped=boxes.metadata.dropped,
        )

    def decode(self, data: bytes) -> Pixels:
        import imagecodecs

        if data.rstrip(b"\0")[-2:] != _END and _END not in data[-64:]:
            raise ValueError("it ends before its last tile")
        pixels: Pixels = imagecodecs.jpeg2k_decode(data)
        start = max(data.find(CODESTREAM), 0)
        bits = (data[start + 42] & 0x7F) + 1
        top, most = (1 << bits) - 1, int(np.iinfo(pixels.dtype).max)
        if top == most:
            return pixels
        full = (np.minimum(pixels, top).astype(np.uint32) * most + top // 2) // top
        return full.astype(pixels.dtype)


def _boxes(path: Path, file: BinaryIO) -> _Boxes:
    """Walk through the boxes of the file and of its header."""
    boxes = _Boxes()
    for name, start, size in boxes_of(path, file):
        if name == b"jp2c" and boxes.start < 0:
            boxes.start = start
        elif name == b"uuid" and file.read(len(XMP_UUID)) == XMP_UUID:
            boxes.xmp = boxes.metadata.read("XMP", file, size - len(XMP_UUID))
        elif name == b"jp2h":
            file.seek(start)
            body = boxes.metadata.read("header", file, size)
            if body is not None:
                _read_header_boxes(body, boxes)
    return boxes


def _read_header_boxes(data: bytes, found: _Boxes) -> None:
    at = 0
    while at + 8 <= len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + size]
        if name == b"colr" and found.space is None and found.icc is None:
            if body[0] == 1:
                (found.space,) = struct.unpack_from(">I", body, 3)
            elif body[0] == 2:
                found.icc = found.metadata.kept("colour profile", body[3:])
        elif name == b"cdef":
            for place in range(2, len(body) - 5, 6):
                channel, kind, _ = struct.unpack_from(">HHH", body, place)
                if kind in (1, 2):
                    found.alpha = channel
        elif name == b"pclr":
            found.palette = True
        elif name == b"res ":
            _read_header_boxes(body, found)
        elif name in (b"resc", b"resd"):
            upper = struct.unpack_from(">HHHHbb", body)
            if all(upper[:4]):
                rows, cols = (
                    upper[pair] / upper[pair + 1] * 10.0 ** upper[4 + pair // 2] * _INCH
                    for pair in (0, 2)
                )
                found.resolution = (cols, rows)
        if size < 8:
            break
        at += size


def _size(path: Path, file: BinaryIO) -> tuple[int, int, list[int], bool]:
    """(height, width, bits of each channel, whether one is signed) of the SIZ marker."""
    data = read_exactly(path, file, 42, "its codestream")
    if data[:4] != CODESTREAM:
        raise damaged(path, "no codestream where one should be")
    right, bottom, left, top = struct.unpack_from(">IIII", data, 8)
    (count,) = struct.unpack_from(">H", data, 40)
    if not 1 <= count <= 1024:
        raise damaged(path, f"{count} channels")
    parts = read_exactly(path, file, 3 * count, "its codestream")
    depths = [(byte & 0x7F) + 1 for byte in parts[::3]]
    return bottom - top, right - left, depths, any(byte & 0x80 for byte in parts[::3])
