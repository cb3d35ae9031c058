"""What the numbers of a float image mean, and whether it is gray: measured once, by windows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from liif_cli.errors import InputError
from liif_cli.io.base import Pixels, Source
from liif_cli.io.gray import equal_colours, large_windows
from liif_cli.io.linear import encoded
from liif_cli.io.nodata import equals

Range = tuple[float, float]

WHOLE = (np.uint8, np.uint16)
"""Types whose samples span all of them; those of others span what there is."""
UNIT: Range = (0.0, 1.0)


def as_rgb8(pixels: Pixels, path: Path) -> npt.NDArray[np.uint8]:
    """Pixels (h, w, 1 or 3) as contiguous RGB (h, w, 3) of 8 bits; gray is repeated.

    Deeper samples are rounded half to even; floats are clipped to [0, 1] first.

    Raises:
        InputError: the samples of ``path`` are whole numbers of another type, which span anything.
    """
    if pixels.dtype.kind != "f" and pixels.dtype not in WHOLE:
        raise InputError(
            str(path),
            got=f"{pixels.dtype} samples",
            expected="8 or 16 bits without a sign, or floats in [0, 1]",
            cure="convert it, with the range that is white",
        )
    if pixels.dtype == np.uint16:
        pixels = np.rint(pixels / 257)
    elif pixels.dtype.kind == "f":
        pixels = np.rint(np.clip(pixels, *UNIT) * 255)
    rgb = np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels
    return np.ascontiguousarray(rgb, dtype=np.uint8)


@dataclass(frozen=True)
class Measured:
    """What is known of samples before they are rendered.

    ``ranges``: black and white, of all colours together or a pair a band; none for whole numbers.
    ``gray``: whether three colours are equal everywhere (``io/gray.py``), None where nobody looked.
    """

    ranges: tuple[Range, ...] = ()
    gray: bool | None = None


def measure(source: Source) -> Measured:
    """What an image's samples span, and whether it is gray; uint8 and uint16 are not read.

    These span their type, whatever values there are. Float samples within [0, 1] are taken as they
    are; others, and whole numbers that are signed or have 32 bits, span what the file states,
    widened by what it holds, or what it holds; amounts of light span what the network sees of them,
    and [0, 1] at least. Alpha spans [0, 1], or its type. Images are read as
    a whole for this, in windows of 16 MiB.

    Raises:
        InputError: the file is damaged, or a float sample is not finite.
    """
    info = source.info
    if info.dtype in WHOLE:
        return Measured(gray=None if info.colours == 3 else False)
    gray = info.colours == 3
    low, high = np.full(info.channels, np.inf), np.full(info.channels, -np.inf)
    together = info.colours in (1, 3)
    floats = info.dtype.kind == "f"
    limits: Any = np.finfo(info.dtype) if floats else np.iinfo(info.dtype)
    least, most = limits.min, limits.max
    for window in large_windows(info):
        pixels = source.read(window)
        holes = _holes(pixels, info.nodata, info.colours if together else 1)
        if info.mask:
            holes = holes | (pixels[..., -1:] == 0)
        low = np.minimum(low, np.min(pixels, axis=(0, 1), initial=most, where=~holes))
        high = np.maximum(high, np.max(pixels, axis=(0, 1), initial=least, where=~holes))
        gray = gray and equal_colours(pixels)
    low, high = low[: info.colours], high[: info.colours]
    if info.linear:
        low, high = np.minimum(encoded(low), 0), np.maximum(encoded(high), 1)
    if together:
        low, high = low.min(keepdims=True), high.max(keepdims=True)
    pairs = zip(low, high, strict=True)
    stated = info.stated_range
    ranges = tuple(_range(float(a), float(b), stated, floats=floats) for a, b in pairs)
    return Measured(ranges, gray)


def _holes(pixels: Pixels, nodata: float | None, colours: int) -> npt.NDArray[np.bool_]:
    """(h, w, channels or 1) of the samples that say that nothing was measured.

    Of 3 ``colours`` all of them have to.
    """
    if nodata is None:
        return np.zeros((1, 1, 1), np.bool_)
    holes = equals(pixels, nodata)
    if colours == 3:
        holes[..., :3] = holes[..., :3].all(axis=-1, keepdims=True)
    return holes


def _range(low: float, high: float, stated: Range | None, *, floats: bool) -> Range:
    if low > high:
        return UNIT  # it holds nothing at all
    if stated is not None:
        low, high = min(low, stated[0]), max(high, stated[1])
    elif floats and low >= 0 and high <= 1:
        return UNIT
    # a band of one value
    return (low, high) if high > low else (low, low + 1)
