"""AVIF: 8, 10 and 12 bits, gray and RGB, with and without alpha."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from liif_cli.io.abilities import abilities
from liif_cli.io.base import Pixels
from liif_cli.io.exif import HEADER, read_exif
from liif_cli.io.metadata import Metadata
from liif_cli.io.orientation import Orientation
from liif_cli.io.quantisation import av1
from liif_cli.io.refusals import damaged, kind_of_pixels, truncated
from liif_cli.io.sources.boxes import boxes_in, boxes_of
from liif_cli.io.sources.frames import frame
from liif_cli.io.sources.whole import Header, WholeFileSource

_ALPHA_URNS = (
    b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0",
    b"urn:mpeg:hevc:2015:auxid:1\0",
)
_MOST_META = 64 * 2**20
_EXIF, _XMP = "EXIF", "XMP"
_QUARTER_TURN = Orientation(transpose=True, flip_rows=True)


class AvifSource(WholeFileSource):
    """An AVIF still; 10 and 12 bits become uint16 over its whole range.

    The facts come from the boxes of ISO/IEC 14496-12 and 23008-12: the decoder below gives pixels
    as stored, without the turn (irot) and the mirror (imir) that the file asks for.
    """

    format = "avif"
    suffixes = (".avif",)
    reads = abilities("8", "16", "alpha", "ICC", "EXIF", "XMP", "resolution", "pages")

    @classmethod
    def matches(cls, path: Path, head: bytes) -> bool:
        brands = head[8 : int.from_bytes(head[:4], "big")]
        return head[4:8] == b"ftyp" and (b"avif" in brands or b"avis" in brands)

    @staticmethod
    def read_header(path: Path, file: BinaryIO) -> Header:
        boxes = _top_boxes(path, file)
        header = _header(path, file, boxes[b"meta"])
        if boxes[b"ftyp"][:4] != b"avis" or b"moov" not in boxes:
            return header
        return dataclasses.replace(header, pages=_frames(boxes[b"moov"]))

    def decode(self, data: bytes) -> Pixels:
        if self.info.pages > 1:
            return frame(data, self._page, alpha=self.info.alpha)
        import imagecodecs

        pixels: Pixels = imagecodecs.avif_decode(data)
        if pixels.dtype != np.uint16:
            return pixels
        # libavif keeps 10 and 12 bits as they are
        top = (1 << self._bits(data)) - 1
        full = (pixels.astype(np.uint32) * 65535 + top // 2) // top
        return full.astype(np.uint16)

    def _bits(self, data: bytes) -> int:
        at = data.find(b"av1C")
        return _av1_bits(data[at + 4 : at + 8])


def _frames(moov: bytes) -> int:
    """Frames of the first track of a sequence: of its sample sizes (ISO/IEC 14496-12, 8.7.3)."""
    body = moov
    for wanted in (b"trak", b"mdia", b"minf", b"stbl", b"stsz"):
        body = next(inner for name, inner in boxes_in(body) if name == wanted)
    count: int = struct.unpack_from(">I", body, 8)[0]
    return max(1, count)


def _top_boxes(path: Path, file: BinaryIO) -> dict[bytes, bytes]:
    """Bodies of the ftyp, meta and moov boxes by name; every box must end within the file."""
    bodies = dict[bytes, bytes]()
    for name, start, size in boxes_of(path, file):
        if name in (b"ftyp", b"meta", b"moov"):
            if size > _MOST_META:
                raise damaged(path, f"a {name.decode()} box of {size:,} bytes")
            file.seek(start)
            bodies[name] = file.read(size)
    if b"ftyp" not in bodies:
        raise damaged(path, "no ftyp box")
    if b"meta" not in bodies:
        raise truncated(path, "no meta box")
    return bodies


def _header(path: Path, file: BinaryIO, meta: bytes) -> Header:
    boxes = dict(boxes_in(meta[4:]))
    parts = list(boxes_in(boxes.get(b"iprp", b"")))
    properties = [box for name, body in parts if name == b"ipco" for box in boxes_in(body)]
    alpha = any(name == b"auxC" and body[4:].startswith(_ALPHA_URNS) for name, body in properties)
    primary = _primary(boxes.get(b"pitm", b""))
    own = [
        properties[index - 1]
        for name, body in parts
        if name == b"ipma"
        for index in _associated(body, primary)
        if index
    ]
    metadata = Metadata()
    size: tuple[int, int] | None = None
    gray, bits, icc, orientation = False, 8, None, Orientation()
    for name, body in own:
        if name == b"ispe":
            width, height = struct.unpack_from(">4xII", body)
            size = (height, width)
        elif name == b"pixi":
            gray = body[4] == 1
            bits = max(bits, *body[5 : 5 + body[4]])
        elif name == b"colr" and body[:4] in (b"prof", b"rICC"):
            icc = metadata.kept("colour profile", body[4:])
        elif name == b"irot":
            for _ in range(body[0] & 3):
                orientation = orientation.then(_QUARTER_TURN)
        elif name == b"imir":
            sideways = bool(body[0] & 1)
            orientation = orientation.then(Orientation(flip_rows=not sideways, flip_cols=sideways))
        elif name == b"clap":
            raise kind_of_pixels(path, "an AVIF with a crop (clap box)", "save it cropped")
    # a primary item that is a grid of tiles has no codec box of its own; alpha is always gray
    for name, body in properties:
        if name == b"av1C":
            gray = gray or (bool(body[2] & 0x10) and not alpha)
            bits = max(bits, _av1_bits(body))
    if size is None:
        raise damaged(path, "no image size")
    dtype = np.dtype(np.uint8 if bits == 8 else np.uint16)
    channels = (1 if gray else 3) + alpha
    # the first frame of an image in layers says nothing of the last
    layered = any(name == b"a1lx" for name, _ in own)
    described = _described(file, boxes, primary, metadata)
    return Header(
        *size,
        channels,
        dtype,
        orientation=orientation,
        icc=icc,
        alpha=alpha,
        exif=described.get(_EXIF),
        resolution=read_exif(described.get(_EXIF, b"")).resolution,
        xmp=described.get(_XMP),
        cleanup=0.0 if layered else av1.level_of(_coded(file, boxes, primary)),
        dropped=metadata.dropped,
    )


def _described(
    file: BinaryIO, boxes: dict[bytes, bytes], primary: int, metadata: Metadata
) -> dict[str, bytes]:
    """EXIF and XMP of the primary image, by their names; what is damaged is left out."""
    described = dict[str, bytes]()
    for item, what in _items(boxes).items():
        try:
            if primary not in _describes(boxes, item):
                continue
            data = _whole_item(file, boxes, item, what, metadata)
        except (struct.error, IndexError, KeyError):
            metadata.drop(what, "which is damaged")
            continue
        if data is None:
            continue
        if what == _EXIF:
            # the block begins as many bytes behind the first four as these say (23008-12, A.2.1)
            (offset,) = struct.unpack_from(">I", data.ljust(4, b"\0"))
            data = data[4 + offset :].removeprefix(HEADER)
        if data:
            described.setdefault(what, data)
    return described


def _items(boxes: dict[bytes, bytes]) -> dict[int, str]:
    """Number of an item -> "EXIF" or "XMP" (ISO/IEC 14496-12, section 8.11.6)."""
    iinf = boxes.get(b"iinf", b"")
    kinds = dict[int, str]()
    if len(iinf) < 6:
        return kinds
    for name, body in boxes_in(iinf[8 if iinf[0] else 6 :]):
        if name != b"infe" or len(body) < 12 or body[0] not in (2, 3):
            continue
        wide = body[0] == 3
        (item,) = struct.unpack_from(">I" if wide else ">H", body, 4)
        kind, rest = body[10:14] if wide else body[8:12], body[14 if wide else 12 :]
        if kind == b"Exif":
            kinds[item] = _EXIF
        elif kind == b"mime" and rest.split(b"\0")[1:2] == [b"application/rdf+xml"]:
            kinds[item] = _XMP
    return kinds


def _references(boxes: dict[bytes, bytes]) -> Iterator[tuple[bytes, int, tuple[int, ...]]]:
    """(kind, from item, to items) of the item reference box (section 8.11.12)."""
    references = boxes.get(b"iref", b"\0\0\0\0")
    wide = "I" if references[0] else "H"
    for name, body in boxes_in(references[4:]):
        (item, count) = struct.unpack_from(f">{wide}H", body)
        yield name, item, struct.unpack_from(f">{count}{wide}", body, struct.calcsize(f">{wide}H"))


def _describes(boxes: dict[bytes, bytes], item: int) -> list[int]:
    """Items that ``item`` describes."""
    pairs = (to for name, begin, to in _references(boxes) if name == b"cdsc" and begin == item)
    return [item for to in pairs for item in to]


def _coded(file: BinaryIO, boxes: dict[bytes, bytes], item: int) -> bytes:
    """The first bytes of the coded image ``item``, of a grid those of its first tile."""
    for name, begin, to in _references(boxes):
        if name == b"dimg" and begin == item:
            item = to[0]
            break
    for start, length, inside in _extents(boxes, item):
        # a length of 0 is all there is
        length = min(length or av1.HEADER_BYTES, av1.HEADER_BYTES)
        return _extent(file, boxes, start, length, inside)
    return b""


def _whole_item(
    file: BinaryIO, boxes: dict[bytes, bytes], item: int, what: str, metadata: Metadata
) -> bytes | None:
    extents = list(_extents(boxes, item))
    if not metadata.fits(what, sum(length for _, length, _ in extents)):
        return None
    return b"".join(_extent(file, boxes, *extent) for extent in extents)


def _extent(
    file: BinaryIO, boxes: dict[bytes, bytes], start: int, length: int, inside: bool
) -> bytes:
    if inside:
        return boxes.get(b"idat", b"")[start : start + length]
    file.seek(start)
    return file.read(length)


def _extents(boxes: dict[bytes, bytes], item: int) -> Iterator[tuple[int, int, bool]]:
    """(start, length, whether it lies in the idat box) of the extents of an item.

    ISO/IEC 14496-12, section 8.11.3: the item location box.
    """
    iloc = boxes[b"iloc"]
    version, (sizes, more) = iloc[0], iloc[4:6]
    words = sizes >> 4, sizes & 15, more >> 4, more & 15 if version else 0
    at = 6

    def number(size: int) -> int:
        nonlocal at
        at += size
        if at > len(iloc):
            raise IndexError("the item location box is too short")
        return int.from_bytes(iloc[at - size : at], "big")

    wide = 4 if version == 2 else 2
    for _ in range(number(wide)):
        found, method = number(wide), number(2) & 15 if version else 0
        number(2)
        base = number(words[2])
        for _ in range(number(2)):
            number(words[3])
            start, length = base + number(words[0]), number(words[1])
            if found == item:
                yield start, length, method == 1


def _av1_bits(body: bytes) -> int:
    """Bits a sample in an AV1 codec configuration: high_bitdepth and twelve_bit."""
    if not body[2] & 0x40:
        return 8
    return 12 if body[2] & 0x20 else 10


def _primary(pitm: bytes) -> int:
    primary: int = struct.unpack_from(">I" if pitm[0] else ">H", pitm, 4)[0]
    return primary


def _associated(ipma: bytes, item: int) -> list[int]:
    """Numbers (from 1) of the properties that belong to ``item``."""
    wide_item, wide_index = ipma[0] >= 1, ipma[3] & 1
    (entries,) = struct.unpack_from(">I", ipma, 4)
    at, numbers = 8, list[int]()
    for _ in range(entries):
        (number,) = struct.unpack_from(">I" if wide_item else ">H", ipma, at)
        at += 4 if wide_item else 2
        count = ipma[at]
        at += 1
        for _ in range(count):
            (index,) = struct.unpack_from(">H" if wide_index else ">B", ipma, at)
            # the top bit says that the property is essential
            index &= 0x7FFF if wide_index else 0x7F
            at += 2 if wide_index else 1
            if number == item:
                numbers.append(index)
    return numbers
