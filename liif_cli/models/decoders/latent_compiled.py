"""LM-LIIF's latent MLP by compiled code: packs arrays for ``latent_kernel``.

That module imports numba, and is itself imported only where there is no machine code of it yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from liif_cli.models import machine_code
from liif_cli.models.machine_code import aligned, registers
from liif_cli.models.winograd import ACROSS, BLOCK, DEPTH, DOWN, PAD, in_columns, transformed

MOST_CHANNELS = 128
"""Of feat. Of more, transformed weights leave the second-level cache for every block of tiles."""

Array = npt.NDArray[Any]


def takes(channels: int, widths: Sequence[int], dtype: torch.dtype, device: torch.device) -> bool:
    """Whether the kernel computes that MLP.

    Args:
        channels: of feat.
        widths: of the MLP's layers, the last one included.
        dtype: of weights and feat.
        device: where they are.
    """
    return (
        channels % DEPTH == 0
        and 0 < channels <= MOST_CHANNELS
        and len(widths) > 1
        and all(width % registers()[0] == 0 for width in widths)
        and dtype == torch.float32
        and device.type == "cpu"
    )


@dataclass(frozen=True)
class Layers:
    """The MLP's weights as the kernel takes them, and the widths of its layers."""

    values: Array
    widths: tuple[int, ...]


def packed(first: torch.Tensor, bias: torch.Tensor, others: Sequence[nn.Linear]) -> Layers:
    """Packs weights for the kernel.

    Args:
        first: weights of the 3 x 3 codes, (O, C, 3, 3), float32.
        bias: (O,), with what the cell adds.
        others: the layers behind the first.
    """
    parts = [transformed(first.detach().numpy()).ravel(), bias.detach().numpy()]
    for layer in others:
        parts += [in_columns(layer.weight.detach().numpy()), layer.bias.detach().numpy()]
    values = aligned(sum(map(len, parts)), np.dtype(np.float32))
    np.concatenate(parts, out=values)
    return Layers(values, (len(bias), *(layer.out_features for layer in others)))


def modulate(
    feat: torch.Tensor, layers: Layers, rows: tuple[int, int], cols: tuple[int, int]
) -> torch.Tensor:
    """The MLP's result for a rectangle of codes: (rows, cols, width of the last layer), float32.

    Args:
        feat: (C, h, w), float32, channels last: zeros are beyond it.
        layers: what ``packed`` gave.
        rows: from and to which row of codes.
        cols: the same of columns.
    """
    image = feat.permute(1, 2, 0)
    sizes = np.array([*image.shape, *rows, *cols, len(layers.widths), *layers.widths], np.int64)
    scratch = aligned(space(image.shape[2], layers.widths, cols), np.dtype(np.float32))
    result = torch.empty(rows[1] - rows[0], cols[1] - cols[0], layers.widths[-1])
    addresses = (
        sizes.ctypes.data,
        image.data_ptr(),
        layers.values.ctypes.data,
        scratch.ctypes.data,
        result.data_ptr(),
    )
    kernel()(*addresses)
    return result


def space(channels: int, widths: Sequence[int], cols: tuple[int, int]) -> int:
    """Numbers that the kernel works in: see its ``space_at``."""
    tiles = (cols[1] + 1) // 2 - cols[0] // 2
    rows = 5 * (2 * tiles + 2) * channels
    transforms = 16 * (BLOCK * (channels + ACROSS * registers()[0]) + 2 * PAD)
    buffers = 2 * (2 * 2 * BLOCK + DOWN) * max(widths[:-1])
    return rows + transforms + buffers


@cache
def kernel() -> Any:
    """The compiled ``modulate``."""
    return machine_code.kernel("liif_cli.models.decoders.latent_kernel", "float32", 5)
