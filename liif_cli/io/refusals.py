"""Errors of reading, worded once for all formats."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from liif_cli.errors import InputError
from liif_cli.geometry.window import Window
from liif_cli.io.base import Pixels
from liif_cli.io.place import PlaceError

_LONGEST = 200
_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn an error of the file system into one that names the file.

    Raises:
        InputError: the file is missing, a folder, or may not be read.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise InputError(str(path), got="no such file", cure="check the path") from error
    except PermissionError as error:
        raise InputError(
            str(path), got="no permission to read it", cure="change the file's permissions"
        ) from error
    except PlaceError as error:
        raise InputError(str(path), got=error.strerror or "a refusal", cure=error.cure) from error
    except OSError as error:
        raise InputError(str(path), got=f"{error.strerror or error} while reading") from error


def check_regular(path: Path) -> None:
    """Refuse what is not a regular file: opening a pipe or a device waits, or does something.

    Raises:
        InputError: it is none, or is not there.
    """
    with reading(path):
        mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "something that is not a file")
        raise InputError(str(path), got=kind, expected="a regular file")


def truncated(path: Path, what: str) -> InputError:
    """The file ends too early; ``what`` names the part that is missing."""
    return InputError(
        str(path),
        got=f"a truncated file ({what})",
        expected="a complete image",
        cure="copy or download it again",
    )


def damaged(path: Path, detail: object) -> InputError:
    """The file has the right kind but cannot be decoded; ``detail`` is the codec's own word."""
    text = " ".join(str(detail).split()) or type(detail).__name__
    # codecs quote what they found, at any length
    text = text if len(text) <= _LONGEST else text[:_LONGEST] + "..."
    return InputError(
        str(path),
        got=f"a damaged file ({text})",
        expected="a complete image",
        cure="copy or download it again",
    )


def no_such_page(path: Path, page: int, pages: int) -> InputError:
    """A page, counted from 1, that the file has not."""
    return InputError(
        str(path),
        got=f"--page {page}",
        expected=f"1 to {pages}" if pages > 1 else "no --page: it has one picture",
        cure="look with 'liif info'",
    )


def no_such(path: Path, wanted: str, there: str, cure: str = "") -> InputError:
    """What was chosen of a file is not there; ``there`` is what is."""
    return InputError(str(path), got=f"no {wanted}", expected=there, cure=cure)


def needs(path: Path, library: str, extra: str) -> InputError:
    """A kind of file that is read by a library which is not installed."""
    return InputError(
        str(path),
        got=f"no {library}, which reads such files",
        cure=f"pip install 'liif-cli[{extra}]'",
    )


def several(path: Path, kind: str) -> InputError:
    """More than one picture in a file, of which none can be read alone."""
    return InputError(
        str(path), got=kind, expected="one picture", cure="save the pictures as separate files"
    )


def kind_of_pixels(path: Path, got: str, cure: str = "convert it to gray or RGB") -> InputError:
    """Pixels that are neither gray nor RGB, or of a sample type that is not handled."""
    return InputError(
        str(path),
        got=got,
        expected="gray, RGB or bands of 8 or 16 bits (of up to 32, and floats, in TIFF and Zarr)",
        cure=cure,
    )


def check_finite(path: Path, pixels: Pixels, window: Window, nodata: float | None = None) -> None:
    """Refuse NaN and infinity, but where they are ``nodata``.

    Args:
        path: the image.
        pixels: (h, w, channels) of ``window``.
        window: where they lie in the image.
        nodata: the sample that means that nothing was measured.

    Raises:
        InputError: a sample is neither; the first one is named, counted from 0.
    """
    if pixels.dtype.kind != "f" or np.isfinite(pixels).all():
        return
    bad = ~np.isfinite(pixels)
    if nodata is not None:
        bad &= ~(np.isnan(pixels) if np.isnan(nodata) else pixels == np.float32(nodata))
        if not bad.any():
            return
    row, col, channel = (int(index) for index in np.argwhere(bad)[0])
    raise InputError(
        str(path),
        got=f"NaN or infinite samples, the first at row {window.row_off + row}, "
        f"column {window.col_off + col}, channel {channel}",
        expected="numbers",
        cure="replace them",
    )
