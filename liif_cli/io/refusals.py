"""Errors of reading, worded once for all formats."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from liif_cli.errors import InputError


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
    except OSError as error:
        raise InputError(str(path), got=f"{error.strerror or error} while reading") from error


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
    return InputError(
        str(path),
        got=f"a damaged file ({text})",
        expected="a complete image",
        cure="copy or download it again",
    )


def alpha(path: Path, kind: str = "an alpha channel") -> InputError:
    """Transparency, which would be lost; an alpha channel counts even where it is opaque."""
    return InputError(
        str(path),
        got=f"{kind} (refused even if opaque)",
        expected="gray or RGB",
        cure="flatten the image or remove its alpha channel",
    )


def animated(path: Path, kind: str = "an animation") -> InputError:
    """More than one picture in a file."""
    return InputError(
        str(path), got=kind, expected="one picture", cure="save the pictures as separate files"
    )


def kind_of_pixels(path: Path, got: str, cure: str = "convert it to gray or RGB") -> InputError:
    """Pixels that are neither gray nor RGB, or of a sample type that is not handled."""
    return InputError(
        str(path),
        got=got,
        expected="gray or RGB of 8 or 16 bits (float32 in TIFF and Zarr)",
        cure=cure,
    )


def not_finite(path: Path) -> InputError:
    """NaN or infinity in a float image."""
    return InputError(
        str(path),
        got="NaN or infinite samples",
        expected="numbers in [0, 1]",
        cure="replace them",
    )
