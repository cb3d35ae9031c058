"""OME-Zarr 0.5: the tile store itself, finished."""

from __future__ import annotations

import base64
import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from liif_cli.io.abilities import abilities
from liif_cli.io.atomic import final_name, output_errors
from liif_cli.io.base import DTYPES, Exporter, OutputInfo, PixelReader
from liif_cli.io.exporters.bands import codec_workers
from liif_cli.io.limits import check_limit


class ZarrExporter(Exporter):
    """All sample types, any number of channels, in bounded memory; reduced levels included.

    A complete tile store on the same file system gets its levels and is renamed, not copied: the
    reader that was given lives on under ``path``, and is of no use after ``path`` is renamed in
    turn. Levels that are there already stay, so that a pyramid that was cut short is resumed.
    """

    name = "zarr"
    suffixes = (".zarr",)
    dtypes = DTYPES
    max_side = None
    streams = True
    channels = None
    levels = True
    nodata = True
    carries = abilities("ICC", "EXIF", "XMP", "resolution", "georeference")
    disk = 1 / 3  # the levels

    def export(self, pixels: PixelReader, path: Path, info: OutputInfo) -> None:
        """Write the folder ``path``.

        Raises:
            OutputError: permission, a full disk.
        """
        from liif_cli.io.tilestore import TileStore

        check_limit(self, pixels, path, info.alpha)
        own = isinstance(pixels, TileStore) and pixels.base.complete and not pixels.keep
        store = pixels if own else None
        with output_errors(path):
            if store is not None:
                finish(store, path, info)
            if store is None or not _moved(store, path):
                finish(_copy(pixels, path, info), path, info)


def finish(
    store: Any,
    path: Path,
    info: OutputInfo,
    before: Callable[[int], None] = lambda size: None,
) -> None:
    """Make a complete store an OME-Zarr image.

    ``path`` gives its name; ``before`` is that of ``TileStore.annotate``.

    Raises:
        OutputError: a damaged shard, permission, a full disk.
    """
    from liif_cli.io.omezarr import ome_attributes
    from liif_cli.io.pyramid import Weighing, build_levels

    weighing = Weighing.of(info)
    levels = build_levels(store.base, store.path, codec_workers(), weighing)
    attributes = {"ome": ome_attributes(final_name(path).stem, levels, info), **_attributes(info)}
    # one put: from here on it is an image
    store.annotate(attributes, len(levels), before)


def _copy(pixels: PixelReader, path: Path, info: OutputInfo) -> Any:
    from liif_cli.io.tilestore import TileStore

    store = TileStore.create(
        path,
        height=pixels.height,
        width=pixels.width,
        channels=pixels.channels,
        dtype=np.dtype(pixels.dtype),
        **_cut(pixels),
        fingerprint=getattr(pixels, "fingerprint", ""),
        attributes=getattr(pixels, "provenance", info.provenance),
    )
    for window in store.grid:
        store.base.write_shard(window, pixels.read(window))
    return store


def _cut(pixels: PixelReader) -> dict[str, int]:
    """A copy of a store keeps its cut, which its fingerprint covers."""
    grid = getattr(pixels, "grid", None)
    return {"chunk": pixels.chunk, "shard": grid.tile_height} if grid else {}  # type: ignore[attr-defined]


def _moved(store: Any, path: Path) -> bool:
    try:
        store.move(path)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        return False
    return True


def _attributes(info: OutputInfo) -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    for name, data in (("icc_profile", info.icc), ("exif", info.exif), ("xmp", info.xmp)):
        if data is not None:
            attributes[name] = base64.b64encode(data).decode()
    if info.resolution is not None:
        attributes["resolution"] = list(info.resolution)
    if info.software:
        attributes["software"] = info.software
    if info.alpha:
        attributes["alpha"] = True
    if info.georeference is not None:
        attributes["georeference"] = info.georeference.to_dict()
    if info.pixel_size is not None:
        attributes["pixel_size"] = list(info.pixel_size)
    if info.band_names:
        attributes["band_names"] = list(info.band_names)
    return attributes
