"""Zarr arrays of version 2 and 3, and the full resolution of OME-Zarr images."""

from __future__ import annotations

import contextlib
import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from liif_cli.errors import InputError, OutputError
from liif_cli.geometry.window import Window
from liif_cli.io.abilities import abilities
from liif_cli.io.base import DTYPES, ImageInfo, Pixels, View
from liif_cli.io.georeference import Georeference
from liif_cli.io.metadata import Metadata
from liif_cli.io.place import ObjectPath
from liif_cli.io.refusals import (
    check_finite,
    check_regular,
    damaged,
    kind_of_pixels,
    no_such,
    no_such_page,
)
from liif_cli.io.sources.whole import DAMAGE, check_part, check_window

MARKERS = ("zarr.json", ".zarray", ".zgroup")
"""Names of files that make their folder a store."""
_METADATA = (*MARKERS, ".zattrs", ".zmetadata")
_MOST_METADATA = 64 * 2**20
# zarr takes apart what it reads without looking first
_DAMAGE = (*DAMAGE, OSError)
_MICROMETRES = {"nanometer": 1e-3, "micrometer": 1.0, "millimeter": 1e3, "centimeter": 1e4}
"""In units of length that microscopes have."""
_ROWS, _COLS, _CHANNELS = "y", "x", "c"


def is_zarr_store(path: Path) -> bool:
    """Whether a path is the folder of a Zarr array or group."""
    if isinstance(path, ObjectPath):
        # of HTTP nothing can be listed, and some servers take a question amiss
        asked = not path.read_only or path.suffix.lower() == ".zarr"
        return asked and any((path / marker).is_file() for marker in MARKERS)
    # os.path's answer is no where pathlib's is an error: in a folder that may not be entered
    return any(os.path.isfile(path / marker) for marker in MARKERS)


class ZarrSource:
    """An array with axes (y, x), (y, x, c) or (c, y, x), as its dimension names say.

    Without names, an axis of length 1 or 3 at the end or the start is the channels, or else the one
    of the two that is far the shorter. Planes along further axes are pages. A group must be an
    OME-Zarr image. The last channel is alpha only where attributes or OME channel labels say so; 2,
    4 and more channels are bands otherwise.

    Args:
        path: the store's folder; opening reads metadata only.

    Raises:
        InputError: the store cannot be read, or is of a kind that is refused.
    """

    format = "zarr"
    damage = ""
    by_parts = True
    suffixes = (".zarr",)
    reads = abilities(
        "8",
        "16",
        "float",
        "wide",
        "alpha",
        "bands",
        "ICC",
        "EXIF",
        "XMP",
        "resolution",
        "georeference",
        "window",
    )

    def __init__(self, path: Path, page: int = 1) -> None:
        self._open_view(path, View(page))

    @classmethod
    def of_view(cls, path: Path, view: View) -> ZarrSource:
        """The same, with axes or a level chosen: see ``View``.

        Raises:
            InputError: see the class; or it has no such axis, index or level.
        """
        source = cls.__new__(cls)
        source._open_view(path, view)
        return source

    def _open_view(self, path: Path, view: View) -> None:
        from liif_cli.io.zarrcodecs import bounded_codecs

        self._path = path
        if not is_zarr_store(path):
            raise InputError(str(path), got="no Zarr metadata", expected="a Zarr array or group")
        _check_files(path)
        with bounded_codecs():
            array, names, attributes = _open(path, view.level)
        self._array = array
        rows, cols, channels = _axes(path, array.shape, names)
        chosen = dict(view.select)
        if channels is not None and _CHANNELS in chosen:
            channels = None
        self._axes = rows, cols, channels
        rest = [axis for axis in range(array.ndim) if axis not in (rows, cols, channels)]
        self._plane, axes = _plane(path, array.shape, names, rest, view)
        count = 1 if channels is None else array.shape[channels]
        if array.dtype.newbyteorder("=").name not in DTYPES:
            raise kind_of_pixels(path, f"samples of type {array.dtype}")
        if 0 in array.shape:
            raise damaged(path, f"an empty array of shape {array.shape}")
        item = array.dtype.itemsize
        check_part(path, math.prod(array.chunks) * item, math.prod(array.shape) * item)
        metadata = Metadata()
        self.info = ImageInfo(
            path=path,
            format=self.format,
            height=array.shape[rows],
            width=array.shape[cols],
            channels=count,
            dtype=array.dtype.newbyteorder("="),
            icc=metadata.decoded("colour profile", attributes.get("icc_profile")),
            resolution=_resolution(attributes.get("resolution")),
            alpha=count > 1 and _has_alpha(attributes),
            exif=metadata.decoded("EXIF", attributes.get("exif")),
            xmp=metadata.decoded("XMP", attributes.get("xmp")),
            by_window=True,
            by_parts=True,
            georeference=Georeference.from_dict(attributes.get("georeference")),
            dropped=metadata.dropped,
            pixel_size=_pixel_size(attributes, view.level),
            band_names=_labels(attributes, count),
            page=view.page,
            pages=math.prod(length for _, length in axes),
            axes=axes,
        )

    @classmethod
    def matches(cls, path: Path, head: bytes) -> bool:
        return not head and is_zarr_store(path)

    def read(self, window: Window) -> Pixels:
        """Pixels of a window inside the image.

        Raises:
            InputError: a chunk is damaged, or a float sample is not finite.
        """
        check_window(self.info, window)
        rows, cols, channels = self._axes
        selection: list[Any] = list(self._plane)
        selection[rows], selection[cols] = window.to_slices()
        kept = [rows, cols]
        if channels is not None:
            selection[channels] = slice(None)
            kept.append(channels)
        try:
            part = np.asarray(self._array[tuple(selection)])
        except MemoryError:
            raise
        except Exception as error:
            # codecs raise errors of any class
            raise damaged(self._path, error) from error
        # what is left has the kept axes in the array's order
        pixels = part.transpose([sorted(kept).index(axis) for axis in kept])
        if channels is None:
            pixels = pixels[..., np.newaxis]
        check_finite(self._path, pixels, window, self.info.nodata)
        return np.ascontiguousarray(pixels, dtype=self.info.dtype)

    def close(self) -> None:
        """Nothing is held open."""


