"""A training step written plainly from the paper: a Python loop over the samples, coordinates and
queries as tensors of their own, every (pixel, member) pair through the whole network, float32.

Slow on purpose and without any of the package's code, so that benchmarks have a baseline.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

Layers = Sequence[torch.nn.Linear]
Answer = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""Gathered codes (N, Q, 9C), rel (N, Q, 2) and cell (N, Q, 2) -> colours (N, Q, 3)."""


@dataclass(frozen=True)
class PlainBatch:
    """``image`` (N, 3, h, w), ``coord`` and ``cell`` (N, Q, 2) as (y, x), ``target`` (N, Q, 3)."""

    image: torch.Tensor
    coord: torch.Tensor
    cell: torch.Tensor
    target: torch.Tensor


def plain_batch(
    photos: Sequence[np.ndarray],
    rng: np.random.Generator,
    *,
    count: int,
    crop: int,
    samples: int,
    scales: tuple[float, float],
    device: torch.device,
) -> PlainBatch:
    """``count`` crops one by one: cut, reduce, turn, list all pixels, draw some of them."""
    parts = []
    for _ in range(count):
        side = round(crop * rng.uniform(*scales))
        photo = photos[rng.integers(len(photos))]
        top = rng.integers(photo.shape[0] - side + 1)
        left = rng.integers(photo.shape[1] - side + 1)
        hr = torch.from_numpy(photo[top : top + side, left : left + side]).permute(2, 0, 1).float()
        lr = F.interpolate(hr[None], (crop, crop), mode="bicubic", antialias=True)[0]
        pair = [hr / 255, lr.round().clamp(0, 255) / 255]
        for axes in ((1,), (2,)):
            if rng.random() < 0.5:
                pair = [image.flip(axes) for image in pair]
        if rng.random() < 0.5:
            pair = [image.transpose(1, 2) for image in pair]
        centres = (2 * torch.arange(side) + 1) / side - 1
        coord = torch.stack(torch.meshgrid(centres, centres, indexing="ij"), -1).view(-1, 2)
        chosen = torch.from_numpy(rng.choice(len(coord), samples, replace=False))
        colours = pair[0].reshape(3, -1).t()[chosen]
        cell = torch.full((samples, 2), 2 / side)
        parts.append((pair[1], coord[chosen], cell, colours))
    image, coord, cell, target = (
        torch.stack(tensors).to(device) for tensors in zip(*parts, strict=True)
    )
    return PlainBatch(image * 2 - 1, coord, cell, target * 2 - 1)


def plain_colours(
    image: torch.Tensor,
    feat: torch.Tensor,
    coord: torch.Tensor,
    cell: torch.Tensor,
    answer: Answer,
    *,
    skip: bool,
) -> torch.Tensor:
    """(N, Q, 3): the feature map unfolded, 9C channels gathered a pixel and member, blended."""
    count, channels, height, width = feat.shape
    unfolded = F.unfold(feat, 3, padding=1).view(count, channels * 9, height, width)
    sides = feat.new_tensor([height, width])
    axes = [(2 * torch.arange(n, device=feat.device) + 1) / n - 1 for n in (height, width)]
    centres = torch.stack(torch.meshgrid(*axes, indexing="ij"))[None].expand(count, -1, -1, -1)
    results, areas = [], []
    for shift in ((-1, -1), (-1, 1), (1, -1), (1, 1)):
        place = coord + feat.new_tensor(shift) / sides + 1e-6
        grid = place.clamp(-1 + 1e-6, 1 - 1e-6).flip(-1)[:, None]
        codes, centre = (
            F.grid_sample(values, grid, mode="nearest", align_corners=False)[:, :, 0].transpose(
                1, 2
            )
            for values in (unfolded, centres)
        )
        rel = (coord - centre) * sides
        results.append(answer(codes, rel, cell * sides))
        areas.append(rel.prod(-1).abs() + 1e-9)
    total = torch.stack(areas).sum(0)
    blended = torch.stack(
        [
            colours * (area / total)[..., None]
            for colours, area in zip(results, areas[::-1], strict=True)
        ]
    ).sum(0)
    if skip:
        grid = coord.flip(-1)[:, None]
        sampled = F.grid_sample(image, grid, padding_mode="border", align_corners=False)
        blended = blended + sampled[:, :, 0].transpose(1, 2)
    return blended


def liif_answer(imnet: Layers) -> Answer:
    """The MLP on [code, rel, cell] (arXiv 2012.09161, section 3)."""

    def answer(codes: torch.Tensor, rel: torch.Tensor, cell: torch.Tensor) -> torch.Tensor:
        return _mlp(torch.cat([codes, rel, cell], -1), imnet)

    return answer


def lmliif_answer(latent: Layers, render: Layers, code: int) -> Answer:
    """Modulations from [code, cell] for every pair, then the render MLP (arXiv 2404.16451)."""

    def answer(codes: torch.Tensor, rel: torch.Tensor, cell: torch.Tensor) -> torch.Tensor:
        modulation = _mlp(torch.cat([codes, cell], -1), latent)
        scales, shifts = modulation[..., code:].chunk(2, -1)
        hidden = torch.cat([modulation[..., :code], rel, cell], -1)
        depth = len(render) - 1
        for layer, scale, shift in zip(
            render[:-1], scales.chunk(depth, -1), shifts.chunk(depth, -1), strict=True
        ):
            hidden = F.relu(layer(hidden) * (1 + scale) + shift)
        colours: torch.Tensor = render[-1](hidden)
        return colours

    return answer


def _mlp(values: torch.Tensor, layers: Layers) -> torch.Tensor:
    for layer in layers[:-1]:
        values = F.relu(layer(values))
    colours: torch.Tensor = layers[-1](values)
    return colours
