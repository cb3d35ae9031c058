"""TIFF and BigTIFF: 1 to 16 bits and float32, any number of bands, read by tile, strip or row."""

from __future__ import annotations

import dataclasses
import logging
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from liif_cli.errors import InputError
from liif_cli.geometry.grid import TileGrid
from liif_cli.geometry.window import Window
from liif_cli.io.abilities import abilities
from liif_cli.io.base import ImageInfo, Pixels, View
from liif_cli.io.cmyk import srgb_profile, to_rgb
from liif_cli.io.directories import exif_of_tiff
from liif_cli.io.lab import to_srgb
from liif_cli.io.metadata import Metadata
from liif_cli.io.orientation import Orientation
from liif_cli.io.place import ObjectPath
from liif_cli.io.refusals import (
    check_finite,
    damaged,
    no_such_page,
    reading,
    truncated,
)
from liif_cli.io.sources.jpeg import jpeg_level
from liif_cli.io.sources.tiff_pages import (
    axes_of,
    masks_of,
    measured_of,
    opened,
    pictures_of,
    plane_of,
)
from liif_cli.io.sources.tiff_tags import (
    CIELAB,
    ICCLAB,
    PALETTE,
    PREMULTIPLIED,
    RGB,
    SEPARATED,
    WHITE_IS_ZERO,
    YCBCR,
    alpha_of,
    georeference_of,
    photometric_of,
    resolution_of,
    stated_range_of,
    table_of,
    value_of,
    xmp_of,
)
from liif_cli.io.sources.webp import webp_level
from liif_cli.io.sources.whole import DAMAGE, check_part, check_window
from liif_cli.io.unpack import band_rows, upright_band

_NAMES = {PALETTE: "palette", SEPARATED: "CMYK", CIELAB: "CIELAB", ICCLAB: "CIELAB"}
"""What is converted on reading."""
_PACKED = 12
"""Bits of samples that are packed, and given as 16."""
_NEW_JPEG, _WEBP = 7, 50001
_MASK_SUFFIX = ".msk"
"""Of a file beside an image that is its mask, as GDAL has it."""
_FLIPPED = {2: (1,), 3: (0, 1), 4: (0,), 6: (1,), 7: (0, 1), 8: (0,)}
"""Orientation -> axes that libtiff flips for it."""
_REQUESTS = 8
"""Tiles of an object that are fetched at once."""
_ALL = -1
"""Key of a page that is kept as a whole."""
_CACHE_BYTES = 32 * 2**20
_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

# its warnings of damaged tags belong in no terminal unless an application asks for them
logging.getLogger("tifffile").addHandler(logging.NullHandler())


