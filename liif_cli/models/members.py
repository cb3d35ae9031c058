"""Codes, relative coordinates and weights of scattered pixels, for training.

Exact integer geometry as in ``liif_cli.geometry.axis``, on tensors of any device.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch.nn import functional as F

from liif_cli.geometry.axis import left_code, nearest_code, relative

MembersKind = Literal["ensemble", "nearest", "corner"]
"""Which codes a decoder asks for a pixel: the four around it, the one that holds its centre, or the
one that holds its top left corner. A decoder that can be trained names its kind as ``members``."""


@dataclass(frozen=True)
class TrainMembers:
    """Members of Q scattered pixels of N samples, M = 4 or 1 members per pixel.

    ``code`` (N, Q, M) int64 counts codes over the whole batch, row by row; ``rel`` (N, Q, M, 2) as
    (y, x), in the decoder's unit; ``weight`` (N, Q, M) adds up to 1. ``around`` holds the
    ensemble's members of the same pixels where the decoder's are others.
    """

    code: torch.Tensor
    rel: torch.Tensor
    weight: torch.Tensor
    around: TrainMembers | None = None

    def blend(self, image: torch.Tensor) -> torch.Tensor:
        """The members' pixels of an image (N, C, h, w), weighted: (N, Q, C)."""
        pixels = image.permute(0, 2, 3, 1).reshape(-1, image.shape[1])
        blended: torch.Tensor = (F.embedding(self.code, pixels) * self.weight[..., None]).sum(2)
        return blended

    def of_samples(self, chosen: torch.Tensor, codes: int) -> TrainMembers:
        """Those of some samples of the batch, (n,) int64, each with ``codes`` codes."""
        moved = (chosen - torch.arange(len(chosen), device=chosen.device)) * codes
        return TrainMembers(
            self.code[chosen] - moved[:, None, None],
            self.rel[chosen],
            self.weight[chosen],
            self.around.of_samples(chosen, codes) if self.around else None,
        )


def train_members(
    kind: MembersKind,
    index: tuple[torch.Tensor, torch.Tensor],
    n_in: tuple[int, int],
    n_out: tuple[torch.Tensor, torch.Tensor],
    around: bool = False,
) -> TrainMembers:
    """Members of the output pixels ``index`` of N samples.

    Args:
        kind: the decoder's kind.
        index: rows and columns (N, Q) int64.
        n_in: (height, width) of each sample's LR map.
        n_out: heights and widths (N,) int64 of the samples' whole outputs.
        around: give the ensemble's members as well.
    """
    axes = [
        _axis(kind, i, n, total[:, None]) for i, n, total in zip(index, n_in, n_out, strict=True)
    ]
    (row_code, row_rel, row_weight), (col_code, col_rel, col_weight) = axes
    sample = torch.arange(len(index[0]), device=index[0].device)[:, None, None, None]
    code = (sample * n_in[0] + row_code[..., :, None]) * n_in[1] + col_code[..., None, :]
    rel = torch.stack(
        (
            row_rel[..., :, None].expand_as(code),
            col_rel[..., None, :].expand_as(code),
        ),
        dim=-1,
    )
    weight = row_weight[..., :, None] * col_weight[..., None, :]
    return TrainMembers(
        code.flatten(2),
        rel.flatten(2, 3),
        weight.flatten(2),
        train_members("ensemble", index, n_in, n_out) if around else None,
    )


def _axis(
    kind: MembersKind, index: torch.Tensor, n_in: int, n_out: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Codes, rel and weights (N, Q, 2 or 1) along one axis."""
    one = torch.ones_like(index, dtype=torch.float32)[..., None]
    if kind == "corner":
        start = index * n_in
        return (start // n_out)[..., None], (start % n_out / n_out)[..., None], one
    if kind == "nearest":
        code = nearest_code(index, n_in, n_out)
        return code[..., None], relative(index, code, n_in, n_out)[..., None], one
    left = left_code(index, n_in, n_out)
    code = torch.stack([left, left + 1], -1).clamp_(0, n_in - 1)
    rel = relative(index[..., None], code, n_in, n_out[..., None])
    right = rel[..., 0].abs() / 2 * (code[..., 0] != code[..., 1])
    return code, rel, torch.stack([1 - right, right], -1)
