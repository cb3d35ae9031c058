"""How fast is a training step against its plain form?

A preset's step as ``liif train`` takes it, and the same in the plain form: crops and reductions in
a Python loop, the feature map unfolded, 9C channels gathered for every pixel and member, the whole
MLPs for each of them, float32, Adam as torch gives it. The same network, batch, crops and samples,
on generated photos, one after the other in turns; medians over the steps. Where the preset takes
the suffix -real, our step is also taken with degraded inputs.

    python -m benchmarks.train [--preset NAME] [--device cpu|cuda] [--threads N] [--steps N]
                               [--bf16] [--set NAME=VALUE ...]
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from liif_cli.errors import UsageError
from liif_cli.train.overrides import override
from liif_cli.train.presets import Preset, preset
from liif_cli.train.trainer import Trainer
from tests.reference.plain_training import (
    Answer,
    liif_answer,
    lmliif_answer,
    plain_batch,
    plain_colours,
)

PHOTOS, SIDE = 8, 512


def photos() -> list[np.ndarray]:
    """Noise of several sizes of grain."""
    rng = np.random.default_rng(0)
    return [
        sum(
            cv2.resize(rng.random((SIDE // grain, SIDE // grain, 3)) * 60, (SIDE, SIDE))
            for grain in (2, 8, 32, 128)
        ).astype(np.uint8)
        for _ in range(PHOTOS)
    ]


class Plain:
    """The plain step, on its own copy of the network."""

    def __init__(self, trainer: Trainer, images: list[np.ndarray]) -> None:
        self.recipe, self.device, self.images = trainer.preset, trainer.device, images
        self.model = trainer.averaged_model().train()
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=self.recipe.lr)
        self.rng = np.random.default_rng(0)
        self.answer = answer_of(self.model.decoder)
        self.data = 0.0

    def step(self) -> None:
        """One iteration."""
        recipe, start = self.recipe, time.perf_counter()
        batch = plain_batch(
            self.images,
            self.rng,
            count=recipe.batch,
            crop=recipe.crop,
            samples=recipe.samples,
            scales=(recipe.scale_min, recipe.scale_max),
            device=self.device,
        )
        wait(self.device)
        self.data += time.perf_counter() - start
        feat = self.model.encode(batch.image)
        skip = self.model.decoder.skip is not None
        colours = plain_colours(batch.image, feat, batch.coord, batch.cell, self.answer, skip=skip)
        loss = (colours - batch.target).abs().mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()


def answer_of(decoder: Any) -> Answer:
    """The plain form of a decoder's network."""
    if hasattr(decoder, "latent"):
        return lmliif_answer(decoder.latent.linears, decoder.render.linears, decoder.code)
    return liif_answer(decoder.imnet.linears)


def wait(device: torch.device) -> None:
    """Until the device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(step: Callable[[], object], device: torch.device) -> float:
    """Of one step, to its end on the device."""
    wait(device)
    start = time.perf_counter()
    step()
    wait(device)
    return time.perf_counter() - start


def recipe_of(options: argparse.Namespace) -> Preset:
    """The preset with its overrides; crops at random scales and the whole ensemble only."""
    texts = dict(text.split("=", 1) for text in options.set)
    recipe = override(preset(options.preset), texts)
    args = recipe.spec.decoder.args
    switches = ("local_ensemble", "feat_unfold", "cell_decode")
    if (
        recipe.target_max
        or recipe.spec.decoder.name == "metasr"
        or not all(args.get(switch, True) for switch in switches)
    ):
        raise SystemExit("the plain form is there for whole LIIF and LM-LIIF networks only")
    return recipe


def with_real(options: argparse.Namespace, recipe: Preset) -> dict[str, Preset]:
    """The recipe as "", and with degraded inputs as " -real" where it takes the suffix."""
    recipes = {"": recipe}
    if not recipe.degrades(pages=False):
        real = argparse.Namespace(preset=f"{options.preset}-real", set=options.set)
        with contextlib.suppress(UsageError):
            recipes[" -real"] = recipe_of(real)
    return recipes


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--preset", default="edsr-small-lmliif")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--bf16", action="store_true", help="our step under bfloat16, too")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    recipe, images = recipe_of(options), photos()
    device = torch.device(options.device)
    with tempfile.TemporaryDirectory() as folder:
        ours = {
            name + suffix: Trainer(
                inputs, images, [], Path(folder) / f"{name}.state.pt", device=device, bf16=bf16
            )
            for name, bf16 in (("float32", False), ("bfloat16", True))
            if options.bf16 or not bf16
            for suffix, inputs in with_real(options, recipe).items()
        }
    plain = Plain(ours["float32"], images)
    steps: dict[str, Callable[[], object]] = {name: each.step for name, each in ours.items()}
    steps = {"plain float32": plain.step, **steps}
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(options.steps + 2):
        for name, step in steps.items():
            spent = seconds(step, device)
            # the first two warm caches and allocators up
            if turn >= 2:
                taken[name].append(spent)
            else:
                plain.data = 0.0
                for each in ours.values():
                    each.step_clock.take()
    shares = {name: each.step_clock.take() for name, each in ours.items()}
    shares["plain float32"] = plain.data / sum(taken["plain float32"])
    print(
        f"{options.preset} on {device}, {options.threads} threads, batch {recipe.batch}, "
        f"crop {recipe.crop}, {recipe.samples} samples, {options.steps} steps, medians"
    )
    print("step              it/s   ms a step   time for data   against plain")
    median = {name: statistics.median(values) for name, values in taken.items()}
    for name, value in median.items():
        ratio = median["plain float32"] / value
        print(
            f"{name:14} {1 / value:7.3f} {1000 * value:11.0f} {shares[name]:14.1%} {ratio:14.2f}x"
        )


if __name__ == "__main__":
    main()
