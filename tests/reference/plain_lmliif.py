"""LM-LIIF written plainly from the paper: every (pixel, member) pair by itself.

Slow on purpose and without any of the package's code. ``latent`` and ``render`` are (weights,
biases) of the two MLPs' linear layers in order; every tensor keeps the dtype of ``feat``.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional as F

from tests.reference.plain import mlp, pixel_centres, unfold_feat

Layers = tuple[Sequence[torch.Tensor], Sequence[torch.Tensor]]


def plain_lmliif(
    feat: torch.Tensor,
    out_shape: tuple[int, int],
    latent: Layers,
    render: Layers,
    *,
    code: int,
    local_ensemble: bool = True,
    feat_unfold: bool = True,
    cell_decode: bool = True,
) -> torch.Tensor:
    """(height, width, 3) normalised colours of LM-LIIF (arXiv 2404.16451), without the skip."""
    height, width = feat.shape[-2:]
    sides = torch.tensor([height, width], dtype=feat.dtype)
    codes = unfold_feat(feat) if feat_unfold else feat[0].flatten(1).t()
    cell = (2 / torch.tensor(out_shape, dtype=feat.dtype) * sides)[None]
    if cell_decode:
        codes = torch.cat([codes, cell.expand(len(codes), 2)], 1)
    modulation = mlp(codes, *latent)
    depth, narrow = len(render[0]) - 1, len(render[1][0])
    rows = pixel_centres(out_shape[0], feat.dtype)
    cols = pixel_centres(out_shape[1], feat.dtype)
    coord = torch.stack(torch.meshgrid(rows, cols, indexing="ij"), -1).reshape(-1, 2)
    shifts = [(-1, -1), (-1, 1), (1, -1), (1, 1)] if local_ensemble else [(0, 0)]
    answers, areas = [], []
    for shift in shifts:
        place = coord + torch.tensor(shift, dtype=feat.dtype) / sides + 1e-6
        place = place.clamp(-1 + 1e-6, 1 - 1e-6)
        index = torch.floor((place + 1) / 2 * sides).long()
        centre = (2 * index + 1) / sides - 1
        rel = (coord - centre.to(feat.dtype)) * sides
        chosen = modulation[index[:, 0] * width + index[:, 1]]
        scales = chosen[:, code : code + depth * narrow].reshape(-1, depth, narrow)
        offsets = chosen[:, code + depth * narrow :].reshape(-1, depth, narrow)
        parts = [chosen[:, :code], rel]
        if cell_decode:
            parts.append(cell.expand(len(coord), 2))
        hidden = torch.cat(parts, 1)
        for layer in range(depth):
            hidden = F.linear(hidden, render[0][layer], render[1][layer])
            hidden = F.relu(hidden * (1 + scales[:, layer]) + offsets[:, layer])
        answers.append(F.linear(hidden, render[0][-1], render[1][-1]))
        areas.append(rel.prod(1).abs() + 1e-9)
    total = torch.stack(areas).sum(0)
    opposite = list(reversed(areas))
    blended = sum(
        answer * (area / total)[:, None] for answer, area in zip(answers, opposite, strict=True)
    )
    return torch.as_tensor(blended).reshape(*out_shape, 3)
