"""Inputs that are decoded once, band by band, to a file that any window can be read from.

The file is a plain NumPy array (.npy) in the image's upright order, with a small JSON beside it
that says how much of it is there. Bands reach the disk before they are counted.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path
from typing import Protocol

import numpy as np

from liif_cli.geometry.window import Window
from liif_cli.io.atomic import output_errors, sync_folder, write_atomically
from liif_cli.io.base import ImageInfo, Pixels
from liif_cli.io.jsontext import parse_json
from liif_cli.io.orientation import Orientation
from liif_cli.io.refusals import reading, truncated

BAND_BYTES = 8 * 2**20
"""About what a band takes, one row at least."""


class BandSource(Protocol):
    """A source that can be read band by band: its ``info.unpack_bytes`` is not None."""

    info: ImageInfo

    def bands(self, first: int = 0) -> Iterator[tuple[Window, Pixels]]:
        """Upright windows and their pixels, in the order of the file, from band ``first`` on.

        Raises:
            InputError: the file is truncated or damaged.
        """
        ...


def band_rows(row_bytes: int, multiple: int = 1) -> int:
    """Stored rows of a band, a multiple of the rows that are decoded at once."""
    return multiple * max(1, BAND_BYTES // (row_bytes * multiple))


def upright_band(
    orientation: Orientation, start: int, stop: int, height: int, width: int
) -> Window:
    """The upright window of stored rows start..stop; ``height`` and ``width`` are upright."""
    if orientation.transpose:
        if orientation.flip_cols:
            start, stop = width - stop, width - start
        return Window.between(0, height, start, stop)
    if orientation.flip_rows:
        start, stop = height - stop, height - start
    return Window.between(start, stop, 0, width)


def file_bytes(info: ImageInfo) -> int:
    """Bytes of the unpacked pixels."""
    return info.height * info.width * info.channels * info.dtype.itemsize


class UnpackedSource:
    """The pixels of an unpacked file; a ``Source``.

    Args:
        path: of the array.
        info: of the image that it was unpacked from.

    Raises:
        InputError: the file is shorter than its header says.
    """

    damage = ""

    def __init__(self, path: Path, info: ImageInfo) -> None:
        self.path, self.info = path, info
        with reading(path), path.open("rb") as file:
            np.lib.format.read_magic(file)
            np.lib.format.read_array_header_1_0(file)
            self._start = file.tell()
        if path.stat().st_size < self._start + file_bytes(info):
            raise truncated(path, "an unpacked input")

    def read(self, window: Window) -> Pixels:
        """Pixels (window.height, window.width, channels).

        Raises:
            InputError: the file became shorter.
        """
        info = self.info
        out: Pixels = np.empty((*window.shape, info.channels), info.dtype)
        pixel = info.channels * info.dtype.itemsize
        # rows are read, not mapped: mapped pages would count as memory of the process
        with reading(self.path), self.path.open("rb", buffering=0) as file:
            for row in range(window.height):
                at = (window.row_off + row) * info.width + window.col_off
                file.seek(self._start + at * pixel)
                if file.readinto(memoryview(out[row]).cast("B")) != window.width * pixel:
                    raise truncated(self.path, "an unpacked input that became shorter")
        return out

    def close(self) -> None:
        """No file is held open."""


def unpack(
    source: BandSource, path: Path, digest: str, stopped: Callable[[], None]
) -> UnpackedSource:
    """Decode ``source`` to ``path``, or resume it.

    Args:
        source: read once, in order.
        path: of the array; ``path`` with the suffix .json says how far it is.
        digest: of the input's content; a file of another is written anew.
        stopped: called before each band; may raise.

    Raises:
        InputError: the input is damaged.
        OutputError: a full disk.
    """
    info = source.info
    done = _done(path, digest)
    if done is None:
        with output_errors(path):
            shape = (info.height, info.width, info.channels)
            with path.open("wb") as file:
                np.lib.format.write_array_header_1_0(
                    file,
                    {
                        "descr": np.lib.format.dtype_to_descr(info.dtype),
                        "fortran_order": False,
                        "shape": shape,
                    },
                )
                file.truncate(file.tell() + file_bytes(info))
        done = 0
    with path.open("rb") as file:
        np.lib.format.read_magic(file)
        np.lib.format.read_array_header_1_0(file)
        start = file.tell()
    pixel = info.channels * info.dtype.itemsize
    if done >= 0:
        with path.open("r+b", buffering=0) as file:
            for window, pixels in source.bands(done):
                stopped()
                rows = np.ascontiguousarray(pixels)
                with output_errors(path):
                    if window.width == info.width:
                        _write(file, rows, start + window.row_off * info.width * pixel)
                    else:
                        for row in range(window.height):
                            at = (window.row_off + row) * info.width + window.col_off
                            _write(file, rows[row], start + at * pixel)
                    os.fsync(file.fileno())
                done += 1
                _mark(path, digest, done)
        _mark(path, digest, -1)
        with output_errors(path):
            sync_folder(path.parent)
    return UnpackedSource(path, info)


def remove_unpacked(path: Path) -> None:
    """Remove an unpacked file and what is noted of it."""
    path.unlink(missing_ok=True)
    path.with_suffix(".json").unlink(missing_ok=True)


def _write(file: FileIO, pixels: Pixels, at: int) -> None:
    data = memoryview(pixels.data).cast("B")
    file.seek(at)
    while data:
        data = data[file.write(data) :]


def _done(path: Path, digest: str) -> int | None:
    """Bands that are there, -1 for all of them, None where nothing can be used."""
    try:
        state = parse_json(path.with_suffix(".json").read_text())
        return int(state["bands"]) if state["digest"] == digest and path.is_file() else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _mark(path: Path, digest: str, bands: int) -> None:
    text = json.dumps({"digest": digest, "bands": bands})
    write_atomically(path.with_suffix(".json"), text.encode())
