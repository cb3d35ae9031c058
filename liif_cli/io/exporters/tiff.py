"""Tiled TIFF with reduced levels, streamed; BigTIFF where 4 GiB might not do."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from liif_cli.geometry.grid import TileGrid
from liif_cli.geometry.window import Window
from liif_cli.io.abilities import abilities
from liif_cli.io.atomic import output_errors
from liif_cli.io.base import DTYPES, Exporter, OutputInfo, PixelReader, Pixels
from liif_cli.io.directories import EXIF_IFD, GPS_IFD, Directories, append, directories_of
from liif_cli.io.exporters.bands import codec_workers, pixel_bytes
from liif_cli.io.limits import check_compression, check_limit

_TILE = 512
_QUALITY = 95
_READ_BYTES = 16 * 2**20
_BUFFER_BYTES = 16 * 2**20
_CLASSIC_LIMIT = 2**32
_REDUCED, _MASK = 1, 4
_XMP = 700
_INCH = 25400.0
"""In micrometres."""
_LONG, _LONG8 = 4, 16
_WRITTEN = {0x0112, 0x011A, 0x011B, 0x0128}
"""Orientation and resolution, which the writer says itself."""
_STAND_INS = {EXIF_IFD: EXIF_IFD - 1, GPS_IFD: GPS_IFD - 1}
"""Numbers that the writer takes for those of directories, which it refuses."""
_ALPHA, _UNSPECIFIED = 2, 0

# imagecodecs deflates by libdeflate: level 1 is as fast as zstd's 3 and of its size, within 5 %
_CODECS: dict[str, dict[str, Any]] = {
    "deflate": {"compression": "zlib", "compressionargs": {"level": 1}, "predictor": True},
    "zstd": {"compression": "zstd", "compressionargs": {"level": 3}, "predictor": True},
    "lzw": {"compression": "lzw", "predictor": True},
    "jpeg": {"compression": "jpeg"},
    "none": {},
}


class TiffExporter(Exporter):
    """All sample types, any number of channels, in bounded memory.

    Compression is deflate by default: libtiff is often built without zstd, and readers on such a
    one give black. Reduced levels are SubIFDs of the image or pages behind it.
    """

    name = "tiff"
    suffixes: tuple[str, ...] = (".tif", ".tiff", ".btf", ".tf8")
    dtypes: tuple[str, ...] = DTYPES
    max_side = None
    streams = True
    channels = None
    compressions = ("deflate", "zstd", "lzw", "jpeg", "none")
    pyramids: tuple[str, ...] = ("subifd", "pages", "none")
    levels = True
    nodata = True
    carries = abilities("ICC", "EXIF", "XMP", "resolution", "georeference")
    disk = 5 / 3  # the levels twice

    def description(self, pixels: PixelReader, info: OutputInfo) -> str | bytes | None:
        """Of a file: how it was made, as JSON."""
        return json.dumps(info.provenance, sort_keys=True) if info.provenance else None

    def export(self, pixels: PixelReader, path: Path, info: OutputInfo) -> None:
        """Write ``path``.

        Raises:
            OutputError: permission, a full disk, or a limit of the format or the compression.
        """
        from liif_cli.io.pyramid import Weighing, reduced_levels

        check_limit(self, pixels, path, info.alpha)
        pyramid = info.pyramid or self.pyramids[0]
        below = max(pixels.height, pixels.width) + 1
        options = {} if pyramid != "none" else {"below": below}
        with (
            output_errors(path),
            reduced_levels(
                pixels, path, codec_workers(), weighing=Weighing.of(info), **options
            ) as levels,
        ):
            text = self.description(pixels, info)
            write_levels(levels, path, info, subifds=pyramid == "subifd", description=text)


def write_levels(
    levels: list[PixelReader],
    path: Path,
    info: OutputInfo,
    *,
    subifds: bool,
    description: str | bytes | None = None,
) -> None:
    """Write full resolution and its reduced levels to a TIFF.

    Args:
        levels: full resolution first.
        path: the file.
        info: what goes beside the pixels; the compression as well.
        subifds: whether the levels are SubIFDs of the first page; pages of their own otherwise.
        description: of the image.

    Raises:
        OutputError: a compression that cannot hold the pixels.
    """
    import tifffile

    codec = info.compression or TiffExporter.compressions[0]
    masks: list[PixelReader] = []
    if info.mask:
        # GDAL takes alpha of 8 and 16 bits alone for a mask
        masks = [_Mask(level) for level in levels]
        levels = [_Colours(level) for level in levels]
        info = dataclasses.replace(info, alpha=False)
    check_compression(codec, levels[0], path, info.alpha)
    lossy: dict[str, Any] = (
        {"compressionargs": {"level": info.quality or _QUALITY}} if codec == "jpeg" else {}
    )
    described = directories_of(info.exif) if info.exif else Directories()
    extra = len(info.icc or b"") + len(info.xmp or b"") + len(description or b"")
    extra += len(info.exif or b"")
    big = needs_bigtiff(levels[0], extra, codec=codec, reduced=len(levels) > 1)
    resolution = info.resolution
    if resolution is None and info.pixel_size is not None:
        resolution = (_INCH / info.pixel_size[0], _INCH / info.pixel_size[1])
    with tifffile.TiffWriter(path, bigtiff=big) as tiff:
        for number, level in enumerate(levels):
            first = {
                "subifds": len(levels) - 1 if subifds else None,
                "software": info.software or False,
                "description": description,
                "extratags": [
                    *_xmp(info),
                    *_georeference(info),
                    *_described(described, big=big),
                ],
            }
            tiff.write(
                tiles(level),
                shape=(level.height, level.width, level.channels)[: 2 + (level.channels > 1)],
                dtype=np.dtype(level.dtype),
                tile=(tile_side(level), tile_side(level)),
                maxworkers=codec_workers(),
                buffersize=_BUFFER_BYTES,
                iccprofile=info.icc,
                resolution=_scaled(resolution, number),
                resolutionunit="INCH" if resolution is not None else None,
                metadata=None,
                **_layout(level, info),
                **_CODECS[codec],
                **lossy,
                **(first if number == 0 else {"subfiletype": _REDUCED, "software": False}),
            )
        for number, mask in enumerate(masks):
            tiff.write(
                tiles(mask),
                shape=(mask.height, mask.width),
                dtype=np.dtype(np.bool_),
                tile=(tile_side(mask), tile_side(mask)),
                photometric="mask",
                subfiletype=_MASK | (_REDUCED if number else 0),
                software=False,
                metadata=None,
                maxworkers=codec_workers(),
                buffersize=_BUFFER_BYTES,
                compression="zlib",
            )
    if described.exif or described.gps:
        with tifffile.TiffFile(path) as tiff:
            tags = tiff.pages.first.tags
            places = {
                code: (tags[stand_in].offset, tags[stand_in].valueoffset)
                for code, stand_in in _STAND_INS.items()
                if stand_in in tags
            }
        append(path, described, places, big=big)


class _Mask:
    """True where alpha is not 0; a bit a pixel in the file."""

    channels, dtype = 1, np.dtype(np.bool_)

    def __init__(self, pixels: PixelReader) -> None:
        self._pixels = pixels
        self.height, self.width = pixels.height, pixels.width

    def read(self, window: Window) -> Pixels:
        """(window.height, window.width, 1)."""
        mask: Pixels = self._pixels.read(window)[..., -1:] > 0
        return mask


class _Colours:
    """All channels but the last one."""

    def __init__(self, pixels: PixelReader) -> None:
        self._pixels = pixels
        self.height, self.width = pixels.height, pixels.width
        self.channels, self.dtype = pixels.channels - 1, pixels.dtype

    def read(self, window: Window) -> Pixels:
        """(window.height, window.width, channels)."""
        return np.ascontiguousarray(self._pixels.read(window)[..., :-1])


def needs_bigtiff(
    pixels: PixelReader, extra: int = 0, *, codec: str = "deflate", reduced: bool = True
) -> bool:
    """Whether offsets of 32 bits might not reach, going by the uncompressed size.

    Tiles are padded; deflate and zstd grow what they cannot compress by less than a 128th, LZW by
    less than a half; levels add a third; tables take 16 bytes per tile. ``extra`` is bytes of
    metadata a level.
    """
    grid = TileGrid(pixels.height, pixels.width, _TILE, _TILE)
    raw = len(grid) * (_TILE * _TILE * pixel_bytes(pixels) + 16)
    raw += raw // (2 if codec == "lzw" else 128)
    if reduced:
        # padding to whole tiles adds up to a row and a column of them a level
        raw += raw // 3 + 24 * (grid.rows + grid.cols) * _TILE * _TILE * pixel_bytes(pixels) // 16
    return raw + 32 * extra + 2**20 >= _CLASSIC_LIMIT


def _layout(pixels: PixelReader, info: OutputInfo) -> dict[str, Any]:
    """What the channels mean."""
    alpha = info.alpha
    colours = pixels.channels - alpha
    rgb = colours == 3 or (info.rgb_bands and colours > 3)
    rest = pixels.channels - (3 if rgb else 1)
    return {
        "photometric": "rgb" if rgb else "minisblack",
        "planarconfig": "contig" if pixels.channels > 1 else None,
        # bands have no meaning that the format knows
        "extrasamples": (_UNSPECIFIED,) * (rest - alpha) + (_ALPHA,) * alpha,
    }


def _scaled(resolution: tuple[float, float] | None, level: int) -> tuple[float, float] | None:
    return (resolution[0] / 2**level, resolution[1] / 2**level) if resolution else None


def _xmp(info: OutputInfo) -> list[tuple[Any, ...]]:
    return [(_XMP, 1, len(info.xmp), info.xmp, True)] if info.xmp else []


def _described(found: Directories, *, big: bool) -> list[tuple[Any, ...]]:
    """What EXIF says, as further tags; where its directories lie is not known yet."""
    own = [(e.tag, e.kind, e.count, e.data, True) for e in found.main if e.tag not in _WRITTEN]
    inner = [code for code, part in ((EXIF_IFD, found.exif), (GPS_IFD, found.gps)) if part]
    return [*own, *((_STAND_INS[code], _LONG8 if big else _LONG, 1, 0, True) for code in inner)]


def _georeference(info: OutputInfo) -> list[tuple[Any, ...]]:
    return info.georeference.to_tags() if info.georeference else []


def tile_side(pixels: PixelReader) -> int:
    """Side of the square tiles: 512, or a multiple of 16 that holds a smaller image.

    libvips takes a file whose tiles are far larger than its image for a damaged one.
    """
    return min(_TILE, 16 * math.ceil(max(pixels.height, pixels.width) / 16))


def tiles(pixels: PixelReader) -> Iterator[Pixels]:
    """Tiles (side, side, channels) row by row; the last row and column go on beyond the image.

    Several are read at once, as a read of a tile store has its own cost. They are padded here:
    tifffile mistakes the axis of the predictor in cut tiles of an image 1 pixel wide. Going on with
    the border, not with zeros, keeps JPEG from ringing at it.
    """
    side = tile_side(pixels)
    across = max(1, _READ_BYTES // (side * side * pixel_bytes(pixels)))
    for part in TileGrid(pixels.height, pixels.width, side, side * across):
        row = pixels.read(part)
        for col in range(0, part.width, side):
            piece = row[:, col : col + side]
            beyond = [(0, side - length) for length in piece.shape[:2]]
            yield np.pad(piece, [*beyond, (0, 0)], mode="edge")
