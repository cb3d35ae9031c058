"""LM-LIIF: LIIF with the width moved from the output grid to the LR grid.

Latent modulated function (He, Jin: CVPR 2024, arXiv 2404.16451, section 3). On the LR grid, once a
code, a latent MLP turns the unfolded code and the cell into a short code and, for each hidden layer
of a narrow render MLP, a scale and a shift. A pixel and member then runs

    [short code, rel, cell] -> depth times { linear, times (1 + scale), plus shift, ReLU } -> linear

and the local ensemble is LIIF's. The modulations fold into matrices of each code,
diag(1 + scale) W and (1 + scale) b + shift, and the output pixels of which a code is a member are a
run of rows times a run of columns: rendering goes code by code. A compiled kernel does that where
numba is installed; otherwise torch modulates pixel by pixel with shared weights, in blocks that fit
the CPU's cache, or on an accelerator a million pairs at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from liif_cli.geometry.axis import AxisSlice
from liif_cli.models.blocks import MLP
from liif_cli.models.decoders.ensemble import (
    AxisMembers,
    LocalEnsemble,
    add_bilinear,
    axis_members,
)
from liif_cli.models.device import compiled_for, upload, with_numba
from liif_cli.models.members import TrainMembers
from liif_cli.models.onednn import linear

Answer = Callable[[torch.Tensor, AxisMembers, torch.Tensor], None]
"""Adds to a tile the colours of a band's modulations, of pairs of output rows and its codes."""

BLOCK_PAIRS = 1 << 13
"""(pixel, member) pairs of a block of the torch path on the CPU: its buffers stay in the cache."""
DEVICE_BLOCK_PAIRS = 1 << 20
"""The same on an accelerator, where only full waves of work pay."""
BAND_CODES = 1 << 14
"""Codes whose modulations are held at once: made in a query, for the codes that it needs, they take
a tenth of the memory that those of a whole window would."""
DEVICE_BAND_CODES = 1 << 16
"""The same on an accelerator: a tile's codes at once, at the usual scales."""


@dataclass(frozen=True)
class LMLIIFLatent:
    """Feat (1, C, h, w) of a window, channels last; the image (3, h, w) where the model has the
    skip; the cell (2,), float32 (float64 beside feat of float64); the latent MLP's compiled code,
    and the weights as it takes them, where it does."""

    feat: torch.Tensor
    image: torch.Tensor | None
    cell: torch.Tensor
    packed: Any


