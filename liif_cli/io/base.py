"""Contracts of reading and writing images: numpy in and out, no torch.

Pixels are arrays (height, width, channels) of one of ``DTYPES``; uint8 and uint16 span their whole
range, floats span [0, 1] and other whole numbers what there is, unless ``liif_cli.io.values`` finds
otherwise. Channel order is
RGB; alpha comes last and is straight: colours are not multiplied by it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from liif_cli.geometry.window import Window
from liif_cli.io.georeference import Georeference, fits

Pixels = npt.NDArray[Any]
DTYPES = (
    *("uint8", "uint16", "float32"),
    *("int8", "int16", "int32", "uint32", "float16", "float64"),
)
"""Names of the sample types that sources give."""


@dataclass(frozen=True)
class View:
    """Which of the pictures of a file is read.

    ``page`` is counted from 1. ``select`` has names of axes, as "c" and "z", and indices from 0;
    axes that it does not name are at 0, but for channels of a Zarr array, which are all read.
    ``level`` is 0 for full resolution, and more for the reduced ones.
    """

    page: int = 1
    select: tuple[tuple[str, int], ...] = ()
    level: int = 0

    @property
    def plain(self) -> bool:
        """Whether a page says all of it."""
        return not self.select and not self.level


FIRST = View()


@dataclass(frozen=True)
class ImageInfo:
    """What is known of an image without reading its pixels.

    ``height`` and ``width`` are after the EXIF orientation is applied. ``channels`` counts all that
    is stored for a pixel: 1 or 3 colours (gray, RGB), or 2, 4 and more bands that are not colours,
    and one more where ``alpha`` says that the last channel is straight alpha. ``icc`` is the
    embedded colour profile, ``exif`` the EXIF block without its "Exif" header, upright, ``xmp`` the
    XMP packet. ``resolution`` is (x, y) in pixels per inch where the file states it.
    ``decoded_bytes`` is what the source keeps in memory once it is read: the whole image for
    formats without random access, a bounded cache or 0 for those that are read by window
    (``by_window``). ``stated_range`` is the lowest and highest sample that the file says to hold.
    ``page`` of ``pages`` is the one that is read; ``axes`` are names and lengths of those that
    ``View.select`` may name. ``kind`` names what was converted on reading.
    ``unpack_bytes`` is what reading it once, band by band, takes (``io/unpack.py``); None where
    that cannot be done. ``cleanup`` is how lossy the file is as far as it tells, from 0 for a clean
    one to 100; of a JPEG 100 less its quality (``io/quantisation``). ``dropped`` says what of its
    metadata was left out, a phrase each (``io/metadata.py``). ``colour`` has the chunks of a PNG
    without profile that say what its colours are (``io/pngcolour.py``). ``rgb_bands``: the first
    three of more bands are red, green and blue. ``linear``: colours are amounts of light
    (``io/linear.py``). ``pixel_size`` is (x, y) in micrometres of what is shown, as microscopes
    say; ``band_names`` has one name per channel, or none.
    ``mask``: alpha is all or nothing, and stays so. ``by_parts``: of an object, a window is read by
    fetching little more than its bytes.
    """

    path: Path
    format: str
    height: int
    width: int
    channels: int
    dtype: np.dtype[Any]
    icc: bytes | None = field(default=None, repr=False)
    resolution: tuple[float, float] | None = None
    decoded_bytes: int = 0
    unpack_bytes: int | None = None
    alpha: bool = False
    exif: bytes | None = field(default=None, repr=False)
    xmp: bytes | None = field(default=None, repr=False)
    by_window: bool = False
    stated_range: tuple[float, float] | None = None
    page: int = 1
    pages: int = 1
    kind: str = ""
    georeference: Georeference | None = None
    cleanup: float = 0.0
    dropped: tuple[str, ...] = ()
    colour: Mapping[bytes, bytes] = field(default_factory=dict, repr=False)
    rgb_bands: bool = False
    linear: bool = False
    axes: tuple[tuple[str, int], ...] = ()
    pixel_size: tuple[float, float] | None = None
    band_names: tuple[str, ...] = ()
    mask: bool = False
    by_parts: bool = False

    @property
    def colours(self) -> int:
        """Channels without alpha."""
        return self.channels - self.alpha

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels)."""
        return self.height, self.width, self.channels

    @property
    def nodata(self) -> float | None:
        """The sample that says that nothing was measured (``io/nodata.py``), where one can."""
        value = self.georeference.nodata_value if self.georeference else None
        return value if value is not None and fits(value, self.dtype) else None


@runtime_checkable
class Source(Protocol):
    """An open input image. Opening reads no more than the header where the format allows it.

    ``damage`` is what the decoder passed over in a file that it decoded all the same, empty where
    nothing was wrong or nothing has been read.
    """

    info: ImageInfo

    @property
    def damage(self) -> str: ...

    def read(self, window: Window) -> Pixels:
        """Pixels (window.height, window.width, channels) of a window inside the image.

        Safe to call from several threads at once.

        Raises:
            InputError: the file is truncated or damaged.
        """
        ...

    def close(self) -> None:
        """Let go of files and memory."""
        ...


