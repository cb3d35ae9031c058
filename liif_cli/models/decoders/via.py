"""A decoder asked at one fixed scale, and Lanczos from there to the wanted size (``--via S``).

The image in between has round(n S) pixels on an axis of n. No more of it exists at once than a
query needs; its pixels come from global indices, so that tiles equal the whole.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import cast

import torch
from torch import nn

from liif_cli.geometry.axis import AxisMap, AxisSlice
from liif_cli.geometry.resample import LANCZOS3
from liif_cli.geometry.size import scaled_side
from liif_cli.models.base import Decoder, Latent
from liif_cli.models.decoders.bicubic import Lanczos

MIDDLE_SIDE = 1024
"""Pixels per side of the image in between that are kept at once, at most, but for the kernel."""


class Via(nn.Module):
    """``inner`` at ``scale``, clamped to the range of an image, then Lanczos-3 as Pillow resizes.

    Below ``scale`` the kernel widens, and the image in between is reduced with antialiasing.

    Args:
        inner: a module that fulfils the ``Decoder`` contract.
        scale: of the image in between; exact.
    """

    def __init__(self, inner: nn.Module, scale: Fraction) -> None:
        super().__init__()
        self.inner = inner
        self.scale = scale
        self.resampler = Lanczos()

    @property
    def decoder(self) -> Decoder:
        """The inner decoder under its contract."""
        return cast(Decoder, self.inner)

    @property
    def exact_tiling(self) -> bool:
        """The inner decoder's: resampling itself is exact."""
        return self.decoder.exact_tiling

    def middle(self, axis: AxisMap) -> AxisMap:
        """The axis of the image in between, over the same LR pixels."""
        return AxisMap(axis.n_in, scaled_side(axis.n_in, self.scale))

    def radius(self, axis: AxisMap) -> int:
        """LR pixels that the taps span, and the inner decoder's on top."""
        middle = self.middle(axis)
        # support * max(1, n_mid / n_out) pixels of the middle are n_in / n_mid LR pixels each
        span = LANCZOS3.support * max(middle.n_out, axis.n_out) * axis.n_in
        return -(-span // (axis.n_out * middle.n_out)) + self.decoder.radius(middle)

    def prepare(self, image: torch.Tensor, feat: torch.Tensor, cell: tuple[float, float]) -> Latent:
        """The inner decoder's latent; ``cell`` is that of the image in between."""
        return self.decoder.prepare(image, feat, cell)

    def query(self, latent: Latent, rows: AxisSlice, cols: AxisSlice) -> torch.Tensor:
        """Normalised colours (len(rows), len(cols), 3), float32; Lanczos overshoots [-1, 1]."""
        bands = []
        for part in self._parts(rows):
            row = [self._block(latent, part, other) for other in self._parts(cols)]
            bands.append(torch.cat(row, 1) if len(row) > 1 else row[0])
        return torch.cat(bands) if len(bands) > 1 else bands[0]

    def _parts(self, axis: AxisSlice) -> list[AxisSlice]:
        """Runs of outputs that need no more than about ``MIDDLE_SIDE`` pixels of the middle."""
        whole = axis.axis
        length = max(1, MIDDLE_SIDE * whole.n_out // self.middle(whole).n_out)
        starts = range(axis.start, axis.stop, length)
        return [whole.slice(i, min(axis.stop, i + length), axis.offset) for i in starts]

    def _block(self, latent: Latent, rows: AxisSlice, cols: AxisSlice) -> torch.Tensor:
        below = [self._below(axis) for axis in (rows, cols)]
        colours = self.decoder.query(latent, below[0], below[1])
        # a clamp alone would turn infinity, which the renderer has to see, into a colour
        colours = torch.where(colours.isfinite(), colours.clamp(-1, 1), torch.nan)
        above = [
            AxisMap(part.axis.n_out, axis.axis.n_out).slice(axis.start, axis.stop, part.start)
            for part, axis in zip(below, (rows, cols), strict=True)
        ]
        return self.resampler.query(colours.permute(2, 0, 1).contiguous(), above[0], above[1])

    def _below(self, axis: AxisSlice) -> AxisSlice:
        """The pixels of the image in between that the kernel touches."""
        middle = self.middle(axis.axis)
        onto = AxisMap(middle.n_out, axis.axis.n_out)
        start, stop = onto.codes(axis.start, axis.stop, self.resampler.radius(onto))
        return middle.slice(start, stop, axis.offset)

    def latent_bytes_per_code(self, scale: tuple[float, float]) -> int:
        """The inner decoder's."""
        return self.decoder.latent_bytes_per_code(self._middle_scale)

    def query_bytes(self, height: int, width: int, scale: tuple[float, float]) -> int:
        """The result twice, and one block: the inner query, its colours clamped, Lanczos."""
        ratio = [s / float(self.scale) for s in scale]
        sides = [
            min(side, max(1, int(MIDDLE_SIDE * r)))
            for side, r in zip((height, width), ratio, strict=True)
        ]
        below = [
            math.ceil(side / r) + 2 * math.ceil(LANCZOS3.support * max(1, 1 / r)) + 2
            for side, r in zip(sides, ratio, strict=True)
        ]
        inner = self.decoder.query_bytes(below[0], below[1], self._middle_scale)
        block = self.resampler.query_bytes(sides[0], sides[1], (ratio[0], ratio[1]))
        return inner + 4 * 3 * (2 * below[0] * below[1] + 2 * height * width) + block

    def macs(self, scale: tuple[float, float]) -> tuple[int, int]:
        """The inner decoder's, an output pixel's share of its pixels, and Lanczos."""
        ratio = (scale[0] / float(self.scale), scale[1] / float(self.scale))
        per_code, per_pixel = self.decoder.macs(self._middle_scale)
        resampling = self.resampler.macs(ratio)[1]
        return per_code, int(per_pixel / (ratio[0] * ratio[1])) + resampling

    @property
    def _middle_scale(self) -> tuple[float, float]:
        return float(self.scale), float(self.scale)
