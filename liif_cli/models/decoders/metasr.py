"""MetaSR for any size (Hu et al. 2019, arXiv 1903.00875), as LIIF's authors re-implemented it.

A pixel's top left corner picks a code; a weight net of one hidden layer gives the 9C x 3 matrix
that turns the unfolded code into a colour. The colour is linear in the code and in the hidden
layer, so the weight net's last layer and the code fold into a 3 x 256 matrix per code, once, and a
pixel costs 3 x 256 multiply-adds instead of 9C x 3 x 257. The hidden layer's input is separable
over rows and columns, and repeats from code to code at whole scales.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional as F

from liif_cli.geometry.axis import AxisMap, AxisSlice
from liif_cli.models.base import Published
from liif_cli.models.blocks import MLP
from liif_cli.models.decoders.ensemble import add_bilinear
from liif_cli.models.device import upload
from liif_cli.models.members import MembersKind, TrainMembers

HIDDEN = 256
"""Width of the weight net's hidden layer, that of the published code."""
BLOCK_CODES = 256
"""Codes whose matrices are made at once on the CPU."""
BLOCK_PIXELS = 1024
"""Pixels whose hidden layer exists at once on the CPU: a megabyte."""
DEVICE_BLOCK_PIXELS = 1 << 15
"""The same on an accelerator, where each pixel also takes a copy of its code's matrix."""


@dataclass(frozen=True)
class MetaSRLatent:
    """Feat (h + 2, w + 2, C) with a border of zeros, the hidden layer's bias with the cell, and the
    image (3, h, w) where the model has the skip."""

    feat: torch.Tensor
    bias: torch.Tensor
    image: torch.Tensor | None


