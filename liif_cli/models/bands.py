"""Convolutions depth first: a band of rows goes through all layers while it is in the cache.

A large image's activations do not fit into a core's cache, and every layer would read them from
memory and write them there. Here each layer keeps the few rows that it needs again for the next
band, so that nothing is computed twice, and the results are those of the whole image. Only on a
CPU, and only without gradients.
"""

from __future__ import annotations

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


def in_bands(image: torch.Tensor, channels: int) -> bool:
    """Whether an image (N, C, h, w) goes through layers of ``channels`` faster in bands."""
    pixels = image.shape[0] * image.shape[2] * image.shape[3]
    size = image.element_size()
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
    """Rows that came, and have not been taken yet: what another branch of the network waits for."""

    def __init__(self) -> None:
        self.kept: torch.Tensor | None = None

    def push(self, rows: torch.Tensor) -> None:
        """Add (N, C, n, w) below; n may be 0."""
        self.kept = rows if self.kept is None else torch.cat((self.kept, rows), 2)

    def pop(self, count: int) -> torch.Tensor:
        """The first ``count`` rows."""
        assert self.kept is not None
        taken, self.kept = self.kept[:, :, :count], _copied(self.kept[:, :, count:])
        return taken


class BandConv:
    """``conv``, whose zero padding keeps the size, over the bands of one image."""

    def __init__(self, conv: nn.Conv2d) -> None:
        self.conv, self.kept = conv, Rows()
        self.padding = conv.kernel_size[0] // 2
        self.begun = False

    def push(self, rows: torch.Tensor, last: bool) -> torch.Tensor:
        """Rows of the input (N, C, n, w) -> those of the result that they complete; may be none."""
        if not self.begun:
            self.kept.push(self._border(rows))
            self.begun = True
        self.kept.push(torch.cat((rows, self._border(rows)), 2) if last else rows)
        known = self.kept.kept
        assert known is not None
        complete = known.shape[2] - 2 * self.padding
        if complete <= 0:
            return known.new_empty(known.shape[0], self.conv.out_channels, 0, known.shape[3])
        # a copy, since a view would keep all rows
        self.kept.kept = _copied(known[:, :, complete:])
        return F.conv2d(known, self.conv.weight, self.conv.bias, padding=(0, self.padding))

    def _border(self, rows: torch.Tensor) -> torch.Tensor:
        count, channels, _, width = rows.shape
        return rows.new_zeros(count, channels, self.padding, width).contiguous(
            memory_format=torch.channels_last
        )


class Collected:
    """The result (N, channels, h, w), filled from the top."""

    def __init__(self, image: torch.Tensor, channels: int) -> None:
        count, _, height, width = image.shape
        self.whole = image.new_empty(count, channels, height, width).contiguous(
            memory_format=torch.channels_last
        )
        self.filled = 0

    def push(self, rows: torch.Tensor) -> None:
        """Add rows below."""
        stop = self.filled + rows.shape[2]
        self.whole[:, :, self.filled : stop] = rows
        self.filled = stop


def _copied(rows: torch.Tensor) -> torch.Tensor:
    return rows.clone(memory_format=torch.channels_last)
