"""Zarr v3: the tile store itself, finished."""

from __future__ import annotations

import base64
import errno
from pathlib import Path
from typing import Any

import numpy as np

from liif_cli.io.atomic import output_errors
from liif_cli.io.base import OutputInfo, PixelReader
from liif_cli.io.limits import check_limit


class ZarrExporter:
    """All sample types and any number of bands, in bounded memory.

    A finished tile store on the same file system is renamed, not copied: the reader that was given
    lives on under ``path``, and is of no use after ``path`` is renamed in turn.
    """

    name = "zarr"
    suffixes = (".zarr",)
    dtypes = ("uint8", "uint16", "float32")
    max_side = None
    streams = True
    channels: tuple[int, ...] | None = None

    def export(self, pixels: PixelReader, path: Path, info: OutputInfo) -> None:
        """Write the folder ``path``.

        Raises:
            OutputError: permission, a full disk.
        """
        from liif_cli.io.tilestore import TileStore

        check_limit(self, pixels, path, info.alpha)
        store = pixels if isinstance(pixels, TileStore) and pixels.complete else None
        with output_errors(path):
            if store is None or not _moved(store, path):
                store = TileStore.create(
                    path,
                    height=pixels.height,
                    width=pixels.width,
                    channels=pixels.channels,
                    dtype=np.dtype(pixels.dtype),
                    fingerprint=store.fingerprint if store else "",
                    attributes=info.provenance,
                )
                for window in store.grid:
                    store.write_shard(window, pixels.read(window))
            store.annotate(_attributes(info))


def _moved(store: Any, path: Path) -> bool:
    try:
        store.move(path)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        return False
    return True


def _attributes(info: OutputInfo) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, data in (("icc_profile", info.icc), ("exif", info.exif), ("xmp", info.xmp)):
        if data is not None:
            found[name] = base64.b64encode(data).decode()
    if info.alpha:
        found["alpha"] = True
    if info.resolution is not None:
        found["resolution"] = list(info.resolution)
    if info.software:
        found["software"] = info.software
    return found