def _check_files(path: Path) -> None:
    """Refuse a store that holds something else than files and folders, which would block or act.

    Raises:
        InputError: it does, or metadata are larger than any.
    """
    if isinstance(path, ObjectPath):
        for name in _METADATA:
            with contextlib.suppress(FileNotFoundError):
                if (size := (path / name).stat().st_size) > _MOST_METADATA:
                    raise damaged(path, f"{name} of {size:,} bytes")
        return
    for folder, _, names in os.walk(path):
        for name in names:
            entry = Path(folder, name)
            check_regular(entry)
            if name in _METADATA and entry.stat().st_size > _MOST_METADATA:
                raise damaged(path, f"{name} of {entry.stat().st_size:,} bytes")


def _open(path: Path, level: int) -> tuple[Any, list[str] | None, dict[str, Any]]:
    """The array to read, its axis names, and its attributes with those of its group."""
    import zarr
    import zarr.errors

    from liif_cli.io.tilestore import is_tile_store
    from liif_cli.io.zarrstores import reading_store

    try:
        node: Any = zarr.open(reading_store(path), mode="r")
        if isinstance(node, zarr.Array):
            names = getattr(node.metadata, "dimension_names", None)
            known = _known(names or node.attrs.get("_ARRAY_DIMENSIONS"))
            if level:
                raise no_such(path, f"level {level}", "a single array")
            return node, known, node.attrs.asdict()
        attributes = node.attrs.asdict()
        if is_tile_store(path):
            _refuse_unfinished(path)
            if str(level) not in node:
                raise no_such(path, f"level {level}", f"levels 0 to {len(list(node)) - 1}")
            return node[str(level)], ["c", "y", "x"], attributes
        scales = attributes.get("ome", attributes).get("multiscales")
        if not scales:
            raise InputError(
                str(path),
                got="a Zarr group without OME multiscales",
                expected="an array or an OME-Zarr image",
                cure="name the array inside the group",
            )
        axes = [axis["name"] if isinstance(axis, dict) else axis for axis in scales[0]["axes"]]
        datasets = scales[0]["datasets"]
        if level >= len(datasets):
            raise no_such(path, f"level {level}", f"levels 0 to {len(datasets) - 1}")
        array = node[datasets[level]["path"]]
        return array, _known(axes), {**attributes, **array.attrs.asdict()}
    except (zarr.errors.BaseZarrError, *_DAMAGE) as error:
        raise damaged(path, error) from error


def _known(names: Any) -> list[str] | None:
    if not names or any(not isinstance(name, str) for name in names):
        return None
    short = {"channel": _CHANNELS, "band": _CHANNELS, "height": _ROWS, "width": _COLS}
    return [short.get(name.lower(), name.lower()) for name in names]


