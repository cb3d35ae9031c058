"""WebP, lossy at quality 95."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from liif_cli.io.abilities import abilities
from liif_cli.io.atomic import output_errors
from liif_cli.io.base import Exporter, OutputInfo, PixelReader
from liif_cli.io.exporters.bands import whole
from liif_cli.io.limits import check_limit

_QUALITY = 95
_HAS_ICC, _HAS_ALPHA, _HAS_EXIF, _HAS_XMP = 0x20, 0x10, 0x08, 0x04


class WebpExporter(Exporter):
    """8 bits RGB with and without alpha; lossy, with the format's own 4:2:0 chroma, or lossless.

    The whole image is held. WebP knows no gray (it is written as RGB with equal channels) and
    no resolution.
    """

    name = "webp"
    suffixes = (".webp",)
    dtypes = ("uint8",)
    max_side = 16383
    streams = False
    channels = (1, 2, 3, 4)
    compressions = ("lossy", "lossless")
    quality = _QUALITY
    carries = abilities("ICC", "EXIF", "XMP")
    memory = 10.0
    disk = 1.0

    def export(self, pixels: PixelReader, path: Path, info: OutputInfo) -> None:
        """Write ``path``.

        Raises:
            OutputError: permission, a full disk, or a limit of the format.
        """
        import imagecodecs

        check_limit(self, pixels, path, info.alpha)
        image = pixels.read(whole(pixels))
        if pixels.channels < 3:
            image = np.concatenate([np.repeat(image[..., :1], 3, axis=2), image[..., 1:]], axis=2)
        lossless = info.compression == "lossless"
        level = None if lossless else info.quality or _QUALITY
        data = bytes(
            imagecodecs.webp_encode(np.ascontiguousarray(image), level=level, lossless=lossless)
        )
        if info.icc is not None or info.exif is not None or info.xmp is not None:
            data = _extended(data, info, pixels.height, pixels.width)
        with output_errors(path):
            path.write_bytes(data)


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def _extended(data: bytes, info: OutputInfo, height: int, width: int) -> bytes:
    """A file in the extended format with its profile, EXIF and XMP, RFC 9649 section 2.7."""
    image = data[12:]
    if image[:4] == b"VP8X":
        # with alpha, the codec has put a header of its own in front
        image = image[8 + struct.unpack_from("<I", image, 4)[0] :]
    flags = _HAS_ALPHA if info.alpha else 0
    flags |= _HAS_ICC if info.icc is not None else 0
    flags |= _HAS_EXIF if info.exif is not None else 0
    flags |= _HAS_XMP if info.xmp is not None else 0
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = _chunk(b"VP8X", struct.pack("<I", flags) + size)
    if info.icc is not None:
        body += _chunk(b"ICCP", info.icc)
    body += image
    if info.exif is not None:
        body += _chunk(b"EXIF", info.exif)
    if info.xmp is not None:
        body += _chunk(b"XMP ", info.xmp)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body
