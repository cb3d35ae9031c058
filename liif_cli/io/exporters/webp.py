"""WebP, lossy at quality 95."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from liif_cli.io.atomic import output_errors
from liif_cli.io.base import OutputInfo, PixelReader
from liif_cli.io.exporters.bands import whole
from liif_cli.io.limits import check_limit

_QUALITY = 95
_HAS_ICC = 0x20


class WebpExporter:
    """8 bits RGB, lossy with the format's own 4:2:0 chroma; the whole image is held.

    WebP knows no gray (it is written as RGB with equal channels) and no resolution.
    """

    name = "webp"
    suffixes = (".webp",)
    dtypes = ("uint8",)
    max_side = 16383
    streams = False

    def export(self, pixels: PixelReader, path: Path, info: OutputInfo) -> None:
        """Write ``path``.

        Raises:
            OutputError: permission, a full disk, or a limit of the format.
        """
        import imagecodecs

        check_limit(self, pixels, path)
        image = pixels.read(whole(pixels))
        if pixels.channels == 1:
            image = np.repeat(image, 3, axis=2)
        data = bytes(
            imagecodecs.webp_encode(np.ascontiguousarray(image), level=_QUALITY, lossless=False)
        )
        if info.icc is not None:
            data = _with_profile(data, info.icc, pixels.height, pixels.width)
        with output_errors(path):
            path.write_bytes(data)


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def _with_profile(data: bytes, icc: bytes, height: int, width: int) -> bytes:
    """The simple file in the extended format, RFC 9649 section 2.7."""
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = _chunk(b"VP8X", struct.pack("<I", _HAS_ICC) + size) + _chunk(b"ICCP", icc) + data[12:]
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body
