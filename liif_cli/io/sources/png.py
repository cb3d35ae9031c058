"""PNG: 1 to 16 bits, gray, RGB and palettes, with and without alpha."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from liif_cli.geometry.window import Window
from liif_cli.io.base import Pixels
from liif_cli.io.exif import ExifFacts, read_exif
from liif_cli.io.orientation import Orientation
from liif_cli.io.refusals import animated, damaged, reading, truncated
from liif_cli.io.sources.png_bands import PngRows
from liif_cli.io.sources.whole import Header, WholeFileSource, read_exactly
from liif_cli.io.unpack import band_rows, upright_band

_MAGIC = b"\x89PNG\r\n\x1a\n"
_GRAY, _RGB, _PALETTE, _GRAY_ALPHA, _RGBA = 0, 2, 3, 4, 6
_KEPT = {b"IHDR", b"PLTE", b"iCCP", b"pHYs", b"eXIf"}
_XMP = b"XML:com.adobe.xmp\0"
_INCH = 0.0254


class PngSource(WholeFileSource):
    """A PNG file; palettes are expanded to RGB, or to gray where all their entries are gray.

    A tRNS chunk, transparency of palette entries or of one colour, becomes an alpha channel.
    """

    format = "png"
    suffixes = (".png",)

    @classmethod
    def matches(cls, path: Path, head: bytes) -> bool:
        return head.startswith(_MAGIC)

    @staticmethod
    def read_header(path: Path, file: BinaryIO) -> Header:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise damaged(path, "no PNG signature")
        chunks = _chunks(path, file)
        if len(chunks.get(b"IHDR", b"")) != 13:
            raise damaged(path, "no IHDR chunk")
        width, height, bits, colour = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
        if colour not in (_GRAY, _RGB, _PALETTE, _GRAY_ALPHA, _RGBA):
            raise damaged(path, f"colour type {colour}")
        if b"acTL" in chunks:
            raise animated(path)
        palette = np.frombuffer(chunks.get(b"PLTE", b""), np.uint8)
        gray = colour in (_GRAY, _GRAY_ALPHA) or (colour == _PALETTE and _is_gray(palette))
        alpha = colour in (_GRAY_ALPHA, _RGBA) or b"tRNS" in chunks
        exif = read_exif(chunks[b"eXIf"]) if b"eXIf" in chunks else ExifFacts()
        return Header(
            height,
            width,
            channels=(1 if gray else 3) + alpha,
            dtype=np.dtype(np.uint16 if bits == 16 else np.uint8),
            orientation=Orientation.from_exif(exif.orientation),
            icc=_profile(path, chunks[b"iCCP"]) if b"iCCP" in chunks else None,
            resolution=_resolution(chunks.get(b"pHYs", b"")) or exif.resolution,
            alpha=alpha,
            exif=chunks.get(b"eXIf"),
            xmp=chunks.get(_XMP),
            kind="palette" if colour == _PALETTE else "",
        )

    def _unpack_bytes(self, path: Path) -> int | None:
        rows = PngRows(path)
        if rows.interlace:
            return None
        # rows filtered, plain, in two small files and decoded, in up to 8 bytes a pixel
        per_row: int = 6 * rows.row_bytes + 8 * rows.width
        return band_rows(rows.row_bytes) * per_row

    def bands(self, first: int = 0) -> Iterator[tuple[Window, Pixels]]:
        """See ``BandSource``; the file is inflated from its start whatever ``first`` is."""
        info, header = self.info, self._header
        rows = PngRows(info.path)
        step = band_rows(rows.row_bytes)
        with reading(info.path):
            for number, data in enumerate(rows.bands(step)):
                if number < first:
                    continue
                start = number * step
                stop = min(start + step, header.height)
                window = upright_band(header.orientation, start, stop, info.height, info.width)
                yield window, header.orientation.apply(self._stored(data, stop - start))

    def decode(self, data: bytes) -> Pixels:
        import imagecodecs

        pixels: Pixels = imagecodecs.png_decode(data)
        return pixels


def _chunks(path: Path, file: BinaryIO) -> dict[bytes, bytes]:
    """Walk to the end of the file, skipping pixels; data of the chunks that matter, by name."""
    size = file.seek(0, 2)
    file.seek(len(_MAGIC))
    found: dict[bytes, bytes] = {}
    while True:
        length, name = struct.unpack(">I4s", read_exactly(path, file, 8, "the chunks"))
        after = file.tell() + length + 4
        if after > size:
            raise truncated(path, f"it ends in its {name.decode('latin-1')} chunk")
        if name == b"iTXt":
            _keep_xmp(found, file.read(length))
        else:
            found.setdefault(name, file.read(length) if name in _KEPT else b"")
        if name == b"IEND":
            return found
        file.seek(after)


def _keep_xmp(found: dict[bytes, bytes], text: bytes) -> None:
    """XMP is a text of a fixed keyword: flags, language and translated keyword, then the packet."""
    if text.startswith(_XMP):
        flags, rest = text[len(_XMP) : len(_XMP) + 2], text[len(_XMP) + 2 :].split(b"\0", 2)
        if len(rest) == 3 and flags[:1] == b"\0":
            found.setdefault(_XMP, rest[2])


def _is_gray(palette: Pixels) -> bool:
    entries = palette[: palette.size // 3 * 3].reshape(-1, 3)
    return bool((entries == entries[:, :1]).all())


def _profile(path: Path, chunk: bytes) -> bytes:
    # name, a zero, the compression method (0), then a zlib stream
    try:
        return zlib.decompress(chunk[chunk.index(b"\0") + 2 :])
    except (ValueError, zlib.error) as error:
        raise damaged(path, f"iCCP chunk: {error}") from error


def _resolution(chunk: bytes) -> tuple[float, float] | None:
    if len(chunk) != 9:
        return None
    x, y, unit = struct.unpack(">IIB", chunk)
    return (x * _INCH, y * _INCH) if unit == 1 and x and y else None
