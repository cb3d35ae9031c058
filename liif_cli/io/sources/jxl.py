"""JPEG XL: gray and RGB of 8 to 16 bits and floats, with and without alpha."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from liif_cli.io.abilities import abilities
from liif_cli.io.base import Pixels
from liif_cli.io.exif import HEADER, read_exif
from liif_cli.io.metadata import Metadata
from liif_cli.io.orientation import Orientation
from liif_cli.io.refusals import damaged, kind_of_pixels, truncated
from liif_cli.io.sources.boxes import boxes_of
from liif_cli.io.sources.whole import Header, WholeFileSource

_CODESTREAM = b"\xff\x0a"
_CONTAINER = b"\0\0\0\x0cJXL \r\n\x87\n"
_MOST_HEADER = 4096
_RATIOS = ((0, 1), (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
# a choice of two bits: (an offset, so many bits more)
_Choices = tuple[tuple[int, int], tuple[int, int], tuple[int, int], tuple[int, int]]
_SIDE: _Choices = ((1, 9), (1, 13), (1, 18), (1, 30))
_ENUM: _Choices = ((0, 0), (1, 0), (2, 4), (18, 6))
_PREVIEW_SIDES: dict[bool, _Choices] = {
    True: ((16, 0), (32, 0), (1, 5), (33, 9)),
    False: ((1, 6), (65, 8), (321, 10), (1345, 12)),
}
_ALPHA, _SPOT, _CFA = 0, 2, 5
_GRAY = 1
_D65, _SRGB_PRIMARIES, _SRGB_TRANSFER, _LINEAR_TRANSFER = 1, 1, 13, 8
_LINEAR, _SRGB_TRANSFER_BITS = _LINEAR_TRANSFER - 2, _SRGB_TRANSFER - 2
"""The same as they are coded, in the four bits of ``_ENUM``'s third form."""
_EXIF, _XMP = "EXIF", "XMP"


class JpegXlSource(WholeFileSource):
    """A JPEG XL image; the first frame of an animation.

    The codec gives no colour profile: that of a file that is not sRGB is dropped with a warning.
    """

    format = "jxl"
    suffixes = (".jxl",)
    reads = abilities("8", "16", "float", "alpha", "EXIF", "XMP", "resolution")

    @classmethod
    def matches(cls, path: Path, head: bytes) -> bool:
        return head.startswith((_CODESTREAM, _CONTAINER))

    @staticmethod
    def read_header(path: Path, file: BinaryIO) -> Header:
        metadata = Metadata()
        facts = _read(_Bits(_codestream(path, file)))
        if facts.floats and facts.bits > 32:
            raise kind_of_pixels(path, f"a JPEG XL of floats of {facts.bits} bits")
        if not facts.floats and facts.bits > 16:
            raise kind_of_pixels(path, f"a JPEG XL of {facts.bits} bits")
        if facts.extra - facts.alpha or facts.associated:
            what = (
                "premultiplied alpha" if facts.associated else "channels beside colours and alpha"
            )
            raise kind_of_pixels(path, f"a JPEG XL with {what}", "save it as PNG")
        if facts.animation:
            metadata.drop("animation", "but for its first frame")
        linear = facts.floats and facts.linear_at is not None
        if not facts.srgb and not linear:
            metadata.drop("colour profile", "which the codec does not give")
        described = _described(path, file, metadata)
        whole = np.dtype(np.uint8 if facts.bits <= 8 else np.uint16)
        return Header(
            facts.height,
            facts.width,
            (1 if facts.gray else 3) + facts.alpha,
            np.dtype(np.float32) if facts.floats else whole,
            orientation=Orientation.from_exif(facts.orientation),
            alpha=bool(facts.alpha),
            exif=described.get(_EXIF),
            resolution=read_exif(described.get(_EXIF, b"")).resolution,
            xmp=described.get(_XMP),
            dropped=metadata.dropped,
            linear=linear,
        )

    def decode(self, data: bytes) -> Pixels:
        import imagecodecs

        pixels: Pixels = imagecodecs.jpegxl_decode(data, index=0, keeporientation=True)
        return pixels.astype(np.float32) if pixels.dtype.kind == "f" else pixels


def _described(path: Path, file: BinaryIO, metadata: Metadata) -> dict[str, bytes]:
    """EXIF and XMP by their names, out of the boxes of a container."""
    described = dict[str, bytes]()
    file.seek(0)
    if not file.read(len(_CONTAINER)).startswith(_CONTAINER):
        return described
    for name, start, size in boxes_of(path, file, len(_CONTAINER)):
        what = {b"Exif": _EXIF, b"xml ": _XMP}.get(name)
        file.seek(start)
        if name == b"brob" and file.read(4) in (b"Exif", b"xml "):
            metadata.drop("EXIF or XMP", "which is compressed by Brotli")
        if what is None or (data := metadata.read(what, file, size)) is None:
            continue
        if what == _EXIF:
            # the block begins as many bytes behind the first four as these say
            data = data[4 + int.from_bytes(data[:4], "big") :].removeprefix(HEADER)
        if data:
            described.setdefault(what, data)
    return described


