"""The quantiser of a lossy WebP, from the header of its VP8 frame (RFC 6386)."""

from __future__ import annotations

import numpy as np

HEADER_BYTES = 64
"""How much of a frame holds all that is read here."""
_BOOLS_AT = 10
_SEGMENTS = 4
_HIGHEST = 127
# medians of benchmarks/cleanup.py (decisions/0012)
_QUANTISERS = (0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 127)
_LEVELS = (2, 8, 16, 27, 40, 59, 73, 80, 85, 88, 90, 93)


class _Bools:
    """The boolean decoder of RFC 6386, section 7, for the even odds that header fields have."""

    def __init__(self, data: bytes) -> None:
        self._data, self._next = data, 2
        self._value = int.from_bytes(data[:2], "big")
        self._range, self._shifted = 255, 0

    def flag(self) -> bool:
        split = 1 + ((self._range - 1) * 128 >> 8)
        bit = self._value >= split << 8
        if bit:
            self._range -= split
            self._value -= split << 8
        else:
            self._range = split
        while self._range < 128:
            self._value <<= 1
            self._range <<= 1
            self._shifted += 1
            if self._shifted == 8:
                self._shifted = 0
                # zeros behind the end, as decoders have it
                self._value |= self._data[self._next] if self._next < len(self._data) else 0
                self._next += 1
        return bit

    def number(self, bits: int) -> int:
        value = 0
        for _ in range(bits):
            value = value << 1 | self.flag()
        return value

    def signed(self, bits: int) -> int:
        value = self.number(bits)
        return -value if self.flag() else value


def level_of(frame: bytes) -> float:
    """The level, a whole number, of the JPEG that loses as much luma; see ``mean_quantiser``."""
    return float(np.round(np.interp(mean_quantiser(frame), _QUANTISERS, _LEVELS)))


def mean_quantiser(frame: bytes) -> float:
    """The quantiser index, 0 (finest) to 127, of a key frame: the mean over its macroblocks.

    Encoders give up to four segments of an image a quantiser of their own; the header's tree of
    probabilities says how many macroblocks each has.

    Args:
        frame: the first ``HEADER_BYTES`` of a VP8 chunk, or all that it has.
    """
    bools = _Bools(frame[_BOOLS_AT:])
    bools.number(2)  # colour space and clamping
    absolute, steps, shares = False, [0] * _SEGMENTS, [1.0, 0.0, 0.0, 0.0]
    if bools.flag():
        has_map, has_data = bools.flag(), bools.flag()
        if has_data:
            absolute = bools.flag()
            steps = [bools.signed(7) if bools.flag() else 0 for _ in range(_SEGMENTS)]
            for _ in range(_SEGMENTS):
                if bools.flag():
                    bools.signed(6)  # of the loop filter
        if has_map:
            tree = [(bools.number(8) if bools.flag() else 255) / 256 for _ in range(3)]
            low, high = tree[0], 1 - tree[0]
            shares = [low * tree[1], low * (1 - tree[1]), high * tree[2], high * (1 - tree[2])]
    bools.number(1 + 6 + 3)  # kind, level and sharpness of the loop filter
    if bools.flag() and bools.flag():
        for _ in range(8):
            if bools.flag():
                bools.signed(6)
    bools.number(2)  # partitions
    base = bools.number(7)
    quantisers = [min(max(step if absolute else base + step, 0), _HIGHEST) for step in steps]
    return sum(share * each for share, each in zip(shares, quantisers, strict=True))
