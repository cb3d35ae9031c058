"""EDSR without upsampler and mean shift (Lim et al. 2017, arXiv 1707.02921), as LIIF uses it."""

from __future__ import annotations

import torch
from torch import nn

from liif_cli.models.blocks import ResBlock, conv3x3


class EDSR(nn.Module):
    """Residual encoder: (N, 3, h, w) in [-1, 1] -> (N, n_feats, h, w).

    Args:
        n_resblocks: residual blocks; 16 for EDSR-baseline, 32 for EDSR.
        n_feats: channels; 64 for EDSR-baseline, 256 for EDSR.
        res_scale: factor of each residual; 1 for EDSR-baseline, 0.1 for EDSR.
    """

    def __init__(self, n_resblocks: int = 16, n_feats: int = 64, res_scale: float = 1.0) -> None:
        super().__init__()
        self.head = nn.Sequential(conv3x3(3, n_feats))
        blocks: list[nn.Module] = [ResBlock(n_feats, res_scale) for _ in range(n_resblocks)]
        self.body = nn.Sequential(*blocks, conv3x3(n_feats, n_feats))
        self.channels = n_feats
        self.radius = 2 * n_resblocks + 2

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        shallow = self.head(image)
        feat: torch.Tensor = shallow + self.body(shallow)
        return feat

    def bytes_per_pixel(self) -> int:
        """Peak bytes of float32 activations an LR pixel: shallow, a block's input, two inside."""
        return 4 * 4 * self.channels
