"""Radiance HDR: RGB of shared exponents."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from liif_cli.io.atomic import output_errors
from liif_cli.io.base import Exporter, OutputInfo, PixelReader, Pixels
from liif_cli.io.exporters.bands import whole
from liif_cli.io.limits import check_limit


class HdrExporter(Exporter):
    """RGB floats, of which eight bits a channel and one exponent are kept; no negative ones.

    The whole image is held. Gray is written as RGB.
    """

    name = "hdr"
    suffixes = (".hdr",)
    dtypes = ("float32", "float16")
    max_side = 32767  # of lines that are compressed
    streams = False
    memory = 4.0
    disk = 1.0

    def export(self, pixels: PixelReader, path: Path, info: OutputInfo) -> None:
        """Write ``path``.

        Raises:
            OutputError: permission, a full disk, or a limit of the format.
        """
        import imagecodecs

        check_limit(self, pixels, path, info.alpha)
        image = pixels.read(whole(pixels)).astype(np.float32, copy=False)
        if image.shape[2] == 1:
            image = np.repeat(image, 3, axis=2)
        data = bytes(imagecodecs.rgbe_encode(_rounding(image), header=True))
        with output_errors(path):
            path.write_bytes(data)


def _rounding(image: Pixels) -> Pixels:
    """Half a step more: the codec cuts off, and decodes to the lower end of a step."""
    _, exponent = np.frexp(image.max(axis=2, keepdims=True))
    half = np.ldexp(np.float32(0.5), exponent - 8)
    raised: Pixels = np.ascontiguousarray(np.maximum(image, 0) + half, np.float32)
    # black is a code of its own
    raised[(image <= 0).all(axis=2)] = 0
    return raised
