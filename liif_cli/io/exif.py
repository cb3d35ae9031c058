"""The two facts that are taken from an EXIF block: orientation and resolution."""

from __future__ import annotations

import struct
from dataclasses import dataclass

_ORIENTATION, _X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 0x0112, 0x011A, 0x011B, 0x0128
_INCHES_A_UNIT = {2: 1.0, 3: 1 / 2.54}
_SHORT, _LONG, _RATIONAL = 3, 4, 5


@dataclass(frozen=True)
class ExifFacts:
    """``orientation`` is EXIF's 1 to 8, ``resolution`` (x, y) in pixels an inch."""

    orientation: int = 1
    resolution: tuple[float, float] | None = None


def read_exif(data: bytes) -> ExifFacts:
    """Read IFD0 of an EXIF block, with or without its "Exif" header.

    A block that is damaged says nothing: the image can be read without it.
    """
    data = data.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None:
        return ExifFacts()
    try:
        return _facts(_ifd0(data, order))
    except struct.error:
        # an offset that points outside of the block
        return ExifFacts()


def _ifd0(data: bytes, order: str) -> dict[int, float]:
    start = struct.unpack_from(order + "I", data, 4)[0]
    values: dict[int, float] = {}
    for index in range(struct.unpack_from(order + "H", data, start)[0]):
        at = start + 2 + 12 * index
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
