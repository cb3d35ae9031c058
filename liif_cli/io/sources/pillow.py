"""Rarer kinds of images, read by Pillow: TGA, PSD, ICO, DDS, PCX, SGI and others."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from liif_cli.io.abilities import abilities
from liif_cli.io.base import Pixels
from liif_cli.io.cmyk import Inks, srgb_profile, to_rgb
from liif_cli.io.metadata import Metadata
from liif_cli.io.refusals import damaged, kind_of_pixels, needs
from liif_cli.io.sources.whole import Header, WholeFileSource

FORMATS = {
    "TGA": (".tga", ".icb", ".vda", ".vst"),
    "PSD": (".psd",),
    "ICO": (".ico",),
    "ICNS": (".icns",),
    "CUR": (".cur",),
    "DDS": (".dds",),
    "PCX": (".pcx",),
    "DCX": (".dcx",),
    "SGI": (".sgi", ".rgb", ".rgba", ".bw"),
    "SUN": (".ras", ".sun"),
    "XBM": (".xbm",),
    "XPM": (".xpm",),
    "MSP": (".msp",),
    "IM": (".im",),
    "PIXAR": (".pxr",),
    "BLP": (".blp",),
    "FTEX": (".ftc", ".ftu"),
    "FLI": (".fli", ".flc"),
    "GBR": (".gbr",),
    "PCD": (".pcd",),
    "SPIDER": (".spider",),
    "IMT": (".imt",),
    "MCIDAS": (".ara",),
    "DIB": (".dib",),
}
"""Pillow's name of a format -> its suffixes."""
_MAGIC = {
    b"8BPS": "PSD",
    b"\0\0\1\0": "ICO",
    b"icns": "ICNS",
    b"DDS ": "DDS",
    b"\x01\xda": "SGI",
    b"\x0a\x05\x01": "PCX",
    b"\x59\xa6\x6a\x95": "SUN",
    b"/* XPM */": "XPM",
    b"\x80\xe8\0\0": "PIXAR",
    b"BLP": "BLP",
    b"FTEX": "FTEX",
}
"""The first bytes of a file; the others are found by their suffix."""
_OWN = {
    "1": "L",
    "L": "L",
    "LA": "LA",
    "La": "LA",
    "RGB": "RGB",
    "RGBX": "RGB",
    "RGBA": "RGBA",
    "RGBa": "RGBA",
    "PA": "RGBA",
    "YCbCr": "RGB",
    "HSV": "RGB",
    "LAB": "RGB",
    "CMYK": "CMYK",
    "I;16": "I;16",
    "I;16B": "I;16",
    "F": "F",
}
"""A mode of Pillow -> the one that is decoded to."""
_CHANNELS = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 3, "I;16": 1, "F": 1}


class PillowSource(WholeFileSource):
    """An image of one of the ``FORMATS``; the pages of an icon are its sizes, the largest first.

    A PSD gives its flattened picture. CMYK becomes sRGB.
    """

    format = "pillow"
    suffixes = tuple(suffix for suffixes in FORMATS.values() for suffix in suffixes)
    reads = abilities("8", "16", "float", "alpha", "CMYK", "ICC", "resolution", "pages")

    @classmethod
    def matches(cls, path: Path, head: bytes) -> bool:
        return _by_magic(head) is not None

    @classmethod
    def read_page_header(cls, path: Path, file: BinaryIO, page: int) -> Header:
        # some of its readers close what they read
        with path.open("rb") as own:
            return cls._header_of(path, _open(path, own), page)

    @staticmethod
    def _header_of(path: Path, image: Any, page: int) -> Header:
        metadata = Metadata()
        mode = _mode(path, image)
        icc = metadata.kept("colour profile", image.info.get("icc_profile"))
        inks = Inks(icc, inverted=False) if mode == "CMYK" else None
        sizes = _sizes(image)
        size = sizes[min(page, len(sizes)) - 1] if sizes else image.size
        width, height = size
        dtype = {"I;16": np.uint16, "F": np.float32}.get(mode, np.uint8)
        dpi = image.info.get("dpi")
        known = dpi is not None and all(0 < float(value) < 1e6 for value in dpi)
        return Header(
            height,
            width,
            _CHANNELS[mode],
            np.dtype(dtype),
            icc=srgb_profile() if inks else icc,
            resolution=(float(dpi[0]), float(dpi[1])) if known else None,
            alpha=mode in ("LA", "RGBA"),
            exif=metadata.kept("EXIF", image.info.get("exif")),
            kind="CMYK" if inks else "palette" if image.mode in ("P", "PA") else "",
            inks=inks,
            dropped=metadata.dropped,
            pages=max(1, len(sizes)),
        )

    def decode(self, data: bytes) -> Pixels:
        image = _open(self.info.path, io.BytesIO(data))
        mode = _mode(self.info.path, image)
        if sizes := _sizes(image):
            image.size = sizes[self._page - 1]
        image.load()
        if image.mode in ("RGBa", "La"):
            image = image.convert(image.mode.upper())
        # between orders of bytes Pillow converts by way of 8 bits
        same = image.mode == mode or mode == "I;16"
        pixels = np.asarray(image if same else image.convert(mode))
        if mode == "I;16":
            pixels = pixels.astype(np.uint16)
        if self._header.inks is not None:
            return to_rgb(pixels, self._header.inks.profile)
        return pixels


def _by_magic(head: bytes) -> str | None:
    known = next((name for magic, name in _MAGIC.items() if head.startswith(magic)), None)
    # four bytes are few: an icon has up to 255 pictures, and a byte of each is reserved
    pictures, reserved = head[4:6], head[9:10]
    if known == "ICO" and not (pictures[:1] >= b"\1" and pictures[1:] == reserved == b"\0"):
        return None
    return known


def _open(path: Path, file: BinaryIO) -> Any:
    """An image of Pillow, of one of the formats; not decoded."""
    try:
        from PIL import Image
    except ImportError as error:
        raise needs(path, "Pillow", "formats") from error
    # the plan has a limit of its own, which --max-input-pixels moves
    Image.MAX_IMAGE_PIXELS = None
    head = file.read(64)
    file.seek(0)
    kind = _by_magic(head)
    if kind is None:
        suffix = path.suffix.lower()
        kind = next((name for name, own in FORMATS.items() if suffix in own), None)
    try:
        return Image.open(file, formats=[kind] if kind else list(FORMATS))
    except Exception as error:
        # its readers raise errors of any class
        raise damaged(path, f"no {kind or 'known'} image: {error}") from error


def _mode(path: Path, image: Any) -> str:
    if image.mode == "P":
        return "RGBA" if image.has_transparency_data else "RGB"
    if image.mode not in _OWN:
        raise kind_of_pixels(path, f"pixels of Pillow's mode {image.mode}", "save it as PNG")
    return _OWN[image.mode]


def _sizes(image: Any) -> list[tuple[int, int]]:
    """Sizes of the pictures of an icon, the largest first; none for other formats."""
    sizes = image.info.get("sizes", ()) if image.format == "ICO" else ()
    return sorted(sizes, key=lambda size: (size[0] * size[1], size), reverse=True)
