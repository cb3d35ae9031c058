"""PNG: 1 to 16 bits, gray, RGB and palettes, with and without alpha."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from liif_cli.geometry.window import Window
from liif_cli.io.abilities import abilities
from liif_cli.io.base import Pixels
from liif_cli.io.exif import HEADER as EXIF_HEADER
from liif_cli.io.exif import ExifFacts, read_exif
from liif_cli.io.metadata import Metadata
from liif_cli.io.orientation import Orientation
from liif_cli.io.pngcolour import COLOUR_CHUNKS, colour_chunks
from liif_cli.io.refusals import damaged, reading, truncated
from liif_cli.io.sources.frames import frame
from liif_cli.io.sources.png_bands import PngRows
from liif_cli.io.sources.whole import Header, WholeFileSource, read_exactly
from liif_cli.io.unpack import band_rows, upright_band

_MAGIC = b"\x89PNG\r\n\x1a\n"
_GRAY, _RGB, _PALETTE, _GRAY_ALPHA, _RGBA = 0, 2, 3, 4, 6
# what is read of them, with the names that a warning has for them
_KEPT = {
    b"IHDR": "header",
    b"PLTE": "palette",
    b"iCCP": "colour profile",
    b"pHYs": "resolution",
    b"eXIf": "EXIF",
    b"acTL": "animation",
    **dict.fromkeys(COLOUR_CHUNKS, "colour space"),
}
_ANIMATION = {b"acTL", b"fcTL", b"fdAT"}
_PIXELS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
_BITS = {
    _GRAY: (1, 2, 4, 8, 16),
    _RGB: (8, 16),
    _PALETTE: (1, 2, 4, 8),
    _GRAY_ALPHA: (8, 16),
    _RGBA: (8, 16),
}
_XMP = b"XML:com.adobe.xmp\0"
_RAW = b"Raw profile type "
_INCH = 0.0254


class PngSource(WholeFileSource):
    """A PNG file; palettes are expanded to RGB, or to gray where all their entries are gray.

    A tRNS chunk, transparency of palette entries or of one colour, becomes an alpha channel.
    """

    format = "png"
    suffixes = (".png",)
    reads = abilities("8", "16", "alpha", "ICC", "EXIF", "XMP", "resolution", "pages")

    @classmethod
    def matches(cls, path: Path, head: bytes) -> bool:
        return head.startswith(_MAGIC)

    @staticmethod
    def read_header(path: Path, file: BinaryIO) -> Header:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise damaged(path, "no PNG signature")
        metadata = Metadata()
        chunks = _chunks(path, file, metadata)
        if len(chunks[b"IHDR"]) != 13:
            raise damaged(path, "no whole IHDR chunk")
        width, height, bits, colour, *methods = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
        if bits not in _BITS.get(colour, ()):
            raise damaged(path, f"colour type {colour} of {bits} bits")
        if methods[:2] != [0, 0] or methods[2] > 1:
            raise damaged(path, f"methods {methods}")
        if b"IDAT" not in chunks:
            raise damaged(path, "it holds no pixels")
        if colour == _PALETTE and not chunks.get(b"PLTE"):
            raise damaged(path, "no palette")
        palette = np.frombuffer(chunks.get(b"PLTE", b""), np.uint8)
        gray = colour in (_GRAY, _GRAY_ALPHA) or (colour == _PALETTE and _is_gray(palette))
        alpha = colour in (_GRAY_ALPHA, _RGBA) or b"tRNS" in chunks
        icc = _profile(chunks[b"iCCP"], metadata) if b"iCCP" in chunks else None
        exif = read_exif(chunks[b"eXIf"]) if b"eXIf" in chunks else ExifFacts()
        return Header(
            height,
            width,
            channels=(1 if gray else 3) + alpha,
            dtype=np.dtype(np.uint16 if bits == 16 else np.uint8),
            orientation=Orientation.from_exif(exif.orientation),
            icc=icc,
            resolution=_resolution(chunks.get(b"pHYs", b"")) or exif.resolution,
            alpha=alpha,
            exif=chunks.get(b"eXIf"),
            xmp=chunks.get(_XMP),
            kind="palette" if colour == _PALETTE else "",
            dropped=metadata.dropped,
            pages=_pages(chunks),
            colour=colour_chunks(chunks) if icc is None else {},
        )

    def _unpack_bytes(self, path: Path) -> int | None:
        rows = PngRows(path)
        if rows.interlace or self._page > 1:
            return None
        # rows filtered, plain, in two small files and decoded, in up to 8 bytes per pixel
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

    def _load(self, path: Path) -> bytes:
        """The chunks that make the pixels: none that the codec would inflate, or warn of."""
        wanted = _PIXELS if self._page == 1 else _PIXELS | _ANIMATION
        with path.open("rb") as file:
            places = [(at, size) for name, at, size in _places(path, file) if name in wanted]
            data = bytearray(len(_MAGIC) + sum(size for _, size in places))
            view = memoryview(data)
            view[: len(_MAGIC)] = _MAGIC
            start = len(_MAGIC)
            for at, size in places:
                file.seek(at)
                if file.readinto(view[start : start + size]) != size:
                    raise truncated(path, "it became shorter")
                start += size
        return bytes(view)

    def decode(self, data: bytes) -> Pixels:
        if self._page > 1:
            return self._frame(data)
        import imagecodecs

        pixels: Pixels = imagecodecs.png_decode(data)
        return pixels

    def _frame(self, data: bytes) -> Pixels:
        """A later frame of an animation, which the picture for plain readers may not be part of."""
        number = self._page - (data.find(b"fcTL") > data.find(b"IDAT"))
        pixels = frame(data, number, alpha=self.info.alpha)
        if pixels.dtype != self.info.dtype:
            return pixels.astype(self.info.dtype) * 257
        return pixels


def _pages(chunks: dict[bytes, bytes]) -> int:
    """Pictures of an animation: its frames, and the one for plain readers where it is none."""
    if len(chunks.get(b"acTL", b"")) != 8 or b"fcTL" not in chunks:
        return 1
    order = list(chunks)
    apart = order.index(b"fcTL") > order.index(b"IDAT")
    return int.from_bytes(chunks[b"acTL"][:4], "big") + apart


def _places(path: Path, file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """(name, start, bytes) of every chunk with its length and checksum, to the end of the image."""
    size = file.seek(0, 2)
    at = len(_MAGIC)
    name = b""
    while name != b"IEND":
        file.seek(at)
        length, name = struct.unpack(">I4s", read_exactly(path, file, 8, "the chunks"))
        if at + length + 12 > size:
            raise truncated(path, f"it ends in its {name.decode('latin-1')} chunk")
        if (at == len(_MAGIC)) != (name == b"IHDR"):
            raise damaged(path, "its first chunk, and no other, must be IHDR")
        yield name, at, length + 12
        at += length + 12


def _chunks(path: Path, file: BinaryIO, metadata: Metadata) -> dict[bytes, bytes]:
    """Walk to the end of the file, skipping pixels; data of the chunks that matter, by name."""
    chunks: dict[bytes, bytes] = {}
    for name, at, size in _places(path, file):
        file.seek(at + 8)
        if name == b"iTXt" and file.read(len(_XMP)) == _XMP:
            text = metadata.read("XMP", file, size - 12 - len(_XMP))
            packet = _packet(text, metadata) if text is not None else None
            if packet is not None:
                chunks.setdefault(_XMP, packet)
        elif name in (b"tEXt", b"zTXt") and file.read(len(_RAW)) == _RAW:
            body = metadata.read("EXIF", file, size - 12 - len(_RAW))
            if body is not None:
                _raw_profile(name, body, chunks, metadata)
        elif name in _KEPT:
            file.seek(at + 8)
            data = metadata.read(_KEPT[name], file, size - 12)
            if data is not None:
                chunks.setdefault(name, data)
        else:
            chunks.setdefault(name, b"")
    return chunks


def _raw_profile(name: bytes, body: bytes, found: dict[bytes, bytes], metadata: Metadata) -> None:
    """EXIF or XMP as ImageMagick writes them: the kind, a number of bytes, and those in hex.

    ``body`` is a text chunk behind the start of its keyword.
    """
    kind, _, text = body.partition(b"\0")
    what = {b"exif": "EXIF", b"APP1": "EXIF", b"xmp": "XMP"}.get(kind)
    if what is None:
        return
    if name == b"zTXt":
        inflated = metadata.inflated(what, text[1:])
        if inflated is None:
            return
        text = inflated
    try:
        data = bytes.fromhex(b"".join(text.split()[2:]).decode("ascii"))
    except ValueError:
        metadata.drop(what, "which is damaged: it is not hexadecimal text")
        return
    if what == "EXIF" and data.startswith(EXIF_HEADER):
        found.setdefault(b"eXIf", data.removeprefix(EXIF_HEADER))
    elif what == "XMP":
        found.setdefault(_XMP, data)


def _packet(text: bytes, metadata: Metadata) -> bytes | None:
    """The XMP packet of a text behind its keyword: flags, language, translated keyword, packet."""
    packed, rest = text[:1] == b"\1", text[2:].split(b"\0", 2)
    if len(rest) < 3:
        return None
    return metadata.inflated("XMP", rest[2]) if packed else rest[2]


def _is_gray(palette: Pixels) -> bool:
    entries = palette[: palette.size // 3 * 3].reshape(-1, 3)
    return bool((entries == entries[:, :1]).all())


def _profile(chunk: bytes, metadata: Metadata) -> bytes | None:
    # name, a zero, the compression method (0), then a zlib stream
    return metadata.inflated("colour profile", chunk[chunk.find(b"\0") + 2 :])


def _resolution(chunk: bytes) -> tuple[float, float] | None:
    if len(chunk) != 9:
        return None
    x, y, unit = struct.unpack(">IIB", chunk)
    return (x * _INCH, y * _INCH) if unit == 1 and x and y else None
