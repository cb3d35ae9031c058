"""OpenEXR, deflated, of 16 and 32 bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from liif_cli.io.abilities import abilities
from liif_cli.io.atomic import final_name, output_errors
from liif_cli.io.base import Exporter, OutputInfo, PixelReader, Pixels
from liif_cli.io.exporters.bands import codec_workers, whole
from liif_cli.io.limits import check_limit

_NAMES = {1: ("Y",), 3: ("R", "G", "B")}


class ExrExporter(Exporter):
    """Floats and 32-bit whole numbers, any number of channels. The whole image is held.

    Colours are multiplied by alpha, as the format has it.
    """

    name = "exr"
    suffixes = (".exr",)
    dtypes = ("float32", "float16", "uint32")
    max_side = 2**31 - 1
    streams = False
    channels = None
    carries = abilities("resolution")
    memory = 3.0
    disk = 1.5
    needs = "OpenEXR"
    extra = "formats"

    def export(self, pixels: PixelReader, path: Path, info: OutputInfo) -> None:
        """Write ``path``.

        Raises:
            OutputError: permission, a full disk, or a limit of the format.
        """
        import OpenEXR

        check_limit(self, pixels, path, info.alpha)
        image = pixels.read(whole(pixels))
        if info.alpha:
            image = _multiplied(image)
        header: dict[str, Any] = {
            "compression": OpenEXR.ZIP_COMPRESSION,
            "type": OpenEXR.scanlineimage,
        }
        if info.software:
            header["software"] = info.software
        if info.resolution is not None:
            x, y = info.resolution
            header |= {"xDensity": float(x), "pixelAspectRatio": float(y / x)}
        names = _names(pixels.channels, info)
        planes = {
            name: np.ascontiguousarray(image[..., number]) for number, name in enumerate(names)
        }
        with output_errors(path):
            # the library says of an error no more than a text
            path.touch()
            try:
                OpenEXR.File(header, planes, codec_workers()).write(str(path))
            except RuntimeError as error:
                raise OSError(0, str(error), str(final_name(path))) from error


def _names(count: int, info: OutputInfo) -> list[str]:
    colours = _NAMES.get(count - info.alpha)
    if colours is not None:
        return [*colours, *(["A"] if info.alpha else [])]
    # the library writes channels by their names' order
    digits = len(str(count))
    return [f"band{number:0{digits}}" for number in range(1, count + 1)]


def _multiplied(image: Pixels) -> Pixels:
    colours = image[..., :-1].astype(np.float32) * image[..., -1:]
    multiplied: Pixels = np.concatenate([colours.astype(image.dtype), image[..., -1:]], axis=2)
    return multiplied
