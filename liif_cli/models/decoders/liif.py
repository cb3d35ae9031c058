"""LIIF's decoder (Chen et al. 2021, arXiv 2012.09161, section 3), with the exact fast kernel.

The four members of the local ensemble share everything but the gather. The MLP's first layer is
linear in [unfolded code, rel, cell]: one 3 x 3 convolution on the LR grid, plus one vector per
row and one per column of the output. Hidden layers then run on small blocks between buffers that
stay in the cache; the last layer gives colours before the ensemble blends them, on 3 channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from liif_cli.geometry.axis import AxisSlice
from liif_cli.models.base import Published
from liif_cli.models.blocks import MLP
from liif_cli.models.decoders.ensemble import (
    AxisMembers,
    LocalEnsemble,
    add_bilinear,
    axis_members,
    members_by_side,
)
from liif_cli.models.device import upload
from liif_cli.models.members import TrainMembers
from liif_cli.models.onednn import fused_linear

__all__ = ["LIIF", "LIIFLatent", "TrainMembers"]

BLOCK_NUMBERS = 512 * 256
"""Numbers of a block of the widest layer on the CPU: two of them and a layer fit a core's cache."""
DEVICE_BLOCK_ROWS = 1 << 17
"""Pixels of a block on an accelerator, where only full waves of work pay."""


