"""JPEG XL, without loss or with it (ISO/IEC 18181)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from liif_cli.io.abilities import abilities
from liif_cli.io.atomic import output_errors
from liif_cli.io.base import Exporter, OutputInfo, PixelReader, Pixels
from liif_cli.io.cmyk import srgb_profile
from liif_cli.io.exporters.bands import codec_workers, whole
from liif_cli.io.limits import check_limit
from liif_cli.io.sources.boxes import box
from liif_cli.io.sources.jxl import marked_srgb

_QUALITY = 95
_LOSSLESS_EFFORT, _LOSSY_EFFORT = 1, 3
"""Of 1 to 9. Without loss, 3 takes twenty times as long as 1 and saves a tenth."""


class JpegXlExporter(Exporter):
    """8 and 16 bits (8 with loss), gray and RGB with and without alpha; without loss by default.

    The whole image is held. The codec takes no colour profile: with one, colours become sRGB.
    """

    name = "jxl"
    suffixes = (".jxl",)
    dtypes = ("uint8", "uint16")
    max_side = 2**30 - 1
    streams = False
    channels = (1, 2, 3, 4)
    compressions = ("lossless", "lossy")
    carries = abilities("EXIF", "XMP")
    memory = 7.0
    disk = 1.5

    def export(self, pixels: PixelReader, path: Path, info: OutputInfo) -> None:
        """Write ``path``.

        Raises:
            OutputError: permission, a full disk, or a limit of the format.
        """
        import imagecodecs

        check_limit(self, pixels, path, info.alpha)
        image = _in_srgb(pixels.read(whole(pixels)), info)
        image = np.ascontiguousarray(image[..., 0] if image.shape[2] == 1 else image)
        lossy = info.compression == "lossy"
        data = bytes(
            imagecodecs.jpegxl_encode(
                image,
                lossless=not lossy,
                distance=_distance(info.quality or _QUALITY) if lossy else None,
                effort=_LOSSY_EFFORT if lossy else _LOSSLESS_EFFORT,
                usecontainer=True,
                numthreads=codec_workers(),
            )
        )
        data = data if lossy else marked_srgb(data)
        with output_errors(path), path.open("wb") as file:
            file.write(data)
            if info.exif is not None:
                # the block begins right behind the offset
                file.write(box(b"Exif", bytes(4) + info.exif))
            if info.xmp is not None:
                file.write(box(b"xml ", info.xmp))


def _distance(quality: int) -> float:
    """libjxl's JxlEncoderDistanceFromQuality: 1 is what an eye just does not see."""
    if quality >= 100:
        return 0.0
    if quality >= 30:
        return 0.1 + (100 - quality) * 0.09
    return 53 / 3000 * quality**2 - 23 / 20 * quality + 25


def _in_srgb(image: Pixels, info: OutputInfo) -> Pixels:
    """Pixels (h, w, channels) as sRGB, or gray of its curve; as they are without a profile."""
    if info.icc is None or info.icc == srgb_profile():
        return image
    import imagecodecs

    count = image.shape[2] - info.alpha
    shown: Pixels = imagecodecs.cms_transform(
        np.ascontiguousarray(image[..., :3] if count == 3 else image[..., 0]),
        info.icc,
        srgb_profile(),
        colorspace="rgb" if count == 3 else "gray",
        outcolorspace="rgb",
    )
    return np.concatenate([shown[..., :count], image[..., count:]], axis=2)
