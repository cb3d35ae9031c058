"""Netpbm: PBM, PGM, PPM, PAM of 1 to 16 bits, and PFM of 32-bit floats."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from liif_cli.io.abilities import abilities
from liif_cli.io.base import Pixels
from liif_cli.io.refusals import damaged, kind_of_pixels, truncated
from liif_cli.io.sources.whole import Header, WholeFileSource

_BITMAPS, _PLAIN, _FLOATS = ("P1", "P4"), ("P1", "P2", "P3"), ("Pf", "PF")
_CHANNELS = {"P1": 1, "P2": 1, "P3": 3, "P4": 1, "P5": 1, "P6": 3, "Pf": 1, "PF": 3}
_TUPLES = {
    "BLACKANDWHITE": (1, False),
    "GRAYSCALE": (1, False),
    "RGB": (3, False),
    "BLACKANDWHITE_ALPHA": (2, True),
    "GRAYSCALE_ALPHA": (2, True),
    "RGB_ALPHA": (4, True),
}
# more than the two letters, with which a text may begin as well
_START = re.compile(
    rb"P(?:[1-6fF]\s+(?:#[^\n]*\n\s*)*\d+\s+\d+\s|7\n(?:#|WIDTH|HEIGHT|DEPTH|MAXVAL))"
)
_LONGEST = 4096
_SPACE = b" \t\n\v\f\r"


@dataclass(frozen=True)
class _Head:
    """``top``: the largest value, of PFM its scale; ``start``: where the samples begin."""

    magic: str
    height: int
    width: int
    channels: int
    alpha: bool
    top: float
    start: int

    @property
    def dtype(self) -> np.dtype[np.uint8] | np.dtype[np.uint16] | np.dtype[np.float32]:
        """Of the pixels that are given."""
        if self.magic in _FLOATS:
            return np.dtype(np.float32)
        return np.dtype(np.uint16) if self.top > 255 else np.dtype(np.uint8)

    @property
    def row_bytes(self) -> int:
        """Of a row in a file of binary samples."""
        if self.magic == "P4":
            return (self.width + 7) // 8
        return self.width * self.channels * self.dtype.itemsize


class PnmSource(WholeFileSource):
    """A Netpbm file (https://netpbm.sourceforge.net/doc/); its first picture where it has several.

    Samples of another largest value than 255 and 65535 are scaled to these. Floats (PFM) stay.
    """

    format = "pnm"
    suffixes = (".ppm", ".pgm", ".pbm", ".pnm", ".pam", ".pfm")
    reads = abilities("8", "16", "float", "alpha")

    @classmethod
    def matches(cls, path: Path, head: bytes) -> bool:
        return _START.match(head) is not None

    @staticmethod
    def read_header(path: Path, file: BinaryIO) -> Header:
        head = _head(path, file.read(_LONGEST))
        size = file.seek(0, 2)
        least = 0 if head.magic in _PLAIN else head.height * head.row_bytes
        if size < head.start + least:
            raise truncated(path, f"{size} of {head.start + least} bytes")
        return Header(head.height, head.width, head.channels, head.dtype, alpha=head.alpha)

    def decode(self, data: bytes) -> Pixels:
        head = _head(self.info.path, data[:_LONGEST])
        shape = head.height, head.width, head.channels
        if head.magic in _PLAIN:
            return _scaled(_plain(data[head.start :], head).reshape(shape), head)
        raw = np.frombuffer(data, np.uint8, head.height * head.row_bytes, head.start)
        if head.magic == "P4":
            bits = np.unpackbits(raw.reshape(head.height, -1), axis=1, count=head.width)
            return (1 - bits) * np.uint8(255)
        if head.magic in _FLOATS:
            order = "<f4" if head.top < 0 else ">f4"
            # rows from the bottom up
            return raw.view(order).reshape(shape)[::-1].astype(np.float32)
        return _scaled(raw.view(head.dtype.newbyteorder(">")).reshape(shape), head)


def _plain(text: bytes, head: _Head) -> Pixels:
    """The first samples that are written as text."""
    count = head.height * head.width * head.channels
    lines = [line.split(b"#", 1)[0] for line in text.splitlines()]
    if head.magic == "P1":
        # digits need no space between them
        digits = np.frombuffer(b"".join(b"".join(lines).split()), np.uint8)[:count]
        if digits.size < count or not np.isin(digits, (48, 49)).all():
            raise ValueError("its bits are cut short, or no bits")
        return 1 - (digits - 48)
    words = b" ".join(lines).split(maxsplit=count)[:count]
    if len(words) < count:
        raise ValueError(f"{len(words)} of {count} samples")
    return np.array(words).astype(np.int64)


def _scaled(samples: Pixels, head: _Head) -> Pixels:
    """Samples of 0 to ``head.top`` over the whole range of their type."""
    if samples.size and samples.max() > head.top:
        raise ValueError(f"a sample of {samples.max()}, above {head.top:g}")
    most, top = 65535 if head.top > 255 else 255, int(head.top)
    if top == most:
        return samples.astype(head.dtype)
    return ((samples.astype(np.uint32) * most + top // 2) // top).astype(head.dtype)


def _head(path: Path, data: bytes) -> _Head:
    magic = data[:2].decode("latin-1")
    if magic == "P7":
        return _pam(path, data)
    if magic not in _CHANNELS:
        raise damaged(path, "no Netpbm signature")
    words, at = list[bytes](), 2
    wanted = 2 if magic in _BITMAPS else 3
    while len(words) < wanted:
        while at < len(data) and (data[at : at + 1] in _SPACE or data[at : at + 1] == b"#"):
            at = _line_end(path, data, at) if data[at : at + 1] == b"#" else at + 1
        start = at
        while at < len(data) and data[at : at + 1] not in _SPACE:
            at += 1
        if at >= len(data):
            raise truncated(path, "it ends in its header")
        words.append(data[start:at])
    width, height = int(words[0]), int(words[1])
    top = float(words[2]) if wanted == 3 else 1.0
    return _checked(path, _Head(magic, height, width, _CHANNELS[magic], False, top, at + 1))


def _pam(path: Path, data: bytes) -> _Head:
    facts, at = dict[str, str](), 3
    while True:
        end = _line_end(path, data, at)
        line, at = data[at : end - 1].decode("latin-1").strip(), end
        if line == "ENDHDR":
            break
        name, _, value = line.partition(" ")
        if line and not line.startswith("#"):
            facts[name] = value.strip()
    kind = facts.get("TUPLTYPE", "")
    depth = int(facts["DEPTH"])
    channels, alpha = _TUPLES.get(kind, (depth, False))
    if channels != depth:
        raise damaged(path, f"{depth} samples per pixel of kind {kind}")
    if kind not in _TUPLES and depth not in (1, 3):
        raise kind_of_pixels(path, f"a PAM of {depth} samples of kind {kind or 'unknown'}")
    height, width, top = int(facts["HEIGHT"]), int(facts["WIDTH"]), float(facts["MAXVAL"])
    return _checked(path, _Head("P7", height, width, depth, alpha, top, at))


def _checked(path: Path, head: _Head) -> _Head:
    whole = head.magic in _FLOATS or (head.top == int(head.top) and 1 <= head.top <= 65535)
    if not whole or not np.isfinite(head.top) or head.top == 0:
        raise damaged(path, f"a largest value of {head.top:g}")
    return head


def _line_end(path: Path, data: bytes, at: int) -> int:
    end = data.find(b"\n", at)
    if end < 0:
        raise truncated(path, "it ends in its header")
    return end + 1
