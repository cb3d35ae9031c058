"""Matrix instructions of x86 processors (AMX), and arrays as the kernels that use them take them.

AMX multiplies numbers of bfloat16 and adds up in float32, sixteen times as many per cycle as
vectors of float32 do. A float32 number is to 16 bits the sum of two of bfloat16, its high and its
low part, so that three products stand for one of float32: high times high, and each high part times
the other's low one (Henry, Tang, Heinecke: Leveraging the bfloat16 artificial intelligence datatype
for higher-precision computations, arXiv 1904.06376, section III).
"""

from __future__ import annotations

import ctypes
import logging
import platform
import sys
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from liif_cli.models import machine_code
from liif_cli.models.device import PRODUCTS

log = logging.getLogger(__name__)

SIDE = 16
"""Rows of a matrix register, and numbers of float32 in each."""
DEPTH = 32
"""Numbers of bfloat16 in a row."""
DOWN = 2 * SIDE
"""Pixels whose sums are in registers at once."""
ACROSS = 2 * SIDE
"""Channels out whose sums are in registers at once."""

KINDS = {products: precision for precision, products in PRODUCTS.items()}
"""What a number of products is called."""

_ASK_FOR_STATE, _TILE_DATA, _ARCH_PRCTL = 0x1023, 18, 158
"""arch_prctl's ARCH_REQ_XCOMP_PERM, the state asked for, and the call's number on x86-64."""


@cache
def available() -> bool:
    """Whether this processor has the instructions, and the system lets this process use them."""
    features = machine_code.target()[1].split(",")
    if not {"+amx-tile", "+amx-bf16", "+avx512bf16"} <= set(features):
        return False
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    # children inherit it
    refused: int = libc.syscall(_ARCH_PRCTL, _ASK_FOR_STATE, _TILE_DATA)
    if refused:
        log.info("the system does not let AMX be used (error %d)", ctypes.get_errno())
    return not refused


def kernel(module: str, products: int, arguments: int) -> Any:
    """A kernel of that module, as ``machine_code.kernel`` gives it.

    Raises:
        RuntimeError: the instructions are not there; they would end the process.
    """
    if not available():
        raise RuntimeError("AMX is not available to this process")
    return machine_code.kernel(module, KINDS[products], arguments)


def parts(values: torch.Tensor, products: int) -> list[torch.Tensor]:
    """What stands for numbers of float32: [low, high] for 3 products, [high] for 1; bfloat16."""
    high = values.bfloat16()
    return [(values - high.float()).bfloat16(), high] if products == 3 else [high]


def packed(weight: torch.Tensor, products: int) -> npt.NDArray[Any]:
    """Weights (O, C, h, w) as the kernels take them, as bytes of float32.

    Of ``ACROSS`` channels out, then of each row, column and ``DEPTH`` channels in: the low and the
    high parts' two matrices of 16 pairs of channels in and 16 channels out. Channels that are
    missing to whole matrices are zeros.
    """
    outs, channels, height, width = weight.shape
    padded = weight.new_zeros(
        -(-outs // ACROSS) * ACROSS, -(-channels // DEPTH) * DEPTH, height, width
    )
    padded[:outs, :channels] = weight
    # (group, matrix, out), (depth, pair, of the pair), row, column
    kinds = [
        part.reshape(-1, 2, SIDE, padded.shape[1] // DEPTH, SIDE, 2, height, width).permute(
            0, 6, 7, 3, 1, 4, 2, 5
        )
        for part in parts(padded, products)
    ]
    # group, row, column, depth, part, matrix, pair, out, of the pair
    together = torch.stack(kinds, dim=4).contiguous()
    return together.view(torch.int16).numpy().reshape(-1).view(np.float32)


def tile_config() -> npt.NDArray[np.float32]:
    """What sets all matrix registers to 16 rows of 64 bytes (palette 1), as bytes of float32."""
    config = np.zeros(64, np.uint8)
    config[0] = 1
    config[16:32].view(np.uint16)[:] = 64
    config[48:56] = SIDE
    return config.view(np.float32)
