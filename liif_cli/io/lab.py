"""CIE L*a*b* to sRGB."""

from __future__ import annotations

import numpy as np

from liif_cli.io.base import Pixels

# D50, which the printing trade and ICC have, and where nothing else is said (ISO 13655)
_WHITE = np.array([0.9642, 1.0, 0.8249])
# XYZ of D50 to linear sRGB of D65, adapted by Bradford (Lindbloom, RGB/XYZ matrices)
_TO_RGB = np.array(
    [
        [3.1338561, -1.6168667, -0.4906146],
        [-0.9787684, 1.9161415, 0.0334540],
        [0.0719453, -0.2289914, 1.4052427],
    ]
)
_EPSILON, _KAPPA = 216 / 24389, 24389 / 27


def to_srgb(stored: Pixels, *, unsigned: bool) -> Pixels:
    """sRGB pixels (h, w, 3) of L*a*b* as TIFF stores it (TIFF 6.0, section 23).

    Args:
        stored: (h, w, 3) of uint8, uint16 or float32. Whole numbers have L* over all of their range
            and a*, b* in units of 1 (8 bits) or 1/256 (16 bits); floats are as they are.
        unsigned: a* and b* are 128 more, as ICC has them, and not signed.

    Returns:
        The same type; floats in [0, 1]. What sRGB cannot show is clipped.
    """
    if stored.dtype.kind == "f":
        light, chroma = stored[..., 0].astype(np.float64), stored[..., 1:].astype(np.float64)
    else:
        top, unit = np.iinfo(stored.dtype).max, 1 << 8 * (stored.dtype.itemsize - 1)
        light = stored[..., 0] * (100 / top)
        signed = np.dtype(f"i{stored.dtype.itemsize}")
        chroma = stored[..., 1:] / unit - 128 if unsigned else stored[..., 1:].view(signed) / unit
    y = (light + 16) / 116
    f = np.stack([y + chroma[..., 0] / 500, y, y - chroma[..., 1] / 200], axis=-1)
    xyz = np.where(f**3 > _EPSILON, f**3, (116 * f - 16) / _KAPPA)
    linear = np.clip(xyz * _WHITE @ _TO_RGB.T, 0, 1)
    shown = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    if stored.dtype.kind != "f":
        shown = np.round(shown * np.iinfo(stored.dtype).max)
    pixels: Pixels = shown.astype(stored.dtype)
    return pixels
