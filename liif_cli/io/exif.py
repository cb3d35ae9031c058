"""EXIF blocks and XMP packets: what is taken from them, and what a new size makes of them.

A block is a little TIFF file (Exif 2.32, section 4.5). It is carried as it is, with the few entries
changed in place that would be untrue of the output, so that maker notes keep their offsets.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

HEADER = b"Exif\0\0"
_ORIENTATION, _X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 0x0112, 0x011A, 0x011B, 0x0128
_WIDTH, _HEIGHT, _EXIF_IFD = 0x0100, 0x0101, 0x8769
_PIXEL_X, _PIXEL_Y = 0xA002, 0xA003
_INCHES_A_UNIT = {2: 1.0, 3: 1 / 2.54}
_INCHES = 2
_SHORT, _LONG, _RATIONAL = 3, 4, 5
_ENTRY = 12
_XMP_ORIENTATION = re.compile(rb"(tiff:Orientation\s*(?:=\s*[\"']|>)\s*)[2-8](?=\s*[\"'<])")


@dataclass(frozen=True)
class ExifFacts:
    """``orientation`` is EXIF's 1 to 8, ``resolution`` (x, y) in pixels per inch."""

    orientation: int = 1
    resolution: tuple[float, float] | None = None


@dataclass(frozen=True)
class _Entry:
    """One entry of an IFD; ``at`` is where its 12 bytes begin."""

    at: int
    tag: int
    kind: int


def read_exif(data: bytes) -> ExifFacts:
    """Read IFD0 of an EXIF block, with or without its "Exif" header.

    A block that is damaged says nothing: the image can be read without it.
    """
    data = data.removeprefix(HEADER)
    order = byte_order(data)
    if order is None:
        return ExifFacts()
    try:
        return _facts(_ifd0(data, order))
    except struct.error:
        # an offset that points outside of the block
        return ExifFacts()


def rewritten(
    data: bytes, height: int, width: int, resolution: tuple[float, float] | None
) -> bytes | None:
    """An EXIF block for an upright image of another size: the same bytes, a few of them changed.

    Orientation becomes 1; sizes and resolution, where the block has them, those of the output. The
    thumbnail is cut off, since it shows the image as it was stored.

    Args:
        data: the block, with or without its "Exif" header.
        height: of the output.
        width: of the output.
        resolution: (x, y) of the output in pixels per inch.

    Returns:
        The block without the header, None where it is damaged.
    """
    block = bytearray(data.removeprefix(HEADER))
    order = byte_order(block)
    if order is None:
        return None
    try:
        ifd0 = struct.unpack_from(order + "I", block, 4)[0]
        for entry in list(_entries(block, order, ifd0)):
            _change(block, order, entry, height, width, resolution)
        count = struct.unpack_from(order + "H", block, ifd0)[0]
        struct.pack_into(order + "I", block, ifd0 + 2 + _ENTRY * count, 0)
    except struct.error:
        return None
    return bytes(block)


def upright_xmp(packet: bytes) -> bytes:
    """An XMP packet whose tiff:Orientation, if any, is 1."""
    return _XMP_ORIENTATION.sub(rb"\g<1>1", packet)


def byte_order(data: bytes | bytearray) -> str | None:
    """``<`` or ``>`` as ``struct`` has it; None where it is no EXIF block."""
    return {b"II": "<", b"MM": ">"}.get(bytes(data[:2]))


def _entries(data: bytes | bytearray, order: str, start: int) -> Iterator[_Entry]:
    """Entries of the IFD at ``start`` and of its EXIF sub-IFD."""
    for index in range(struct.unpack_from(order + "H", data, start)[0]):
        at = start + 2 + _ENTRY * index
        tag, kind = struct.unpack_from(order + "HH", data, at)
        yield _Entry(at, tag, kind)
        if tag == _EXIF_IFD and kind == _LONG:
            inner = struct.unpack_from(order + "I", data, at + 8)[0]
            for number in range(struct.unpack_from(order + "H", data, inner)[0]):
                place = inner + 2 + _ENTRY * number
                yield _Entry(place, *struct.unpack_from(order + "HH", data, place))


def _change(
    block: bytearray,
    order: str,
    entry: _Entry,
    height: int,
    width: int,
    resolution: tuple[float, float] | None,
) -> None:
    at = entry.at + 8
    numbers = {_ORIENTATION: 1, _WIDTH: width, _HEIGHT: height, _PIXEL_X: width, _PIXEL_Y: height}
    if entry.tag in numbers:
        value = numbers[entry.tag]
        if entry.kind == _SHORT and value > 0xFFFF:
            # the same 4 bytes hold a LONG as well
            struct.pack_into(order + "H", block, entry.at + 2, _LONG)
            struct.pack_into(order + "I", block, at, value)
        elif entry.kind == _SHORT:
            struct.pack_into(order + "HH", block, at, value, 0)
        elif entry.kind == _LONG:
            struct.pack_into(order + "I", block, at, value)
    elif resolution is None:
        return
    elif entry.tag in (_X_RESOLUTION, _Y_RESOLUTION) and entry.kind == _RATIONAL:
        offset = struct.unpack_from(order + "I", block, at)[0]
        over = round(resolution[entry.tag == _Y_RESOLUTION] * 1000)
        struct.pack_into(order + "II", block, offset, min(over, 0xFFFFFFFF), 1000)
    elif entry.tag == _RESOLUTION_UNIT and entry.kind == _SHORT:
        struct.pack_into(order + "H", block, at, _INCHES)


def _ifd0(data: bytes, order: str) -> dict[int, float]:
    start = struct.unpack_from(order + "I", data, 4)[0]
    values: dict[int, float] = {}
    for index in range(struct.unpack_from(order + "H", data, start)[0]):
        at = start + 2 + _ENTRY * index
        tag, kind = struct.unpack_from(order + "HH", data, at)
        if kind == _SHORT:
            values[tag] = struct.unpack_from(order + "H", data, at + 8)[0]
        elif kind == _LONG:
            values[tag] = struct.unpack_from(order + "I", data, at + 8)[0]
        elif kind == _RATIONAL and tag in (_X_RESOLUTION, _Y_RESOLUTION):
            offset = struct.unpack_from(order + "I", data, at + 8)[0]
            over, under = struct.unpack_from(order + "II", data, offset)
            values[tag] = over / under if under else 0.0
    return values


def _facts(values: dict[int, float]) -> ExifFacts:
    x, y = values.get(_X_RESOLUTION, 0.0), values.get(_Y_RESOLUTION, 0.0)
    # the unit is inches where it is not stated
    scale = _INCHES_A_UNIT.get(int(values.get(_RESOLUTION_UNIT, 2)))
    resolution = (x / scale, y / scale) if scale and x > 0 and y > 0 else None
    return ExifFacts(int(values.get(_ORIENTATION, 1)), resolution)
