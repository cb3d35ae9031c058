"""Arrays in, arrays out: what a batch does with files, by the same plan and the same tasks."""

from __future__ import annotations

import dataclasses
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from liif_cli.engine.cost import model_cost
from liif_cli.engine.machine import measure_machine, resolve_device, resolve_precision
from liif_cli.engine.render import render_task
from liif_cli.errors import InputError, RenderError
from liif_cli.geometry.axis import AxisMap
from liif_cli.geometry.cell import DEFAULT_CELL, SCALED
from liif_cli.geometry.window import Window
from liif_cli.io.base import DTYPES, ImageInfo, Pixels, Source
from liif_cli.io.gray import is_gray
from liif_cli.io.refusals import check_finite
from liif_cli.io.values import measure
from liif_cli.models.device import PRECISION_DTYPES
from liif_cli.models.loader import LoadedModel
from liif_cli.models.model import Model
from liif_cli.plan.cutting import TILE
from liif_cli.plan.plan import RenderPlan, RenderTask
from liif_cli.plan.planner import make_plan
from liif_cli.plan.spec import InputFacts, OutputFacts, RenderSpec

_NAME = "array"


class ArraySource:
    """An image in memory behind the ``Source`` protocol.

    Args:
        pixels: (h, w, channels) of one of ``DTYPES``.
        alpha: the last channel is straight alpha.

    Raises:
        InputError: another type, or no pixels.
    """

    damage = ""

    def __init__(self, pixels: Pixels, *, alpha: bool) -> None:
        if pixels.dtype.name not in DTYPES or 0 in pixels.shape:
            raise InputError(
                "the array",
                got=f"{pixels.dtype} of shape {pixels.shape}",
                expected=f"pixels of one of {', '.join(DTYPES)}",
            )
        self._pixels = pixels
        height, width, channels = pixels.shape
        self.info = ImageInfo(
            Path(_NAME), _NAME, height, width, channels, pixels.dtype, alpha=alpha, by_window=True
        )
        check_finite(Path(_NAME), pixels, Window.whole(height, width))

    def read(self, window: Window) -> Pixels:
        """Pixels (window.height, window.width, channels), a copy."""
        return np.ascontiguousarray(self._pixels[window.to_slices()])

    def close(self) -> None:
        """Nothing is held open."""


def upscale_source(loaded: LoadedModel, source: Source, spec: RenderSpec) -> Pixels:
    """Render an open image to memory, as ``liif upscale`` renders it to a file.

    Tasks that overflow a lower precision are rendered again in fp32, by a network that is loaded
    for them.

    Args:
        loaded: the network of ``spec.model`` on the device of ``spec``.
        source: stays open.
        spec: what is asked for; its format does not matter.

    Returns:
        Pixels (height, width, channels) of the source's type: of ``spec.roi`` where it is given.

    Raises:
        PlanError: the work does not fit ``spec.max_memory``.
        RenderError: colours that are NaN or infinite.
    """
    info = source.info
    device = resolve_device(spec.device)
    precision = resolve_precision(spec.precision, device, loaded.model, np.dtype(info.dtype).name)
    model = loaded.in_precision(precision)
    cell = (spec.cell or DEFAULT_CELL).of_model(loaded.largest_scale)
    spec = dataclasses.replace(spec, cell=cell if loaded.model.encoder is not None else SCALED)
    measured = measure(source)
    facts = InputFacts(
        path=str(info.path),
        format=info.format,
        shape=info.shape,
        dtype=np.dtype(info.dtype).name,
        digest="",
        alpha=info.alpha,
        ranges=measured.ranges,
        cleanup=info.cleanup,
        nodata=info.nodata,
        linear=info.linear,
        mask=info.mask,
    )
    out_shape = spec.size.output_shape(info.height, info.width)
    cost = model_cost(
        model,
        AxisMap(info.height, out_shape[0]),
        AxisMap(info.width, out_shape[1]),
        tile=spec.tile or TILE,
        sample_bytes=PRECISION_DTYPES[precision].itemsize,
    )
    # a file that holds whatever an array does
    output = OutputFacts(_NAME, "tiff", disk_free=1 << 62, dtypes=DTYPES)
    plan = make_plan(
        spec,
        facts,
        [output],
        cost,
        dataclasses.replace(measure_machine(spec, device), alone=True),
        model_digest=loaded.digest,
        precision=precision,
    )
    gray = measured.gray if measured.gray is not None else is_gray(source)
    plan = dataclasses.replace(plan, gray=gray)
    pixels = np.empty((*plan.region.shape, plan.channels), np.dtype(plan.dtype))

    def render(task: RenderTask) -> None:
        try:
            _render(model, plan, task, source, pixels)
        except RenderError:
            if precision == "fp32":
                raise
            exact = dataclasses.replace(plan, precision="fp32")
            _render(loaded.in_precision("fp32"), exact, task, source, pixels)

    workers = max(1, min(plan.workers, os.cpu_count() or 1))
    with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        for _ in pool.map(render, plan.tasks()):
            pass
    return pixels


def _render(
    model: Model, plan: RenderPlan, task: RenderTask, source: Source, pixels: Pixels
) -> None:
    outputs = iter((task.output.intersect(plan.region),))
    for window, colours in render_task(model, plan, task, source.read, outputs):
        pixels[window.relative_to(plan.region).to_slices()] = colours
