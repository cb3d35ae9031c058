"""The body of EDSR by AMX's matrix instructions: packs arrays for ``edsr_amx_kernel``.

That module imports numba, and is itself imported only where there is no machine code of it yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import nn

from liif_cli.models import amx
from liif_cli.models.amx import ACROSS, DOWN
from liif_cli.models.machine_code import aligned

MOST_CHANNELS = 128
"""Of more, a layer's weights leave the second-level cache for every block of pixels."""
BAND = 4
"""Rows that go in at once: of 2 to 16 the fastest for windows of 700 columns."""
KEPT = 2
"""Rows of a layer's input that the next band needs."""


@dataclass(frozen=True)
class Body:
    """The compiled body, with ``products`` of bfloat16 for one of float32, 1 or 3."""

    products: int

    def takes(self, channels: int, dtype: torch.dtype, device: torch.device) -> bool:
        """Whether it computes layers of that many channels and that type, on that device."""
        exact = torch.float32 if self.products == 3 else torch.bfloat16
        return (
            channels % ACROSS == 0
            and 0 < channels <= MOST_CHANNELS
            and dtype == exact
            and device.type == "cpu"
            and amx.available()
        )

    def add_body(
        self, feat: torch.Tensor, layers: Sequence[nn.Conv2d], factor: float
    ) -> torch.Tensor:
        """Feat plus the result of a body of residual blocks and a last convolution.

        Args:
            feat: (N, C, h, w), float32 on the CPU, channels last; replaced.
            layers: two convolutions of each block, and the last one.
            factor: of each block's result before it is added.
        """
        weights = self._packed(layers, factor)
        config = amx.tile_config()
        for image in feat.permute(0, 2, 3, 1):
            height, width, channels = image.shape
            sizes = np.array([height, width, channels, len(layers) // 2, BAND], np.int64)
            space = aligned(self._space(width, channels, len(layers)), np.dtype(np.float32))
            addresses = (
                sizes.ctypes.data,
                config.ctypes.data,
                image.data_ptr(),
                weights.ctypes.data,
                space.ctypes.data,
            )
            kernel(self.products)(*addresses)
        return feat

    def space_bytes(self, channels: int, layers: int) -> tuple[int, int]:
        """Bytes that a window takes beside feat: per column, and in all but those."""
        whole = self._space(DOWN, channels, layers)
        column = (self._space(2 * DOWN, channels, layers) - whole) / DOWN
        # beside the packed weights: a layer's own, split and put in order
        packed = (layers + 4) * self._weights(channels)
        return 4 * int(column), 4 * (whole + packed)

    def _space(self, width: int, channels: int, layers: int) -> int:
        """Numbers that the kernel works in: rows of parts and of exact numbers, two of sums."""
        columns = -(-width // DOWN) * DOWN
        line = (1 + (self.products == 3)) * (columns + 2) * channels // 2
        rows = 2 * (BAND - KEPT) + 2 * KEPT * layers
        exact = 2 * (BAND - KEPT) + 2 * KEPT * (layers // 2 + 1)
        return rows * line + exact * columns * channels + 2 * DOWN * ACROSS

    def _weights(self, channels: int) -> int:
        """Numbers of a layer's packed weights and its bias."""
        return (1 + (self.products == 3)) * 9 * channels * channels // 2 + channels

    def _packed(self, layers: Sequence[nn.Conv2d], factor: float) -> np.ndarray[Any, Any]:
        """Weights and biases as the kernel takes them, behind each other."""
        channels = layers[0].in_channels
        packed = aligned(len(layers) * self._weights(channels), np.dtype(np.float32))
        packed = packed.reshape(len(layers), -1)
        for number, (layer, into) in enumerate(zip(layers, packed, strict=True)):
            assert layer.bias is not None
            # each block's second layer gives what is added, times the factor
            times = factor if number % 2 else 1.0
            weight = layer.weight.detach().float() * times
            into[:-channels] = amx.packed(weight, self.products)
            into[-channels:] = layer.bias.detach().float().numpy() * times
        return packed


@cache
def kernel(products: int) -> Any:
    """The compiled ``add_body``."""
    return amx.kernel("liif_cli.models.encoders.edsr_amx_kernel", products, 5)
