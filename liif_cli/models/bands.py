"""Convolutions depth first: a band of rows goes through all layers while it is in the cache.

A large image's activations do not fit into a core's cache, and every layer would read them from
memory and write them there. Here each layer keeps the few rows that it needs again for the next
band, so that nothing is computed twice, and the results are those of the whole image. Only on a
CPU, and only without gradients.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import torch
from torch import nn
from torch.nn import functional as F

WHOLE_BYTES = {8: 4 << 20, 4: 4 << 20, 2: 12 << 20}
"""Bytes of a number -> an activation up to this goes through the layers whole: calls cost more than
its way to memory (``benchmarks/encode.py``)."""
BAND_BYTES = 2 << 20
"""Of one activation's band."""
BAND_ROWS = (8, 64)
"""Fewest and most rows of a band."""
PRIMITIVE_BYTES = 360 << 10
"""Measured, of a convolution that oneDNN prepared for one shape, and keeps."""
PRIMITIVES = 256
"""That it keeps, the last ones used. The first and the last band of a window have another height in
every layer, and a batch has windows of many widths, which its own limit of 1,024 would keep."""

# read when the first convolution is prepared; what a user has set stays
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(PRIMITIVES))


def in_bands(image: torch.Tensor, channels: int, dtype: torch.dtype | None = None) -> bool:
    """Whether an image (N, C, h, w) goes through layers of ``channels`` faster in bands.

    ``dtype`` is that of the layers' weights; None is the image's.
    """
    pixels = image.shape[0] * image.shape[2] * image.shape[3]
    size = (dtype or image.dtype).itemsize
    large = pixels * channels * size > WHOLE_BYTES[size]
    return large and image.device.type == "cpu" and not torch.is_grad_enabled()


def bands(image: torch.Tensor, channels: int) -> Iterator[tuple[torch.Tensor, bool]]:
    """Bands of rows of an image (N, C, h, w), from the top, and whether each is the last one."""
    count, _, height, width = image.shape
    fewest, most = BAND_ROWS
    size = BAND_BYTES // (count * width * channels * image.element_size())
    rows = min(most, max(fewest, size))
    for start in range(0, height, rows):
        yield image[:, :, start : start + rows], start + rows >= height


class Rows:
    """The last rows of a branch that another one has not caught up with, ``lag`` at most.

    They have a buffer from the start: what is asked for and given back between the bands' own
    memory would leave holes there.

    Args:
        image: (N, C, h, w), which goes through the layers in bands.
        channels: of the branch.
        lag: rows that the other branch is behind.
        dtype: of the branch; None is the image's.
    """

    def __init__(
        self, image: torch.Tensor, channels: int, lag: int, dtype: torch.dtype | None = None
    ) -> None:
        self.buffer = _zeros(image, channels, lag, dtype)
        self.held = 0

    def first(self, rows: torch.Tensor, count: int) -> list[torch.Tensor]:
        """The first ``count`` of the rows kept and the next ``rows`` behind them, in two parts."""
        return [self.buffer[:, :, : min(count, self.held)], rows[:, :, : max(0, count - self.held)]]

    def keep(self, rows: torch.Tensor, count: int) -> None:
        """Keep all of them but the first ``count``; those are gone then."""
        left, skipped = max(0, self.held - count), max(0, count - self.held)
        if 0 < left < self.held:
            # what overlaps itself cannot be copied in place
            self.buffer[:, :, :left] = self.buffer[:, :, count : self.held].clone()
        added = rows.shape[2] - skipped
        self.buffer[:, :, left : left + added] = rows[:, :, skipped:]
        self.held = left + added

    def add_to(
        self, residual: torch.Tensor, rows: torch.Tensor, factor: float = 1.0
    ) -> torch.Tensor:
        """``residual`` times ``factor`` plus the rows that belong to it: in place, or wider."""
        count, done = residual.shape[2], 0
        total = residual
        if residual.dtype != rows.dtype:
            total = torch.empty_like(residual, dtype=rows.dtype)
        for part in self.first(rows, count):
            span = slice(done, done + part.shape[2])
            torch.add(part, residual[:, :, span], alpha=factor, out=total[:, :, span])
            done += part.shape[2]
        self.keep(rows, count)
        return total


class BandConv:
    """``conv``, whose zero padding keeps the size, over the bands of ``image``."""

    def __init__(self, image: torch.Tensor, conv: nn.Conv2d) -> None:
        self.conv = conv
        self.padding = conv.kernel_size[0] // 2
        self.rows = Rows(image, conv.in_channels, 2 * self.padding, conv.weight.dtype)
        # zeros above the image
        self.rows.held = self.padding

    def push(self, rows: torch.Tensor, last: bool) -> torch.Tensor:
        """Rows of the input (N, C, n, w) -> those of the result that they complete; may be none.

        The result has the type of the weights.
        """
        rows = rows.to(self.conv.weight.dtype)
        total = self.rows.held + rows.shape[2] + (self.padding if last else 0)
        complete = max(0, total - 2 * self.padding)
        if not complete:
            self.rows.keep(rows, 0)
            count, _, _, width = rows.shape
            return rows.new_empty(count, self.conv.out_channels, 0, width)
        parts = self.rows.first(rows, total)
        if last and self.padding:
            parts.append(_zeros(rows, rows.shape[1], self.padding))
        known = torch.cat(parts, 2) if self.padding else rows
        self.rows.keep(rows, complete)
        return F.conv2d(known, self.conv.weight, self.conv.bias, padding=(0, self.padding))


class Collected:
    """The result (N, channels, h, w) of type ``dtype``, filled from the top."""

    def __init__(self, image: torch.Tensor, channels: int, dtype: torch.dtype) -> None:
        count, _, height, width = image.shape
        self.whole = image.new_empty(count, channels, height, width, dtype=dtype).contiguous(
            memory_format=torch.channels_last
        )
        self.filled = 0

    def push(self, rows: torch.Tensor) -> None:
        """Add rows below."""
        stop = self.filled + rows.shape[2]
        self.whole[:, :, self.filled : stop] = rows
        self.filled = stop


def _zeros(
    like: torch.Tensor, channels: int, rows: int, dtype: torch.dtype | None = None
) -> torch.Tensor:
    count, _, _, width = like.shape
    return like.new_zeros(count, channels, rows, width, dtype=dtype).contiguous(
        memory_format=torch.channels_last
    )
