"""Cloud Optimized GeoTIFF: a TIFF whose parts lie in the order in which they are fetched."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from liif_cli.errors import OutputError
from liif_cli.io.abilities import abilities
from liif_cli.io.atomic import final_name, output_errors, partial_path
from liif_cli.io.base import DTYPES, Exporter, OutputInfo, PixelReader
from liif_cli.io.exporters.bands import codec_workers
from liif_cli.io.exporters.tiff import needs_bigtiff, write_levels
from liif_cli.io.limits import check_compression, check_limit

_CACHE_BYTES = 32 * 2**20
_TILE = 512
_QUALITY = 95


class CogExporter(Exporter):
    """All sample types, any number of channels, in bounded memory; needs rasterio (extra ``cog``).

    A plain TIFF with its levels is written to a temporary name first, georeferencing included, and
    GDAL's COG driver copies it, levels and all (decisions/0008).
    """

    name = "cog"
    suffixes = (".tif", ".tiff")
    needs = "rasterio"
    dtypes = tuple(name for name in DTYPES if name != "float16")
    max_side = None
    streams = True
    channels = None
    compressions = ("deflate", "zstd", "lzw", "jpeg", "none")
    levels = True
    nodata = True
    carries = abilities("ICC", "XMP", "resolution", "georeference")
    disk = 3.0  # levels, the plain TIFF and its copy, a third more each

    def export(self, pixels: PixelReader, path: Path, info: OutputInfo) -> None:
        """Write ``path``.

        Raises:
            OutputError: permission, a full disk, or a limit of the format or the compression.
        """
        from liif_cli.io.pyramid import Weighing, reduced_levels

        check_limit(self, pixels, path, info.alpha)
        codec = info.compression or self.compressions[0]
        check_compression(codec, pixels, path, info.alpha)
        plain = partial_path(final_name(path))
        # GDAL reads the copy's source with the compression that every build of it has
        lossless = OutputInfo(**{**vars(info), "compression": "deflate"})
        with output_errors(path):
            try:
                weighing = Weighing.of(info)
                with reduced_levels(pixels, path, codec_workers(), weighing=weighing) as levels:
                    write_levels(levels, plain, lossless, subifds=False)
                    count = len(levels)
                _copy(plain, path, _options(pixels, codec, count, info.quality or _QUALITY))
            finally:
                plain.unlink(missing_ok=True)


def _options(pixels: PixelReader, codec: str, levels: int, quality: int) -> dict[str, Any]:
    options = {
        "compress": codec.upper(),
        "blocksize": _TILE,
        "overviews": "FORCE_USE_EXISTING" if levels > 1 else "NONE",
        "bigtiff": "YES" if needs_bigtiff(pixels, codec=codec) else "NO",
        "num_threads": codec_workers(),
    }
    if codec == "jpeg":
        return {**options, "quality": quality, "overview_quality": quality}
    if codec == "none":
        return options
    # of GDAL's levels, what the plain TIFF has
    level = {} if codec == "lzw" else {"level": 1 if codec == "deflate" else 3}
    return {**options, **level, "predictor": "YES"}


@contextmanager
def _as_text(folder: Path) -> Iterator[Path]:
    """A path of the same folder that GDAL can take, which wants UTF-8."""
    try:
        str(folder).encode()
    except UnicodeEncodeError:
        # names that are not text are only where there is /proc
        handle = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
        try:
            yield Path(f"/proc/self/fd/{handle}")
        finally:
            os.close(handle)
    else:
        yield folder


def _copy(plain: Path, path: Path, options: dict[str, Any]) -> None:
    import rasterio
    import rasterio.errors
    import rasterio.shutil

    try:
        with (
            _as_text(path.parent) as folder,
            rasterio.Env(GDAL_CACHEMAX=_CACHE_BYTES, GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"),
        ):
            rasterio.shutil.copy(
                str(folder / plain.name), str(folder / path.name), driver="COG", **options
            )
    except rasterio.errors.RasterioError as error:
        raise OutputError(
            f"cannot write {final_name(path)}",
            got=f"an error of GDAL ({error})",
            cure="free some disk space, or choose --format tiff",
        ) from error
