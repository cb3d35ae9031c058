"""AVIF: 8, 10 and 12 bits, gray and RGB, with and without alpha."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from liif_cli.io.base import Pixels
from liif_cli.io.orientation import Orientation
from liif_cli.io.refusals import animated, damaged, kind_of_pixels, truncated
from liif_cli.io.sources.whole import Header, WholeFileSource, read_exactly

_ALPHA_URNS = (
    b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0",
    b"urn:mpeg:hevc:2015:auxid:1\0",
)
_QUARTER_TURN = Orientation(transpose=True, flip_rows=True)


class AvifSource(WholeFileSource):
    """An AVIF still; 10 and 12 bits become uint16 over its whole range.

    The facts come from the boxes of ISO/IEC 14496-12 and 23008-12: the decoder below gives pixels
    as stored, without the turn (irot) and the mirror (imir) that the file asks for.
    """

    format = "avif"
    suffixes = (".avif",)

    @classmethod
    def matches(cls, path: Path, head: bytes) -> bool:
        brands = head[8 : int.from_bytes(head[:4], "big")]
        return head[4:8] == b"ftyp" and (b"avif" in brands or b"avis" in brands)

    @staticmethod
    def read_header(path: Path, file: BinaryIO) -> Header:
        ftyp, meta = _top_boxes(path, file)
        if ftyp[:4] == b"avis":
            raise animated(path, "an AVIF image sequence")
        try:
            return _header(path, meta)
        except (struct.error, IndexError) as error:
            raise damaged(path, f"its boxes: {error}") from error

    def decode(self, data: bytes) -> Pixels:
        import imagecodecs

        pixels: Pixels = imagecodecs.avif_decode(data)
        if pixels.dtype != np.uint16:
            return pixels
        # libavif keeps 10 and 12 bits as they are
        top = (1 << self._bits(data)) - 1
        full = (pixels.astype(np.uint32) * 65535 + top // 2) // top
        return full.astype(np.uint16)

    def _bits(self, data: bytes) -> int:
        found = data.find(b"av1C")
        return _av1_bits(data[found + 4 : found + 8])


def _top_boxes(path: Path, file: BinaryIO) -> tuple[bytes, bytes]:
    """Bodies of the ftyp and meta boxes; every box must end within the file."""
    end = file.seek(0, 2)
    at, found = 0, dict[bytes, bytes]()
    while at < end:
        file.seek(at)
        size, name = struct.unpack(">I4s", read_exactly(path, file, 8, "its boxes"))
        if size == 1:
            (size,) = struct.unpack(">Q", read_exactly(path, file, 8, "its boxes"))
        elif size == 0:
            size = end - at
        if size < 8 or at + size > end:
            raise truncated(path, f"it ends in its {name.decode('latin-1')} box")
        if name in (b"ftyp", b"meta"):
            found[name] = file.read(at + size - file.tell())
        at += size
    if len(found) < 2:
        raise truncated(path, "no meta box") if b"ftyp" in found else damaged(path, "no ftyp box")
    return found[b"ftyp"], found[b"meta"]


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(name, body) of the boxes in ``data``."""
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


def _header(path: Path, meta: bytes) -> Header:
    boxes = dict(_boxes(meta[4:]))
    parts = list(_boxes(boxes.get(b"iprp", b"")))
    properties = [box for name, body in parts if name == b"ipco" for box in _boxes(body)]
    alpha = any(name == b"auxC" and body[4:].startswith(_ALPHA_URNS) for name, body in properties)
    primary = _primary(boxes.get(b"pitm", b""))
    own = [
        properties[index - 1]
        for name, body in parts
        if name == b"ipma"
        for index in _associated(body, primary)
        if index
    ]
    size: tuple[int, int] | None = None
    gray, bits, icc, orientation = False, 8, None, Orientation()
    for name, body in own:
        if name == b"ispe":
            width, height = struct.unpack_from(">4xII", body)
            size = (height, width)
        elif name == b"pixi":
            gray = body[4] == 1
            bits = max(bits, *body[5 : 5 + body[4]])
        elif name == b"colr" and body[:4] in (b"prof", b"rICC"):
            icc = body[4:]
        elif name == b"irot":
            for _ in range(body[0] & 3):
                orientation = orientation.then(_QUARTER_TURN)
        elif name == b"imir":
            sideways = bool(body[0] & 1)
            orientation = orientation.then(Orientation(flip_rows=not sideways, flip_cols=sideways))
        elif name == b"clap":
            raise kind_of_pixels(path, "an AVIF with a crop (clap box)", "save it cropped")
    # a primary item that is a grid of tiles has no codec box of its own; alpha is always gray
    for name, body in properties:
        if name == b"av1C":
            gray = gray or (bool(body[2] & 0x10) and not alpha)
            bits = max(bits, _av1_bits(body))
    if size is None:
        raise damaged(path, "no image size")
    dtype = np.dtype(np.uint8 if bits == 8 else np.uint16)
    channels = (1 if gray else 3) + alpha
    return Header(*size, channels, dtype, orientation=orientation, icc=icc, alpha=alpha)


def _av1_bits(body: bytes) -> int:
    """Bits a sample in an AV1 codec configuration: high_bitdepth and twelve_bit."""
    if not body[2] & 0x40:
        return 8
    return 12 if body[2] & 0x20 else 10


def _primary(pitm: bytes) -> int:
    primary: int = struct.unpack_from(">I" if pitm[0] else ">H", pitm, 4)[0]
    return primary


def _associated(ipma: bytes, item: int) -> list[int]:
    """Numbers (from 1) of the properties that belong to ``item``."""
    wide_item, wide_index = ipma[0] >= 1, ipma[3] & 1
    (entries,) = struct.unpack_from(">I", ipma, 4)
    at, found = 8, list[int]()
    for _ in range(entries):
        (number,) = struct.unpack_from(">I" if wide_item else ">H", ipma, at)
        at += 4 if wide_item else 2
        count = ipma[at]
        at += 1
        for _ in range(count):
            (index,) = struct.unpack_from(">H" if wide_index else ">B", ipma, at)
            # the top bit says that the property is essential
            index &= 0x7FFF if wide_index else 0x7F
            at += 2 if wide_index else 1
            if number == item:
                found.append(index)
    return found
