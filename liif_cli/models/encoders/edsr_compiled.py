"""The body of EDSR by compiled code: packs arrays for ``edsr_kernel``.

That module imports numba, and is itself imported only where there is no machine code of it yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import nn

from liif_cli.models import machine_code
from liif_cli.models.machine_code import aligned
from liif_cli.models.winograd import BLOCK, DEPTH, PAD, transformed

MOST_CHANNELS = 128
"""Of more, a layer's transformed weights leave the second-level cache for every block of tiles."""
BAND = 6
"""Rows that go in at once: of 4 to 32, all are about as fast, and few take less memory."""
BEHIND = 4
"""Rows that a block's result is behind its input."""


def takes(channels: int, dtype: torch.dtype, device: torch.device) -> bool:
    """Whether the kernel computes layers of that many channels and that type, on that device."""
    return (
        channels % DEPTH == 0
        and 0 < channels <= MOST_CHANNELS
        and dtype == torch.float32
        and device.type == "cpu"
    )


def add_body(feat: torch.Tensor, layers: Sequence[nn.Conv2d], factor: float) -> torch.Tensor:
    """Feat plus the result of a body of residual blocks and a last convolution.

    Args:
        feat: (N, C, h, w), float32 on the CPU, channels last; replaced.
        layers: two convolutions of each block, and the last one.
        factor: of each block's result before it is added.
    """
    weights = _packed(layers, factor)
    for image in feat.permute(0, 2, 3, 1):
        height, width, channels = image.shape
        sizes = np.array([height, width, channels, len(layers) // 2, BAND, BAND + BEHIND], np.int64)
        done = np.zeros(len(layers), np.int64)
        space = aligned(_space(width, channels, len(layers)), np.dtype(np.float32))
        addresses = (
            sizes.ctypes.data,
            done.ctypes.data,
            image.data_ptr(),
            weights.ctypes.data,
            space.ctypes.data,
        )
        kernel()(*addresses)
    return feat


def space_bytes(channels: int, layers: int) -> tuple[int, int]:
    """Bytes that a window takes beside feat: per column, and in all but those."""
    column = layers * (BAND + BEHIND) + 1
    # weights are transformed layer by layer, in float64
    packed = (layers + 5) * _weights(channels)
    return 4 * channels * column, 4 * (_space(0, channels, layers) + packed)


def _space(width: int, channels: int, layers: int) -> int:
    """Numbers that the kernel works in: rings, a row of zeros, and both sides of the products."""
    line = (width + width % 2 + 2) * channels
    rows = layers * (BAND + BEHIND) + 1
    return rows * line + 2 * 16 * (BLOCK * channels + PAD)


def _weights(channels: int) -> int:
    """Numbers of a layer's transformed weights and its bias."""
    return (16 * channels + 1) * channels


def _packed(layers: Sequence[nn.Conv2d], factor: float) -> np.ndarray[Any, Any]:
    """Transformed weights and biases as the kernel takes them, behind each other."""
    channels = layers[0].in_channels
    packed = aligned(len(layers) * _weights(channels), np.dtype(np.float32))
    packed = packed.reshape(len(layers), -1)
    for number, (layer, into) in enumerate(zip(layers, packed, strict=True)):
        assert layer.bias is not None
        # each block's second layer gives what is added, times the factor
        times = factor if number % 2 else 1.0
        into[:-channels] = transformed(layer.weight.detach().numpy() * np.float64(times)).ravel()
        into[-channels:] = layer.bias.detach().numpy() * times
    return packed


@cache
def kernel() -> Any:
    """The compiled ``add_body``."""
    return machine_code.kernel("liif_cli.models.encoders.edsr_kernel", "float32", 5)
