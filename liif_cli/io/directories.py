"""EXIF in TIFF files: its directories are copied entry by entry between a file and a block.

A TIFF has the entries that an EXIF block has (Exif 2.32, section 4.6), its first directory among
them; only their offsets are others. Maker notes and thumbnails are left out: maker notes hold
offsets of their own, which no copy can keep, and a thumbnail shows the image as it was.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from liif_cli.io.exif import HEADER, byte_order
from liif_cli.io.metadata import Metadata

EXIF_IFD, GPS_IFD = 0x8769, 0x8825
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
_SWAPPED = {3: 2, 8: 2, 4: 4, 9: 4, 11: 4, 5: 4, 10: 4, 12: 8}
_LONG, _LONG8 = 4, 16
_LEFT_OUT = {0x927C, 0xA005}
"""Maker notes, and the directory of interoperability."""
# camera, time, artist, copyright, and the five texts of Windows
_DESCRIBING = {0x010F, 0x0110, 0x0132, 0x013B, 0x8298, *range(0x9C9B, 0x9CA0)}
# orientation and resolution, which say nothing by themselves
_BESIDE = {0x0112, 0x011A, 0x011B, 0x0128}
_WANTED = frozenset(_DESCRIBING | _BESIDE | {EXIF_IFD, GPS_IFD})
_MOST_ENTRIES = 4096

ReadAt = Callable[[int, int], bytes]
"""The bytes from an offset on, so many of them."""


@dataclass(frozen=True)
class Entry:
    """One entry of a directory; ``data`` is its value in the byte order of its file."""

    tag: int
    kind: int
    data: bytes

    @property
    def count(self) -> int:
        """How many values there are."""
        return len(self.data) // _SIZES[self.kind]

    def ordered(self, order: str, wanted: str) -> Entry:
        """The same in another byte order; orders are those of ``struct``."""
        size = _SWAPPED.get(self.kind)
        if order == wanted or size is None:
            return self
        turned = b"".join(self.data[at : at + size][::-1] for at in range(0, len(self.data), size))
        return Entry(self.tag, self.kind, turned)


@dataclass(frozen=True)
class Directories:
    """What describes an image: entries of the first directory, of the EXIF and the GPS one."""

    main: tuple[Entry, ...] = ()
    exif: tuple[Entry, ...] = ()
    gps: tuple[Entry, ...] = ()

    def ordered(self, order: str, wanted: str) -> Directories:
        """The same in another byte order."""
        parts = (self.main, self.exif, self.gps)
        return Directories(*(tuple(e.ordered(order, wanted) for e in part) for part in parts))


def exif_of_tiff(path: Path, at: int, order: str, *, big: bool, metadata: Metadata) -> bytes | None:
    """The EXIF block of a TIFF page, None where nothing describes it.

    Args:
        path: the file.
        at: offset of the page's directory.
        order: "<" or ">".
        big: whether it is a BigTIFF.
        metadata: notes what is left out.
    """
    with path.open("rb") as file:

        def read(start: int, size: int) -> bytes:
            file.seek(start)
            return file.read(size)

        directories = _read(read, at, order, big=big, metadata=metadata)
    if not (
        directories.exif
        or directories.gps
        or any(entry.tag in _DESCRIBING for entry in directories.main)
    ):
        return None
    return _block(directories, order)


def directories_of(block: bytes) -> Directories:
    """What describes an image in an EXIF block, little endian; nothing where it is damaged."""
    data = block.removeprefix(HEADER)
    order = byte_order(data)
    if order is None or len(data) < 8:
        return Directories()
    start = struct.unpack_from(order + "I", data, 4)[0]

    def read(at: int, size: int) -> bytes:
        return data[at : at + size]

    return _read(read, start, order, big=False, metadata=Metadata()).ordered(order, "<")


def append(
    path: Path, found: Directories, places: dict[int, tuple[int, int]], *, big: bool
) -> None:
    """Put the EXIF and GPS directories behind a finished little-endian TIFF.

    Args:
        path: the file.
        found: little endian.
        places: tag of a directory -> offsets in the file of its entry, which has another tag's
            number until now, and of the entry's value.
        big: whether it is a BigTIFF.
    """
    with path.open("r+b") as file:
        for tag, entries in ((EXIF_IFD, found.exif), (GPS_IFD, found.gps)):
            if tag not in places:
                continue
            start = file.seek(0, os.SEEK_END)
            start += file.write(b"\0" * (-start % 8))
            file.write(_directory(entries, start, "<", big=big))
            entry, value = places[tag]
            file.seek(entry)
            file.write(struct.pack("<H", tag))
            file.seek(value)
            file.write(struct.pack("<Q" if big else "<I", start))


def _read(read: ReadAt, at: int, order: str, *, big: bool, metadata: Metadata) -> Directories:
    try:
        entries = _entries(read, at, order, big=big, metadata=metadata, wanted=_WANTED)
        inner = dict[int, tuple[Entry, ...]]()
        for entry in entries:
            if entry.tag in (EXIF_IFD, GPS_IFD) and entry.count == 1:
                (start,) = struct.unpack(order + "I", entry.data)
                below = _entries(read, start, order, big=big, metadata=metadata)
                inner[entry.tag] = tuple(below)
    except struct.error:
        metadata.drop("EXIF", "which is damaged")
        return Directories()
    main = tuple(entry for entry in entries if entry.tag not in (EXIF_IFD, GPS_IFD))
    return Directories(main, inner.get(EXIF_IFD, ()), inner.get(GPS_IFD, ()))


def _entries(
    read: ReadAt,
    at: int,
    order: str,
    *,
    big: bool,
    metadata: Metadata,
    wanted: frozenset[int] | None = None,
) -> list[Entry]:
    """Entries of one directory, or the wanted ones of them; those of unknown types are left out.

    Raises:
        struct.error: it lies outside of the file.
    """
    head, size, inline = ("Q", 20, 8) if big else ("H", 12, 4)
    (count,) = struct.unpack(order + head, read(at, struct.calcsize(head)))
    if count > _MOST_ENTRIES:
        raise struct.error
    start = at + struct.calcsize(head)
    entries = []
    for number in range(count):
        entry = read(start + number * size, size)
        tag, kind, values = struct.unpack(order + ("HHQ" if big else "HHI"), entry[: size - inline])
        if kind in (13, _LONG8, 18) and tag in (EXIF_IFD, GPS_IFD) and values == 1:
            wide = struct.unpack(
                order + ("Q" if big and kind != 13 else "I"),
                entry[-inline:][: 8 if big and kind != 13 else 4],
            )[0]
            entries.append(Entry(tag, _LONG, struct.pack(order + "I", wide)))
            continue
        if kind not in _SIZES or tag in _LEFT_OUT or (wanted is not None and tag not in wanted):
            continue
        length = values * _SIZES[kind]
        if not metadata.fits("EXIF", length):
            continue
        if length <= inline:
            data = entry[-inline:][:length]
        else:
            (place,) = struct.unpack(order + ("Q" if big else "I"), entry[-inline:])
            data = read(place, length)
        if len(data) != length:
            raise struct.error
        entries.append(Entry(tag, kind, data))
    return entries


def _block(found: Directories, order: str) -> bytes:
    """An EXIF block, without its header."""
    start = 8
    main = list(found.main)
    pointers = [
        (tag, entries) for tag, entries in ((EXIF_IFD, found.exif), (GPS_IFD, found.gps)) if entries
    ]
    main += [Entry(tag, _LONG, bytes(4)) for tag, _ in pointers]
    at = start + len(_directory(main, start, order, big=False))
    bodies = b""
    for tag, entries in pointers:
        place = at + len(bodies)
        bodies += _directory(entries, place, order, big=False)
        main = [
            Entry(tag, _LONG, struct.pack(order + "I", place)) if entry.tag == tag else entry
            for entry in main
        ]
    signature = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", start)
    return signature + _directory(main, start, order, big=False) + bodies


def _directory(
    entries: list[Entry] | tuple[Entry, ...], at: int, order: str, *, big: bool
) -> bytes:
    """A directory that lies at ``at``, its values behind it, of an even length."""
    entries = sorted(entries, key=lambda entry: entry.tag)
    head, numbers, inline = ("Q", "HHQ", 8) if big else ("H", "HHI", 4)
    behind = at + struct.calcsize(order + head) + len(entries) * (12 if not big else 20) + inline
    table, values = struct.pack(order + head, len(entries)), b""
    for entry in entries:
        table += struct.pack(order + numbers, entry.tag, entry.kind, entry.count)
        if len(entry.data) <= inline:
            table += entry.data.ljust(inline, b"\0")
        else:
            table += struct.pack(order + ("Q" if big else "I"), behind + len(values))
            values += entry.data + b"\0" * (len(entry.data) % 2)
    return table + bytes(inline) + values
