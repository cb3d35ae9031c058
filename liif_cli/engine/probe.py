"""How long a plan will take, from a short measurement of its own model at its own scale."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch

from liif_cli.engine.render import PRECISION_DTYPES, Sampling, WindowRenderer, to_pixels
from liif_cli.geometry.window import Window
from liif_cli.models.loader import load_model
from liif_cli.models.model import Model
from liif_cli.plan.plan import RenderPlan

PROBE_SECONDS = 0.3
"""Shortest measurement of each part; longer than timer noise, short enough to wait for."""
PROBE_WINDOW = 64
"""Side of the LR window that is encoded, in pixels."""


@lru_cache(maxsize=1)
def _model(name: str, device: str, precision: str) -> Model:
    model: Model = load_model(name, torch.device(device)).model
    return model.to(PRECISION_DTYPES[precision])


@lru_cache(maxsize=64)
def _speed(plan: RenderPlan) -> tuple[float, float]:
    """Seconds of one thread (an LR pixel read, an output pixel)."""
    model = _model(plan.model, plan.device, plan.precision)
    side = tuple(min(PROBE_WINDOW, n) for n in plan.in_shape)
    read = Window(0, 0, side[0], side[1])
    noise = np.random.default_rng(0).integers(0, 256, (*side, plan.channels))
    pixels = (noise.astype(np.float32) / 255).astype(np.float32)
    tile = Window.whole(
        *(
            max(1, min(plan.tile, math.floor(n_in / 2 * n_out / n)))
            for n_in, n, n_out in zip(side, plan.in_shape, plan.out_shape, strict=True)
        )
    )
    sampling = Sampling.of(plan)
    renderer = WindowRenderer(model, sampling, pixels, read)
    encode = _repeat(lambda: WindowRenderer(model, sampling, pixels, read))
    query = _repeat(lambda: to_pixels(renderer.query(tile), plan.channels, np.dtype(np.uint8)))
    return encode / read.pixels, query / tile.pixels


def _repeat(work: Callable[[], object]) -> float:
    """Seconds of one call, the mean over at least ``PROBE_SECONDS``."""
    start, count = time.perf_counter(), 0
    while (spent := time.perf_counter() - start) < PROBE_SECONDS or count == 0:
        work()
        count += 1
    return spent / count


@torch.inference_mode()
def estimate_seconds(plan: RenderPlan) -> float:
    """Wall seconds that rendering ``plan`` will take here, without writing the file.

    Measured for about half a second; images of one scale share a measurement.
    """
    torch.set_num_threads(1)
    encode, query = _speed(_representative(plan))
    turns = 8 if plan.self_ensemble else 1
    reads = sum(task.read.pixels for task in plan.tasks())
    busy = min(plan.workers, len(plan.task_grid))
    return turns * (reads * encode + plan.pixels * query) / busy


def _representative(plan: RenderPlan) -> RenderPlan:
    """A plan that is equal for all images of one model and about one scale."""
    sides = [round(PROBE_WINDOW * 4 * scale) for scale in plan.scale]
    window = PROBE_WINDOW * 4
    return dataclasses.replace(
        plan,
        input="",
        output="",
        input_digest="",
        in_shape=(window, window),
        out_shape=(max(1, sides[0]), max(1, sides[1])),
        input_format="",
        output_format="",
        dtype="float32",
        task=(0, 0),
        projected_mem=0,
        projected_disk=0,
        allowed_mem=0,
    )