def block_rows(imnet: MLP) -> int:
    """Rows of a GEMM block on the CPU: 256 and fewer pay dispatch, 1,024 of 256 leave the cache."""
    widest = max(layer.out_features for layer in imnet.linears)
    return min(4096, max(256, BLOCK_NUMBERS // widest))


@dataclass(frozen=True)
class LIIFLatent:
    """First layer's map (h, w, H1), and the image (3, h, w) where the model has the skip."""

    first: torch.Tensor
    image: torch.Tensor | None


def _arguments(published: Mapping[str, Any]) -> dict[str, Any]:
    imnet = published["imnet_spec"]
    if imnet["name"] != "mlp" or imnet["args"]["out_dim"] != 3:
        raise ValueError(f"not an mlp of 3 outputs, but {imnet!r}")
    switches = ("local_ensemble", "feat_unfold", "cell_decode")
    return {
        "hidden": [int(width) for width in imnet["args"]["hidden_list"]],
        **{switch: bool(published.get(switch, True)) for switch in switches},
    }


class LIIF(LocalEnsemble):
    """Local implicit image function.

    Args:
        channels: channels C of feat.
        hidden: widths of the MLP's hidden layers; 4 x 256 in the paper.
        local_ensemble: see ``LocalEnsemble``.
        feat_unfold: see ``LocalEnsemble``.
        cell_decode: give the pixel's size to the MLP.
        skip: see ``LocalEnsemble``.
    """

    published: ClassVar[Published] = {"liif": _arguments}

    def __init__(
        self,
        channels: int,
        hidden: Sequence[int] = (256, 256, 256, 256),
        local_ensemble: bool = True,
        feat_unfold: bool = True,
        cell_decode: bool = True,
        skip: str | None = None,
    ) -> None:
        super().__init__(
            channels,
            local_ensemble=local_ensemble,
            feat_unfold=feat_unfold,
            cell_decode=cell_decode,
            skip=skip,
        )
        self.imnet = MLP(self.code_channels + 2 + self.cell_channels, 3, hidden)
        self.products = 0

    @property
    def has_matrix_code(self) -> bool:
        """Whether matrix instructions run the hidden layers in "bf16x3"."""
        return matrix_hidden(self.imnet) is not None

    def latent_bytes_per_code(self, scale: tuple[float, float]) -> int:
        """The first layer's map, which the convolution lays out as it is kept, and the image."""
        return 4 * (self.imnet.linears[0].out_features + 3)

    def query_bytes(self, height: int, width: int, scale: tuple[float, float]) -> int:
        """The result, and buffers of a block that do not grow with the tile."""
        rows = block_rows(self.imnet)
        widest = max(layer.out_features for layer in self.imnet.linears)
        blocks = 3 * rows * widest + rows * rows
        planes = (3 if self.skip else 2) * 3 * height * width
        return 4 * (planes + blocks)

    def macs(self, scale: tuple[float, float]) -> tuple[int, int]:
        """The first layer per code; the others per pixel and member."""
        first, *others = self.imnet.linears
        return (
            self.code_channels * first.out_features,
            self.members_per_pixel * sum(layer.weight.numel() for layer in others),
        )

    # -- the parts of the first layer -------------------------------------------------------------

    def _first_weights(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """The first layer's weights of the code (H1, C, k, k), of rel (H1, 2), of cell (H1, 2)."""
        weight = self.imnet.linears[0].weight
        side = self.unfolded_side
        of_code = weight[:, : self.code_channels].reshape(-1, self.channels, side, side)
        of_rel = weight[:, self.code_channels : self.code_channels + 2]
        return of_code, of_rel, weight[:, self.code_channels + 2 :] if self.cell_decode else None

    def _first_map(self, feat: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        """W_code * unfold(feat) + bias as (N, H1, h, w), channels last."""
        of_code, _, _ = self._first_weights()
        return F.conv2d(
            feat.contiguous(memory_format=torch.channels_last),
            of_code.contiguous(memory_format=torch.channels_last),
            bias,
            padding=1 if self.feat_unfold else 0,
        )

    # -- rendering --------------------------------------------------------------------------------

    def prepare(
        self, image: torch.Tensor, feat: torch.Tensor, cell: tuple[float, float]
    ) -> LIIFLatent:
        """The first layer's map of a window with bias and cell folded in, once per window."""
        bias: torch.Tensor = self.imnet.linears[0].bias
        _, _, of_cell = self._first_weights()
        if of_cell is not None:
            bias = bias + of_cell @ of_cell.new_tensor(cell)
        first = self._first_map(feat, bias).permute(0, 2, 3, 1)[0].contiguous()
        return LIIFLatent(first, image[0] if self.skip else None)

    @torch.no_grad()
    def query(self, latent: LIIFLatent, rows: AxisSlice, cols: AxisSlice) -> torch.Tensor:
        """Normalised colours (len(rows), len(cols), 3), float32 (float64 of a float64 latent)."""
        if latent.first.device.type != "cpu":
            return self.query_dense(latent, rows, cols)
        return self._finish(self._query_blocks(latent, rows, cols), latent, rows, cols)

    def _finish(
        self, planes: torch.Tensor, latent: LIIFLatent, rows: AxisSlice, cols: AxisSlice
    ) -> torch.Tensor:
        """Planes (3, height, width), and the image where the model has the skip, as pixels."""
        colours = planes.permute(1, 2, 0).contiguous()
        if latent.image is not None:
            add_bilinear(colours, latent.image, rows, cols, self.local_ensemble)
        return colours

    def _query_blocks(self, latent: LIIFLatent, rows: AxisSlice, cols: AxisSlice) -> torch.Tensor:
        """Planes (3, len(rows), len(cols)) by blocks that stay in a core's cache."""
        kernel = _Kernel(self, latent.first.dtype)
        planes = torch.zeros(3, len(rows), len(cols), dtype=kernel.out_dtype)
        row_members = axis_members(rows, self.local_ensemble)
        col_members = axis_members(cols, self.local_ensemble)
        # strips of half a block of pairs, two output rows of which fill a block
        strips = -(-2 * len(col_members) // kernel.block_rows)
        bounds = np.linspace(0, len(cols), min(strips, len(cols)) + 1).astype(np.int64).tolist()
        row_rel = torch.from_numpy(row_members.rel)
        row_weight = torch.from_numpy(row_members.weight)
        for start, stop in pairwise(bounds):
            kernel.take_columns(col_members.within(start, stop), stop - start)
            for run in row_members.runs():
                kernel.take_code(latent.first[int(row_members.code[run.start])])
                top = int(row_members.index[run.start])
                height = run.stop - run.start
                for part in kernel.parts(height):
                    pairs = slice(run.start + part.start, run.start + part.stop)
                    colours = kernel.colours(row_rel[pairs])
                    target = planes[:, top + part.start : top + part.stop, start:stop]
                    target.addcmul_(colours, row_weight[pairs, None])
        return planes.add_(kernel.last_bias[:, None, None])

    @torch.no_grad()
    def query_dense(self, latent: LIIFLatent, rows: AxisSlice, cols: AxisSlice) -> torch.Tensor:
        """What ``query`` gives, by blocks of whole output rows: how accelerators want it."""
        first, device = latent.first, latent.first.device
        out_dtype = torch.promote_types(first.dtype, torch.float32)
        _, of_rel, _ = self._first_weights()
        col_sides = [_on(device, *side) for side in members_by_side(cols, self.local_ensemble)]
        row_sides = [_on(device, *side) for side in members_by_side(rows, self.local_ensemble)]
        of_cols = [(rel[:, None] * of_rel[:, 1]).to(first.dtype) for _, rel, _ in col_sides]
        planes = torch.zeros(3, len(rows), len(cols), dtype=out_dtype, device=device)
        step = max(1, DEVICE_BLOCK_ROWS // len(cols))
        for start in range(0, len(rows), step):
            block = slice(start, min(len(rows), start + step))
            for row_code, row_rel, row_weight in row_sides:
                codes = first.index_select(0, row_code[block])
                codes += (row_rel[block, None] * of_rel[:, 0]).to(first.dtype)[:, None]
                for (col_code, _, col_weight), of_col in zip(col_sides, of_cols, strict=True):
                    hidden = codes.index_select(1, col_code).add_(of_col)
                    for layer in self.imnet.linears[1:]:
                        hidden = layer(hidden.relu_())
                    weight = row_weight[block, None] * col_weight
                    planes[:, block] += hidden.permute(2, 0, 1).to(out_dtype) * weight
        return self._finish(planes, latent, rows, cols)

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
            members: codes, relative coordinates and weights of the pixels.
            cell: (N, 2) as (y, x), 2 / scale of each sample.
        """
        first = self._first_map(feat, self.imnet.linears[0].bias).permute(0, 2, 3, 1)
        _, of_rel, of_cell = self._first_weights()
        flat = first.reshape(-1, first.shape[-1])
        hidden = F.embedding(members.code, flat) + members.rel.to(flat.dtype) @ of_rel.t()
        if of_cell is not None:
            hidden = hidden + (cell.to(flat.dtype) @ of_cell.t())[:, None, None]
        for layer in self.imnet.linears[1:]:
            hidden = layer(F.relu(hidden, inplace=True))
        colours = hidden.float()
        if self.skip:
            pixels = image.permute(0, 2, 3, 1).reshape(-1, 3)
            colours = colours + F.embedding(members.code, pixels)
        return (colours * members.weight[..., None]).sum(2)


def matrix_hidden(imnet: MLP) -> Any:
    """The module that runs the layers between the first and the last, None where torch does."""
    if find_spec("numba") is None:
        return None
    from liif_cli.models.decoders import liif_amx

    first, *others = imnet.linears
    widths = [layer.out_features for layer in (first, *others[:-1])]
    takes = liif_amx.takes(widths, first.weight.dtype, first.weight.device)
    return liif_amx if takes else None


def _on(device: torch.device, *arrays: np.ndarray[Any, Any]) -> list[torch.Tensor]:
    return [upload(array, device) for array in arrays]


class _HiddenLayer:
    """A linear layer and its ReLU, for blocks of about ``rows`` rows."""

    def __init__(self, layer: nn.Linear, rows: int) -> None:
        self.width = layer.out_features
        self.weight, self.bias = layer.weight.detach(), layer.bias.detach()
        self.fused = fused_linear() if self.weight.dtype == torch.float32 else None
        if self.fused is not None:
            self.weight = self.fused._reorder_linear_weight(self.weight, rows)
        else:
            # transposed once: a GEMM that finds its second operand row by row packs it faster
            self.weight = self.weight.t().contiguous()

    def __call__(self, inputs: torch.Tensor, buffer: torch.Tensor) -> torch.Tensor:
        """(n, width), in ``buffer`` where the operator can write there."""
        if self.fused is not None:
            result: torch.Tensor = self.fused._linear_pointwise(
                inputs, self.weight, self.bias, "relu", [], ""
            )
            return result
        out = buffer[: len(inputs) * self.width].view(len(inputs), self.width)
        return torch.addmm(self.bias, inputs, self.weight, out=out).relu_()


class _Kernel:
    """The hidden layers on blocks of (row, pair of a strip), and the buffers of one ``query``.

    Buffers belong to one call, so that threads can query one model at once.
    """

    def __init__(self, decoder: LIIF, dtype: torch.dtype) -> None:
        first, *layers = decoder.imnet.linears
        self.dtype = dtype
        self.out_dtype = torch.promote_types(dtype, torch.float32)
        _, of_rel, _ = decoder._first_weights()
        self.of_rel_y, self.of_rel_x = of_rel.to(self.out_dtype).unbind(1)
        self.block_rows = block_rows(decoder.imnet)
        code = matrix_hidden(decoder.imnet) if decoder.products == 3 else None
        self.matrix = code.HiddenLayers(layers[:-1]) if code is not None else None
        own = [] if self.matrix is not None else layers[:-1]
        self.hidden = [_HiddenLayer(layer, self.block_rows) for layer in own]
        self.last = layers[-1].weight if layers else None
        # the weights of a pixel add up to 1, so the last bias is added once
        self.last_bias = (layers[-1].bias if layers else first.bias.new_zeros(3)).to(self.out_dtype)
        self.width = first.out_features
        self.buffers: list[torch.Tensor] = []

    def take_columns(self, members: AxisMembers, columns: int) -> None:
        """Turn to a strip of ``columns`` output columns."""
        self.pairs = len(members)
        self.codes = torch.from_numpy(members.code)
        self.blend = torch.from_numpy(members.blend(columns)).to(self.out_dtype)
        rel = torch.from_numpy(members.rel).to(self.out_dtype)
        self.of_col = (rel[:, None] * self.of_rel_x).to(self.dtype)
        self.gathered = torch.empty_like(self.of_col)
        self.rows = max(1, self.block_rows // self.pairs)
        widths = [self.width, *(0 if layer.fused else layer.width for layer in self.hidden)]
        size = self.rows * self.pairs
        self.buffers = [
            torch.empty(size * max(widths[slot::2], default=0), dtype=self.dtype) for slot in (0, 1)
        ]

    def take_code(self, codes: torch.Tensor) -> None:
        """Turn to an LR row of the first layer's map (w, H1): its value at every pair."""
        torch.index_select(codes, 0, self.codes, out=self.gathered)
        self.gathered += self.of_col

    def parts(self, height: int) -> list[slice]:
        """``height`` rows cut into equal parts that fit the buffers."""
        count = -(-height // self.rows)
        bounds = [height * part // count for part in range(count + 1)]
        return [slice(start, stop) for start, stop in pairwise(bounds)]

    def colours(self, row_rel: torch.Tensor) -> torch.Tensor:
        """Planes (3, rows, columns) of output rows at ``row_rel``, without the last bias."""
        count = len(row_rel)
        size = count * self.pairs
        of_row = (row_rel.to(self.out_dtype)[:, None] * self.of_rel_y).to(self.dtype)
        current = self.buffers[0][: size * self.width].view(size, self.width)
        torch.add(self.gathered, of_row[:, None], out=current.view(count, self.pairs, self.width))
        if self.last is not None:
            current.relu_()
        if self.matrix is not None:
            current = self.matrix(current)
        for number, layer in enumerate(self.hidden, start=1):
            current = layer(current, self.buffers[number % 2])
        if self.last is None:
            planes = current.t().to(self.out_dtype).reshape(-1, self.pairs)
        else:
            planes = torch.mm(self.last, current.t()).to(self.out_dtype)
        return torch.mm(planes.view(-1, self.pairs), self.blend).view(3, count, -1)
