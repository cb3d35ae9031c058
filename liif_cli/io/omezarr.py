"""Metadata of an OME-Zarr 0.5 image (https://ngff.openmicroscopy.org/0.5/)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from liif_cli.io.base import OutputInfo, PixelReader

VERSION = "0.5"
_RGB = (("red", "FF0000"), ("green", "00FF00"), ("blue", "0000FF"))
_WHITE = "FFFFFF"


def ome_attributes(name: str, levels: Sequence[PixelReader], info: OutputInfo) -> dict[str, Any]:
    """The attribute "ome" of a group whose arrays "0", "1", ... (c, y, x) are ``levels``.

    Each level is half of the one before (``io/pyramid.py``). The centre of its first pixel lies
    (2**k - 1) / 2 pixels into the image, which its translation says. Lengths are in
    micrometres where a pixel's size is known, in pixels otherwise.
    """
    size = info.pixel_size or (1.0, 1.0)
    unit = {"unit": "micrometer"} if info.pixel_size else {}
    return {
        "version": VERSION,
        "multiscales": [
            {
                "name": name,
                "axes": [
                    {"name": "c", "type": "channel"},
                    {"name": "y", "type": "space", **unit},
                    {"name": "x", "type": "space", **unit},
                ],
                "datasets": [_dataset(number, size) for number in range(len(levels))],
                "type": "mean",
            }
        ],
        "omero": {
            "name": name,
            "channels": _channels(levels[0], info),
            "rdefs": {"model": "greyscale" if _colours(levels[0], info) == 1 else "color"},
        },
    }


def _dataset(number: int, size: tuple[float, float]) -> dict[str, Any]:
    """One level; ``size`` is (x, y) of a pixel of full resolution."""
    scale, shift = float(2**number), (2**number - 1) / 2
    x, y = size
    steps: list[dict[str, Any]] = [{"type": "scale", "scale": [1.0, scale * y, scale * x]}]
    if number:
        steps.append({"type": "translation", "translation": [0.0, shift * y, shift * x]})
    return {"path": str(number), "coordinateTransformations": steps}


def _colours(pixels: PixelReader, info: OutputInfo) -> int:
    return pixels.channels - info.alpha


def _channels(pixels: PixelReader, info: OutputInfo) -> list[dict[str, Any]]:
    dtype = np.dtype(pixels.dtype)
    end = 1.0 if dtype.kind == "f" else int(np.iinfo(dtype).max)
    window = {"min": 0, "max": end, "start": 0, "end": end}
    colours = _colours(pixels, info)
    channels = []
    for number in range(pixels.channels):
        if number == colours:
            label, colour = "alpha", _WHITE
        elif colours == 3:
            label, colour = _RGB[number]
        else:
            label, colour = "gray" if colours == 1 else f"band {number + 1}", _WHITE
        if number < len(info.band_names):
            label = info.band_names[number]
        # three bands at once are what a viewer can add up
        active = number < min(colours, 3)
        channels.append({"label": label, "color": colour, "active": active, "window": dict(window)})
    return channels
