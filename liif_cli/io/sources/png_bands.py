"""PNG rows band by band: the stream is inflated in pieces, and the codec undoes the filters.

A row's filter needs the row above it. So each band becomes a small PNG of its own, not compressed,
whose first row is the last one of the band before, unfiltered; the codec library decodes it.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from liif_cli.io.refusals import damaged, truncated

Bytes = npt.NDArray[np.uint8]
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PIECE = 2**20


class PngRows:
    """The rows of a PNG file that is not interlaced.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            head = file.read(33)
        self.width, self.height, self.bits, self.colour, _, _, self.interlace = struct.unpack(
            ">IIBBBBB", head[16:29]
        )
        self.row_bytes = (self.width * self.bits * _SAMPLES[self.colour] + 7) // 8

    def bands(self, rows: int) -> Iterator[bytes]:
        """PNG files in memory of ``rows`` rows each, the last one cut short.

        Raises:
            InputError: the data is damaged or ends early.
        """
        above = np.zeros(self.row_bytes, np.uint8)
        with self.path.open("rb") as file:
            kept: list[bytes] = []
            data = _Inflated(self.path, _image_data(file, kept))
            for start in range(0, self.height, rows):
                count = min(rows, self.height - start)
                filtered = data.read(count * (1 + self.row_bytes))
                plain = self._unfiltered(filtered, above)
                above = plain[-1].copy()
                zeros = np.zeros((count, 1), np.uint8)
                packed = np.concatenate([zeros, plain], 1).tobytes()
                size = (self.width, count, self.bits, self.colour)
                yield _png(size, packed, kept)

    def _unfiltered(self, filtered: bytes, above: Bytes) -> Bytes:
        """Rows (n, bytes per row) of filtered ones, each after the number of its filter."""
        import imagecodecs

        count = len(filtered) // (1 + self.row_bytes)
        # bytes of less than 8 bits per sample, and of palettes, are filtered like 8 bits of gray
        gray = self.bits < 8 or self.colour == 3
        size = (
            (self.row_bytes, count + 1, 8, 0)
            if gray
            else (self.width, count + 1, self.bits, self.colour)
        )
        try:
            unfiltered = imagecodecs.png_decode(_png(size, b"\0" + above.tobytes() + filtered, []))
        except (RuntimeError, ValueError) as error:
            raise damaged(self.path, error) from error
        if unfiltered.dtype.itemsize == 2:
            unfiltered = unfiltered.astype(">u2")
        rows: Bytes = np.ascontiguousarray(unfiltered[1:]).view(np.uint8).reshape(count, -1)
        return rows


def _png(size: tuple[int, int, int, int], rows: bytes, kept: list[bytes]) -> bytes:
    """A PNG of (width, height, bits, colour type), with chunks of the original before its data."""
    parts = [_SIGNATURE, _chunk(b"IHDR", struct.pack(">IIBBBBB", *size, 0, 0, 0)), *kept]
    packed = zlib.compress(rows, 0)
    # a chunk has 31 bits for its length
    for start in range(0, len(packed), 2**30):
        parts.append(_chunk(b"IDAT", packed[start : start + 2**30]))
    return b"".join([*parts, _chunk(b"IEND", b"")])


def _chunk(name: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(data, zlib.crc32(name))
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", checksum)


def _image_data(file: BinaryIO, kept: list[bytes]) -> Iterator[bytes]:
    """Pieces of the IDAT chunks; ``kept`` gets the palette and the transparency before them."""
    file.seek(len(_SIGNATURE))
    while len(head := file.read(8)) == 8:
        length, name = struct.unpack(">I4s", head)
        if name in (b"PLTE", b"tRNS"):
            kept.append(_chunk(name, file.read(length)))
            file.seek(4, 1)
        elif name == b"IDAT":
            while length:
                piece = file.read(min(length, _PIECE))
                if not piece:
                    return
                length -= len(piece)
                yield piece
            file.seek(4, 1)
        else:
            file.seek(length + 4, 1)


class _Inflated:
    """A zlib stream of pieces, read in amounts that the reader chooses."""

    def __init__(self, path: Path, pieces: Iterator[bytes]) -> None:
        self._path, self._pieces = path, pieces
        self._stream = zlib.decompressobj()

    def read(self, size: int) -> bytes:
        """Exactly ``size`` bytes.

        Raises:
            InputError: the stream is damaged or ends before.
        """
        out = bytearray()
        while len(out) < size:
            piece = self._stream.unconsumed_tail or next(self._pieces, b"")
            if not piece:
                raise truncated(self._path, "its pixels end early")
            try:
                out += self._stream.decompress(piece, size - len(out))
            except zlib.error as error:
                raise damaged(self._path, error) from error
        return bytes(out)
