"""Winograd's convolutions for the compiled kernels: sizes, and weights as the kernels take them.

F(2 x 2, 3 x 3) of Lavin and Gray (Fast Algorithms for Convolutional Neural Networks, CVPR 2016,
arXiv 1509.09308, section 4.1): of a tile of 2 x 2 pixels, 4 x 4 inputs d are transformed to
B^T d B, multiplied place by place with the transformed weights G g G^T and added up over the
channels, which is a product of matrices for each of the 16 places, and transformed back to A^T m A.
That takes 16 products per tile, channel in and channel out, where 36 would be needed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from liif_cli.models.machine_code import registers

BLOCK = 48
"""Tiles that are transformed before they are multiplied: both stay in the second-level cache."""
DEPTH = 32
"""Channels in that are added up in registers; their number is a multiple of it."""
ACROSS = 2
"""Vectors of channels out that are added up in registers."""
DOWN = 12 if registers()[1] == 32 else 6
"""Rows of a product that are added up in registers: with two vectors of weights and one number,
their sums fill them."""
PAD = 16
"""Numbers between the 16 matrices of a block: else they would share places of the cache."""

_TRANSFORM = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
"""G of F(2 x 2, 3 x 3)."""


def transformed(weight: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """G g G^T of weights (O, C, 3, 3): (16, O * C), each place as ``in_columns`` lays it out."""
    outs, channels = weight.shape[:2]
    places = weight.reshape(-1, 9).astype(np.float64) @ np.kron(_TRANSFORM, _TRANSFORM).T
    moved = places.astype(np.float32).reshape(outs, channels, 16)
    return np.stack([in_columns(place) for place in moved.transpose(2, 0, 1)])


def in_columns(matrix: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A matrix (O, C) as (O * C,): blocks of ``ACROSS`` vectors of outputs, each (C, outputs).

    The last block has fewer vectors where that is what is left.
    """
    across = ACROSS * registers()[0]
    return np.concatenate(
        [matrix[out : out + across].T.ravel() for out in range(0, len(matrix), across)]
    )
