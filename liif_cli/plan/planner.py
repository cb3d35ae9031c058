"""Turns the request and the machine's limits into the plan of one image, before any work."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from liif_cli.errors import OutputError, PlanError, UsageError
from liif_cli.geometry.axis import AxisMap
from liif_cli.geometry.cell import SCALED, CellPolicy
from liif_cli.geometry.size import SizeRequest
from liif_cli.geometry.window import Window
from liif_cli.plan.choices import (
    check_compression,
    check_format,
    choose,
    chosen_compression,
    chosen_quality,
)
from liif_cli.plan.disk import needed_disk
from liif_cli.plan.layout import LayoutRequest
from liif_cli.plan.passes import BLEED
from liif_cli.plan.plan import Cut, RenderPlan, region_of
from liif_cli.plan.spec import (
    TILE_RANGE,
    InputFacts,
    Machine,
    ModelCost,
    OutputFacts,
    RenderSpec,
)

LARGEST_SIDE = 1 << 24


def make_plan(
    spec: RenderSpec,
    source: InputFacts,
    outputs: Sequence[OutputFacts],
    cost: ModelCost,
    machine: Machine,
    *,
    model_digest: str,
    precision: str,
    resume: Cut | None = None,
) -> RenderPlan:
    """Plan one image for the first of ``outputs`` that can hold it.

    ``resume`` is how a half-rendered store of the same output is cut: its shards are kept, and its
    tasks as well where memory allows.

    Raises:
        UsageError: a tile side that is out of range.
        PlanError: no format, memory or disk can do; the message carries the arithmetic.
    """
    if spec.tile is not None and not TILE_RANGE[0] <= spec.tile <= TILE_RANGE[1]:
        raise UsageError(
            "--tile", got=str(spec.tile), expected=f"{TILE_RANGE[0]} to {TILE_RANGE[1]} pixels"
        )
    if not cost.exact_tiling:
        raise PlanError(
            f"model {spec.model}",
            got="pixels that depend on the tile they are rendered in",
            expected="a decoder whose tiling is exact",
        )
    height, width, channels = source.shape
    if source.alpha or source.nodata is not None:
        # colour is bled before it is encoded, which takes more pixels around a task's own
        reach = cost.radius[0] + BLEED, cost.radius[1] + BLEED
        cost = dataclasses.replace(cost, radius=reach)
    out_shape = spec.size.output_shape(height, width)
    if max(out_shape) > LARGEST_SIDE:
        raise PlanError(
            f"output of {source.path}",
            got=f"{out_shape[1]}x{out_shape[0]}",
            expected=f"at most {LARGEST_SIDE} pixels per side",
        )
    region = _region(spec, source, out_shape)
    problem: Exception | None = None
    for output in outputs:
        try:
            check_format(output, region.shape, source)
            compression = chosen_compression(spec, source, output)
            check_compression(compression, output, source)
            pyramid = choose("--pyramid", spec.pyramid, output.format, output.path, output.pyramids)
            request = LayoutRequest(spec, source, output, out_shape, cost, machine)
            layout = request.layout(resume)
            if spec.roi is not None and resume is None:
                layout = request.part(layout, region)
            disk = needed_disk(layout, output, region, source)
        except (PlanError, OutputError) as error:
            problem = problem or error
            continue
        return RenderPlan(
            input=source.path,
            output=output.path,
            input_format=source.format,
            output_format=output.format,
            input_digest=source.digest,
            model_digest=model_digest,
            in_shape=(height, width),
            out_shape=out_shape,
            channels=channels,
            dtype=source.dtype,
            model=spec.model,
            device=machine.device,
            precision=precision,
            cell=_cell_at(spec, (height, width), out_shape),
            via=spec.via,
            self_ensemble=spec.self_ensemble,
            radius=cost.radius,
            tile=layout.tile,
            task=layout.task,
            chunk=layout.chunk,
            shard=layout.shard,
            via_store=layout.via_store,
            workers=layout.workers,
            projected_mem=layout.total,
            allowed_mem=machine.allowed_bytes,
            projected_disk=disk,
            alpha=source.alpha,
            ranges=source.ranges,
            page=source.page,
            select=source.select,
            level=source.level,
            strip_metadata=spec.strip_metadata,
            roi=spec.roi,
            unpack=layout.unpack,
            compression=compression,
            quality=chosen_quality(spec, source, output, compression),
            nodata=source.nodata,
            linear=source.linear,
            mask=source.mask,
            dpi=spec.dpi or 0.0,
            pyramid=pyramid,
            cleanup=_cleanup(spec, source, cost),
        )
    raise problem or PlanError(f"no output format for {source.path}")


def _region(spec: RenderSpec, source: InputFacts, out_shape: tuple[int, int]) -> Window:
    """Output pixels to render.

    Raises:
        PlanError: a part that leaves the image, or holds no output pixel.
    """
    if spec.roi is None:
        return Window.whole(*out_shape)
    roi, (height, width) = spec.roi, source.shape[:2]
    got = f"{roi.width}x{roi.height} at {roi.col_off},{roi.row_off}"
    if roi.clip(height, width) != roi:
        raise PlanError(
            f"--roi of {source.path}",
            got=got,
            expected=f"a part of its {width}x{height} pixels",
            cure="give X,Y,W,H in input pixels, X + W and Y + H within the image",
        )
    region = region_of(roi, AxisMap(height, out_shape[0]), AxisMap(width, out_shape[1]))
    if region.height < 1 or region.width < 1:
        raise PlanError(
            f"--roi of {source.path}",
            got=f"{got}, which holds no pixel of an output of {out_shape[1]}x{out_shape[0]}",
            expected="a larger part",
        )
    return region


def _cleanup(spec: RenderSpec, source: InputFacts, cost: ModelCost) -> float:
    """How lossy the network is told that the image is."""
    if not cost.takes_cleanup:
        return 0.0
    return source.cleanup if spec.cleanup is None else spec.cleanup


def _cell_at(spec: RenderSpec, in_shape: tuple[int, int], out_shape: tuple[int, int]) -> CellPolicy:
    """The policy as far as it changes the cells at the scale at which the network is asked."""
    if spec.via is not None:
        out_shape = SizeRequest(scale=(spec.via, spec.via)).output_shape(*in_shape)
    rows, cols = (AxisMap(a, b) for a, b in zip(in_shape, out_shape, strict=True))
    return (spec.cell or SCALED).at(rows, cols)
