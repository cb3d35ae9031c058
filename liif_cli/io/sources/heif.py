"""HEIC and HEIF, the photos of phones, read by pillow-heif."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from liif_cli.io.abilities import abilities
from liif_cli.io.base import Pixels
from liif_cli.io.exif import HEADER, read_exif
from liif_cli.io.metadata import Metadata
from liif_cli.io.refusals import damaged, kind_of_pixels, needs
from liif_cli.io.sources.whole import Header, WholeFileSource

_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_CHANNELS = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}


class HeifSource(WholeFileSource):
    """A HEIC or HEIF file; its primary picture is page 1. More than 8 bits become uint16.

    Turns and mirrors that the file asks for are done by the codec, so that the orientation in its
    EXIF, which says the same, is not applied again.
    """

    format = "heic"
    suffixes = (".heic", ".heif", ".hif")
    reads = abilities("8", "16", "alpha", "ICC", "EXIF", "XMP", "resolution", "pages")

    @classmethod
    def matches(cls, path: Path, head: bytes) -> bool:
        # AVIF, which has these brands as well, was asked before
        return head[4:8] == b"ftyp" and head[8:12] in _BRANDS

    @classmethod
    def read_page_header(cls, path: Path, file: BinaryIO, page: int) -> Header:
        heif = _open(path, file)
        image = heif[_index(heif, page if page <= len(heif) else 1)]
        mode = image.mode.split(";")[0]
        if mode not in _CHANNELS:
            raise kind_of_pixels(path, f"a HEIF of mode {image.mode}")
        metadata = Metadata()
        exif = metadata.kept("EXIF", image.info.get("exif"))
        return Header(
            image.size[1],
            image.size[0],
            _CHANNELS[mode],
            np.dtype(np.uint16 if image.info["bit_depth"] > 8 else np.uint8),
            icc=metadata.kept("colour profile", image.info.get("icc_profile")),
            resolution=read_exif(exif).resolution if exif else None,
            alpha=mode in ("LA", "RGBA"),
            exif=exif.removeprefix(HEADER) if exif else None,
            xmp=metadata.kept("XMP", image.info.get("xmp")),
            pages=len(heif),
            dropped=metadata.dropped,
        )

    def decode(self, data: bytes) -> Pixels:
        heif = _open(self.info.path, io.BytesIO(data))
        image = heif[_index(heif, self.info.page)]
        pixels: Pixels = np.asarray(image)
        if pixels.dtype != np.uint16:
            return pixels
        # the codec fills up the lower bits with zeros
        bits = int(image.info["bit_depth"])
        top = (1 << bits) - 1
        return (((pixels >> (16 - bits)).astype(np.uint32) * 65535 + top // 2) // top).astype("u2")


def _open(path: Path, file: BinaryIO) -> Any:
    """A file of pillow-heif; not decoded."""
    try:
        import pillow_heif
    except ImportError as error:
        raise needs(path, "pillow-heif", "formats") from error
    # the codec is to refuse nothing that --max-input-pixels allows
    pillow_heif.options.DISABLE_SECURITY_LIMITS = True
    try:
        return pillow_heif.open_heif(file, convert_hdr_to_8bit=False)
    except (OSError, RuntimeError, SyntaxError, EOFError) as error:
        raise damaged(path, error) from error


def _index(heif: Any, page: int) -> int:
    """Where a page lies in the file: the primary picture first, then the others in their order."""
    others = [number for number in range(len(heif)) if number != heif.primary_index]
    return int([heif.primary_index, *others][page - 1])
