"""A SIREN fitted to one image: the implicit representation that LIIF's idea grew from.

Sitzmann, Martel, Bergman, Lindell, Wetzstein: Implicit Neural Representations with Periodic
Activation Functions, NeurIPS 2020, arXiv 2006.09661. It knows nothing but the LR image, and is
trained anew for each, which is why it is slow.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

OMEGA = 30.0
"""omega_0 of the paper, of every layer."""
WIDTH = 128
LAYERS = 3
STEPS = 400
BATCH = 8192
"""LR pixels of a step."""
RATE = 5e-4
READ = 1 << 16
"""Output pixels that are asked for at once."""


class Siren(nn.Module):
    """(y, x) in [-1, 1] -> colour in [-1, 1]; three hidden layers of 128 sines."""

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        sides = [2, *[WIDTH] * LAYERS, 3]
        self.layers = nn.ModuleList(nn.Linear(n_in, n_out) for n_in, n_out in pairwise(sides))
        with torch.no_grad():
            for number, layer in enumerate(self.layers):
                # section 3.2 of the paper: the first layer spans omega_0 periods, the others keep
                # the distribution of activations
                n_in = sides[number]
                bound = 1 / n_in if number == 0 else math.sqrt(6 / n_in) / OMEGA
                for value in layer.parameters():
                    value.uniform_(-bound, bound, generator=generator)

    def forward(self, points: torch.Tensor) -> torch.Tensor:
        """Points (n, 2) -> colours (n, 3)."""
        for layer in list(self.layers)[:-1]:
            points = torch.sin(OMEGA * layer(points))
        colours: torch.Tensor = self.layers[-1](points)
        return colours


def parameter_count() -> int:
    """Numbers that are fitted to each image."""
    return sum(value.numel() for value in Siren(torch.Generator()).parameters())


def fit(
    image: npt.NDArray[np.uint8], device: torch.device, steps: int = STEPS, seed: int = 0
) -> Siren:
    """A SIREN of an LR image (h, w, 3): Adam on the mean squared error of random LR pixels."""
    generator = torch.Generator().manual_seed(seed)
    network = Siren(generator).to(device)
    colours = torch.from_numpy(image.reshape(-1, 3).astype(np.float32) / 127.5 - 1).to(device)
    points = _centres(image.shape[:2]).to(device)
    optimiser = torch.optim.Adam(network.parameters(), lr=RATE)
    count = min(BATCH, len(points))
    with torch.inference_mode(False), torch.enable_grad():
        for _ in range(steps):
            drawn = torch.randperm(len(points), generator=generator)[:count].to(device)
            loss = (network(points[drawn]) - colours[drawn]).square().mean()
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
    return network


@torch.inference_mode()
def read(network: Siren, shape: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Colours (height, width, 3), about [0, 1], at the pixel centres of any size."""
    device = next(network.parameters()).device
    parts = [(network(part.to(device)) * 0.5 + 0.5).cpu() for part in _blocks(_centres(shape))]
    colours: npt.NDArray[np.float32] = torch.cat(parts).reshape(*shape, 3).numpy()
    return colours


def _centres(shape: tuple[int, ...]) -> torch.Tensor:
    """(y, x) of pixel centres in [-1, 1], (h * w, 2), row by row."""
    y, x = ((2 * torch.arange(n, dtype=torch.float64) + 1) / n - 1 for n in shape[:2])
    grid = torch.stack(torch.meshgrid(y, x, indexing="ij"), dim=-1)
    return grid.reshape(-1, 2).float()


def _blocks(points: torch.Tensor) -> Iterator[torch.Tensor]:
    for start in range(0, len(points), READ):
        yield points[start : start + READ]