def _axes(
    path: Path, shape: tuple[int, ...], names: list[str] | None
) -> tuple[int, int, int | None]:
    """Numbers of the row, column and channel axes."""
    if names is not None and _ROWS in names and _COLS in names:
        rows, cols = names.index(_ROWS), names.index(_COLS)
        channels = names.index(_CHANNELS) if _CHANNELS in names else None
        return rows, cols, channels
    if len(shape) == 2:
        return 0, 1, None
    if len(shape) == 3:
        last, first = shape[2] in (1, 3), shape[0] in (1, 3)
        if not last and not first:
            last, first = (_far_shorter(shape[2], shape[:2]), _far_shorter(shape[0], shape[1:]))
        if last and not first:
            return 0, 1, 2
        if first and not last:
            return 1, 2, 0
    raise InputError(
        str(path),
        got=f"an array of shape {shape}",
        expected="(y, x), (y, x, c) or (c, y, x)",
        cure="give the array dimension_names such as c, y, x",
    )


def _plane(
    path: Path, shape: tuple[int, ...], names: list[str] | None, rest: list[int], view: View
) -> tuple[list[int], tuple[tuple[str, int], ...]]:
    """The index of every axis, 0 for those of pixels, and names and lengths to choose from.

    Raises:
        InputError: there is no such axis or index, or no such page.
    """
    named = names or [""] * len(shape)
    axes = tuple((named[axis], shape[axis]) for axis in rest)
    chosen, plane = dict(view.select), [0] * len(shape)
    for name, index in chosen.items():
        if index >= dict(axes).get(name, 0):
            has = ", ".join(f"{axis} of {length}" for axis, length in axes) or "no axes to select"
            raise no_such(path, f"{name}={index}", has)
    pages = math.prod(length for _, length in axes)
    if view.page > pages:
        raise no_such_page(path, view.page, pages)
    if chosen:
        for axis in rest:
            plane[axis] = chosen.get(named[axis], 0)
    else:
        lengths = [shape[axis] for axis in rest]
        for axis, at in zip(rest, np.unravel_index(view.page - 1, lengths or [1]), strict=False):
            plane[axis] = int(at)
    return plane, axes


def _far_shorter(length: int, sides: tuple[int, ...]) -> bool:
    """Whether an axis of that length is not a side of an image of those sides."""
    return 4 * length <= min(sides)


def _has_alpha(attributes: dict[str, Any]) -> bool:
    omero = attributes.get("ome", attributes).get("omero")
    channels = omero.get("channels") if isinstance(omero, dict) else None
    last = channels[-1] if isinstance(channels, list) and channels else None
    label = last.get("label") if isinstance(last, dict) else None
    return attributes.get("alpha") is True or str(label).lower() in ("alpha", "a")


def _labels(attributes: dict[str, Any], count: int) -> tuple[str, ...]:
    """Names of the channels, where each has one."""
    omero = attributes.get("ome", attributes).get("omero")
    channels = omero.get("channels") if isinstance(omero, dict) else None
    if not isinstance(channels, list) or len(channels) != count:
        return ()
    labels = [one.get("label") if isinstance(one, dict) else None for one in channels]
    return tuple(map(str, labels)) if all(labels) else ()


def _pixel_size(attributes: dict[str, Any], level: int) -> tuple[float, float] | None:
    """(x, y) in micrometres by the axes' units and the scales, which are those of each level."""
    try:
        image = attributes.get("ome", attributes)["multiscales"][0]
        units = {axis["name"]: axis.get("unit") for axis in image["axes"]}
        steps = [image["datasets"][level], image]
        scales = [
            one["scale"]
            for step in steps
            for one in step.get("coordinateTransformations", [])
            if one["type"] == "scale"
        ]
        names = [axis["name"] for axis in image["axes"]]
        sizes = [
            _MICROMETRES[units[name]]
            * math.prod(float(scale[names.index(name)]) for scale in scales)
            for name in (_COLS, _ROWS)
        ]
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        return None
    return (sizes[0], sizes[1]) if all(0 < size < math.inf for size in sizes) else None


def _resolution(values: Any) -> tuple[float, float] | None:
    """(x, y) of a list of two positive numbers."""
    if not isinstance(values, list) or len(values) != 2:
        return None
    if not all(isinstance(value, int | float) and 0 < value < math.inf for value in values):
        return None
    return float(values[0]), float(values[1])


def _refuse_unfinished(path: Path) -> None:
    """Zarr gives zeros for what was never written; a tile store knows better."""
    from liif_cli.io.tilestore import TileStore

    try:
        complete = TileStore.open(path).base.complete
    except OutputError as error:
        raise InputError(
            error.what, got=error.got, expected=error.expected, cure=error.cure
        ) from error
    if not complete:
        raise InputError(
            str(path),
            got="an unfinished tile store",
            expected="all of its shards",
            cure="run the command that wrote it again",
        )
