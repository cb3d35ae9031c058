"""LIIF's hidden layers by AMX's matrix instructions: packs arrays for ``liif_amx_kernel``.

That module imports numba, and is itself imported only where there is no machine code of it yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import nn

from liif_cli.models import amx
from liif_cli.models.amx import ACROSS, DOWN
from liif_cli.models.machine_code import aligned

MOST_WIDTH = 512
"""Of a layer: weights of wider ones leave the second-level cache for every block of rows."""
PRODUCTS = 3
"""Of bfloat16 for one of float32; for one product torch calls oneDNN, which uses AMX as well."""


def takes(widths: Sequence[int], dtype: torch.dtype, device: torch.device) -> bool:
    """Whether the kernel computes hidden layers of those widths.

    Args:
        widths: of the first layer, which is computed elsewhere, and of those behind it.
        dtype: of weights and values.
        device: where they are.
    """
    return (
        len(widths) > 1
        and all(width % ACROSS == 0 and 0 < width <= MOST_WIDTH for width in widths)
        and dtype == torch.float32
        and device.type == "cpu"
        and amx.available()
    )


class HiddenLayers:
    """The layers between LIIF's first and last one, packed for the kernel.

    Args:
        layers: in order; ``takes`` has said that the kernel computes them.
    """

    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        parts = []
        for layer in layers:
            parts.append(amx.packed(layer.weight.detach()[..., None, None], PRODUCTS))
            parts.append(layer.bias.detach().numpy())
        self._weights = aligned(sum(map(len, parts)), np.dtype(np.float32))
        np.concatenate(parts, out=self._weights)
        self._widths = (layers[0].in_features, *(layer.out_features for layer in layers))
        self._config = amx.tile_config()
        space = 2 * DOWN * ACROSS + 2 * DOWN * max(self._widths)
        self._space = aligned(space, np.dtype(np.float32))

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        """Rectified values (n, width), float32 and contiguous -> rectified results (n, width)."""
        sizes = np.array([len(values), len(self._widths) - 1, *self._widths], np.int64)
        result = torch.empty(len(values), self._widths[-1])
        addresses = (
            sizes.ctypes.data,
            self._config.ctypes.data,
            values.data_ptr(),
            self._weights.ctypes.data,
            self._space.ctypes.data,
            result.data_ptr(),
        )
        kernel()(*addresses)
        return result


@cache
def kernel() -> Any:
    """The compiled ``hide``."""
    return amx.kernel("liif_cli.models.decoders.liif_amx_kernel", PRODUCTS, 6)
