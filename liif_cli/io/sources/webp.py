"""WebP: lossy and lossless, RGB with and without alpha."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np

from liif_cli.io.abilities import abilities
from liif_cli.io.base import Pixels
from liif_cli.io.exif import HEADER, ExifFacts, read_exif
from liif_cli.io.metadata import Metadata
from liif_cli.io.orientation import Orientation
from liif_cli.io.quantisation import vp8
from liif_cli.io.refusals import damaged, truncated
from liif_cli.io.sources.frames import frame
from liif_cli.io.sources.whole import Header, WholeFileSource, read_exactly

_ANIMATION, _ALPHA = 0x02, 0x10
_FIRST_ROWS = 16
_FRAME = 16
"""Bytes of a frame of an animation before its chunks."""
_METADATA = {b"ICCP": "colour profile", b"EXIF": "EXIF", b"XMP ": "XMP"}


class WebpSource(WholeFileSource):
    """A WebP file; the format knows no gray, so that pixels are always RGB, of equal colours where
    the chroma of a lossy file is neutral.
    """

    format = "webp"
    suffixes = (".webp",)
    reads = abilities("8", "alpha", "ICC", "EXIF", "XMP", "resolution", "pages")

    @classmethod
    def matches(cls, path: Path, head: bytes) -> bool:
        return head.startswith(b"RIFF") and head[8:12] == b"WEBP"

    @staticmethod
    def read_header(path: Path, file: BinaryIO) -> Header:
        metadata = Metadata()
        chunks, frames = _chunks(path, file, metadata)
        flags = chunks.get(b"VP8X", b"\0")[0]
        height, width, in_bitstream = _size(path, chunks)
        alpha = bool(flags & _ALPHA) or b"ALPH" in chunks or in_bitstream
        exif = read_exif(chunks[b"EXIF"]) if b"EXIF" in chunks else ExifFacts()
        return Header(
            height,
            width,
            channels=3 + alpha,
            dtype=np.dtype(np.uint8),
            orientation=Orientation.from_exif(exif.orientation),
            icc=chunks.get(b"ICCP"),
            resolution=exif.resolution,
            alpha=alpha,
            exif=chunks[b"EXIF"].removeprefix(HEADER) if b"EXIF" in chunks else None,
            xmp=chunks.get(b"XMP "),
            cleanup=_level(chunks),
            dropped=metadata.dropped,
            pages=max(1, frames),
        )

    def decode(self, data: bytes) -> Pixels:
        import imagecodecs

        if data[12:16] == b"VP8X" and data[20] & _ANIMATION:
            pixels = frame(data, self._page, alpha=self.info.alpha)
        else:
            pixels = imagecodecs.webp_decode(data, hasalpha=self.info.alpha)
        if self.info.cleanup and _neutral(pixels[:_FIRST_ROWS]) and _neutral(pixels):
            pixels = pixels if pixels.flags.writeable else pixels.copy()
            pixels[..., 1] = pixels[..., 0]
        return pixels


def _neutral(pixels: Pixels) -> bool:
    """Whether pixels (h, w, 3 or 4) have no chroma, but for the rounding of the decoder.

    libwebp adds up green in other steps than red and blue (VP8YUVToG in src/dsp/yuv.h): without
    chroma it comes out the same, or one less. The least chroma there is moves red or blue by more.
    """
    red, green, blue = (pixels[..., channel] for channel in range(3))
    # in uint8, 0 - 1 is 255
    return np.array_equal(red, blue) and bool((red - green <= 1).all())


def webp_level(path: Path, data: bytes) -> float:
    """How lossy a WebP in memory is; ``path`` is named in errors.

    Raises:
        InputError: it is none, or is cut short.
    """
    return _level(_chunks(path, io.BytesIO(data), Metadata())[0])


def _level(chunks: dict[bytes, bytes]) -> float:
    still = chunks.get(b"VP8 ", b"")
    first = chunks.get(b"ANMF", b"")
    if first[_FRAME:].startswith(b"VP8 "):
        still = first[_FRAME + 8 :]
    return vp8.level_of(still) if still else 0.0


def _chunks(path: Path, file: BinaryIO, metadata: Metadata) -> tuple[dict[bytes, bytes], int]:
    """Chunks by name, of the image itself only its header; and how many are frames."""
    size = file.seek(0, 2)
    file.seek(0)
    riff, length, webp = struct.unpack("<4sI4s", read_exactly(path, file, 12, "its header"))
    if riff != b"RIFF" or webp != b"WEBP":
        raise damaged(path, "no WebP signature")
    end = length + 8
    if end > size:
        raise truncated(path, f"{size} of {end} bytes")
    chunks: dict[bytes, bytes] = {}
    frames = 0
    while file.tell() + 8 <= end:
        name, length = struct.unpack("<4sI", read_exactly(path, file, 8, "its chunks"))
        after = file.tell() + length + length % 2
        if name in _METADATA:
            if after <= end + 1 and metadata.fits(_METADATA[name], length):
                chunks.setdefault(name, read_exactly(path, file, length, f"its {name!r} chunk"))
        else:
            frames += name == b"ANMF"
            kept = min(length, vp8.HEADER_BYTES + _FRAME + 8)
            chunks.setdefault(name, read_exactly(path, file, kept, f"its {name!r} chunk"))
        file.seek(after)
    return chunks, frames


def _size(path: Path, chunks: dict[bytes, bytes]) -> tuple[int, int, bool]:
    """(height, width, alpha) from the bitstream (RFC 6386, section 9.1; RFC 9649, section 3.4)."""
    if b"ANIM" in chunks and len(chunks.get(b"VP8X", b"")) >= 10:
        width, height = (int.from_bytes(chunks[b"VP8X"][at : at + 3], "little") for at in (4, 7))
        return height + 1, width + 1, False
    lossy, lossless = chunks.get(b"VP8 ", b""), chunks.get(b"VP8L", b"")
    if len(lossy) >= 10 and lossy[3:6] == b"\x9d\x01\x2a":
        width, height = struct.unpack("<HH", lossy[6:10])
        return height & 0x3FFF, width & 0x3FFF, False
    if len(lossless) >= 5 and lossless[0] == 0x2F:
        bits = int.from_bytes(lossless[1:5], "little")
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1, bool(bits >> 28 & 1)
    raise damaged(path, "no image in it")
