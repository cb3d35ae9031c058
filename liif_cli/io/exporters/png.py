"""PNG of any size, streamed.

The image data is one zlib stream made of pieces that are deflated on their own, in threads, each
ended by a full flush (RFC 1950 and 1951 allow it; pigz does the same). The writer is our own
because the codec libraries want the whole image in memory.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from liif_cli.io.abilities import abilities
from liif_cli.io.atomic import output_errors
from liif_cli.io.base import Exporter, OutputInfo, PixelReader
from liif_cli.io.exporters.bands import bands, codec_workers, pixel_bytes
from liif_cli.io.limits import check_limit

Bytes = npt.NDArray[np.uint8]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_ZLIB_HEADER = b"\x78\x9c"
_INCH = 0.0254
# small enough for filtering to stay in the processor's cache
_PIECE_BYTES = 2**18


class PngExporter(Exporter):
    """8 and 16 bits, gray and RGB, with and without alpha, in constant memory.

    A filter is chosen for every row.
    """

    name = "png"
    suffixes = (".png",)
    dtypes = ("uint8", "uint16")
    max_side = 2**31 - 1
    streams = True
    channels = (1, 2, 3, 4)
    carries = abilities("ICC", "EXIF", "XMP", "resolution")
    disk = 1.0

    def export(self, pixels: PixelReader, path: Path, info: OutputInfo) -> None:
        """Write ``path``.

        Raises:
            OutputError: permission, a full disk, or samples that PNG has not.
        """
        check_limit(self, pixels, path, info.alpha)
        with output_errors(path), path.open("wb") as file:
            file.write(_SIGNATURE)
            bits = 8 * np.dtype(pixels.dtype).itemsize
            colour = {1: 0, 2: 4, 3: 2, 4: 6}[pixels.channels]
            size = struct.pack(">IIBBBBB", pixels.width, pixels.height, bits, colour, 0, 0, 0)
            _chunk(file, b"IHDR", size)
            if info.icc is not None:
                _chunk(file, b"iCCP", b"icc\0\0" + zlib.compress(info.icc))
            for name, data in info.colour.items():
                _chunk(file, name, data)
            if info.resolution is not None:
                x, y = (round(value / _INCH) for value in info.resolution)
                _chunk(file, b"pHYs", struct.pack(">IIB", x, y, 1))
            if info.exif is not None:
                _chunk(file, b"eXIf", info.exif)
            if info.xmp is not None:
                _text(file, b"XML:com.adobe.xmp", info.xmp)
            if info.software:
                _text(file, b"Software", info.software.encode())
            if info.provenance:
                _text(file, b"Comment", json.dumps(info.provenance, sort_keys=True).encode())
            _image_data(file, pixels)
            _chunk(file, b"IEND", b"")


def _chunk(file: BinaryIO, name: bytes, data: bytes) -> None:
    checksum = zlib.crc32(data, zlib.crc32(name))
    file.write(struct.pack(">I", len(data)) + name + data + struct.pack(">I", checksum))


def _text(file: BinaryIO, keyword: bytes, text: bytes) -> None:
    # iTXt: not compressed, no language, UTF-8
    _chunk(file, b"iTXt", keyword + b"\0\0\0\0\0" + text)


def _image_data(file: BinaryIO, pixels: PixelReader) -> None:
    workers = codec_workers()
    adler, head = 1, _ZLIB_HEADER
    waiting: deque[Future[tuple[Bytes, bytes]]] = deque()

    def finish() -> None:
        nonlocal adler, head
        filtered, packed = waiting.popleft().result()
        adler = zlib.adler32(filtered.data, adler)
        _chunk(file, b"IDAT", head + packed)
        head = b""

    with ThreadPoolExecutor(workers) as pool:
        for rows, above in _pieces(pixels):
            waiting.append(pool.submit(_deflate, rows, above, pixel_bytes(pixels)))
            if len(waiting) > workers:
                finish()
        while waiting:
            finish()
    # an empty last block of fixed codes ends the stream
    _chunk(file, b"IDAT", b"\x03\x00" + struct.pack(">I", adler))


def _pieces(pixels: PixelReader) -> Iterator[tuple[Bytes, Bytes]]:
    """Rows (n, bytes per row) of a piece, and the row above them."""
    above = np.zeros(pixels.width * pixel_bytes(pixels), np.uint8)
    step = max(1, _PIECE_BYTES // above.size)
    for band in bands(pixels):
        samples = pixels.read(band)
        if samples.dtype.itemsize == 2:
            samples = samples.astype(">u2")
        rows = np.ascontiguousarray(samples).view(np.uint8).reshape(band.height, -1)
        for start in range(0, band.height, step):
            piece = rows[start : start + step]
            yield piece, above
            above = piece[-1]


def _deflate(rows: Bytes, above: Bytes, distance: int) -> tuple[Bytes, bytes]:
    filtered = filter_rows(rows, above, distance)
    # on filtered photographs run lengths are 2 % larger than level 6 at a tenth of its time
    packer = zlib.compressobj(6, zlib.DEFLATED, -15, 9, zlib.Z_RLE)
    return filtered, packer.compress(filtered.data) + packer.flush(zlib.Z_FULL_FLUSH)


def filter_rows(rows: Bytes, above: Bytes, distance: int) -> Bytes:
    """Filter each row by the best of Sub, Up, Average and Paeth (PNG, third edition, section 9).

    Best is the smallest sum of absolute differences, section 12.7.

    Args:
        rows: (n, bytes per row).
        above: (bytes per row), zeros above the first row of an image.
        distance: bytes per pixel.

    Returns:
        (n, 1 + bytes per row), each row after the number of its filter.
    """
    up = np.concatenate([above[np.newaxis], rows[:-1]])
    left, corner = np.zeros_like(rows), np.zeros_like(rows)
    left[:, distance:] = rows[:, :-distance]
    corner[:, distance:] = up[:, :-distance]
    out = np.empty((rows.shape[0], 1 + rows.shape[1]), np.uint8)
    best = np.full(rows.shape[0], np.iinfo(np.int64).max)
    # floor((left + up) / 2) without leaving 8 bits
    mean = (left & up) + ((left ^ up) >> 1)
    for number, guess in ((1, left), (2, up), (3, mean), (4, _paeth(left, up, corner))):
        rest = rows - guess
        cost = np.minimum(rest, -rest).sum(axis=1, dtype=np.int64)
        better = cost < best
        best[better] = cost[better]
        out[better, 0] = number
        out[better, 1:] = rest[better]
    return out


def _paeth(left: Bytes, up: Bytes, corner: Bytes) -> Bytes:
    to_left = up.astype(np.int16) - corner
    to_up = left.astype(np.int16) - corner
    to_corner = np.abs(to_left + to_up)
    np.abs(to_left, out=to_left)
    np.abs(to_up, out=to_up)
    guess = np.where(to_up <= to_corner, up, corner)
    nearest = (to_left <= to_up) & (to_left <= to_corner)
    return np.where(nearest, left, guess)


def with_profile(data: bytes, icc: bytes | None) -> bytes:
    """An encoded PNG with a colour profile put behind its first chunk."""
    if icc is None:
        return data
    at = len(_SIGNATURE) + 25  # IHDR is 25 bytes, always
    chunk = BytesIO()
    _chunk(chunk, b"iCCP", b"icc\0\0" + zlib.compress(icc))
    return data[:at] + chunk.getvalue() + data[at:]
