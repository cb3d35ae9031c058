"""JPEG at quality 95 without chroma subsampling."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np

from liif_cli.io.abilities import abilities
from liif_cli.io.atomic import output_errors
from liif_cli.io.base import Exporter, OutputInfo, PixelReader
from liif_cli.io.exif import HEADER
from liif_cli.io.exporters.bands import whole
from liif_cli.io.limits import check_limit

_QUALITY = 95
_SOI, _COM = b"\xff\xd8", b"\xff\xfe"
_APP0, _APP1, _APP2 = b"\xff\xe0", b"\xff\xe1", b"\xff\xe2"
_ICC = b"ICC_PROFILE\0"
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_LONGEST = 65533


class JpegExporter(Exporter):
    """8 bits, gray and RGB; the whole image is held, as raw pixels and as a file."""

    name = "jpg"
    suffixes = (".jpg", ".jpeg", ".jpe", ".jfif")
    dtypes = ("uint8",)
    max_side = 65500
    streams = False
    quality = _QUALITY
    carries = abilities("ICC", "EXIF", "XMP", "resolution")
    memory = 1.5
    disk = 1.0

    def export(self, pixels: PixelReader, path: Path, info: OutputInfo) -> None:
        """Write ``path``.

        Raises:
            OutputError: permission, a full disk, or a limit of the format.
        """
        import imagecodecs

        check_limit(self, pixels, path, info.alpha)
        image = pixels.read(whole(pixels))
        data = imagecodecs.jpeg8_encode(
            np.ascontiguousarray(image[..., 0] if pixels.channels == 1 else image),
            level=info.quality or _QUALITY,
            subsampling="444",
        )
        with output_errors(path), path.open("wb") as file:
            file.write(_SOI + _jfif(info.resolution))
            for segment in _segments(info):
                file.write(segment)
            # behind the codec's own SOI and JFIF header
            file.write(memoryview(data)[_header_length(data) :])


def _header_length(data: bytes | bytearray) -> int:
    if bytes(data[:4]) != _SOI + _APP0:
        return len(_SOI)
    return 4 + int.from_bytes(data[4:6], "big")


def _segment(marker: bytes, body: bytes) -> bytes:
    return marker + struct.pack(">H", len(body) + 2) + body


def _jfif(resolution: tuple[float, float] | None) -> bytes:
    x, y = (min(65535, max(1, round(value))) for value in resolution or (1, 1))
    unit = 0 if resolution is None else 1
    return _segment(_APP0, b"JFIF\0" + struct.pack(">BBBHHBB", 1, 1, unit, x, y, 0, 0))


def _segments(info: OutputInfo) -> list[bytes]:
    """EXIF, XMP, ICC profile in numbered parts (ICC.1, annex B.4), and comments."""
    segments = []
    for head, body in ((HEADER, info.exif), (_XMP, info.xmp)):
        # a segment holds 64 KiB; what does not fit cannot be kept
        if body is not None and len(head) + len(body) <= _LONGEST:
            segments.append(_segment(_APP1, head + body))
    if info.icc is not None:
        room = _LONGEST - len(_ICC) - 2
        parts = [info.icc[at : at + room] for at in range(0, len(info.icc), room)]
        for number, part in enumerate(parts, 1):
            segments.append(_segment(_APP2, _ICC + bytes([number, len(parts)]) + part))
    comments = [info.software, json.dumps(info.provenance, sort_keys=True)]
    for text in comments[: 2 if info.provenance else 1]:
        if text:
            segments.append(_segment(_COM, text.encode()[:_LONGEST]))
    return segments


def with_profile(data: bytes, icc: bytes | None) -> bytes:
    """An encoded JPEG with a colour profile put behind its header."""
    if icc is None:
        return data
    at = _header_length(data)
    return data[:at] + b"".join(_segments(OutputInfo(icc=icc))) + data[at:]
