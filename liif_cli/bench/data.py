"""The sets of images that a bench runs on: folders, benchmark trees, and a built-in set."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from liif_cli.bench.protocol import BENCHMARK, DIV2K
from liif_cli.errors import InputError, UsageError
from liif_cli.geometry.window import Window
from liif_cli.io import is_image, open_source
from liif_cli.io.refusals import reading
from liif_cli.io.values import as_rgb8

Image8 = npt.NDArray[np.uint8]

BUILT_IN = "built-in"
GRAPHICS = "graphics"
"""The set of drawn pages of text, and what stands for it in the place of a folder."""
PAGE_SCALES = (2.0, 3.0, 4.0)
PAGES = range(0, 40, 7)
"""Pages of it that are measured beside the built-in set: six, of every look."""
LUMA_SETS = ("set5", "set14", "b100", "urban100")
"""Sets that papers measure over luma, in lower case."""


Draw = Callable[[float], tuple[Image8, Image8]]
"""Scale -> (LR, HR), both drawn: neither is made from the other."""


@dataclass(frozen=True)
class BenchImage:
    """One HR image: a file, an array of the built-in set, or drawn anew for each scale."""

    name: str
    path: Path | None = None
    array: Image8 | None = field(default=None, repr=False)
    draw: Draw | None = field(default=None, repr=False)

    def read(self, scale: float) -> tuple[Image8, Image8 | None]:
        """HR (h, w, 3), and the LR where that is not to be made from it.

        Raises:
            InputError: the file cannot be read, or has an alpha channel.
        """
        if self.draw is not None:
            lr, hr = self.draw(scale)
            return hr, lr
        if self.array is not None:
            return self.array, None
        assert self.path is not None
        return read_rgb(self.path), None

    def digest(self, scale: float) -> str:
        """Hexadecimal SHA-256 of the file's bytes, or of what ``read`` gives.

        Raises:
            InputError: the file cannot be read.
        """
        if self.path is not None:
            return file_digest(self.path)
        arrays = (one for one in self.read(scale) if one is not None)
        return hashlib.sha256(b"".join(one.tobytes() for one in arrays)).hexdigest()


@dataclass(frozen=True)
class DataSet:
    """Images under one name and one protocol.

    ``lr_root`` holds LR files, if any; ``scales`` are all that there are, None for any.
    """

    name: str
    protocol: str
    images: tuple[BenchImage, ...]
    path: Path | None = None
    lr_root: Path | None = None
    scales: tuple[float, ...] | None = None

    def has(self, scale: float) -> bool:
        """Whether there is anything at that scale."""
        return self.scales is None or scale in self.scales

    def lr_file(self, image: BenchImage, scale: float) -> Path | None:
        """The LR file of an image, X2/NAMEx2.png; None where it has to be made."""
        if self.lr_root is None:
            return None
        path = self.lr_root / f"X{scale:g}" / f"{image.name}x{scale:g}.png"
        return path if path.is_file() else None


def file_digest(path: Path) -> str:
    """Hexadecimal SHA-256 of a file.

    Raises:
        InputError: it cannot be read.
    """
    with reading(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_rgb(path: Path) -> Image8:
    """An image file as (h, w, 3) uint8; gray is repeated, deeper samples are rounded to 8 bit.

    Raises:
        InputError: the file cannot be read, or has an alpha channel.
    """
    return read_lr(path)[0]


def read_lr(path: Path) -> tuple[Image8, float]:
    """An image file as ``read_rgb`` gives it, and the level of loss that is found in it."""
    source = open_source(path)
    info = source.info
    try:
        if info.alpha or info.colours not in (1, 3):
            raise InputError(
                str(path),
                got="an alpha channel" if info.alpha else f"{info.colours} bands",
                expected="gray or RGB: what alpha hides cannot be scored",
                cure="flatten it first",
            )
        pixels = source.read(Window.whole(info.height, info.width))
    finally:
        source.close()
    return as_rgb8(pixels, path), info.cleanup


def built_in_set(protocol: str = "auto") -> DataSet:
    """The generated images of ``bench_images``."""
    from liif_cli.bench.samples import bench_images

    images = tuple(BenchImage(name, array=array) for name, array in bench_images().items())
    return DataSet(BUILT_IN, DIV2K if protocol == "auto" else protocol, images)


def graphics_set(protocol: str = "auto", pages: Iterable[int] | None = None) -> DataSet:
    """Pages of text in fonts and sizes that training did not see (``liif_cli.graphics``).

    Each is drawn at its own size for LR, and at a multiple of it for HR.

    Args:
        protocol: as ``find_sets``.
        pages: numbers of pages; None is all of them.
    """
    from liif_cli.graphics.pairs import TEXT_PAGES

    images = tuple(
        BenchImage(f"page-{number:02}", draw=partial(_page, number))
        for number in (range(TEXT_PAGES) if pages is None else pages)
    )
    protocol = DIV2K if protocol == "auto" else protocol
    return DataSet(GRAPHICS, protocol, images, scales=PAGE_SCALES)


@lru_cache(maxsize=2)
def _page(number: int, scale: float) -> tuple[Image8, Image8]:
    """(LR, HR) of a page; kept, since its digest is asked for before it is measured."""
    from liif_cli.graphics.pairs import text_pair

    pair = text_pair(number, int(scale))
    return pair.lr, pair.hr


def find_sets(
    folders: Sequence[Path], protocol: str = "auto", limit: int | None = None
) -> list[DataSet]:
    """The sets behind ``--data``, each under a name of its own; the built-in ones without any.

    "graphics" is the set of drawn pages, unless there is a folder of that name. A folder is one of
    HR images, or a tree that has them in HR/ and their LR files in LR_bicubic/X2 and so on. With
    protocol "auto", luma is measured in such trees and in sets with the names of the benchmarks,
    RGB elsewhere.

    Args:
        folders: in the order of the tables.
        protocol: "auto", "div2k" or "benchmark".
        limit: images of each set, the first ones by name.

    Raises:
        UsageError: a folder that is not there.
    """
    if not folders:
        sets = [built_in_set(protocol), graphics_set(protocol, PAGES)]
    else:
        sets = []
        for folder in folders:
            entry = _folder_set(folder, protocol)
            names = [other.name for other in sets]
            number = sum(name.split(" #")[0] == entry.name for name in names)
            name = f"{entry.name} #{number + 1}" if number else entry.name
            sets.append(dataclasses.replace(entry, name=name))
    return [dataclasses.replace(entry, images=entry.images[:limit]) for entry in sets]


def _folder_set(folder: Path, protocol: str) -> DataSet:
    if str(folder) == GRAPHICS and not folder.exists():
        return graphics_set(protocol)
    if not folder.is_dir():
        raise UsageError(
            "--data",
            got=f"no such folder: {folder}",
            expected=f"a folder of HR images, or {GRAPHICS!r}",
        )
    hr = folder / "HR" if (folder / "HR").is_dir() else folder
    # EDSR's layouts: HR beside LR_bicubic, DIV2K_valid_HR beside DIV2K_valid_LR_bicubic
    lr_root = hr.with_name(hr.name.replace("HR", "LR_bicubic"))
    has_lr = lr_root != hr and lr_root.is_dir()
    resolved = hr.resolve()
    name = resolved.parent.name if hr.name == "HR" else resolved.name
    if protocol == "auto":
        luma = (has_lr and hr.name == "HR") or name.lower() in LUMA_SETS
        protocol = BENCHMARK if luma else DIV2K
    try:
        files = sorted(
            path
            for path in hr.iterdir()
            if path.is_file() and is_image(path) and not path.name.startswith(".")
        )
    except OSError as error:
        raise InputError(str(hr), got=error.strerror or str(error), expected="a folder") from error
    stems = Counter(path.stem for path in files)
    images = tuple(
        BenchImage(path.stem if stems[path.stem] == 1 else path.name, path) for path in files
    )
    return DataSet(name, protocol, images, folder, lr_root if has_lr else None)
