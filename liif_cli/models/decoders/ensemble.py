"""Members of the local ensemble (LIIF, arXiv 2012.09161, section 3.2) of a tile, axis by axis.

A pixel's weights are separable, w = w_y[row] * w_x[col], so that a tile is a set of (row, code) and
(column, code) pairs. Pairs of weight 0 are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from liif_cli.geometry.axis import AxisMap, AxisSlice
from liif_cli.models.device import upload
from liif_cli.models.members import MembersKind

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float32]


class LocalEnsemble(nn.Module):
    """What LIIF and its kin have in common: which codes a pixel is answered from.

    Args:
        channels: channels C of feat.
        local_ensemble: blend the four codes around a pixel by the opposite areas (section 3.2).
        feat_unfold: concatenate each code's 3 x 3 neighbourhood (section 3.1).
        cell_decode: give the pixel's size to the network (section 3.3).
        skip: "bilinear" adds the bilinearly sampled input image to the result, as LTE does (arXiv
            2111.08918); None for the papers' models.
    """

    exact_tiling = True

    def __init__(
        self,
        channels: int,
        *,
        local_ensemble: bool,
        feat_unfold: bool,
        cell_decode: bool,
        skip: str | None,
    ) -> None:
        super().__init__()
        if skip not in (None, "bilinear"):
            raise ValueError(f"skip is None or 'bilinear', got {skip!r}")
        self.channels = channels
        self.local_ensemble = local_ensemble
        self.feat_unfold = feat_unfold
        self.cell_decode = cell_decode
        self.skip = skip
        self.unfolded_side = 3 if feat_unfold else 1
        self.code_channels = channels * self.unfolded_side**2
        self.cell_channels = 2 if cell_decode else 0
        self.members: MembersKind = "ensemble" if local_ensemble else "nearest"
        self.members_per_pixel = 4 if local_ensemble else 1

    def radius(self, axis: AxisMap) -> int:
        """1 for the unfolding, 1 for the ensemble's second code."""
        return int(self.feat_unfold) + int(self.local_ensemble)


@dataclass(frozen=True)
class AxisMembers:
    """Pairs (output index, code) of an axis, of weight above 0, in ascending order of the code.

    ``index`` counts from the slice's start, ``code`` from its offset. All have the same length.
    """

    index: IntArray
    code: IntArray
    rel: FloatArray
    weight: FloatArray

    def __len__(self) -> int:
        return len(self.index)

    def bounds(self) -> tuple[IntArray, IntArray]:
        """Where the runs of pairs of one code and consecutive indices begin, and where they end."""
        new = (np.diff(self.code) != 0) | (np.diff(self.index) != 1)
        inner = np.flatnonzero(new) + 1
        return np.append(0, inner), np.append(inner, len(self))

    def runs(self) -> list[slice]:
        """Those runs, as slices of the arrays."""
        starts, stops = self.bounds()
        return [slice(*pair) for pair in zip(starts.tolist(), stops.tolist(), strict=True)]

    def within(self, start: int, stop: int) -> AxisMembers:
        """The pairs of output indices start..stop, counted from ``start``."""
        kept = (self.index >= start) & (self.index < stop)
        return AxisMembers(
            self.index[kept] - start, self.code[kept], self.rel[kept], self.weight[kept]
        )

    @property
    def code_range(self) -> tuple[int, int]:
        """Half-open range of the codes."""
        return int(self.code[0]), int(self.code[-1]) + 1

    def of_codes(self, start: int, stop: int) -> AxisMembers:
        """The pairs of codes start..stop, with codes counted from ``start``."""
        first, last = np.searchsorted(self.code, (start, stop))
        kept = slice(first, last)
        return AxisMembers(
            self.index[kept], self.code[kept] - start, self.rel[kept], self.weight[kept]
        )

    def blend(self, length: int) -> FloatArray:
        """The weights as a matrix (pairs, length): pairs' values times it are pixels' values."""
        matrix = np.zeros((len(self), length), np.float32)
        matrix[np.arange(len(self)), self.index] = self.weight
        return matrix


def members_by_side(
    axis: AxisSlice, local_ensemble: bool
) -> list[tuple[IntArray, FloatArray, FloatArray]]:
    """(code, rel, weight) of every output index, for each of its one or two members."""
    if not local_ensemble:
        return [(axis.nearest, axis.rel_nearest, np.ones(len(axis), np.float32))]
    return [
        (axis.left, axis.rel_left, axis.weight_left),
        (axis.right, axis.rel_right, axis.weight_right),
    ]


def axis_members(axis: AxisSlice, local_ensemble: bool) -> AxisMembers:
    """The members of an axis that weigh anything."""
    parts = members_by_side(axis, local_ensemble)
    index = np.tile(np.arange(len(axis), dtype=np.int64), len(parts))
    code, rel, weight = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    kept = np.flatnonzero(weight)
    order = kept[np.lexsort((index[kept], code[kept]))]
    return AxisMembers(index[order], code[order], rel[order], weight[order])


def add_bilinear(
    colours: torch.Tensor,
    image: torch.Tensor,
    rows: AxisSlice,
    cols: AxisSlice,
    local_ensemble: bool,
) -> None:
    """Add the LR image, blended with the ensemble's weights, to the colours of a tile.

    Args:
        colours: (len(rows), len(cols), 3), contiguous; added to.
        image: (3, h, w).
        rows: of the tile.
        cols: of the tile.
        local_ensemble: see ``LocalEnsemble``.
    """
    (top, of_rows), (left, of_cols) = (
        _blend(axis, local_ensemble, colours) for axis in (rows, cols)
    )
    window = image[:, top : top + len(of_rows), left : left + len(of_cols)].to(colours)
    # columns first, of the few rows of the LR grid; what is large is written once
    across = (window @ of_cols).permute(1, 2, 0).reshape(len(of_rows), -1)
    colours.view(len(rows), -1).addmm_(of_rows.mT, across)


def _blend(axis: AxisSlice, local_ensemble: bool, like: torch.Tensor) -> tuple[int, torch.Tensor]:
    """The first code that an axis asks for, and weights (codes from there, pixels)."""
    members = axis_members(axis, local_ensemble)
    low, high = members.code_range
    weights = np.zeros((high - low, len(axis)), np.float32)
    weights[members.code - low, members.index] = members.weight
    return low, upload(weights, like.device, like.dtype)
