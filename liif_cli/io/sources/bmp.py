"""BMP: palettes, 16, 24 and 32 bits with and without alpha, run lengths."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np

from liif_cli.io.abilities import abilities
from liif_cli.io.base import Pixels
from liif_cli.io.opencv import opencv
from liif_cli.io.refusals import damaged, kind_of_pixels, truncated
from liif_cli.io.sources.whole import Header, WholeFileSource, read_exactly

_RGB, _RLE8, _RLE4, _BITFIELDS, _ALPHABITFIELDS = 0, 1, 2, 3, 6
_BITS = {
    _RGB: (1, 2, 4, 8, 16, 24, 32),
    _RLE8: (8,),
    _RLE4: (4,),
    _BITFIELDS: (16, 32),
    _ALPHABITFIELDS: (16, 32),
}
_CORE_HEADER = 12
_INCH = 0.0254


class BmpSource(WholeFileSource):
    """A BMP file; a palette is expanded to RGB, or to gray where all its entries are gray."""

    format = "bmp"
    suffixes = (".bmp",)
    reads = abilities("8", "alpha", "resolution")

    @classmethod
    def matches(cls, path: Path, head: bytes) -> bool:
        return head.startswith(b"BM") and int.from_bytes(head[14:18], "little") in _HEADERS

    @staticmethod
    def read_header(path: Path, file: BinaryIO) -> Header:
        start = read_exactly(path, file, 18, "its header")
        length, offset, size = struct.unpack("<2xI4xII", start)
        if start[:2] != b"BM" or size not in _HEADERS:
            raise damaged(path, "no BMP header")
        body = read_exactly(path, file, size - 4, "its header")
        resolution: tuple[float, float] | None = None
        if size == _CORE_HEADER:
            width, height, _, bits = struct.unpack("<HHHH", body)
            method, colours = _RGB, 0
        else:
            width, height, _, bits, method, _, x, y, colours = struct.unpack(
                "<iiHHIIiiI", body[:32]
            )
            resolution = (x * _INCH, y * _INCH) if x > 0 and y > 0 else None
        if method not in _BITS:
            raise kind_of_pixels(path, f"a BMP of compression {method}", "save it as PNG")
        if bits not in _BITS[method]:
            raise damaged(path, f"{bits} bits per pixel with compression {method}")
        masks = _masks(path, file, body, method)
        alpha = bool(masks and masks[3])
        height = abs(height)
        stride = (width * bits + 31) // 32 * 4
        needed = (
            offset + stride * height if method in (_RGB, _BITFIELDS, _ALPHABITFIELDS) else length
        )
        if needed > file.seek(0, 2):
            raise truncated(path, "it ends in its pixels")
        channels = 3
        if bits <= 8:
            entry = 3 if size == _CORE_HEADER else 4
            file.seek(14 + size)
            if colours > 1 << bits:
                raise damaged(path, f"a palette of {colours:,} colours for {bits} bits")
            table = read_exactly(path, file, entry * (colours or 1 << bits), "its palette")
            palette = np.frombuffer(table, np.uint8).reshape(-1, entry)[:, :3]
            channels = 1 if bool((palette == palette[:, :1]).all()) else 3
        return Header(
            height,
            width,
            channels + alpha,
            np.dtype(np.uint8),
            resolution=resolution,
            alpha=alpha,
            kind="palette" if bits <= 8 else "",
        )

    def decode(self, data: bytes) -> Pixels:
        size, method = struct.unpack_from("<I12xI", data, 14)
        if size != _CORE_HEADER and method in (_BITFIELDS, _ALPHABITFIELDS):
            rest = io.BytesIO(data[14 + size :])
            masks = _masks(self.info.path, rest, data[18 : 14 + size], method)
            return _by_masks(data, masks[: self.info.channels])
        if size == _CORE_HEADER or method in (_RLE8, _RLE4):
            # the one library at hand that knows these
            return _by_opencv(data)
        import imagecodecs

        try:
            pixels: Pixels = imagecodecs.bmp_decode(data)
        except (ValueError, RuntimeError):
            # it is strict about sizes that say nothing of the pixels
            return _by_opencv(data)
        # 32 bits have a fourth byte, which is not alpha
        return pixels[..., :3] if pixels.ndim == 3 else pixels


_HEADERS = (_CORE_HEADER, 40, 52, 56, 64, 108, 124)


def _masks(path: Path, file: BinaryIO, body: bytes, method: int) -> tuple[int, ...]:
    """Masks of red, green, blue and alpha (0 for none); none where the layout is the format's own.

    Raises:
        InputError: they end early, or a colour has no bits.
    """
    if method not in (_BITFIELDS, _ALPHABITFIELDS):
        return ()
    behind = read_exactly(path, file, 12 + 4 * (method == _ALPHABITFIELDS), "its masks")
    # the oldest header has them behind it; V2 has three, V3 and later ones four
    data = body[36:52] if len(body) >= 48 else behind
    masks = struct.unpack("<4I", data.ljust(16, b"\0"))
    if not all(masks[:3]):
        raise damaged(path, f"a mask of no bits, in {' '.join(f'{mask:#x}' for mask in masks)}")
    return masks


def _by_opencv(data: bytes) -> Pixels:
    cv2 = opencv()
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if pixels is None:
        raise ValueError("the codec found no image")
    return np.ascontiguousarray(pixels[..., ::-1])


def _by_masks(data: bytes, masks: tuple[int, ...]) -> Pixels:
    """Pixels (h, w, masks) of 16 or 32 bits, the bits of each mask over the whole range.

    The bottom row comes first unless the height is negative.
    """
    offset, width, height, bits = struct.unpack_from("<I4xii2xH", data, 10)
    stride = (width * bits + 31) // 32 * 4
    rows = np.frombuffer(data, np.uint8, stride * abs(height), offset).reshape(abs(height), stride)
    words = rows[:, : width * bits // 8].copy().view("<u2" if bits == 16 else "<u4")
    words = words[:: -1 if height > 0 else 1].astype(np.uint64)
    pixels = np.empty((*words.shape, len(masks)), np.uint8)
    for channel, mask in enumerate(masks):
        top = mask // (mask & -mask)
        values = (words & mask) // (mask & -mask)
        pixels[..., channel] = (values * 255 + top // 2) // top
    return pixels
