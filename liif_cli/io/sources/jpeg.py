"""JPEG: baseline, progressive and lossless, of 2 to 16 bits, gray, YCbCr or RGB, CMYK or YCCK."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from liif_cli.io.abilities import abilities
from liif_cli.io.base import Pixels
from liif_cli.io.cmyk import Inks, srgb_profile, to_rgb
from liif_cli.io.exif import HEADER, ExifFacts, read_exif
from liif_cli.io.metadata import Metadata
from liif_cli.io.orientation import Orientation
from liif_cli.io.quantisation.jpeg import Table, quality_of, read_tables
from liif_cli.io.refusals import damaged, kind_of_pixels, reading, truncated
from liif_cli.io.sources.whole import Header, WholeFileSource, read_exactly

_EOI, _SOS, _DQT, _APP0, _APP1, _APP2, _APP14 = 0xD9, 0xDA, 0xDB, 0xE0, 0xE1, 0xE2, 0xEE
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_HUFFMAN_DCT, _LOSSLESS = {0xC0, 0xC1, 0xC2}, 0xC3
_ALONE = {0x01, *range(0xD0, 0xD8)}
_ICC = b"ICC_PROFILE\0"
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_ADOBE = b"Adobe"
# the end of entropy-coded data: a marker that is not a stuffed zero, restart or fill byte
_NEXT_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")


class JpegSource(WholeFileSource):
    """A JPEG file; CMYK becomes sRGB. libjpeg fills what a truncated file lacks with gray: the end
    is looked for.
    """

    format = "jpg"
    suffixes = (".jpg", ".jpeg", ".jpe", ".jfif")
    reads = abilities("8", "16", "CMYK", "ICC", "EXIF", "XMP", "resolution")
    _colours = ""
    _found: str | None = None

    @classmethod
    def matches(cls, path: Path, head: bytes) -> bool:
        return head.startswith(b"\xff\xd8\xff")

    @staticmethod
    def read_header(path: Path, file: BinaryIO) -> Header:
        if file.read(2) != b"\xff\xd8":
            raise damaged(path, "no JPEG signature")
        kept, density, profile = dict[bytes, bytes](), None, dict[int, bytes]()
        frame: Frame | None = None
        metadata = Metadata()
        tables = dict[int, Table]()
        for marker, body in segments(path, file):
            if marker == _APP0 and body.startswith(b"JFIF\0"):
                density = _density(body)
            elif marker == _APP1 and body.startswith((HEADER, _XMP)):
                name = HEADER if body.startswith(HEADER) else _XMP
                first = kept.setdefault(name, body.removeprefix(name))
                if name == HEADER and first != body.removeprefix(name):
                    metadata.drop("second EXIF block", "of which only one can be kept")
            elif marker == _APP14 and body.startswith(_ADOBE):
                kept[_ADOBE] = body
            elif marker == _APP2 and body.startswith(_ICC) and len(body) > 14:
                profile[body[12]] = body[14:]
            elif marker == _DQT:
                tables |= _tables(path, body)
            elif marker in _FRAMES:
                frame = _frame(path, marker, body)
        if frame is None:
            raise damaged(path, "no frame header")
        height, width, channels = frame.height, frame.width, frame.channels
        exif = read_exif(kept[HEADER]) if HEADER in kept else ExifFacts()
        whole = sum(map(len, profile.values()))
        if whole and metadata.fits("colour profile", whole):
            icc = b"".join(profile[part] for part in sorted(profile))
        else:
            icc = None
        # the pixels that are given are sRGB, whatever the profile of the inks was
        inks = Inks(icc, inverted=_ADOBE in kept) if channels == 4 else None
        return Header(
            height,
            width,
            3 if inks else channels,
            np.dtype(np.uint8 if frame.bits <= 8 else np.uint16),
            orientation=Orientation.from_exif(exif.orientation),
            icc=srgb_profile() if inks else icc,
            resolution=density or exif.resolution,
            exif=kept.get(HEADER),
            xmp=kept.get(_XMP),
            kind="CMYK" if inks else "",
            inks=inks,
            cleanup=_level(path, frame, tables),
            dropped=metadata.dropped,
        )

    def decode(self, data: bytes) -> Pixels:
        import imagecodecs

        _check_end(self.info.path, data)
        frame = self._frame(data)
        pixels: Pixels = _full(imagecodecs.jpeg8_decode(data), frame.bits)
        if frame.table >= 0 and frame.bits == 8:
            self._colours = "CMYK" if frame.channels == 4 else "GRAY"
        inks = self._header.inks
        if inks is not None:
            # files with Adobe's marker hold inks upside down, 255 for none
            return to_rgb(~pixels if inks.inverted else pixels, inks.profile)
        return pixels

    @property
    def damage(self) -> str:
        """What libjpeg warns of, looked for when it is first asked after the image was decoded.

        A plan that is not carried out does not ask: this takes half of the time of decoding.
        """
        if self._colours and self._found is None:
            with reading(self.info.path):
                self._found = _damage(self._load(self.info.path), self._colours)
        return self._found or ""

    def _frame(self, data: bytes) -> Frame:
        stream = io.BytesIO(data)  # which copies nothing
        stream.seek(2)
        for marker, body in segments(self.info.path, stream):
            if marker in _FRAMES:
                return _frame(self.info.path, marker, body)
        raise ValueError("no frame header")


def _damage(data: bytes, colours: str) -> str:
    """What libjpeg warns of while it decodes, by a decoding to an eighth: half of the time."""
    import simplejpeg

    try:
        simplejpeg.decode_jpeg(data, colours, min_height=1, min_width=1, min_factor=8)
    except ValueError as error:
        said = " ".join(str(error).split())
        # of kinds that it does not know: a sampling of its own, colours of no space
        return "" if said.startswith("tj") else said
    return ""


def _full(pixels: Pixels, bits: int) -> Pixels:
    """Samples of ``bits`` over the whole range of their type."""
    top, most = (1 << bits) - 1, 255 if bits <= 8 else 65535
    if top == most:
        return pixels
    kind = np.uint8 if bits <= 8 else np.uint16
    return ((pixels.astype(np.uint32) * most + top // 2) // top).astype(kind)


def _marker(path: Path, file: BinaryIO) -> int:
    byte = read_exactly(path, file, 1, "its header")
    while byte != b"\xff":
        # libjpeg passes over what lies between markers, too
        byte = read_exactly(path, file, 1, "its header")
    while byte == b"\xff":
        byte = read_exactly(path, file, 1, "its header")
    return byte[0]


@dataclass(frozen=True)
class Frame:
    """What a frame header says.

    ``table`` is the quantisation table of the first component, -1 where nothing is lost.
    """

    height: int
    width: int
    channels: int
    bits: int
    table: int


def segments(path: Path, file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """(marker, body) of what comes before the first scan, after the start of the image.

    Raises:
        InputError: the file ends before a scan or the end marker, or is no JPEG.
    """
    while (marker := _marker(path, file)) not in (_SOS, _EOI):
        if marker not in _ALONE:
            (length,) = struct.unpack(">H", read_exactly(path, file, 2, "its header"))
            yield marker, read_exactly(path, file, max(0, length - 2), "its header")


def jpeg_level(path: Path, *streams: bytes) -> float:
    """How lossy a JPEG in memory is; ``path`` is named in errors.

    Args:
        path: the file that it is a part of.
        streams: it, behind one that holds its tables where it has none of its own.

    Raises:
        InputError: it is damaged, or no stream has tables.
    """
    frame: Frame | None = None
    tables = dict[int, Table]()
    for stream in filter(None, streams):
        for marker, body in segments(path, io.BytesIO(stream[2:])):
            if marker == _DQT:
                tables |= _tables(path, body)
            elif marker in _FRAMES:
                frame = _frame(path, marker, body)
    if frame is None:
        raise damaged(path, "no frame header")
    return _level(path, frame, tables)


def _tables(path: Path, segment: bytes) -> dict[int, Table]:
    try:
        return read_tables(segment)
    except ValueError as error:
        raise damaged(path, error) from error


def _level(path: Path, frame: Frame, tables: dict[int, Table]) -> float:
    """100 less the quality: by the first component, which is luma or as much as that.

    Raises:
        InputError: there are no tables, as in streams whose tables are kept elsewhere.
    """
    if frame.table < 0:
        return 0.0
    if not tables:
        raise kind_of_pixels(
            path, "an abbreviated JPEG, without its quantisation tables", "save it with its tables"
        )
    number = frame.table if frame.table in tables else min(tables)
    return float(100 - quality_of(tables[number]))


def _frame(path: Path, marker: int, body: bytes) -> Frame:
    if len(body) < 9:
        raise damaged(path, "a short frame header")
    bits, height, width, channels = struct.unpack(">BHHB", body[:6])
    if channels not in (1, 3, 4):
        raise kind_of_pixels(path, f"a JPEG of {channels} bands")
    if marker == _LOSSLESS and 2 <= bits <= 16:
        return Frame(height, width, channels, bits, table=-1)
    if bits not in (8, 12) or marker not in _HUFFMAN_DCT:
        raise kind_of_pixels(
            path, f"a JPEG of {bits} bits, process {marker:#x}", "save it as a baseline JPEG or PNG"
        )
    return Frame(height, width, channels, bits, table=body[8])


def _density(body: bytes) -> tuple[float, float] | None:
    if len(body) < 12:
        return None
    unit, x, y = struct.unpack(">BHH", body[7:12])
    scale = {1: 1.0, 2: 2.54}.get(unit)
    return (x * scale, y * scale) if scale and x and y else None


def _check_end(path: Path, data: bytes) -> None:
    """Walk from the first marker to EOI.

    Raises:
        InputError: the file ends before.
    """
    at = 2
    while place := _NEXT_MARKER.search(data, at):
        at = place.end()
        marker = data[at - 1]
        if marker == _EOI:
            return
        if marker not in _ALONE:
            at += int.from_bytes(data[at : at + 2], "big")
    raise truncated(path, "its end marker is missing")
