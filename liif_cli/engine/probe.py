"""How long a plan will take, from a short measurement of its own model at its own scale."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from functools import lru_cache

import numpy as np
import torch

from liif_cli.engine.machine import cores
from liif_cli.engine.samples import to_pixels
from liif_cli.engine.sampling import Sampling, WindowRenderer
from liif_cli.geometry.axis import AxisMap
from liif_cli.geometry.window import Window
from liif_cli.models.loader import load_model
from liif_cli.models.model import Model
from liif_cli.plan.plan import RenderPlan

PROBE_SECONDS = 0.3
"""Shortest measurement of each part; longer than timer noise, short enough to wait for."""
PROBE_WINDOW = 64
"""Side of the LR window that is encoded, in pixels."""
MEASURED_TILE = 256


@lru_cache(maxsize=1)
def _model(name: str, via: Fraction | None, device: str, precision: str) -> Model:
    return load_model(name, torch.device(device), via=via).in_precision(precision).told(0.0)


@lru_cache(maxsize=64)
def _speed(
    name: str, sampling: Sampling, tile: int, via: Fraction | None = None, threads: int = 1
) -> tuple[float, float]:
    """Seconds of one thread (an LR pixel read, an output pixel), at the sampling's scale.

    The sampling's input is small enough to be one window. With several threads that work at the
    same time each of them is slower than one alone, where cores share caches or units.
    """
    model = _model(name, via, sampling.device, sampling.precision)
    read = Window.whole(sampling.rows.n_in, sampling.cols.n_in)
    part = Window.whole(min(tile, sampling.rows.n_out), min(tile, sampling.cols.n_out))
    noise = np.random.default_rng(0).random((*read.shape, 3), dtype=np.float32)
    renderer = WindowRenderer(model, sampling, noise, read)
    encode = _repeat(lambda: WindowRenderer(model, sampling, noise, read), threads)
    query = _repeat(lambda: to_pixels(renderer.query(part), 3, np.dtype(np.uint8)), threads)
    return encode / read.pixels, query / part.pixels


def _repeat(work: Callable[[], object], threads: int) -> float:
    """Seconds of one call, the mean over at least ``PROBE_SECONDS``, a first one not counted.

    As many ``threads`` do the same at the same time.
    """

    def repeat(_: int) -> float:
        torch.set_num_threads(1)
        with torch.inference_mode():
            work()
            start, count = time.perf_counter(), 0
            while (spent := time.perf_counter() - start) < PROBE_SECONDS:
                work()
                count += 1
            return spent / count

    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(repeat, range(threads))) / threads


def _window_of(axis: AxisMap) -> AxisMap:
    """A short axis of about the same scale; equal scales give equal ones."""
    return AxisMap(PROBE_WINDOW, max(1, round(PROBE_WINDOW * axis.scale)))


@torch.inference_mode()
def render_seconds(plan: RenderPlan) -> float:
    """Seconds of one thread that rendering ``plan`` will take, when all its threads are busy.

    Measured for about half a second; images of one scale share a measurement.
    """
    torch.set_num_threads(1)
    sampling = dataclasses.replace(
        Sampling.of(plan), rows=_window_of(plan.rows), cols=_window_of(plan.cols)
    )
    busy = min(plan.workers, plan.task_count)
    encode, query = _speed(plan.model, sampling, plan.tile, plan.via, busy)
    turns = (8 if plan.self_ensemble else 1) * len(plan.passes)
    reads = sum(task.read.pixels for task in plan.tasks())
    return turns * (reads * encode + plan.pixels * query)


@torch.inference_mode()
def measure_speed(name: str, scale: int) -> float:
    """Output megapixels per second of a model at ``scale`` on all cores, encoding included.

    One thread is measured for about half a second and multiplied by the cores.
    """
    torch.set_num_threads(1)
    axis = AxisMap(PROBE_WINDOW, PROBE_WINDOW * scale)
    encode, query = _speed(name, Sampling(axis, axis), MEASURED_TILE)
    return cores() / (encode / scale**2 + query) / 1e6
