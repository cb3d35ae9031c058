"""Residual dense network (Zhang et al. 2018, arXiv 1802.08797), without upsampler, for LIIF."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from liif_cli.models.base import Published

CONFIGS = {"A": (20, 6, 32), "B": (16, 8, 64)}
"""Name -> dense blocks D, convolutions a block C, growth G (section 3 of the paper)."""


class _DenseConv(nn.Module):
    """conv and ReLU, concatenated to the input."""

    def __init__(self, channels_in: int, growth: int, kernel_size: int) -> None:
        super().__init__()
        conv = nn.Conv2d(channels_in, growth, kernel_size, padding=kernel_size // 2)
        self.conv = nn.Sequential(conv, nn.ReLU())

    def forward(self, feat: torch.Tensor) -> torch.Tensor:
        return torch.cat((feat, self.conv(feat)), dim=1)


class _DenseBlock(nn.Module):
    """Dense convolutions, fused by a 1 x 1 convolution, plus the input."""

    def __init__(self, channels: int, growth: int, convs: int, kernel_size: int) -> None:
        super().__init__()
        dense = [_DenseConv(channels + i * growth, growth, kernel_size) for i in range(convs)]
        self.convs = nn.Sequential(*dense)
        self.LFF = nn.Conv2d(channels + convs * growth, channels, 1)

    def forward(self, feat: torch.Tensor) -> torch.Tensor:
        fused: torch.Tensor = self.LFF(self.convs(feat))
        return fused + feat


FRAGMENTATION = 1.6
"""Measured peak over live activations with glibc's allocator: concatenations of growing size leave
holes behind."""


class RDN(nn.Module):
    """Residual dense encoder: (N, 3, h, w) in [-1, 1] -> (N, channels, h, w).

    Args:
        channels: G0 of the paper, channels between the blocks.
        config: "A" (20 blocks of 6 convolutions growing by 32) or "B" (16 of 8 growing by 64).
        kernel_size: odd side of the convolutions' kernels.
    """

    published: ClassVar[Published] = {
        "rdn": lambda published: {
            "channels": published.get("G0", 64),
            "kernel_size": published.get("RDNkSize", 3),
            "config": published.get("RDNconfig", "B"),
        }
    }

    def __init__(self, channels: int = 64, config: str = "B", kernel_size: int = 3) -> None:
        super().__init__()
        if config not in CONFIGS:
            raise ValueError(f"config is one of {', '.join(CONFIGS)}, got {config!r}")
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"kernel_size is odd, got {kernel_size}")
        blocks, convs, growth = CONFIGS[config]
        padding = kernel_size // 2
        self.SFENet1 = nn.Conv2d(3, channels, kernel_size, padding=padding)
        self.SFENet2 = nn.Conv2d(channels, channels, kernel_size, padding=padding)
        self.RDBs = nn.ModuleList(
            _DenseBlock(channels, growth, convs, kernel_size) for _ in range(blocks)
        )
        self.GFF = nn.Sequential(
            nn.Conv2d(blocks * channels, channels, 1),
            nn.Conv2d(channels, channels, kernel_size, padding=padding),
        )
        self.channels = channels
        self.radius = padding * (blocks * convs + 3)
        self._widest = channels + convs * growth

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        shallow = self.SFENet1(image)
        feat = self.SFENet2(shallow)
        locals_ = []
        for block in self.RDBs:
            feat = block(feat)
            locals_.append(feat)
        fused: torch.Tensor = self.GFF(torch.cat(locals_, dim=1)) + shallow
        return fused

    def bytes_per_pixel(self) -> int:
        """Peak bytes of float32 activations per LR pixel.

        Every block's output is kept for the fusion; on top come a block's concatenations, the one
        read and the one written, or all outputs once more as one tensor.
        """
        kept = (len(self.RDBs) + 2) * self.channels
        live = kept + max(2 * self._widest, (len(self.RDBs) + 1) * self.channels)
        return int(4 * live * FRAGMENTATION)
