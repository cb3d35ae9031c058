"""LIIF and MetaSR written plainly from the papers: coordinates, gather, network, blend.

Slow on purpose and without any of the package's code, so that the fast decoders have something
independent to agree with, and so that benchmarks have a baseline. Every tensor keeps the dtype of
``feat``; float64 gives the reference values.

``weights`` and ``biases`` are those of an MLP's linear layers in order.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional as F

NUDGE = 1e-6
QUERIES = 30_000
"""Queries of a chunk in the authors' evaluation code."""


def pixel_centres(count: int, dtype: torch.dtype) -> torch.Tensor:
    """Centres of ``count`` pixels over [-1, 1]."""
    return (2 * torch.arange(count, dtype=dtype) + 1) / count - 1


def coordinates(height: int, width: int, dtype: torch.dtype) -> torch.Tensor:
    """(height * width, 2) centres as (y, x), row by row."""
    grid = torch.meshgrid(pixel_centres(height, dtype), pixel_centres(width, dtype), indexing="ij")
    return torch.stack(grid, dim=-1).reshape(-1, 2)


def unfold_feat(feat: torch.Tensor) -> torch.Tensor:
    """(1, C, h, w) -> (h * w, 9C): each code with its neighbours, zeros outside."""
    return F.unfold(feat, 3, padding=1)[0].t().contiguous()


def mlp(
    inputs: torch.Tensor, weights: Sequence[torch.Tensor], biases: Sequence[torch.Tensor]
) -> torch.Tensor:
    """Linear layers with ReLU between them."""
    for number, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        inputs = F.linear(inputs if number == 0 else F.relu(inputs), weight, bias)
    return inputs


def _lookup(coord: torch.Tensor, height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Row and column of the code whose cell holds ``coord`` (Q, 2) in [-1, 1]."""
    sides = torch.tensor([height, width])
    index = torch.floor((coord + 1) / 2 * sides.to(coord.dtype)).long().minimum(sides - 1)
    return index[:, 0], index[:, 1]


def plain_liif(
    feat: torch.Tensor,
    out_shape: tuple[int, int],
    weights: Sequence[torch.Tensor],
    biases: Sequence[torch.Tensor],
    *,
    local_ensemble: bool = True,
    feat_unfold: bool = True,
    cell_decode: bool = True,
    queries: int = QUERIES,
    first: int | None = None,
) -> torch.Tensor:
    """LIIF (arXiv 2012.09161, section 3), a chunk of queries at a time.

    Args:
        feat: (1, C, h, w).
        out_shape: (height, width) of the output.
        queries: pixels of a chunk.
        first: answer the first pixels only, row by row; all when None.

    Returns:
        (height, width, 3), or (first, 3), normalised.
    """
    height, width = feat.shape[-2:]
    sides = torch.tensor([height, width], dtype=feat.dtype)
    codes = unfold_feat(feat) if feat_unfold else feat[0].flatten(1).t().contiguous()
    cell = 2 / torch.tensor(out_shape, dtype=feat.dtype) * sides
    shifts = [(-1, -1), (-1, 1), (1, -1), (1, 1)] if local_ensemble else [(0, 0)]
    results = []
    for coord in coordinates(*out_shape, feat.dtype)[:first].split(queries):
        colours, areas = [], []
        for shift in shifts:
            moved = coord + torch.tensor(shift, dtype=feat.dtype) / sides + NUDGE
            row, col = _lookup(moved.clamp(-1 + NUDGE, 1 - NUDGE), height, width)
            centre = torch.stack(
                [pixel_centres(height, feat.dtype)[row], pixel_centres(width, feat.dtype)[col]], -1
            )
            rel = (coord - centre) * sides
            inputs = [codes[row * width + col], rel]
            if cell_decode:
                inputs.append(cell.expand(len(coord), 2))
            colours.append(mlp(torch.cat(inputs, dim=-1), weights, biases))
            areas.append((rel[:, 0] * rel[:, 1]).abs() + 1e-9)
        total = torch.stack(areas).sum(0)
        # the weight of a code is the area of the rectangle opposite to it
        blend = sum(c * (a / total)[:, None] for c, a in zip(colours, areas[::-1], strict=True))
        results.append(blend)
    result = torch.cat(results)
    return result if first is not None else result.reshape(*out_shape, 3)


def plain_metasr(
    feat: torch.Tensor,
    out_shape: tuple[int, int],
    weights: Sequence[torch.Tensor],
    biases: Sequence[torch.Tensor],
    *,
    queries: int = QUERIES,
) -> torch.Tensor:
    """MetaSR for any size (arXiv 1903.00875, as re-implemented by the authors of LIIF).

    The pixel's top left corner picks the code; the weight net gives a 9C x 3 matrix a pixel.
    Arguments and result as for ``plain_liif``.
    """
    height, width = feat.shape[-2:]
    sides = torch.tensor([height, width], dtype=feat.dtype)
    codes = unfold_feat(feat)
    size = 2 / torch.tensor(out_shape, dtype=feat.dtype)
    results = []
    for coord in coordinates(*out_shape, feat.dtype).split(queries):
        corner = coord - size / 2
        row, col = _lookup((corner + NUDGE).clamp(-1 + NUDGE, 1 - NUDGE), height, width)
        origin = (
            torch.stack(
                [pixel_centres(height, feat.dtype)[row], pixel_centres(width, feat.dtype)[col]], -1
            )
            - 1 / sides
        )
        rel = (corner - origin) * sides / 2
        scale = (size[0] * height / 2).expand(len(coord), 1)
        matrix = mlp(torch.cat([rel, scale], dim=-1), weights, biases)
        matrix = matrix.view(len(coord), codes.shape[1], 3)
        results.append(torch.bmm(codes[row * width + col][:, None], matrix)[:, 0])
    return torch.cat(results).reshape(*out_shape, 3)
