"""Photos of a folder as training and validation images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from liif_cli.errors import InputError, TrainError, UsageError
from liif_cli.geometry.window import Window
from liif_cli.io import is_image, open_source
from liif_cli.io.values import as_rgb8
from liif_cli.train.presets import Preset
from liif_cli.train.validate import CROP

Photo = npt.NDArray[np.uint8]


@dataclass
class PhotoSet:
    """``train`` and ``validation`` images (h, w, 3) uint8, and the names behind them."""

    train: list[Photo] = field(default_factory=list)
    validation: list[Photo] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    held_out: list[str] = field(default_factory=list)

    @property
    def pixels(self) -> int:
        """Pixels of the training images."""
        return sum(photo.shape[0] * photo.shape[1] for photo in self.train)


def read_names(path: Path) -> list[str]:
    """The file names in a text file, one per line; blank lines and lines from # on are left out.

    Raises:
        UsageError: the file cannot be read or names nothing.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"--val {path}", got=str(error), expected="a text file, one file name a line"
        ) from error
    names = [text for line in lines if (text := line.partition("#")[0].strip())]
    if not names:
        raise UsageError(f"--val {path}", got="no names", expected="one file name a line")
    return names


def load_photos(
    folder: Path, held_out: list[str], preset: Preset, warn: Callable[[str], None]
) -> PhotoSet:
    """Read every image of ``folder`` (without its subfolders) into memory as RGB, 8 bit.

    Args:
        folder: where the photos are.
        held_out: file names used for validation and not for training.
        preset: tells the smallest side that training can use.
        warn: told one line for each photo that is left out: damaged, or too small.

    Raises:
        UsageError: no folder, or a held-out name that it does not hold.
        TrainError: nothing is left to train on.
    """
    if not folder.is_dir():
        raise UsageError("--data", got=repr(str(folder)), expected="a folder of photos")
    paths = sorted(path for path in folder.iterdir() if path.is_file() and is_image(path))
    paths = [path for path in paths if not path.name.startswith(".")]
    unknown = sorted(set(held_out) - {path.name for path in paths})
    if unknown:
        raise UsageError(
            "--val",
            got=", ".join(unknown[:5]),
            expected=f"names of images in {folder}",
            cure="list file names without a folder, one per line",
        )
    side_needed = preset.smallest_side
    photos = PhotoSet()
    for path in paths:
        validates = path.name in held_out
        try:
            photo = read_photo(path)
        except InputError as error:
            warn(f"left out: {error}")
            continue
        need = CROP if validates else side_needed
        if min(photo.shape[:2]) < need:
            size = f"{photo.shape[1]}x{photo.shape[0]}"
            warn(f"left out: {path}: got {size}, expected sides of {need} px or more")
        elif validates:
            photos.validation.append(photo)
            photos.held_out.append(path.name)
        else:
            photos.train.append(photo)
            photos.names.append(path.name)
    if not photos.train:
        raise TrainError(
            f"training data in {folder}",
            got=f"{len(paths)} images, none to train on",
            expected=f"at least 1 with sides of {side_needed} px or more",
        )
    return photos


def read_photo(path: Path) -> Photo:
    """One image as (h, w, 3) uint8; gray is repeated, deeper samples are rounded to 8 bit.

    Raises:
        InputError: the file cannot be read, or its samples are of another type.
    """
    source = open_source(path)
    info = source.info
    try:
        if info.colours not in (1, 3):
            raise InputError(str(path), got=f"{info.colours} bands", expected="gray or RGB")
        # what alpha hides is not part of a photo
        pixels = source.read(Window.whole(info.height, info.width))[..., : info.colours]
    finally:
        source.close()
    return as_rgb8(pixels, path)
