"""Formats without random access: the first read decodes the whole image, once."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO, ClassVar

import numpy as np

from liif_cli.errors import InputError, LiifError
from liif_cli.geometry.window import Window
from liif_cli.io.base import ImageInfo, Pixels
from liif_cli.io.cmyk import Inks
from liif_cli.io.orientation import UPRIGHT, Orientation
from liif_cli.io.refusals import damaged, no_such_page, reading, truncated

# a damaged header may say anything
DAMAGE = (
    struct.error,
    ValueError,
    IndexError,
    KeyError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    StopIteration,
)
_SPARE_BYTES = 256 * 2**20


@dataclass(frozen=True)
class Header:
    """What a file's header says; ``height`` and ``width`` as stored, before the orientation.

    ``channels`` are those of the pixels as they are given, alpha included; ``inks`` says how
    those of a CMYK file were made. ``cleanup``, ``dropped``, ``colour`` and ``linear`` are those of
    ``ImageInfo``.
    ``pages`` are the frames of an animation, or the pictures of a file of several.
    """

    height: int
    width: int
    channels: int
    dtype: np.dtype[Any]
    orientation: Orientation = UPRIGHT
    icc: bytes | None = None
    resolution: tuple[float, float] | None = None
    alpha: bool = False
    exif: bytes | None = None
    xmp: bytes | None = None
    kind: str = ""
    inks: Inks | None = None
    cleanup: float = 0.0
    dropped: tuple[str, ...] = ()
    pages: int = 1
    colour: Mapping[bytes, bytes] = field(default_factory=dict)
    linear: bool = False


class WholeFileSource:
    """Base of sources that decode the whole file at the first read, under a lock.

    A format gives ``read_header`` and ``decode``; one that may hold several pictures decodes
    ``info.page``.

    Args:
        path: the file; opening reads no more than its header.
        page: which of its pictures, counted from 1.

    Raises:
        InputError: the file cannot be read, is of a kind that is refused, or has no such page.
    """

    format: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]
    reads: ClassVar[frozenset[str]]

    @property
    def damage(self) -> str:
        """What the decoder passed over; see ``Source``."""
        return ""

    def __init__(self, path: Path, page: int = 1) -> None:
        self._page = page
        try:
            with reading(path), path.open("rb") as file:
                self._header = header = self.read_page_header(path, file, page)
                size = file.seek(0, 2)
        except DAMAGE as error:
            raise damaged(path, f"its header: {error}") from error
        if header.height < 1 or header.width < 1:
            raise damaged(path, f"a size of {header.width}x{header.height}")
        if not 1 <= page <= header.pages:
            raise no_such_page(path, page, header.pages)
        _check_file_size(path, header, size)
        height, width = header.orientation.shape(header.height, header.width)
        self.info = ImageInfo(
            path=path,
            format=self.format,
            height=height,
            width=width,
            channels=header.channels,
            dtype=header.dtype,
            icc=header.icc,
            resolution=header.orientation.resolution(header.resolution),
            decoded_bytes=height * width * header.channels * header.dtype.itemsize,
            alpha=header.alpha,
            exif=header.exif,
            xmp=header.xmp,
            kind=header.kind,
            unpack_bytes=self._unpack_bytes(path),
            cleanup=header.cleanup,
            dropped=header.dropped,
            page=page,
            pages=header.pages,
            colour=header.colour,
            linear=header.linear,
        )
        self._pixels: Pixels | None = None
        self._lock = Lock()

    @classmethod
    def matches(cls, path: Path, head: bytes) -> bool:
        """Whether the first bytes are this format's."""
        raise NotImplementedError

    @staticmethod
    def read_header(path: Path, file: BinaryIO) -> Header:
        """Read the header of an open file at its start.

        Raises:
            InputError: the header is damaged, or the image of a kind that is refused.
        """
        raise NotImplementedError

    @classmethod
    def read_page_header(cls, path: Path, file: BinaryIO, page: int) -> Header:
        """The header of one of several pictures, or of the first one where it is not there.

        Raises:
            InputError: see ``read_header``.
        """
        return cls.read_header(path, file)

    def decode(self, data: bytes) -> Pixels:
        """Decode the file's bytes to (height, width) or (height, width, channels), as stored.

        May raise any error of the codec.
        """
        raise NotImplementedError

    def _unpack_bytes(self, path: Path) -> int | None:
        """Bytes that reading it band by band takes, None where the codec needs the whole file."""
        return None

    def _load(self, path: Path) -> bytes:
        """What ``decode`` gets: the file's content."""
        return path.read_bytes()

    def _decode(self) -> Pixels:
        path, header = self.info.path, self._header
        with reading(path):
            data = self._load(path)
        return header.orientation.apply(self._stored(data, header.height))

    def _stored(self, data: bytes, height: int) -> Pixels:
        """Pixels (height, width, channels) of an encoded image, as stored."""
        path, header = self.info.path, self._header
        try:
            pixels = self.decode(data)
        except (LiifError, MemoryError):
            raise
        except UnicodeDecodeError as error:
            # of the codec's own message
            raise damaged(path, "its codec cannot say why") from error
        except Exception as error:
            # codecs raise errors of any class
            raise damaged(path, error) from error
        if pixels.ndim == 2:
            pixels = pixels[..., np.newaxis]
        if header.channels - header.alpha == 1 and pixels.shape[2] == 3 + header.alpha:
            # a palette of grays, which codecs expand to RGB
            pixels = np.ascontiguousarray(pixels[..., :: 3 if header.alpha else 4])
        decoded = (pixels.shape, pixels.dtype)
        if decoded != ((height, header.width, header.channels), header.dtype):
            raise damaged(
                path, f"its pixels are {decoded[1]} {decoded[0]}, not what its header says"
            )
        return pixels

    def read(self, window: Window) -> Pixels:
        """Pixels of a window inside the image; decodes the file if no read did before.

        Raises:
            InputError: the file is truncated or damaged.
        """
        check_window(self.info, window)
        with self._lock:
            if self._pixels is None:
                self._pixels = self._decode()
            pixels = self._pixels
        return np.ascontiguousarray(pixels[window.to_slices()])

    def close(self) -> None:
        """Let go of the decoded pixels."""
        with self._lock:
            self._pixels = None


def _check_file_size(path: Path, header: Header, size: int) -> None:
    """Refuse files whose bytes nobody planned memory for: the plan knows of the pixels alone."""
    raw = header.height * header.width * header.channels * header.dtype.itemsize
    most = 2 * raw + _SPARE_BYTES
    if size > most:
        raise InputError(
            str(path),
            got=f"{size:,} bytes for {header.width}x{header.height} pixels",
            expected=f"at most {most:,}",
            cure="save it anew, without what else is in it",
        )


def check_part(path: Path, part: int, image: int) -> None:
    """Refuse tiles and chunks, of ``part`` bytes unpacked, far larger than the ``image`` is.

    Raises:
        InputError: they are.
    """
    if part > 2 * image + _SPARE_BYTES:
        raise damaged(path, f"tiles or chunks of {part:,} bytes in an image of {image:,}")


def check_window(info: ImageInfo, window: Window) -> None:
    """Refuse a window that leaves the image.

    Raises:
        ValueError: it does.
    """
    if window.clip(info.height, info.width) != window:
        raise ValueError(f"{window} is not inside {info.width}x{info.height}")


def read_exactly(path: Path, file: BinaryIO, size: int, what: str) -> bytes:
    """The next ``size`` bytes.

    Raises:
        InputError: the file ends before.
    """
    data = file.read(size)
    if len(data) < size:
        raise truncated(path, f"it ends in {what}")
    return data
