"""LM-LIIF's latent MLP by AMX's matrix instructions: packs arrays for ``latent_amx_kernel``.

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

from liif_cli.models import amx
from liif_cli.models.amx import ACROSS, DOWN, SIDE
from liif_cli.models.machine_code import aligned

MOST_CHANNELS = 128
"""Of feat. Of more, weights leave the second-level cache for every block of codes."""

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Layers:
    """The MLP's weights as the kernel takes them, and the widths of its layers."""

    values: Array
    widths: tuple[int, ...]


@dataclass(frozen=True)
class LatentMLP:
    """The compiled MLP, with ``products`` of bfloat16 for one of float32, 1 or 3."""

    products: int

    def takes(
        self, channels: int, widths: Sequence[int], dtype: torch.dtype, device: torch.device
    ) -> bool:
        """Whether it computes that MLP.

        Args:
            channels: of feat.
            widths: of the MLP's layers, the last one included.
            dtype: of weights and feat.
            device: where they are.
        """
        exact = torch.float32 if self.products == 3 else torch.bfloat16
        return (
            channels % ACROSS == 0
            and 0 < channels <= MOST_CHANNELS
            and len(widths) > 1
            and all(width % SIDE == 0 for width in widths)
            and dtype == exact
            and device.type == "cpu"
            and amx.available()
        )

    def packed(
        self, first: torch.Tensor, bias: torch.Tensor, others: Sequence[nn.Linear]
    ) -> Layers:
        """Packs weights for the kernel.

        Args:
            first: weights of the 3 x 3 codes, (O, C, 3, 3).
            bias: (O,), with what the cell adds.
            others: the layers behind the first.
        """
        layers = [(first, bias), *((layer.weight[..., None, None], layer.bias) for layer in others)]
        parts = []
        for weight, offset in layers:
            parts.append(amx.packed(weight.detach().float(), self.products))
            parts.append(np.zeros(_whole(len(offset)), np.float32))
            parts[-1][: len(offset)] = offset.detach().float().numpy()
        values = aligned(sum(map(len, parts)), np.dtype(np.float32))
        np.concatenate(parts, out=values)
        return Layers(values, tuple(len(offset) for _, offset in layers))

    def modulate(
        self, feat: torch.Tensor, layers: Layers, rows: tuple[int, int], cols: tuple[int, int]
    ) -> torch.Tensor:
        """The MLP's result for a rectangle of codes: (rows, cols, the last width), float32.

        Args:
            feat: (C, h, w), channels last: zeros are beyond it.
            layers: what ``packed`` gave.
            rows: from and to which row of codes.
            cols: the same of columns.
        """
        image, top, left = feat.permute(1, 2, 0), 0, 0
        if image.dtype != torch.float32:
            # the kernel takes float32: of the codes, and those around them
            top, left = max(0, rows[0] - 1), max(0, cols[0] - 1)
            image = image[top : rows[1] + 1, left : cols[1] + 1].float().contiguous()
        sizes = np.array(
            [
                *image.shape,
                *(row - top for row in rows),
                *(col - left for col in cols),
                len(layers.widths),
                *layers.widths,
            ],
            np.int64,
        )
        config = amx.tile_config()
        space = self.space(image.shape[2], layers.widths, cols)
        scratch = aligned(space, np.dtype(np.float32))
        result = torch.empty(rows[1] - rows[0], cols[1] - cols[0], layers.widths[-1])
        addresses = (
            sizes.ctypes.data,
            config.ctypes.data,
            image.data_ptr(),
            layers.values.ctypes.data,
            scratch.ctypes.data,
            result.data_ptr(),
        )
        kernel(self.products)(*addresses)
        return result

    def space(self, channels: int, widths: Sequence[int], cols: tuple[int, int]) -> int:
        """Numbers that the kernel works in: rows of feat's parts, sums, and two layers."""
        kinds = 1 + (self.products == 3)
        columns = -(-(cols[1] - cols[0]) // DOWN) * DOWN + 2
        hidden = DOWN * max(map(_whole, widths[:-1]))
        return kinds * (4 * columns * channels // 2 + hidden) + 2 * DOWN * ACROSS


def _whole(width: int) -> int:
    """A layer's width with what is missing to whole matrix registers."""
    return -(-width // ACROSS) * ACROSS


@cache
def kernel(products: int) -> Any:
    """The compiled ``modulate``."""
    return amx.kernel("liif_cli.models.decoders.latent_amx_kernel", products, 6)