def marked_srgb(data: bytes) -> bytes:
    """A file that was written as linear, said to be sRGB: the codec takes all 16 bits for linear.

    The two have codes of the same length, and nothing else in a file without loss depends on them.

    Raises:
        ValueError: the file is marked otherwise.
    """
    facts = _read(_Bits(_codestream(Path("the codec's file"), io.BytesIO(data))))
    if facts.srgb:
        return data
    if facts.linear_at is None:
        raise ValueError("a JPEG XL that is neither sRGB nor linear")
    start = data.index(b"jxlc") + 4 if data.startswith(_CONTAINER) else 0
    marked = bytearray(data)
    for bit in range(4):
        at = facts.linear_at + bit
        marked[start + at // 8] ^= ((_LINEAR ^ _SRGB_TRANSFER_BITS) >> bit & 1) << at % 8
    return bytes(marked)


def _codestream(path: Path, file: BinaryIO) -> bytes:
    """The start of the codestream, out of its box (ISO/IEC 18181-2) where it is in one."""
    head = file.read(len(_CONTAINER))
    if head[:2] == _CODESTREAM:
        return head + file.read(_MOST_HEADER)
    if head != _CONTAINER:
        raise damaged(path, "no JPEG XL signature")
    stream = b""
    for name, start, size in boxes_of(path, file, len(head)):
        if name in (b"jxlc", b"jxlp") and len(stream) < _MOST_HEADER:
            # parts are numbered
            number = 4 if name == b"jxlp" else 0
            file.seek(start + number)
            stream += file.read(max(0, min(size - number, _MOST_HEADER)))
    if stream[:2] != _CODESTREAM:
        raise truncated(path, "no codestream in it")
    return stream


class _Bits:
    """Bits of a header, the lowest of each byte first (ISO/IEC 18181-1, annex B)."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "little") >> 16
        self._whole = 8 * len(data)
        self._left = self._whole - 16

    @property
    def position(self) -> int:
        """How many bits of the codestream were taken, its signature among them."""
        return self._whole - self._left

    def take(self, count: int) -> int:
        """The next ``count`` bits as a number."""
        self._left -= count
        if self._left < 0:
            raise ValueError("it ends early")
        bits = self._value & ((1 << count) - 1)
        self._value >>= count
        return bits

    def flag(self) -> bool:
        """The next bit."""
        return bool(self.take(1))

    def number(self, choices: _Choices) -> int:
        """A number in one of four forms."""
        offset, more = choices[self.take(2)]
        return offset + self.take(more)


@dataclass
class _Facts:
    """What the image header says; ``extra`` channels, of which ``alpha`` are alpha.

    ``linear_at`` is the bit of the codestream at which it says that colours are linear.
    """

    height: int
    width: int
    orientation: int = 1
    bits: int = 8
    floats: bool = False
    gray: bool = False
    extra: int = 0
    alpha: int = 0
    associated: bool = False
    animation: bool = False
    srgb: bool = True
    linear_at: int | None = None


def _read(bits: _Bits) -> _Facts:
    """ISO/IEC 18181-1, annexes D.2 and D.3: SizeHeader and ImageMetadata."""
    facts = _Facts(*_size(bits))
    if bits.flag():
        return facts
    if bits.flag():
        facts.orientation = 1 + bits.take(3)
        if bits.flag():
            _size(bits)
        if bits.flag():
            _skip_preview(bits)
        facts.animation = bits.flag()
        if facts.animation:
            bits.number(((100, 0), (1000, 0), (1, 10), (1, 30)))
            bits.number(((1, 0), (1001, 0), (1, 8), (1, 10)))
            bits.number(((0, 0), (0, 3), (0, 16), (0, 32)))
            bits.flag()
    facts.bits, facts.floats = _depth(bits)
    bits.flag()
    facts.extra = bits.number(((0, 0), (1, 0), (2, 4), (1, 12)))
    for _ in range(facts.extra):
        _read_extra(bits, facts)
    bits.flag()
    _read_colours(bits, facts)
    return facts


def _size(bits: _Bits) -> tuple[int, int]:
    small = bits.flag()

    def side() -> int:
        return 8 * (1 + bits.take(5)) if small else bits.number(_SIDE)

    height = side()
    above, below = _RATIOS[bits.take(3)]
    return height, height * above // below if above else side()


def _skip_preview(bits: _Bits) -> None:
    sides = _PREVIEW_SIDES[bits.flag()]
    bits.number(sides)
    if not bits.take(3):
        bits.number(sides)


def _depth(bits: _Bits) -> tuple[int, bool]:
    """Bits per sample, and whether they are floats."""
    if not bits.flag():
        return bits.number(((8, 0), (10, 0), (12, 0), (1, 6))), False
    depth = bits.number(((32, 0), (16, 0), (24, 0), (1, 6)))
    bits.take(4)
    return depth, True


def _read_extra(bits: _Bits, found: _Facts) -> None:
    """One extra channel."""
    if bits.flag():
        found.alpha += 1
        return
    kind = bits.number(_ENUM)
    _depth(bits)
    bits.number(((0, 0), (3, 0), (4, 0), (1, 3)))
    for _ in range(bits.number(((0, 0), (0, 4), (16, 5), (48, 10)))):
        bits.take(8)
    if kind == _ALPHA:
        found.alpha += 1
        found.associated |= bits.flag()
    elif kind == _SPOT:
        bits.take(64)
    elif kind == _CFA:
        bits.number(((1, 0), (0, 2), (3, 4), (19, 8)))


def _read_colours(bits: _Bits, found: _Facts) -> None:
    """The colour encoding; sRGB where nothing is said."""
    if bits.flag():
        return
    by_profile = bits.flag()
    found.gray = bits.number(_ENUM) == _GRAY
    if by_profile:
        found.srgb = False
        return
    white = bits.number(_ENUM)
    primaries = _SRGB_PRIMARIES if found.gray else bits.number(_ENUM)
    transfer = 0 if bits.flag() else bits.number(_ENUM)
    at_home = (white, primaries) == (_D65, _SRGB_PRIMARIES)
    found.srgb = at_home and transfer == _SRGB_TRANSFER
    if at_home and transfer == _LINEAR_TRANSFER:
        found.linear_at = bits.position - 4
