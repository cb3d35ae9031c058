"""Pieces that several networks share. Attribute names are those of the published checkpoints."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn


def conv3x3(channels_in: int, channels_out: int) -> nn.Conv2d:
    """3 x 3 convolution with zero padding that keeps the size."""
    return nn.Conv2d(channels_in, channels_out, 3, padding=1)


def lowered(feat: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """``feat`` of float32 for layers whose weights are of a lower precision; others as they are."""
    lower = feat.dtype == torch.float32 and dtype.itemsize < feat.dtype.itemsize
    return feat.to(dtype) if lower else feat


class MLP(nn.Module):
    """Linear layers with ReLU between them: (..., channels_in) -> (..., channels_out).

    Args:
        channels_in: length of an input vector.
        channels_out: length of an output vector.
        hidden: widths of the hidden layers, in order; may be empty.
    """

    def __init__(self, channels_in: int, channels_out: int, hidden: Sequence[int]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = channels_in
        for next_width in hidden:
            layers += [nn.Linear(width, next_width), nn.ReLU()]
            width = next_width
        layers.append(nn.Linear(width, channels_out))
        self.layers = nn.Sequential(*layers)

    @property
    def linears(self) -> list[nn.Linear]:
        """The linear layers in order."""
        return [layer for layer in self.layers if isinstance(layer, nn.Linear)]

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = self.layers(inputs)
        return outputs


class ResBlock(nn.Module):
    """conv, ReLU, conv, times ``res_scale``, plus the input; no batch norm (EDSR, 1707.02921).

    Args:
        n_feats: channels C.
        res_scale: factor of the residual.
        told: length of the code by which both convolutions' results are scaled and shifted,
            channel by channel (FiLM, arXiv 1709.07871); 0 for none. The block starts as if there
            were not a code.
    """

    def __init__(self, n_feats: int, res_scale: float, told: int = 0) -> None:
        super().__init__()
        self.body = nn.Sequential(conv3x3(n_feats, n_feats), nn.ReLU(), conv3x3(n_feats, n_feats))
        self.res_scale = res_scale
        if told:
            self.told = nn.Linear(told, 4 * n_feats)
            nn.init.zeros_(self.told.weight)
            nn.init.zeros_(self.told.bias)

    def forward(self, feat: torch.Tensor, code: torch.Tensor | None = None) -> torch.Tensor:
        """(N, C, h, w) -> the same; ``code`` (N, told) for a block that is told something.

        What is added up stays in float32 where the convolutions are of a lower precision.
        """
        shown = lowered(feat, next(self.body.parameters()).dtype)
        residual: torch.Tensor = self.body(shown) if code is None else self._told_body(shown, code)
        if self.res_scale == 1:
            return feat + residual
        return torch.add(feat, residual, alpha=self.res_scale)

    def modulation(self, code: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Factor and shift of the first convolution's result, and of the second's: (N, C) each."""
        scale, shift, last_scale, last_shift = self.told(code).chunk(4, dim=1)
        return 1 + scale, shift, 1 + last_scale, last_shift

    def _told_body(self, feat: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
        first, relu, last = self.body
        hidden = first(feat)
        scale, shift, last_scale, last_shift = (
            part.to(hidden.dtype)[..., None, None] for part in self.modulation(code)
        )
        hidden = relu(torch.addcmul(shift, hidden, scale))
        return torch.addcmul(last_shift, last(hidden), last_scale)
