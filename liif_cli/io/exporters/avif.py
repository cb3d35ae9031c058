"""AVIF, lossy, in full chroma."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np

from liif_cli.io.abilities import abilities
from liif_cli.io.atomic import output_errors
from liif_cli.io.base import Exporter, OutputInfo, PixelReader
from liif_cli.io.exporters.bands import codec_workers, whole
from liif_cli.io.limits import check_limit
from liif_cli.io.sources.boxes import box, boxes_in

_QUALITY = 90
_SPEED = 8
"""Of 0 to 10: 9 takes a quarter of the time for files that are half as large again."""
_DEEP_BITS = 12
_BT709, _SRGB_CURVE = 1, 13
_PRIMARY = 1
_EXIF_ITEM, _XMP_ITEM = 65001, 65002
_FULL_BOX = bytes(4)
_HIDDEN = b"\2\0\0\1"
"""Version and flags of an item that is not a picture (ISO/IEC 23008-12, section 6.4.2)."""


class AvifExporter(Exporter):
    """8 bits, and 16 as 12, gray and RGB with and without alpha. The whole image is held."""

    name = "avif"
    suffixes = (".avif",)
    dtypes = ("uint8", "uint16")
    max_side = 65536
    streams = False
    channels = (1, 2, 3, 4)
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
        if image.dtype == np.uint16:
            # rounded to 12 bits, so that 0 and 65535 stay the ends
            top = (1 << _DEEP_BITS) - 1
            image = ((image.astype(np.uint32) * top + 32767) // 65535).astype(np.uint16)
        gray = image.shape[2] - info.alpha == 1
        if gray and info.alpha:
            image = np.concatenate([np.repeat(image[..., :1], 3, axis=2), image[..., 1:]], axis=2)
        # a profile says what colours are, and the numbers beside it nothing then
        primaries, transfer = (None, None) if info.icc else (_BT709, _SRGB_CURVE)
        data = bytes(
            imagecodecs.avif_encode(
                np.ascontiguousarray(image[..., 0] if image.shape[2] == 1 else image),
                level=info.quality or _QUALITY,
                speed=_SPEED,
                bitspersample=8 if image.dtype == np.uint8 else _DEEP_BITS,
                numthreads=codec_workers(),
                primaries=primaries,
                transfer=transfer,
            )
        )
        with output_errors(path):
            path.write_bytes(described(data, info))


def described(data: bytes, info: OutputInfo) -> bytes:
    """A file of the codec with profile, EXIF and XMP put in (ISO/IEC 23008-12, annex A).

    Raises:
        ValueError: the codec writes files of another form now.
    """
    if info.icc is None and info.exif is None and info.xmp is None:
        return data
    boxes = dict(boxes_in(data))
    if list(boxes) != [b"ftyp", b"meta", b"mdat"]:
        raise ValueError(f"an AVIF of {list(boxes)}")
    items = []
    if info.exif is not None:
        entry = struct.pack(">HH4s", _EXIF_ITEM, 0, b"Exif") + b"\0"
        items.append((_EXIF_ITEM, entry, bytes(4) + info.exif))
    if info.xmp is not None:
        entry = struct.pack(">HH4s", _XMP_ITEM, 0, b"mime") + b"\0application/rdf+xml\0"
        items.append((_XMP_ITEM, entry, info.xmp))
    # the boxes' lengths depend on no offset: written once to know them, and once more
    meta = _meta(boxes[b"meta"], info, items, 0, 0)
    grown = len(meta) - len(boxes[b"meta"])
    meta = _meta(boxes[b"meta"], info, items, grown, len(data) + grown + 8)
    behind = b"".join(body for _, _, body in items)
    parts = [(b"ftyp", boxes[b"ftyp"]), (b"meta", meta), (b"mdat", boxes[b"mdat"])]
    if behind:
        parts.append((b"mdat", behind))
    return b"".join(box(name, body) for name, body in parts)


def _meta(
    body: bytes, info: OutputInfo, items: list[tuple[int, bytes, bytes]], grown: int, behind: int
) -> bytes:
    """The meta box with further items.

    Args:
        body: as the codec wrote it.
        info: has the profile.
        items: (number, entry, content).
        grown: by how much everything behind the box moves.
        behind: offset in the file of the items' contents, one after the other.
    """
    changes: dict[bytes, Callable[[bytes], bytes]] = {
        b"iinf": lambda old: _more_entries(old, items),
        b"iloc": lambda old: _more_places(old, items, grown, behind),
        b"iref": lambda old: old + _references(items),
    }
    if info.icc is not None:
        changes[b"iprp"] = lambda old: _with_profile(old, info.icc or b"")
    body_of_meta = _FULL_BOX
    names = set()
    for name, old in boxes_in(body[4:]):
        names.add(name)
        body_of_meta += box(name, changes[name](old) if name in changes else old)
        if name == b"iinf" and items and b"iref" not in dict(boxes_in(body[4:])):
            body_of_meta += box(b"iref", _FULL_BOX + _references(items))
    return body_of_meta


def _more_entries(old: bytes, items: list[tuple[int, bytes, bytes]]) -> bytes:
    """The item information box, of version 0."""
    _expect(old[0] == 0, "item information")
    (count,) = struct.unpack_from(">H", old, 4)
    entries = b"".join(box(b"infe", _HIDDEN + entry) for _, entry, _ in items)
    return old[:4] + struct.pack(">H", count + len(items)) + old[6:] + entries


def _more_places(
    old: bytes, items: list[tuple[int, bytes, bytes]], grown: int, behind: int
) -> bytes:
    """The item location box, of version 0 with offsets and lengths of 32 bits."""
    _expect(old[0] == 0 and old[4:6] == b"D\0", "item locations")
    (count,) = struct.unpack_from(">H", old, 6)
    places, at = b"", 8
    for _ in range(count):
        item, reference, extents = struct.unpack_from(">HHH", old, at)
        places += struct.pack(">HHH", item, reference, extents)
        at += 6
        for _ in range(extents):
            start, length = struct.unpack_from(">II", old, at)
            places += struct.pack(">II", start + grown, length)
            at += 8
    for item, _, content in items:
        places += struct.pack(">HHHII", item, 0, 1, behind, len(content))
        behind += len(content)
    return old[:6] + struct.pack(">H", count + len(items)) + places


def _references(items: list[tuple[int, bytes, bytes]]) -> bytes:
    """That each of the items describes the picture."""
    return b"".join(box(b"cdsc", struct.pack(">HHH", item, 1, _PRIMARY)) for item, _, _ in items)


def _with_profile(old: bytes, icc: bytes) -> bytes:
    """The item properties box with one property more, which the picture has."""
    properties = b""
    number = 0
    for name, body in boxes_in(old):
        if name == b"ipco":
            number = len(list(boxes_in(body))) + 1
            body += box(b"colr", b"prof" + icc)
        elif name == b"ipma":
            body = _associated(body, number)
        properties += box(name, body)
    return properties


def _associated(old: bytes, number: int) -> bytes:
    """The item property association box, of version 0, with one more for the picture."""
    _expect(old[:4] == _FULL_BOX and 0 < number < 128, "item properties")
    (entries,) = struct.unpack_from(">I", old, 4)
    associations, at = old[:8], 8
    for _ in range(entries):
        item, count = struct.unpack_from(">HB", old, at)
        own = old[at + 3 : at + 3 + count]
        at += 3 + count
        if item == _PRIMARY:
            own += bytes([number])
        associations += struct.pack(">HB", item, len(own)) + own
    return associations


def _expect(met: bool, what: str) -> None:
    if not met:
        raise ValueError(f"the codec writes {what} in another form")
