"""JPEG 2000 without loss, in a JP2 file (ISO/IEC 15444-1, annex I)."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from liif_cli.io.abilities import abilities
from liif_cli.io.atomic import output_errors
from liif_cli.io.base import Exporter, OutputInfo, PixelReader
from liif_cli.io.exporters.bands import whole
from liif_cli.io.limits import check_limit
from liif_cli.io.sources.boxes import box
from liif_cli.io.sources.jp2 import CODESTREAM, XMP_UUID

_START = b"\0\0\0\x0cjP  \r\n\x87\n" + b"\0\0\0\x14ftypjp2 \0\0\0\0jp2 "
_GRAY, _SRGB = 17, 16
_COLOUR, _ALPHA, _WHOLE_IMAGE = 0, 1, 0
_METRES = 10_000 / 254
"""Pixels a metre of one pixel an inch."""


class Jpeg2000Exporter(Exporter):
    """8 and 16 bits, gray and RGB with and without alpha, by the reversible transform.

    The whole image is held.
    """

    name = "jp2"
    suffixes = (".jp2",)
    dtypes = ("uint8", "uint16")
    max_side = 2**31 - 1
    streams = False
    channels = (1, 2, 3, 4)
    carries = abilities("ICC", "XMP", "resolution")
    memory = 10.0
    disk = 1.5

    def export(self, pixels: PixelReader, path: Path, info: OutputInfo) -> None:
        """Write ``path``.

        Raises:
            OutputError: permission, a full disk, or a limit of the format.
        """
        import imagecodecs

        check_limit(self, pixels, path, info.alpha)
        image = pixels.read(whole(pixels))
        image = np.ascontiguousarray(image[..., 0] if pixels.channels == 1 else image)
        data = bytes(imagecodecs.jpeg2k_encode(image, level=0, reversible=True, codecformat="j2k"))
        if not data.startswith(CODESTREAM):
            raise ValueError("the codec gave no codestream")
        with output_errors(path), path.open("wb") as file:
            file.write(_START + box(b"jp2h", _header(pixels, info)))
            if info.xmp is not None:
                file.write(box(b"uuid", XMP_UUID + info.xmp))
            file.write(struct.pack(">I4s", 0, b"jp2c"))  # to the end of the file
            file.write(data)


def _header(pixels: PixelReader, info: OutputInfo) -> bytes:
    """Size, colours, what the channels are, and the resolution."""
    bits = 8 * np.dtype(pixels.dtype).itemsize
    size = pixels.height, pixels.width, pixels.channels, bits - 1, 7, 0, 0
    boxes = box(b"ihdr", struct.pack(">IIHBBBB", *size))
    if info.icc is not None:
        boxes += box(b"colr", b"\2\0\0" + info.icc)
    else:
        space = _SRGB if pixels.channels - info.alpha == 3 else _GRAY
        boxes += box(b"colr", b"\1\0\0" + struct.pack(">I", space))
    if info.alpha:
        colours = pixels.channels - 1
        kinds = [(channel, _COLOUR, channel + 1) for channel in range(colours)]
        kinds.append((colours, _ALPHA, _WHOLE_IMAGE))
        rows = b"".join(struct.pack(">HHH", *kind) for kind in kinds)
        boxes += box(b"cdef", struct.pack(">H", len(kinds)) + rows)
    if info.resolution is not None:
        boxes += box(b"res ", box(b"resc", _resolution(*info.resolution)))
    return boxes


def _resolution(x: float, y: float) -> bytes:
    """That of rows first, in pixels a metre: a fraction of 16 bits each, and a power of ten."""
    parts, powers = list[int](), list[int]()
    for value in (y * _METRES, x * _METRES):
        power = 0
        while value > 65535:
            value, power = value / 10, power + 1
        parts += [max(1, round(value)), 1]
        powers.append(power)
    return struct.pack(">HHHHbb", *parts, *powers)
