"""Tiled TIFF, zstd with a predictor, streamed; BigTIFF where 4 GiB might not do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from liif_cli.geometry.grid import TileGrid
from liif_cli.io.atomic import output_errors
from liif_cli.io.base import OutputInfo, PixelReader, Pixels
from liif_cli.io.exporters.bands import codec_workers, pixel_bytes
from liif_cli.io.limits import check_limit

_TILE = 512
_XMP = 700
_LEVEL = 3
_READ_BYTES = 16 * 2**20
_BUFFER_BYTES = 16 * 2**20
_CLASSIC_LIMIT = 2**32


class TiffExporter:
    """All sample types and any number of bands, with and without alpha, in bounded memory."""

    name = "tiff"
    suffixes = (".tif", ".tiff", ".btf", ".tf8")
    dtypes = ("uint8", "uint16", "float32")
    max_side = None
    streams = True
    channels: tuple[int, ...] | None = None

    def export(self, pixels: PixelReader, path: Path, info: OutputInfo) -> None:
        """Write ``path``.

        Raises:
            OutputError: permission, a full disk, or a limit of the format.
        """
        import tifffile

        check_limit(self, pixels, path, info.alpha)
        shape = (pixels.height, pixels.width, pixels.channels)
        extra = len(info.icc or b"") + len(info.xmp or b"") + len(json.dumps(info.provenance))
        colours = pixels.channels - info.alpha
        others = pixels.channels - (3 if colours == 3 else 1)
        with (
            output_errors(path),
            tifffile.TiffWriter(path, bigtiff=needs_bigtiff(pixels, extra)) as tiff,
        ):
            tiff.write(
                _tiles(pixels),
                shape=shape[:2] if pixels.channels == 1 else shape,
                dtype=np.dtype(pixels.dtype),
                photometric="rgb" if colours == 3 else "minisblack",
                planarconfig="contig" if pixels.channels > 1 else None,
                # bands have no meaning that the format knows
                extrasamples=(0,) * (others - info.alpha) + (2,) * info.alpha,
                tile=(_TILE, _TILE),
                compression="zstd",
                compressionargs={"level": _LEVEL},
                predictor=True,
                maxworkers=codec_workers(),
                buffersize=_BUFFER_BYTES,
                iccprofile=info.icc,
                resolution=info.resolution,
                resolutionunit="INCH" if info.resolution is not None else None,
                software=info.software or False,
                description=json.dumps(info.provenance, sort_keys=True)
                if info.provenance
                else None,
                metadata=None,
                extratags=[(_XMP, 1, len(info.xmp), info.xmp, True)] if info.xmp else [],
            )


def needs_bigtiff(pixels: PixelReader, extra: int = 0) -> bool:
    """Whether offsets of 32 bits might not reach, going by the uncompressed size.

    Tiles are padded; zstd grows what it cannot compress by less than a 128th; tables take 16 bytes
    a tile. ``extra`` is bytes of metadata.
    """
    grid = TileGrid(pixels.height, pixels.width, _TILE, _TILE)
    raw = len(grid) * _TILE * _TILE * pixel_bytes(pixels)
    return raw + raw // 128 + 16 * len(grid) + extra + 2**20 >= _CLASSIC_LIMIT


def _tiles(pixels: PixelReader) -> Iterator[Pixels]:
    """Tiles (512, 512, channels) row by row, zeros beyond the image.

    Several are read at once, as a read of a tile store has its own cost. They are padded here:
    tifffile mistakes the axis of the predictor in cut tiles of an image 1 pixel wide.
    """
    across = max(1, _READ_BYTES // (_TILE * _TILE * pixel_bytes(pixels)))
    for part in TileGrid(pixels.height, pixels.width, _TILE, _TILE * across):
        found = pixels.read(part)
        for col in range(0, part.width, _TILE):
            piece = found[:, col : col + _TILE]
            tile = np.zeros((_TILE, _TILE, pixels.channels), piece.dtype)
            tile[: piece.shape[0], : piece.shape[1]] = piece
            yield tile
