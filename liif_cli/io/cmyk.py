"""CMYK to RGB: by the embedded profile where there is one, by the plain formula otherwise."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from liif_cli.io.base import Pixels


@dataclass(frozen=True)
class Inks:
    """How a file holds four inks: their profile, and whether the most is none."""

    profile: bytes | None = field(repr=False)
    inverted: bool


@cache
def srgb_profile() -> bytes:
    """The profile of what ``to_rgb`` gives."""
    import imagecodecs

    return bytes(imagecodecs.cms_profile("srgb"))


def to_rgb(ink: Pixels, profile: bytes | None) -> Pixels:
    """sRGB pixels (h, w, 3) of inks (h, w, 4), both uint8 or uint16; 0 is without ink.

    With a profile, LittleCMS transforms perceptually. Without one, nobody knows what the inks look
    like: R = (1 - C)(1 - K), and so on, which is what viewers show.

    Raises:
        RuntimeError: the profile is damaged, or is not of CMYK.
    """
    if profile is not None:
        import imagecodecs

        pixels: Pixels = imagecodecs.cms_transform(
            np.ascontiguousarray(ink),
            profile,
            srgb_profile(),
            colorspace="cmyk",
            outcolorspace="rgb",
            intent=imagecodecs.CMS.INTENT.PERCEPTUAL,
        )
        return pixels
    top: Any = np.iinfo(ink.dtype).max
    light = (top - ink).astype(np.uint64)
    shown: Pixels = ((light[..., :3] * light[..., 3:] + top // 2) // top).astype(ink.dtype)
    return shown
