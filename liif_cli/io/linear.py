"""Linear light as a display would show it, for a network that learned from such images.

Images of high dynamic range hold amounts of light. Most of what an eye tells apart lies near black
there, and one lamp may be a thousand times as bright as all else. The network sees them by the
curve of sRGB (IEC 61966-2-1) up to 1, and by a logarithm of the same slope above, as the second
half of the hybrid log-gamma curve is one (ITU-R BT.2100). The curve is odd, and has an inverse.
"""

from __future__ import annotations

import numpy as np

from liif_cli.io.base import Pixels

_KNEE, _SLOPE, _SCALE, _OFFSET, _GAMMA = 0.0031308, 12.92, 1.055, 0.055, 2.4
_LOG = _SCALE / _GAMMA
"""Slope of sRGB's curve at 1."""


REC_709 = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290)
"""(x, y) of red, green, blue and white, which OpenEXR and Radiance mean where they say nothing."""


def linear_profile(points: tuple[float, ...] = REC_709, *, gray: bool = False) -> bytes | None:
    """A colour profile for light itself, for formats that do not mean it by themselves.

    Args:
        points: (x, y) of red, green, blue and white.
        gray: for one channel.
    """
    import imagecodecs

    try:
        if gray:
            profile = imagecodecs.cms_profile("gray", whitepoint=points[6:], gamma=1.0)
        else:
            profile = imagecodecs.cms_profile(
                "rgb", whitepoint=points[6:], primaries=points[:6], gamma=1.0
            )
    except (RuntimeError, ValueError):
        # points of no colours
        return None
    return bytes(profile)


def encoded(light: Pixels) -> Pixels:
    """Light of any amount as shown; the type stays, and 0 and 1 are 0 and 1."""
    amount = np.abs(light.astype(np.float64, copy=False))
    low = _SLOPE * amount
    middle = _SCALE * np.maximum(amount, _KNEE) ** (1 / _GAMMA) - _OFFSET
    high = 1 + _LOG * np.log(np.maximum(amount, 1))
    curve = np.where(amount <= _KNEE, low, np.where(amount <= 1, middle, high))
    shown: Pixels = np.copysign(curve, light).astype(light.dtype)
    return shown


def decoded(shown: Pixels) -> Pixels:
    """The inverse of ``encoded``."""
    amount = np.abs(shown.astype(np.float64, copy=False))
    low = amount / _SLOPE
    middle = ((np.clip(amount, _SLOPE * _KNEE, 1) + _OFFSET) / _SCALE) ** _GAMMA
    high = np.exp((np.maximum(amount, 1) - 1) / _LOG)
    amounts = np.where(amount <= _SLOPE * _KNEE, low, np.where(amount <= 1, middle, high))
    most = np.finfo(shown.dtype).max
    light: Pixels = np.copysign(np.minimum(amounts, most), shown).astype(shown.dtype)
    return light