class LMLIIF(LocalEnsemble):
    """Latent modulated local implicit image function.

    Args:
        channels: channels C of feat.
        code: length of the short code.
        width: of the render MLP's hidden layers.
        depth: number of the render MLP's hidden layers.
        latent_hidden: widths of the latent MLP's hidden layers.
        local_ensemble: see ``LocalEnsemble``.
        feat_unfold: see ``LocalEnsemble``; for the latent MLP's input.
        cell_decode: give the pixel's size to both MLPs.
        skip: see ``LocalEnsemble``.
    """

    def __init__(
        self,
        channels: int,
        code: int = 16,
        width: int = 16,
        depth: int = 6,
        latent_hidden: Sequence[int] = (208,),
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
        if min(code, width, depth) < 1:
            raise ValueError(f"code, width and depth are 1 or more, got {code}, {width}, {depth}")
        self.code, self.width, self.depth = code, width, depth
        self.modulations = code + 2 * depth * width
        self.products = 0
        self.latent = MLP(self.code_channels + self.cell_channels, self.modulations, latent_hidden)
        self.render = MLP(code + 2 + self.cell_channels, 3, [width] * depth)

    def latent_bytes_per_code(self, scale: tuple[float, float]) -> int:
        """Feat is the encoder's; the image where there is a skip."""
        return 4 * 3

    def query_bytes(self, height: int, width: int, scale: tuple[float, float]) -> int:
        """The result, a band's modulations, and what they and the colours are made in.

        Where torch makes them, that is the widest layer of the band, and a block of pixels.
        """
        numbers = 6 * height * width + BAND_CODES * self.modulations
        widths = [layer.out_features for layer in self.latent.linears]
        if compiled := self._compiled_latent():
            columns = math.ceil(width / scale[1]) + 2
            numbers += compiled.space(self.channels, widths, (0, columns))
        else:
            numbers += BAND_CODES * max(widths)
        on_cpu = self.latent.linears[0].weight.device.type == "cpu"
        if not (on_cpu and compiled_kernel()):
            numbers += BLOCK_PAIRS * 2 * (self.modulations + self.width)
        return 4 * numbers

    def macs(self, scale: tuple[float, float]) -> tuple[int, int]:
        """The latent MLP per code; the render MLP per pixel and member."""
        latent = sum(layer.weight.numel() for layer in self.latent.linears)
        return latent, self.members_per_pixel * sum(
            layer.weight.numel() for layer in self.render.linears
        )

    @property
    def in_float32(self) -> tuple[nn.Module, ...]:
        """The render MLP, whose compiled kernel takes float32; see ``Model.in_precision``."""
        return (self.render,)

    # -- the latent MLP ---------------------------------------------------------------------------

    def _modulate(self, feat: torch.Tensor, cell: torch.Tensor) -> torch.Tensor:
        """Short code and modulations (N, h, w, modulations); ``cell`` is (N, 2)."""
        of_code, bias, of_cell = self._latent_first(cell)
        hidden = F.conv2d(
            feat.contiguous(memory_format=torch.channels_last),
            of_code.contiguous(memory_format=torch.channels_last),
            bias,
            padding=self.unfolded_side // 2,
        ).permute(0, 2, 3, 1)
        if of_cell is not None:
            hidden = hidden + of_cell.to(hidden.dtype)[:, None, None]
        for layer in self.latent.linears[1:]:
            hidden = linear(layer, F.relu(hidden, inplace=True))
        return hidden

    def _latent_first(
        self, cell: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """The latent MLP's first weights as a convolution's (O, C, side, side), its bias, and what
        the cells (N, 2) add to each image's: None where the bias has it, of one image."""
        first = self.latent.linears[0]
        side = self.unfolded_side
        of_code = first.weight[:, : self.code_channels].reshape(-1, self.channels, side, side)
        bias: torch.Tensor = first.bias
        if not self.cell_decode:
            return of_code, bias, None
        of_cell = cell.to(bias.dtype) @ first.weight[:, self.code_channels :].t()
        # a pass over all codes less
        return (of_code, bias + of_cell[0], None) if len(cell) == 1 else (of_code, bias, of_cell)

    def _compiled_latent(self) -> Any:
        """The latent MLP's compiled code, None where torch runs it."""
        vector = compiled_latent() if self.feat_unfold else None
        return compiled_for(vector, matrix_latent, self.products, self._latent_layers())

    def _latent_layers(self) -> tuple[int, list[int], torch.dtype, torch.device]:
        """Channels, widths, type and device of the latent MLP."""
        layers = self.latent.linears
        weight = layers[0].weight
        widths = [layer.out_features for layer in layers]
        return self.channels, widths, weight.dtype, weight.device

    @property
    def has_matrix_code(self) -> bool:
        """Whether matrix instructions run the latent MLP in "bf16x3"."""
        compiled = compiled_latent() if self.feat_unfold else None
        return compiled is not None and bool(matrix_latent(3).takes(*self._latent_layers()))

    def _packed_latent(self, feat: torch.Tensor, cell: torch.Tensor) -> Any:
        """The latent MLP's compiled code, and weights for it; None where torch runs it."""
        first, *others = self.latent.linears
        compiled = self._compiled_latent() if feat.dtype == first.weight.dtype else None
        if compiled is None:
            return None
        of_code, bias, _ = self._latent_first(cell[None])
        return compiled, compiled.packed(of_code, bias, others)

    def _first_layer(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """The render MLP's first weights of the short code, of rel, of cell: (width, ...)."""
        weight = self.render.linears[0].weight
        of_cell = weight[:, self.code + 2 :] if self.cell_decode else None
        return weight[:, : self.code], weight[:, self.code : self.code + 2], of_cell

    def _scales_and_shifts(self, modulation: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(..., depth, width) factors 1 + scale, and shifts."""
        shape = (*modulation.shape[:-1], self.depth, self.width)
        scale, shift = modulation[..., self.code :].chunk(2, dim=-1)
        return scale.reshape(shape) + 1, shift.reshape(shape)

    # -- rendering --------------------------------------------------------------------------------

    def prepare(
        self, image: torch.Tensor, feat: torch.Tensor, cell: tuple[float, float]
    ) -> LMLIIFLatent:
        """Keeps feat: modulations, ten times as large, are made for the codes of each query."""
        laid_out = feat.contiguous(memory_format=torch.channels_last)
        told = torch.tensor(cell, dtype=_exact(feat.dtype), device=feat.device)
        packed = self._packed_latent(laid_out, told)
        return LMLIIFLatent(laid_out, image[0] if self.skip else None, told, packed)

    @torch.no_grad()
    def query(self, latent: LMLIIFLatent, rows: AxisSlice, cols: AxisSlice) -> torch.Tensor:
        """Normalised colours (len(rows), len(cols), 3), float32 (float64 of a float64 latent)."""
        dtype = latent.feat.dtype
        colours = torch.zeros(
            len(rows),
            len(cols),
            3,
            dtype=_exact(dtype),
            device=latent.feat.device,
        )
        row_members = axis_members(rows, self.local_ensemble)
        col_members = axis_members(cols, self.local_ensemble)
        left, right = col_members.code_range
        top, bottom = row_members.code_range
        col_members = col_members.of_codes(left, right)
        band_codes = BAND_CODES
        if latent.feat.device.type != "cpu":
            answer, band_codes = self._device_answer(latent, col_members), DEVICE_BAND_CODES
        elif compiled := compiled_kernel():
            answer = self._compiled_answer(compiled, latent, col_members)
        else:
            answer = self._torch_answer(latent, col_members)
        # compiled code takes two rows at once, from even ones on
        step = max(2, band_codes // (right - left) // 2 * 2)
        for start in range(top // 2 * 2, bottom, step):
            band = max(top, start), min(bottom, start + step)
            modulation = self._window_modulation(latent, band, (left, right))
            answer(modulation, row_members.of_codes(*band), colours)
        if latent.image is not None:
            add_bilinear(colours, latent.image, rows, cols, self.local_ensemble)
        return colours

    def _window_modulation(
        self, latent: LMLIIFLatent, rows: tuple[int, int], cols: tuple[int, int]
    ) -> torch.Tensor:
        """Modulations (rows, cols, ...) of a part of the window's codes."""
        if latent.packed is not None:
            code, packed = latent.packed
            made: torch.Tensor = code.modulate(latent.feat[0], packed, rows, cols)
            return made
        height, width = latent.feat.shape[2:]
        reach = int(self.feat_unfold)
        top, bottom = max(0, rows[0] - reach), min(height, rows[1] + reach)
        left, right = max(0, cols[0] - reach), min(width, cols[1] + reach)
        part = self._modulate(latent.feat[:, :, top:bottom, left:right], latent.cell[None])[0]
        return part[rows[0] - top : rows[1] - top, cols[0] - left : cols[1] - left].contiguous()

    def _folded_bias(self, cell: torch.Tensor) -> torch.Tensor:
        """The render MLP's first bias with the cell folded in."""
        _, _, of_cell = self._first_layer()
        bias = self.render.linears[0].bias
        return bias if of_cell is None else bias + of_cell @ cell.to(of_cell.dtype)

    def _compiled_answer(self, kernel: Any, latent: LMLIIFLatent, cols: AxisMembers) -> Answer:
        """Adds a band's colours by the compiled kernel."""
        of_code, of_rel, _ = self._first_layer()
        _, *hidden, last = self.render.linears
        shape = (len(hidden), self.width)
        # of a float32 kernel, whatever the precision on the LR grid
        dtype = _exact(latent.feat.dtype)
        weights = of_code.new_empty(*shape, self.width, dtype=dtype)
        biases = of_code.new_empty(shape, dtype=dtype)
        for number, layer in enumerate(hidden):
            weights[number], biases[number] = layer.weight, layer.bias
        parts = (of_code, of_rel, self._folded_bias(latent.cell), weights, biases)
        tables = kernel.tables([p.to(dtype).numpy() for p in (*parts, last.weight, last.bias)])
        kind = tables.values.dtype
        packed_cols = kernel.packed_axis(cols, kind)

        def answer(modulation: torch.Tensor, rows: AxisMembers, out: torch.Tensor) -> None:
            packed_rows = kernel.packed_axis(rows, kind)
            values = modulation.to(dtype).numpy()
            kernel.add_colours(values, tables, packed_rows, packed_cols, out.numpy())

        return answer

    def _torch_answer(self, latent: LMLIIFLatent, cols: AxisMembers) -> Answer:
        """Adds a band's colours pixel by pixel with gathered modulations: on the CPU."""
        of_code, of_rel, _ = self._first_layer()
        _, *hidden, last = self.render.linears
        bias = self._folded_bias(latent.cell)
        dtype = bias.dtype
        code, rel, weight, index = map(
            torch.from_numpy, (cols.code, cols.rel, cols.weight, cols.index)
        )
        of_col = (rel[:, None] * of_rel[:, 1]).to(dtype)
        step = max(1, BLOCK_PAIRS // len(cols))

        def answer(modulation: torch.Tensor, rows: AxisMembers, out: torch.Tensor) -> None:
            modulation = modulation.to(dtype)
            for run in rows.runs():
                row = modulation[int(rows.code[run.start])]
                scale, shift = self._scales_and_shifts(row)
                start = F.linear(row[:, : self.code], of_code, bias)[code] + of_col
                scale, shift = scale[code], shift[code]
                for pair in range(run.start, run.stop, step):
                    part = slice(pair, min(run.stop, pair + step))
                    row_rel = torch.from_numpy(rows.rel[part]).to(dtype)
                    row_weight = torch.from_numpy(rows.weight[part])
                    values = start + (row_rel[:, None] * of_rel[:, 0])[:, None]
                    values = F.relu_(torch.addcmul(shift[:, 0], values, scale[:, 0]))
                    for number, layer in enumerate(hidden, start=1):
                        values = torch.addcmul(shift[:, number], layer(values), scale[:, number])
                        values = F.relu_(values)
                    answers = last(values).to(out.dtype)
                    answers = answers * (row_weight[:, None] * weight)[..., None]
                    first = int(rows.index[pair])
                    out[first : first + len(row_rel)].index_add_(1, index, answers)

        return answer

    def _device_answer(self, latent: LMLIIFLatent, cols: AxisMembers) -> Answer:
        """Adds a band's colours in a few large kernels: all pairs of many output rows at once.

        Modulations are gathered layer by layer, so that a block holds those of one layer only.
        """
        of_code, of_rel, _ = self._first_layer()
        _, *hidden, last = self.render.linears
        bias = self._folded_bias(latent.cell)
        device, dtype = latent.feat.device, bias.dtype
        col_code, col_rel, col_weight, col_index = _uploaded(cols, device)
        of_col = (col_rel[:, None] * of_rel[:, 1]).to(dtype)

        def answer(modulation: torch.Tensor, rows: AxisMembers, out: torch.Tensor) -> None:
            row_code, row_rel, row_weight, row_index = _uploaded(rows, device)
            of_row = (row_rel[:, None] * of_rel[:, 0]).to(dtype)
            codes = modulation.to(dtype).flatten(0, 1)
            begin = F.linear(codes[:, : self.code], of_code, bias)
            # layer by layer in memory, so that a gather reads whole rows
            scales, shifts = (
                part.movedim(1, 0).contiguous() for part in self._scales_and_shifts(codes)
            )
            step = max(1, DEVICE_BLOCK_PAIRS // len(cols))
            for top in range(0, len(rows), step):
                block = slice(top, top + step)
                pair = (row_code[block, None] * modulation.shape[1] + col_code).flatten()
                values = begin[pair].view(-1, len(cols), self.width)
                values = (values + of_row[block, None] + of_col).flatten(0, 1)
                for number, (scale, shift) in enumerate(zip(scales, shifts, strict=True)):
                    values = hidden[number - 1](values) if number else values
                    values = F.relu_(torch.addcmul(shift[pair], values, scale[pair]))
                colours = last(values).to(out.dtype).view(-1, len(cols), 3)
                colours *= (row_weight[block, None] * col_weight)[..., None]
                narrow = out.new_zeros(len(colours), out.shape[1], 3)
                # a pixel gets two members of an axis at most: the order of the sum does not matter
                narrow.index_add_(1, col_index, colours)
                out.index_add_(0, row_index[block], narrow)

        return answer

    # -- training ---------------------------------------------------------------------------------

    def sample(
        self, image: torch.Tensor, feat: torch.Tensor, members: TrainMembers, cell: torch.Tensor
    ) -> torch.Tensor:
        """Normalised colours (N, Q, 3) at scattered pixels, differentiable.

        Args:
            image: (N, 3, h, w), normalised.
            feat: (N, C, h, w).
            members: codes, relative coordinates and weights of the pixels.
            cell: (N, 2) as (y, x), 2 / scale of each sample.
        """
        modulation = self._modulate(feat, cell).flatten(0, 2)
        of_code, of_rel, of_cell = self._first_layer()
        first, *hidden, last = self.render.linears
        # what does not depend on the pixel is added once per code
        start = F.linear(modulation[:, : self.code], of_code, first.bias)
        if of_cell is not None:
            per_image = feat.shape[2] * feat.shape[3]
            start = start + (cell.to(start.dtype) @ of_cell.t()).repeat_interleave(per_image, 0)
        table = torch.cat([start, modulation[:, self.code :]], 1)
        gathered = F.embedding(members.code, table)
        # layer by layer in memory: strided slices would cost each product several times more
        layers = gathered.reshape(*members.code.shape, 2 * self.depth + 1, self.width)
        parts = layers.movedim(-2, 0).contiguous()
        begin, *modulations = parts.unbind()
        scales, shifts = modulations[: self.depth], modulations[self.depth :]
        values = begin + members.rel.to(table.dtype) @ of_rel.t()
        values = F.relu(torch.addcmul(values + shifts[0], values, scales[0]))
        for number, layer in enumerate(hidden, start=1):
            values = layer(values)
            values = F.relu(torch.addcmul(values + shifts[number], values, scales[number]))
        colours = last(values).float()
        if self.skip:
            pixels = image.permute(0, 2, 3, 1).reshape(-1, 3)
            colours = colours + F.embedding(members.code, pixels)
        blended: torch.Tensor = (colours * members.weight[..., None]).sum(2)
        return blended


def _uploaded(members: AxisMembers, device: torch.device) -> list[torch.Tensor]:
    """Code, rel, weight and index of an axis on ``device``."""
    arrays = (members.code, members.rel, members.weight, members.index)
    return [upload(array, device) for array in arrays]


def _exact(dtype: torch.dtype) -> torch.dtype:
    """What colours are added up in: float32, or float64 for float64."""
    return torch.promote_types(dtype, torch.float32)


@cache
def compiled_kernel() -> Any:
    """The compiled kernel, or None where numba is not installed."""
    return with_numba(
        "liif_cli.models.decoders.lmliif_compiled",
        "lmliif renders with torch, several times slower",
    )


@cache
def compiled_latent() -> Any:
    """The latent MLP's compiled kernel, or None where numba is not installed."""
    return with_numba(
        "liif_cli.models.decoders.latent_compiled",
        "the latent MLP of lmliif runs with torch, at two thirds of the speed",
    )


def matrix_latent(products: int) -> Any:
    """The latent MLP by matrix instructions, with that many products for one of float32."""
    from liif_cli.models.decoders.latent_amx import LatentMLP

    return LatentMLP(products)