class TiffSource:
    """One page of a TIFF file.

    Pages are the pictures of the file; thumbnails, overviews and masks are not counted. An extra
    sample that the file calls alpha is alpha, divided out where colours are multiplied by it; any
    others make all samples bands. CMYK becomes sRGB.

    Uncompressed pages in one piece are read row by row; others by the strips or tiles that a
    window touches. The last tiles (32 MiB, two at least) are kept for the next window; all strips
    are, which is why large files of strips are unpacked first (``io/unpack.py``).

    Args:
        path: the file; opening reads its tags.
        page: which one, counted from 1.

    Raises:
        InputError: the file cannot be read, is of a kind that is refused, or has no such page.
    """

    _mask: TiffSource | None = None
    format = "tiff"
    by_parts = True
    damage = ""
    suffixes = (".tif", ".tiff", ".btf", ".tf8")
    reads = abilities(
        "8",
        "16",
        "float",
        "wide",
        "alpha",
        "bands",
        "CMYK",
        "ICC",
        "EXIF",
        "XMP",
        "resolution",
        "georeference",
        "pages",
        "window",
    )

    def __init__(self, path: Path, page: int = 1) -> None:
        self._open_view(path, View(page))

    @classmethod
    def of_view(cls, path: Path, view: View) -> TiffSource:
        """The same, with axes or a level chosen: see ``View``.

        Raises:
            InputError: see the class; or it has no such axis, index or level.
        """
        source = cls.__new__(cls)
        source._open_view(path, view)
        return source

    def _open_view(self, path: Path, view: View) -> None:
        import tifffile

        page = view.page
        self._lock = Lock()
        self._cache: OrderedDict[int, Pixels] = OrderedDict()
        try:
            with reading(path), opened(path) as file, tifffile.TiffFile(file) as tiff:
                if not view.plain:
                    self._axes, self._measured = axes_of(tiff), measured_of(tiff)
                    self._open(path, plane_of(path, tiff, view), -1, 1, 1)
                    return
                pictures = pictures_of(tiff.pages)
                if not 1 <= page <= len(pictures):
                    raise no_such_page(path, page, len(pictures))
                at = pictures[page - 1]
                chosen = tiff.pages[at]
                masks = masks_of(tiff.pages, pictures)
                # looking at axes makes pages to come out as less than pages
                self._axes, self._measured = axes_of(tiff), measured_of(tiff)
                self._open(path, chosen, at, page, len(pictures))
                self._add_mask(path, masks[pictures.index(at)], at)
        except (tifffile.TiffFileError, *DAMAGE) as error:
            raise damaged(path, error) from error

    @classmethod
    def matches(cls, path: Path, head: bytes) -> bool:
        return head.startswith(_MAGIC)

    def _open(self, path: Path, page: Any, directory: int, number: int, pages: int) -> None:
        self._path, self._page = path, page
        photometric = photometric_of(path, page)
        metadata = Metadata()
        profile = value_of(page, 34675, "colour profile", metadata)
        icc = bytes(profile) if profile else None
        # chroma in blocks of its own, and JPEG as it was before it was specified
        self._by_libtiff = photometric == YCBCR and int(page.compression) != _NEW_JPEG
        self._directory = directory
        self._inks, self._ink_profile = photometric == SEPARATED, icc
        self._alpha = alpha_of(page)
        self._height, self._width = page.imagelength, page.imagewidth
        self._samples = page.samplesperpixel
        self._separate = page.planarconfig == 2 and self._samples > 1
        self._offsets, self._counts = page.dataoffsets, page.databytecounts
        kinds = {*map(type, self._offsets), *map(type, self._counts)}
        if not all(issubclass(kind, int | np.integer) for kind in kinds):
            raise damaged(path, "its strips or tiles lie at no whole numbers")
        if min(0, *self._offsets, *self._counts) < 0:
            raise damaged(path, "its strips or tiles lie before its start")
        tile = (
            (page.tilelength, page.tilewidth)
            if page.is_tiled
            else (min(page.rowsperstrip, self._height), self._width)
        )
        self._grid = TileGrid(self._height, self._width, *tile)
        planes = self._samples if self._separate else 1
        if min(len(self._offsets), len(self._counts)) < planes * len(self._grid):
            raise truncated(path, "not all of its strips or tiles are listed")
        self._decode = page.decode
        self._direct = page.is_contiguous and not self._separate and page.fillorder == 1
        self._direct &= not self._by_libtiff
        self._check_end()
        self._lut = table_of(page, photometric)
        channels = self._samples if self._lut is None else self._lut.shape[1]
        if self._inks:
            channels, icc = 3, srgb_profile()
        dtype = np.dtype(page.dtype).newbyteorder("=") if self._lut is None else self._lut.dtype
        if photometric in (CIELAB, ICCLAB):
            dtype, icc = np.dtype(dtype.str.replace("i", "u")), srgb_profile()
        self._given = dtype
        self._orientation = Orientation.from_exif(int(page.tags.valueof(274, 1)))
        height, width = self._orientation.shape(self._height, self._width)
        segment = tile[0] * tile[1] * page.dtype.itemsize * (1 if self._separate else self._samples)
        check_part(path, segment, self._height * self._row_bytes(channels, dtype))
        self._cache_size = max(2 * planes, _CACHE_BYTES // segment)
        whole = len(self._grid) * planes
        unpack = None
        if not (page.is_tiled or self._direct):
            # strips serve no window well: kept all, or read once in order
            unpack = 2 * planes * segment + 4 * self._band_rows() * self._row_bytes(channels, dtype)
            self._cache_size = whole
        decoded = 0 if self._direct else segment * min(self._cache_size, whole)
        if self._by_libtiff:
            # beside the RGB with alpha that libtiff gives, the file
            decoded, unpack = 8 * self._height * self._width + path.stat().st_size, None
        self.info = ImageInfo(
            path=path,
            format=self.format,
            height=height,
            width=width,
            channels=channels,
            dtype=dtype,
            icc=icc,
            resolution=self._orientation.resolution(resolution_of(page)),
            georeference=georeference_of(page, metadata),
            decoded_bytes=decoded,
            alpha=self._alpha is not None,
            exif=exif_of_tiff(
                path,
                page.offset,
                page.parent.byteorder,
                big=page.parent.is_bigtiff,
                metadata=metadata,
            ),
            xmp=xmp_of(page, metadata),
            by_window=not self._by_libtiff,
            by_parts=page.is_tiled and not self._by_libtiff,
            stated_range=stated_range_of(page) if dtype.kind == "f" else None,
            page=number,
            pages=pages,
            kind=_NAMES.get(photometric, ""),
            unpack_bytes=unpack,
            cleanup=self._level(),
            rgb_bands=photometric == RGB and channels - (self._alpha is not None) > 3,
            dropped=metadata.dropped,
            axes=self._axes,
            pixel_size=self._measured[0],
            band_names=self._measured[1] if len(self._measured[1]) == channels else (),
        )

    def _add_mask(self, path: Path, page: Any, directory: int) -> None:
        """What says where there are pixels at all becomes alpha: a page, or a file beside this one.

        Raises:
            InputError: the file beside cannot be read, or is of another size.
        """
        info, beside = self.info, path.with_name(path.name + _MASK_SUFFIX)
        if info.alpha or info.nodata is not None:
            return
        if page is not None:
            mask = TiffSource.__new__(TiffSource)
            mask._lock, mask._cache = Lock(), OrderedDict()
            mask._axes, mask._measured = (), (None, ())
            mask._open(path, page, directory, 1, 1)
        elif directory == 0 and beside.is_file():
            mask = TiffSource(beside)
        else:
            return
        if mask.info.shape != (*info.shape[:2], 1) or mask.info.dtype != np.uint8:
            raise damaged(path, f"a mask of {mask.info.width}x{mask.info.height}")
        self._mask = mask
        self.info = dataclasses.replace(
            info,
            channels=info.channels + 1,
            alpha=True,
            mask=True,
            unpack_bytes=None,
            decoded_bytes=info.decoded_bytes + mask.info.decoded_bytes,
        )

    def _level(self) -> float:
        """How lossy JPEG and WebP inside of the file are, by the first strip or tile there is."""
        compression, tables = int(self._page.compression), self._page.jpegtables
        first = next((index for index, count in enumerate(self._counts) if count), None)
        if compression not in (_NEW_JPEG, _WEBP) or first is None:
            return 0.0
        with self._path.open("rb") as file:
            file.seek(self._offsets[first])
            coded = file.read(self._counts[first])
        try:
            if compression == _WEBP:
                return webp_level(self._path, coded)
            return jpeg_level(self._path, tables or b"", coded)
        except InputError:
            # reading that strip or tile will say what is wrong
            return 0.0

    def _check_end(self) -> None:
        size = self._path.stat().st_size
        row = self._width * self._samples * self._page.dtype.itemsize
        last = (
            self._offsets[0] + row * self._height
            if self._direct
            else max(at + count for at, count in zip(self._offsets, self._counts, strict=False))
        )
        if last > size:
            raise truncated(self._path, f"{size} of at least {last} bytes")

    def _row_bytes(self, channels: int, dtype: np.dtype[Any]) -> int:
        """Bytes of a stored row, decoded and as it is given."""
        given = self._width * channels * dtype.itemsize
        return max(int(given), int(self._width * self._samples * self._page.dtype.itemsize))

    def _band_rows(self) -> int:
        row = self._width * self._samples * self._page.dtype.itemsize
        return min(int(self._height), band_rows(row, self._grid.tile_height))

    def bands(self, first: int = 0) -> Iterator[tuple[Window, Pixels]]:
        """See ``BandSource``; what is kept of strips becomes small."""
        info, step = self.info, self._band_rows()
        self._cache_size = 2 * (self._samples if self._separate else 1)
        for start in range(first * step, self._height, step):
            stop = min(start + step, self._height)
            window = upright_band(self._orientation, start, stop, info.height, info.width)
            yield window, self.read(window)

    def read(self, window: Window) -> Pixels:
        """Pixels of a window inside the image.

        Raises:
            InputError: the file is damaged, or a float sample is not finite.
        """
        check_window(self.info, window)
        if self._mask is not None:
            full = 1 if self.info.dtype.kind == "f" else np.iinfo(self.info.dtype).max
            shown = (self._mask.read(window) > 0) * np.asarray(full, self.info.dtype)
            return np.concatenate([self._read(window), shown], axis=2)
        return self._read(window)

    def _read(self, window: Window) -> Pixels:
        stored = self._orientation.stored_window(window, self.info.height, self.info.width)
        if self._by_libtiff:
            pixels = self._whole()[stored.to_slices()]
        else:
            pixels = self._read_rows(stored) if self._direct else self._read_segments(stored)
        if self._lut is not None:
            # one bit a sample is decoded to bool, which would select instead of index
            pixels = self._lut[pixels[..., 0].astype(np.uint8, copy=False)]
        elif self._page.bitspersample == _PACKED:
            pixels = pixels << 4 | pixels >> 8
        if self._lut is None and self._page.photometric == WHITE_IS_ZERO:
            # floats have no white of their own: those of [0, 1] are turned over
            white = 1 if pixels.dtype.kind == "f" else np.iinfo(pixels.dtype).max
            pixels = white - pixels
        elif self._page.photometric in (CIELAB, ICCLAB):
            unsigned = self._page.photometric == ICCLAB
            pixels = to_srgb(pixels.view(self._given), unsigned=unsigned)
        elif self._inks:
            try:
                pixels = to_rgb(pixels, self._ink_profile)
            except (RuntimeError, ValueError) as error:
                raise damaged(self._path, f"its profile: {error}") from error
        upright = np.ascontiguousarray(self._orientation.apply(pixels))
        if self._mask is None:
            check_finite(self._path, upright, window, self.info.nodata)
        else:
            # behind a mask there may be anything
            upright = np.nan_to_num(upright) if upright.dtype.kind == "f" else upright
        return straight(upright) if self._alpha == PREMULTIPLIED else upright

    def _read_rows(self, window: Window) -> Pixels:
        dtype = np.dtype(self._page.parent.byteorder + self._page.dtype.char)
        pixel = self._samples * dtype.itemsize
        out = np.empty((window.height, window.width, self._samples), dtype)
        with reading(self._path), self._path.open("rb", buffering=0) as file:
            for row in range(window.height):
                at = (window.row_off + row) * self._width + window.col_off
                file.seek(self._offsets[0] + at * pixel)
                if file.readinto(memoryview(out[row]).cast("B")) != window.width * pixel:
                    raise truncated(self._path, "it became shorter")
        return out.astype(dtype.newbyteorder("="), copy=False)

    def _read_segments(self, window: Window) -> Pixels:
        dtype = np.dtype(self._page.dtype).newbyteorder("=")
        out = np.empty((window.height, window.width, self._samples), dtype)
        grid = self._grid
        if isinstance(self._path, ObjectPath):
            self._fetch(window)
        for part in grid.split(window):
            row, col = part.row_off // grid.tile_height, part.col_off // grid.tile_width
            inside = part.relative_to(grid.tile(row, col)).to_slices()
            rows, cols = part.relative_to(window).to_slices()
            for plane in range(self._samples if self._separate else 1):
                index = (plane * grid.rows + row) * grid.cols + col
                samples = slice(plane, plane + 1) if self._separate else slice(None)
                out[rows, cols, samples] = self._segment(index)[inside]
        return out

    def _fetch(self, window: Window) -> None:
        """Put the tiles of a window into the cache, several at once: a server is far away."""
        grid, planes = self._grid, self._samples if self._separate else 1
        tiles = [
            (part.row_off // grid.tile_height) * grid.cols + part.col_off // grid.tile_width
            for part in grid.split(window)
        ]
        wanted = [plane * len(grid) + tile for plane in range(planes) for tile in tiles]
        # those that would push out others of the same window are fetched when their turn comes
        with ThreadPoolExecutor(_REQUESTS) as pool:
            for _ in pool.map(self._segment, wanted[: self._cache_size // 2]):
                pass

    def _coded(self, offset: int, count: int) -> bytes:
        if isinstance(self._path, ObjectPath):
            return self._path.read_range(offset, count) if count else b""
        with self._path.open("rb") as file:
            file.seek(offset)
            return file.read(count)

    def _whole(self) -> Pixels:
        """The page as libtiff shows it: what is rare, and what tifffile does not decode."""
        import imagecodecs

        with self._lock:
            if _ALL not in self._cache:
                with reading(self._path):
                    data = self._path.read_bytes()
                try:
                    pixels = imagecodecs.tiff_decode(data, index=self._directory, asrgb=True)
                except Exception as error:
                    # codecs raise errors of any class
                    raise damaged(self._path, error) from error
                if pixels.shape[:2] != (self._height, self._width):
                    raise damaged(self._path, f"its pixels are {pixels.shape}")
                # libtiff flips by the orientation, and does not turn
                flips = _FLIPPED.get(int(self._page.tags.valueof(274, 1)), ())
                self._cache[_ALL] = np.ascontiguousarray(np.flip(pixels[..., :3], flips))
            return self._cache[_ALL]

    def _segment(self, index: int) -> Pixels:
        """Decoded strip or tile (rows, cols, samples), from the cache if it is there."""
        with self._lock:
            if index in self._cache:
                self._cache.move_to_end(index)
                return self._cache[index]
        with reading(self._path):
            data = self._coded(self._offsets[index], self._counts[index])
        if len(data) < self._counts[index]:
            raise truncated(self._path, "it became shorter")
        try:
            decoded, _, shape = self._decode(
                data or None,
                index,
                jpegtables=self._page.jpegtables,
                jpegheader=self._page.jpegheader,
            )
        except MemoryError:
            raise
        except Exception as error:
            # codecs raise errors of any class
            raise damaged(self._path, f"strip or tile {index}: {error}") from error
        if decoded is None:
            # a sparse file: the segment was never written
            decoded = np.full(shape, self._page.nodata, self._page.dtype)
        segment: Pixels = decoded[0]
        with self._lock:
            self._cache[index] = segment
            while len(self._cache) > self._cache_size:
                self._cache.popitem(last=False)
        return segment

    def close(self) -> None:
        """Drop the cache; no file is held open."""
        with self._lock:
            self._cache.clear()


def straight(pixels: Pixels) -> Pixels:
    """Pixels (h, w, channels) whose colours are multiplied by the last channel, divided by it.

    Colours without any alpha stay as they are.
    """
    top = 1.0 if pixels.dtype.kind == "f" else float(np.iinfo(pixels.dtype).max)
    alpha = pixels[..., -1:].astype(np.float64)
    colours = pixels[..., :-1] * np.divide(top, alpha, out=np.ones_like(alpha), where=alpha > 0)
    if pixels.dtype.kind != "f":
        colours = np.minimum(np.round(colours), top)
    return np.concatenate([colours.astype(pixels.dtype), pixels[..., -1:]], axis=2)