class MetaSR(nn.Module):
    """Meta-upscale decoder.

    Args:
        channels: channels C of feat.
        skip: "bilinear" adds the bilinearly sampled input image; None for the published models.
    """

    published: ClassVar[Published] = {"metasr": lambda published: {}}
    exact_tiling = True
    members: MembersKind = "corner"

    def __init__(self, channels: int, skip: str | None = None) -> None:
        super().__init__()
        if skip not in (None, "bilinear"):
            raise ValueError(f"skip is None or 'bilinear', got {skip!r}")
        self.channels = channels
        self.skip = skip
        self.imnet = MLP(3, channels * 9 * 3, [HIDDEN])

    def radius(self, axis: AxisMap) -> int:
        """Half an output pixel to its corner, and 1 for the unfolding.

        An upper bound: where no corner lies in another code than its pixel's centre, as at whole
        scales, one less would do.
        """
        return -(-axis.n_in // (2 * axis.n_out)) + 1

    def latent_bytes_per_code(self, scale: tuple[float, float]) -> int:
        """Feat with its border, and the image where there is a skip."""
        return 4 * (self.channels + 3)

    def query_bytes(self, height: int, width: int, scale: tuple[float, float]) -> int:
        """The result twice, unfolded codes and their matrices, and the hidden layer of a block."""
        folded = 9 * self.channels * 3 * (HIDDEN + 1)
        codes = BLOCK_CODES * (9 * self.channels + 3 * (HIDDEN + 1))
        pixels = max(BLOCK_PIXELS, 2 * int(scale[1]) + 2) * (HIDDEN + 6)
        return 4 * (6 * height * width + folded + codes + pixels)

    def macs(self, scale: tuple[float, float]) -> tuple[int, int]:
        """A code's matrix; a pixel's hidden layer and its product with the matrix."""
        return 9 * self.channels * 3 * (HIDDEN + 1), 4 * HIDDEN

    def _fold_weights(self) -> torch.Tensor:
        """(3 * 257, 9C): what takes an unfolded code to its matrix and its constant.

        Row c * 256 + j is hidden unit j's weight for colour c, row 3 * 256 + c the bias.
        """
        last = self.imnet.linears[1]
        weight = last.weight.view(-1, 3, HIDDEN).permute(1, 2, 0).reshape(3 * HIDDEN, -1)
        return torch.cat((weight, last.bias.view(-1, 3).t()))

    # -- rendering --------------------------------------------------------------------------------

    def prepare(
        self, image: torch.Tensor, feat: torch.Tensor, cell: tuple[float, float]
    ) -> MetaSRLatent:
        """Pads feat; the codes' matrices are made block by block: they take 3 KB per code."""
        first = self.imnet.linears[0]
        bias = first.bias + first.weight[:, 2] * (cell[0] / 2)
        padded = F.pad(feat[0].permute(1, 2, 0), (0, 0, 1, 1, 1, 1))
        return MetaSRLatent(padded.contiguous(), bias, image[0] if self.skip else None)

    @torch.no_grad()
    def query(self, latent: MetaSRLatent, rows: AxisSlice, cols: AxisSlice) -> torch.Tensor:
        """Normalised colours (len(rows), len(cols), 3), float32 (float64 of a float64 latent)."""
        on_cpu = latent.feat.device.type == "cpu"
        answer = self._query_codes if on_cpu else self.query_dense
        colours = answer(latent, rows, cols)
        if latent.image is not None:
            add_bilinear(colours, latent.image, rows, cols, local_ensemble=True)
        return colours

    def _fold_by_position(self) -> torch.Tensor:
        """(9C, 3 * 257), an unfolded code counted position by position, channels last."""
        fold = self._fold_weights().view(-1, self.channels, 9).permute(2, 1, 0)
        return fold.reshape(9 * self.channels, -1)

    def _matrices(
        self, latent: MetaSRLatent, fold: torch.Tensor, row: int, start: int, stop: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Matrices (n, 3, 256) and constants (n, 3) of codes start..stop of LR row ``row``."""
        count, channels = stop - start, self.channels
        window = latent.feat[row : row + 3, start : stop + 2]
        # (code, position's row, position's column and channel), without a copy
        view = window.as_strided(
            (count, 3, 3 * channels),
            (channels, latent.feat.stride(0), 1),
            window.storage_offset(),
        )
        folded = view.reshape(count, 9 * channels) @ fold
        return folded[:, : 3 * HIDDEN].view(count, 3, HIDDEN), folded[:, 3 * HIDDEN :]

    def _query_codes(self, latent: MetaSRLatent, rows: AxisSlice, cols: AxisSlice) -> torch.Tensor:
        """LR row by LR row: batched products of the codes' matrices with their pixels."""
        fold, weight = self._fold_by_position(), self.imnet.linears[0].weight
        out_dtype = torch.promote_types(fold.dtype, torch.float32)
        out = torch.empty(len(rows), len(cols), 3, dtype=out_dtype)
        of_row = torch.from_numpy(rows.rel_corner).to(weight.dtype)[:, None] * weight[:, 0]
        of_row += latent.bias
        strips = [_Strip.make(cols, start, stop) for start, stop in _strips(cols)]
        of_cols = [
            torch.from_numpy(s.rel).to(weight.dtype)[..., None] * weight[:, 1] for s in strips
        ]
        for top, bottom in _runs(rows.corner):
            for strip, of_col in zip(strips, of_cols, strict=True):
                matrix, constant = self._matrices(
                    latent, fold, int(rows.corner[top]), strip.code, strip.code + strip.codes
                )
                step = max(1, BLOCK_PIXELS // (len(of_col) * strip.pixels))
                for start in range(top, bottom, step):
                    stop = min(bottom, start + step)
                    # one pattern of all codes at whole scales, else one per code: (n, rows, P, 256)
                    hidden = (of_col[:, None] + of_row[start:stop, None]).relu_()
                    flat = hidden.view(len(of_col), -1, HIDDEN)
                    if len(flat) == 1:
                        colours = (matrix.reshape(-1, HIDDEN) @ flat[0].t()).view(
                            strip.codes, 3, -1
                        )
                    else:
                        colours = torch.bmm(matrix, flat.mT)
                    colours = (colours + constant[..., None]).to(out_dtype)
                    strip.put(colours, out[start:stop])
        return out

    @torch.no_grad()
    def query_dense(self, latent: MetaSRLatent, rows: AxisSlice, cols: AxisSlice) -> torch.Tensor:
        """What ``query`` gives before the skip, by blocks of whole output rows.

        Accelerators want it so. Each pixel takes a copy of its code's matrix.
        """
        fold, weight = self._fold_by_position(), self.imnet.linears[0].weight
        device = fold.device
        out_dtype = torch.promote_types(fold.dtype, torch.float32)
        low, high = int(cols.corner[0]), int(cols.corner[-1]) + 1
        col_code = upload(cols.corner - low, device)
        of_col, of_row = (
            upload(axis.rel_corner, device, weight.dtype)[:, None] * weight[:, number]
            for number, axis in ((1, cols), (0, rows))
        )
        out = torch.empty(len(rows), len(cols), 3, dtype=out_dtype, device=device)
        step = max(1, DEVICE_BLOCK_PIXELS // len(cols))
        for start in range(0, len(rows), step):
            stop = min(len(rows), start + step)
            codes = rows.corner[start:stop]
            made = [
                self._matrices(latent, fold, row, low, high)
                for row in range(int(codes[0]), int(codes[-1]) + 1)
            ]
            row_code = upload(codes - codes[0], device)
            matrix, constant = (
                torch.stack(parts).index_select(0, row_code).index_select(1, col_code)
                for parts in zip(*made, strict=True)
            )
            hidden = (of_row[start:stop, None] + of_col + latent.bias).relu_()
            out[start:stop] = (matrix @ hidden[..., None])[..., 0] + constant
        return out

    # -- training ---------------------------------------------------------------------------------

    def sample(
        self,
        image: torch.Tensor,
        feat: torch.Tensor,
        members: TrainMembers,
        cell: torch.Tensor,
    ) -> torch.Tensor:
        """Normalised colours (N, Q, 3) at scattered pixels, differentiable.

        Args:
            image: (N, 3, h, w), normalised.
            feat: (N, C, h, w).
            members: "corner" members of the pixels, with the codes around them for the skip.
            cell: (N, 2) as (y, x), 2 / scale of each sample.
        """
        first = self.imnet.linears[0]
        fold = self._fold_weights().view(-1, self.channels, 3, 3)
        folded = F.conv2d(feat, fold, padding=1).permute(0, 2, 3, 1).reshape(-1, 3 * (HIDDEN + 1))
        of_code = F.embedding(members.code[..., 0], folded)
        inputs = torch.cat(
            (members.rel[:, :, 0], (cell[:, None, :1] / 2).expand(-1, members.rel.shape[1], 1)),
            dim=-1,
        )
        hidden = F.relu(first(inputs.to(feat.dtype)))
        matrix = of_code[..., : 3 * HIDDEN].reshape(*of_code.shape[:2], 3, HIDDEN)
        colours = (matrix @ hidden[..., None])[..., 0] + of_code[..., 3 * HIDDEN :]
        weighted: torch.Tensor = colours.float() * members.weight
        if self.skip:
            assert members.around is not None
            weighted = weighted + members.around.blend(image)
        return weighted


def _runs(codes: npt.NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """(start, stop) of the runs of equal codes."""
    bounds = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(codes)]
    yield from pairwise(bounds)


def _strips(cols: AxisSlice) -> Iterator[tuple[int, int]]:
    """Columns cut between codes into (start, stop) of bounded codes and pixels."""
    first = 0
    previous = 0
    for start, stop in _runs(cols.corner):
        codes = cols.corner[stop - 1] - cols.corner[first] + 1
        if previous > first and (stop - first > BLOCK_PIXELS or codes > BLOCK_CODES):
            yield first, previous
            first = start
        previous = stop
    yield first, len(cols)


@dataclass(frozen=True)
class _Strip:
    """Columns start..stop of the tile as ``codes`` codes from ``code`` on, of ``pixels`` each.

    Codes with fewer pixels are padded. ``rel`` (codes or 1, pixels) is that of each pixel, once
    where all codes have the same; ``taken`` picks the columns of codes * pixels that exist.
    """

    start: int
    stop: int
    code: int
    codes: int
    pixels: int
    rel: npt.NDArray[np.float32]
    taken: torch.Tensor

    @classmethod
    def make(cls, cols: AxisSlice, start: int, stop: int) -> _Strip:
        corner = cols.corner[start:stop]
        index = corner - corner[0]
        codes = int(index[-1]) + 1
        counts = np.bincount(index, minlength=codes)
        pixels = int(counts.max())
        place = np.arange(stop - start) - (np.cumsum(counts) - counts)[index]
        rel = np.zeros((codes, pixels), np.float32)
        rel[index, place] = cols.rel_corner[start:stop]
        if np.all(counts == pixels) and np.all(rel == rel[0]):
            rel = rel[:1]
        taken = torch.from_numpy(index * pixels + place)
        return cls(start, stop, int(corner[0]), codes, pixels, rel, taken)

    def put(self, colours: torch.Tensor, rows: torch.Tensor) -> None:
        """Write ``colours`` (codes, 3, rows * pixels) to the strip's columns of ``rows``."""
        planes = colours.view(self.codes, 3, len(rows), self.pixels).permute(2, 0, 3, 1)
        flat = planes.reshape(len(rows), -1, 3)
        if flat.shape[1] != len(self.taken):
            flat = flat.index_select(1, self.taken)
        rows[:, self.start : self.stop] = flat