class SourceFormat(Protocol):
    """What ``SOURCES`` holds: a class that opens one kind of file.

    ``suffixes`` are lower case and with their dot; the content decides before they do. ``reads``:
    what of ``io/abilities.py``. One that has axes or levels to choose from has a classmethod
    ``of_view(path, view)`` as well. One whose attribute ``by_parts`` is True takes paths of
    objects (``io/place.py``), and says of each image whether it reads it by parts.
    """

    suffixes: tuple[str, ...]
    reads: frozenset[str]

    def matches(self, path: Path, head: bytes) -> bool:
        """Whether the content is of this kind; ``head`` is 64 bytes, none for folders."""
        ...

    def __call__(self, path: Path, page: int = 1) -> Source:
        """Open a picture of ``path``, counted from 1.

        Raises:
            InputError: the file cannot be read, is of a kind that cannot be handled, or has no such
                page.
        """
        ...


class PixelReader(Protocol):
    """Finished output pixels that can be read by window: a tile store, or an array in memory."""

    height: int
    width: int
    channels: int
    dtype: np.dtype[Any]

    def read(self, window: Window) -> Pixels:
        """Pixels (window.height, window.width, channels); threads may call it at once."""
        ...


class ArrayPixels:
    """Finished pixels in memory.

    Args:
        array: (height, width, channels), not copied.
    """

    def __init__(self, array: Pixels) -> None:
        self.array = array
        self.height, self.width, self.channels = array.shape
        self.dtype: np.dtype[Any] = array.dtype
        self.on_read: Callable[[], None] | None = None
        """Called before each read; it may raise."""

    def read(self, window: Window) -> Pixels:
        """Pixels (window.height, window.width, channels), a view."""
        if self.on_read is not None:
            self.on_read()
        return self.array[window.to_slices()]


class PartPixels:
    """A window of finished pixels.

    Args:
        pixels: that it is of.
        window: in those.
    """

    def __init__(self, pixels: PixelReader, window: Window) -> None:
        self.pixels, self.window = pixels, window
        self.height, self.width = window.shape
        self.channels, self.dtype = pixels.channels, pixels.dtype

    def read(self, window: Window) -> Pixels:
        """Pixels (window.height, window.width, channels)."""
        return self.pixels.read(window.shift(self.window.row_off, self.window.col_off))


@dataclass(frozen=True)
class OutputInfo:
    """What goes beside the pixels into an output file, and the choices that its format offers.

    ``alpha``: the last channel is straight alpha. ``exif`` (without its "Exif" header) and ``xmp``
    are of the output already: upright, of its size and resolution.
    ``offset`` is (row, col) of its first pixel in the whole output, where only a part is rendered.
    ``pixel_size`` is (x, y) in micrometres. ``mask``: that alpha is all or nothing.
    ``band_names``: one name per channel, or none. ``compression`` and ``pyramid``: one of the
    exporter's own, "" for its first. ``quality``: of lossy compression, 1 to 100, 0 for the
    format's own. ``rgb_bands``: the first three of more bands are red, green and blue. ``colour``:
    chunks of PNG that say what its colours are, for a PNG without profile.
    """

    icc: bytes | None = field(default=None, repr=False)
    resolution: tuple[float, float] | None = None
    software: str = ""
    provenance: dict[str, Any] = field(default_factory=dict)
    alpha: bool = False
    exif: bytes | None = field(default=None, repr=False)
    xmp: bytes | None = field(default=None, repr=False)
    offset: tuple[int, int] = (0, 0)
    mask: bool = False
    pixel_size: tuple[float, float] | None = None
    band_names: tuple[str, ...] = ()
    quality: int = 0
    rgb_bands: bool = False
    colour: Mapping[bytes, bytes] = field(default_factory=dict, repr=False)
    georeference: Georeference | None = None
    compression: str = ""
    pyramid: str = ""


class Exporter(Protocol):
    """One output format. Instances hold no state; a class attribute each for the facts.

    A class that inherits from this one gives the first five, and of the others what differs.

    ``suffixes``: file suffixes, the first one preferred. ``dtypes``: the sample types it can hold.
    ``max_side``: the largest width or height, None without a limit. ``streams``: True when any size
    is written in constant memory, False when the whole image must be held. ``channels``: how many,
    alpha included, the gray and RGB images have that it holds; None for any number and for bands.
    ``compressions`` and ``pyramids``: what may be chosen, the default first; empty without choice.
    ``levels``: it writes reduced levels as well, except where ``none`` of ``pyramids`` is chosen.
    ``quality`` is that of a format that is lossy by default, 0 for others. ``nodata``: it can say
    which sample means that nothing was measured. ``carries``: what else of ``io/abilities.py`` it
    writes.
    ``memory``: what the codec of a format that does not stream holds beside the pixels, in sizes of
    the raw pixels, of which gray counts as RGB; the default is as much as any codec here.
    ``disk``: what is written on the output's disk at most, in sizes of the raw pixels; temporary
    files count, a tile store does not.
    """

    name: str
    suffixes: tuple[str, ...]
    dtypes: tuple[str, ...]
    max_side: int | None
    streams: bool
    channels: tuple[int, ...] | None = (1, 3)
    compressions: tuple[str, ...] = ()
    pyramids: tuple[str, ...] = ()
    levels: bool = False
    quality: int = 0
    nodata: bool = False
    carries: frozenset[str] = frozenset()
    memory: float = 10.0
    disk: float = 1.5

    def export(self, pixels: PixelReader, path: Path, info: OutputInfo) -> None:
        """Write ``path`` (a temporary name; the caller renames it when this returns).

        Raises:
            OutputError: permission, a full disk, or a limit of the format.
        """
        ...
