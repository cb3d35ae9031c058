"""The quantiser of an AVIF, from the headers of its AV1 frame (AV1 specification, section 5)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

HEADER_BYTES = 4096
"""How much of a coded image holds all that is read here, but for unusual metadata before it."""
_SEQUENCE_HEADER, _FRAME_HEADER, _FRAME = 1, 3, 6
_SELECT = 2
_KEY_FRAME = 0
# medians of benchmarks/cleanup.py (decisions/0012)
_QUANTISERS = (0, 16, 32, 48, 64, 80, 96, 112, 128, 144, 160, 176, 192, 208, 224, 240, 255)
_LEVELS = (0, 2, 4, 7, 9, 11, 14, 20, 26, 37, 54, 71, 79, 86, 90, 92, 94)


class _Bits:
    """Bits of ``data``, the highest of each byte first; reading behind the end is an IndexError."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def read(self, count: int) -> int:
        value = 0
        for _ in range(count):
            value = value << 1 | self._data[self._at >> 3] >> (7 - (self._at & 7)) & 1
            self._at += 1
        return value

    def below(self, limit: int) -> int:
        """A number below ``limit``: ns(n) of the specification."""
        bits = limit.bit_length()
        short = (1 << bits) - limit
        value = self.read(bits - 1)
        return value if value < short else (value << 1) - short + self.read(1)


@dataclass(frozen=True)
class _Sequence:
    """What a sequence header says that a frame header is read by."""

    reduced: bool
    width_bits: int
    height_bits: int
    width: int
    height: int
    large_blocks: bool
    frame_id_bits: int
    screen_content: int
    integer_mv: int
    order_hint_bits: int
    superres: bool


def level_of(data: bytes) -> float:
    """The level, a whole number, of the JPEG that loses as much luma; 0 where nothing is found.

    Args:
        data: see ``base_quantiser``.
    """
    index = base_quantiser(data)
    return 0.0 if index is None else float(np.round(np.interp(index, _QUANTISERS, _LEVELS)))


def base_quantiser(data: bytes) -> int | None:
    """base_q_idx, 0 (finest, lossless) to 255, of the first frame; None where it is not found.

    Not looked for: frames other than key frames, and streams with timing information, which stills
    have no use for.

    Args:
        data: the first bytes of a coded image, a sequence of OBUs.
    """
    sequence: _Sequence | None = None
    try:
        for kind, body in _units(data):
            if kind == _SEQUENCE_HEADER:
                sequence = _sequence(_Bits(body))
            elif kind in (_FRAME_HEADER, _FRAME):
                return _frame(_Bits(body), sequence) if sequence is not None else None
    except IndexError:
        pass
    return None


def _units(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(kind, body) of the OBUs; the last one may be cut short."""
    at = 0
    while at < len(data):
        kind, extended, sized = data[at] >> 3 & 15, data[at] & 4, data[at] & 2
        at += 2 if extended else 1
        size, shift = (0, 0) if sized else (len(data) - at, 0)
        while sized:
            size |= (data[at] & 127) << shift
            shift += 7
            at += 1
            sized = data[at - 1] & 128
        yield kind, data[at : at + size]
        at += size


def _sequence(bits: _Bits) -> _Sequence | None:
    bits.read(3 + 1)  # profile, still picture
    reduced = bool(bits.read(1))
    if reduced:
        bits.read(5)
    else:
        if bits.read(1):  # timing information
            return None
        delays = bits.read(1)
        for _ in range(bits.read(5) + 1):
            bits.read(12)
            if bits.read(5) > 7:
                bits.read(1)
            if delays and bits.read(1):
                bits.read(4)
    width_bits, height_bits = bits.read(4) + 1, bits.read(4) + 1
    width, height = bits.read(width_bits) + 1, bits.read(height_bits) + 1
    frame_id_bits = 0
    if not reduced and bits.read(1):
        frame_id_bits = bits.read(4) + 2
        frame_id_bits += bits.read(3) + 1
    large_blocks = bool(bits.read(1))
    bits.read(2)
    screen_content = integer_mv = _SELECT
    order_hint_bits = 0
    if not reduced:
        bits.read(4)
        hints = bits.read(1)
        bits.read(2 if hints else 0)
        screen_content = _SELECT if bits.read(1) else bits.read(1)
        if screen_content:
            integer_mv = _SELECT if bits.read(1) else bits.read(1)
        order_hint_bits = bits.read(3) + 1 if hints else 0
    return _Sequence(
        reduced,
        width_bits,
        height_bits,
        width,
        height,
        large_blocks,
        frame_id_bits,
        screen_content,
        integer_mv,
        order_hint_bits,
        superres=bool(bits.read(1)),
    )


def _frame(bits: _Bits, sequence: _Sequence) -> int | None:
    if not sequence.reduced:
        shown_before, kind, shown = bits.read(1), bits.read(2), bits.read(1)
        if shown_before or kind != _KEY_FRAME or not shown:
            return None
    keep_odds = bits.read(1)
    screen_content = sequence.screen_content
    if screen_content == _SELECT:
        screen_content = bits.read(1)
    if screen_content and sequence.integer_mv == _SELECT:
        bits.read(1)
    bits.read(sequence.frame_id_bits)
    own_size = 0 if sequence.reduced else bits.read(1)
    bits.read(sequence.order_hint_bits)
    width, height = sequence.width, sequence.height
    if own_size:
        width, height = bits.read(sequence.width_bits) + 1, bits.read(sequence.height_bits) + 1
    coded = width
    if sequence.superres and bits.read(1):
        denominator = bits.read(3) + 9
        coded = (width * 8 + denominator // 2) // denominator
    if bits.read(1):  # a size to show it at
        bits.read(32)
    if screen_content and coded == width:
        bits.read(1)
    if not (sequence.reduced or keep_odds):
        bits.read(1)
    _skip_tiles(bits, sequence.large_blocks, coded, height)
    return bits.read(8)


def _skip_tiles(bits: _Bits, large_blocks: bool, width: int, height: int) -> None:
    """tile_info(), section 5.9.15."""
    shift = 7 if large_blocks else 6
    # in units of 8 pixels first: sizes are counted in 4 x 4 blocks, an even number of them
    cols, rows = ((((n + 7) >> 3 << 3) + (1 << shift) - 1) >> shift for n in (width, height))
    most_cols, most_area = 4096 >> shift, 4096 * 2304 >> 2 * shift
    least_cols = _log2(cols, most_cols)
    least = max(least_cols, _log2(rows * cols, most_area))
    if bits.read(1):
        log_cols = _counted(bits, least_cols, _log2(min(cols, 64)))
        log_rows = _counted(bits, max(least - log_cols, 0), _log2(min(rows, 64)))
    else:
        count, widest = _listed(bits, cols, most_cols)
        log_cols = _log2(count)
        area = rows * cols >> (least + 1 if least else 0)
        count, _ = _listed(bits, rows, max(area // widest, 1))
        log_rows = _log2(count)
    if log_cols or log_rows:
        bits.read(log_cols + log_rows + 2)


def _log2(target: int, block: int = 1) -> int:
    """The least k for which block << k reaches the target: tile_log2."""
    return (-(-target // block) - 1).bit_length()


def _counted(bits: _Bits, least: int, most: int) -> int:
    while least < most and bits.read(1):
        least += 1
    return least


def _listed(bits: _Bits, total: int, most: int) -> tuple[int, int]:
    """How many sizes add up to ``total``, and the largest of them."""
    count = start = largest = 0
    while start < total:
        size = bits.below(min(total - start, most)) + 1
        count, start, largest = count + 1, start + size, max(largest, size)
    return count, largest
