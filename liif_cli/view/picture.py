"""Any image that can be read, as tiles of the levels that Deep Zoom has; out of core."""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from liif_cli.errors import LiifError
from liif_cli.geometry.window import Window
from liif_cli.io import open_source
from liif_cli.io.base import ArrayPixels, ImageInfo, PixelReader, Pixels, Source, View
from liif_cli.io.deepzoom import DeepZoom, Tile
from liif_cli.io.exporters.bands import codec_workers
from liif_cli.io.pyramid import Weighing, reduced_levels
from liif_cli.io.refusals import reading
from liif_cli.io.scratch import scratch_folder
from liif_cli.io.unpack import UnpackedSource, unpack

TILE = 512
AT_ONCE = 3
"""A tile is made from a level up to 2**AT_ONCE times finer; what is coarser gets levels."""

Canvas = npt.NDArray[np.uint8]


class Picture:
    """An image by its tiles, each RGB of 8 bits, or RGBA where it has alpha. Threads may share it.

    Levels that the file has are read (OME-Zarr, pyramidal TIFF); others are made, once, in a
    temporary folder where they are large.

    Args:
        path: of the image.

    Raises:
        InputError: it cannot be read.
    """

    suffix = "png"

    def __init__(self, path: Path) -> None:
        self.path = path
        with contextlib.closing(open_source(path)) as source:
            self.info: ImageInfo = source.info
        self.width, self.height = self.info.width, self.info.height
        self.zoom = DeepZoom(path, self.height, self.width, self.suffix, TILE, 0)
        self._lock = threading.Lock()
        self._levels: dict[int, PixelReader] | None = None
        self._range: tuple[float, float] | None = None
        self._close = contextlib.ExitStack()

    def tile(self, tile: Tile, *, quick: bool = False) -> bytes:
        """A tile as a PNG.

        Args:
            tile: (level, col, row) of Deep Zoom; level 0 is one pixel.
            quick: as a BMP where it has no alpha, which takes far less time, and more bytes.

        Raises:
            KeyError: there is no such tile.
            LiifError: the image is damaged, or gone.
        """
        if tile not in self.zoom:
            raise KeyError(tile)
        return self._encoded(self.read(tile[0], self.zoom.window(tile)), quick)

    def tiles(self, block: Sequence[Tile]) -> Iterator[tuple[Tile, bytes]]:
        """Tiles of a level, read at once: the first is the top left one of a rectangle of them."""
        level = block[0][0]
        around = self.zoom.around(block)
        pixels = self.read(level, around)
        for tile in block:
            part = self.zoom.window(tile).relative_to(around)
            yield tile, self._encoded(pixels[part.to_slices()])

    def _encoded(self, pixels: Pixels, quick: bool = False) -> bytes:
        import imagecodecs

        shown = self._shown(pixels)
        if quick and not self.info.alpha:
            return bytes(imagecodecs.bmp_encode(shown))
        return bytes(imagecodecs.png_encode(shown, level=6))

    def read(self, level: int, window: Window) -> Pixels:
        """Samples (window.height, window.width, channels) of a level, as the file has them."""
        levels = self._opened()
        wanted = len(self.zoom.levels) - 1 - level
        own = max(number for number in levels if number <= wanted)
        if own == wanted:
            return levels[own].read(window)
        reader, times = levels[own], wanted - own
        finer = Window.between(
            window.row_off << times,
            min(window.row_stop << times, reader.height),
            window.col_off << times,
            min(window.col_stop << times, reader.width),
        )
        planes = np.moveaxis(reader.read(finer), 2, 0)
        for _ in range(times):
            planes = self._weighing.halve(planes)
        return np.moveaxis(planes, 0, 2)

    def close(self) -> None:
        """Close files, and remove what was made."""
        with self._lock:
            self._close.close()
            self._levels = None

    @property
    def _weighing(self) -> Weighing:
        return Weighing(self.info.alpha, self.info.nodata)

    def _opened(self) -> dict[int, PixelReader]:
        """The levels by how often they are halved; opened when the first tile is asked for."""
        with self._lock:
            if self._levels is None:
                self._levels = self._open()
                if self.info.dtype not in (np.uint8, np.uint16):
                    self._range = _range_of(self._levels[max(self._levels)])
            return self._levels

    def _open(self) -> dict[int, PixelReader]:
        shapes = self.zoom.levels[::-1]
        source = self._close.enter_context(contextlib.closing(open_source(self.path)))
        readers: dict[int, PixelReader] = {0: _Reader(source)}
        for number in range(1, len(shapes)):
            try:
                level = open_source(self.path, View(level=number))
            except LiifError:
                break
            shape = (level.info.height, level.info.width)
            if shape in shapes and level.info.channels == self.info.channels:
                self._close.callback(level.close)
                readers[shapes.index(shape)] = _Reader(level)
            else:
                level.close()
        coarsest = max(readers)
        left = readers[coarsest]
        if max(left.height, left.width) > TILE << AT_ONCE:
            readers.update(self._made(readers, source))
        elif not source.info.by_window:
            # decoded once, and small
            readers[0] = ArrayPixels(source.read(Window.whole(self.height, self.width)))
        return readers

    def _made(self, found: dict[int, PixelReader], source: Source) -> dict[int, PixelReader]:
        """Full resolution and the levels behind the coarsest one of the file."""
        folder = scratch_folder()
        self._close.callback(shutil.rmtree, folder, ignore_errors=True)
        first = max(found)
        finest = found[first]
        if first == 0 and not source.info.by_window and self.info.unpack_bytes is not None:
            unpacked: UnpackedSource = unpack(
                source,  # type: ignore[arg-type]
                folder / "unpacked.npy",
                "",
                lambda: None,
            )
            finest = _Reader(unpacked)
        levels = self._close.enter_context(
            reduced_levels(finest, folder / "levels", codec_workers(), weighing=self._weighing)
        )
        return {first + number: level for number, level in enumerate(levels)}

    def _shown(self, pixels: Pixels) -> Canvas:
        """Samples as a display shows them: 8 bits, gray, RGB or with alpha."""
        alpha = pixels[..., -1:] if self.info.alpha else None
        colours = pixels[..., :-1] if self.info.alpha else pixels
        colours = colours[..., :3] if colours.shape[2] >= 3 else colours[..., :1]
        parts = [self._bytes(colours)]
        if parts[0].shape[2] == 1 and alpha is not None:
            parts = [np.repeat(parts[0], 3, axis=2)]
        if alpha is not None:
            parts.append(self._bytes(alpha))
        samples = np.concatenate(parts, axis=2) if len(parts) > 1 else parts[0]
        # copied: views of one pixel have strides that the encoder refuses
        return np.array(samples[..., 0] if samples.shape[2] == 1 else samples, order="C", copy=True)

    def _bytes(self, values: Pixels) -> Canvas:
        if values.dtype == np.uint8:
            return values
        if values.dtype == np.uint16:
            return ((values.astype(np.uint32) * 255 + 32_767) // 65_535).astype(np.uint8)
        low, high = self._range or (0.0, 1.0)
        exact = np.nan_to_num(values.astype(np.float64), nan=low)
        return np.rint(255 * np.clip((exact - low) / (high - low), 0, 1)).astype(np.uint8)


class _Reader:
    """A source as a level."""

    def __init__(self, source: Source) -> None:
        self._source = source
        info = source.info
        self.height, self.width, self.channels = info.shape
        self.dtype: np.dtype[Any] = info.dtype
        self.read: Callable[[Window], Pixels] = source.read


def _range_of(level: PixelReader) -> tuple[float, float]:
    """What is black and what is white in an image of other samples: [0, 1], or what there is."""
    window = Window.whole(min(level.height, 2048), min(level.width, 2048))
    values = level.read(window).astype(np.float64)
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if low >= 0 and high <= 1:
        return 0.0, 1.0
    return (low, high) if high > low else (low, low + 1)


class Tiles:
    """A Deep Zoom image, whose tiles are there already."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.zoom = DeepZoom.open(path)
        self.width, self.height, self.suffix = self.zoom.width, self.zoom.height, self.zoom.suffix

    def tile(self, tile: Tile, *, quick: bool = False) -> bytes:
        """A tile as the file has it, JPEG or PNG.

        Raises:
            KeyError: there is no such tile.
            InputError: its file is missing, or cannot be read.
        """
        if tile not in self.zoom:
            raise KeyError(tile)
        path = self.zoom.tile_path(tile)
        with reading(path):
            return path.read_bytes()

    def tiles(self, block: Sequence[Tile]) -> Iterator[tuple[Tile, bytes]]:
        """Tiles of a level."""
        return ((tile, self.tile(tile)) for tile in block)

    def close(self) -> None:
        """Nothing is held open."""


def open_picture(path: Path) -> Picture | Tiles:
    """The tiles of an image, or of a Deep Zoom descriptor.

    Raises:
        InputError: it cannot be read.
    """
    return Tiles(path) if path.suffix.lower() == ".dzi" else Picture(path)
