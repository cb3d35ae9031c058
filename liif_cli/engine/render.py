"""One task: read a window, encode it once, answer every output pixel of it tile by tile."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from liif_cli.engine.alpha import FlatAlpha, bleed
from liif_cli.engine.heap import give_back
from liif_cli.engine.transfer import (
    FULL_SCALE,
    CudaCopies,
    TileRing,
    denormalised,
    full_scale,
    not_finite,
    scaled,
)
from liif_cli.geometry.axis import AxisMap, AxisSlice
from liif_cli.geometry.cell import SCALED, CellPolicy
from liif_cli.geometry.grid import TileGrid
from liif_cli.geometry.window import Window
from liif_cli.io.base import Pixels
from liif_cli.io.linear import decoded, encoded
from liif_cli.io.nodata import empty, enlarged
from liif_cli.models.base import Latent
from liif_cli.models.device import upload
from liif_cli.models.model import Model
from liif_cli.plan.passes import BLEED, RenderPass
from liif_cli.plan.plan import RenderPlan, RenderTask
from liif_cli.plan.spec import ModelCost

PRECISION_DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Turn:
    """A flip of rows, a flip of columns, then a transpose: one of the 8 of a square."""

    flip_rows: bool = False
    flip_cols: bool = False
    transpose: bool = False

    def apply(self, image: torch.Tensor) -> torch.Tensor:
        """Turn an image (1, 3, h, w)."""
        flips = [dim for dim, flip in ((2, self.flip_rows), (3, self.flip_cols)) if flip]
        image = image.flip(flips) if flips else image
        return image.transpose(2, 3) if self.transpose else image

    def undo(self, colours: torch.Tensor) -> torch.Tensor:
        """Turn colours (h, w, 3) of a turned image back."""
        colours = colours.transpose(0, 1) if self.transpose else colours
        flips = [dim for dim, flip in ((0, self.flip_rows), (1, self.flip_cols)) if flip]
        return colours.flip(flips) if flips else colours


IDENTITY = Turn()
ALL_TURNS = tuple(
    Turn(rows, cols, transpose)
    for transpose in (False, True)
    for rows in (False, True)
    for cols in (False, True)
)


def model_cost(
    model: Model, rows: AxisMap, cols: AxisMap, *, tile: int, sample_bytes: int
) -> ModelCost:
    """What rendering at that scale takes.

    ``tile`` is the largest side of a query; ``sample_bytes`` is 4 for fp32, 2 for half precision.
    """
    scale = (rows.scale, cols.scale)
    decoder = model.render_decoder
    per_code, per_pixel = decoder.macs(scale)
    encoder = model.encoder
    encode_bytes = int(encoder.bytes_per_pixel()) if encoder is not None else 0  # type: ignore[operator]
    column_bytes = band_bytes = 0
    # of what is added up in float32, a lower precision saves nothing that is worth counting
    activation = sample_bytes
    if encoder is not None and next(encoder.parameters()).device.type == "cpu":
        column_bytes, band_bytes = getattr(encoder, "bands_bytes", lambda: (0, 0))()
        if hasattr(encoder, "in_float32"):
            activation = 4
    weights = sum(p.numel() for p in encoder.parameters()) if encoder is not None else 0
    return ModelCost(
        radius=(model.radius(rows), model.radius(cols)),
        encode_bytes=encode_bytes * activation // 4,
        feat_bytes=int(encoder.channels) * sample_bytes if encoder is not None else 0,  # type: ignore[arg-type]
        column_bytes=column_bytes * activation // 4,
        band_bytes=band_bytes,
        latent_bytes=decoder.latent_bytes_per_code(scale) * sample_bytes // 4,
        encode_macs=weights + per_code,
        query_macs=per_pixel,
        query_bytes=decoder.query_bytes(min(tile, rows.n_out), min(tile, cols.n_out), scale),
        exact_tiling=decoder.exact_tiling,
        takes_cleanup=model.takes_cleanup,
    )


def to_network(
    pixels: Pixels,
    device: torch.device,
    dtype: torch.dtype,
    values: tuple[float, float] | None = None,
) -> torch.Tensor:
    """Pixels (h, w, 1 or 3) of any sample type -> (1, 3, h, w) in [-1, 1]; gray three times.

    ``values`` are those of black and white; None is the range of the sample type.
    """
    low, high = values or (0.0, full_scale(pixels.dtype))
    if pixels.dtype.name not in FULL_SCALE:
        # whole numbers of 32 bits have more digits than float32
        pixels, low, high = np.subtract(pixels, low, dtype=np.float64), 0.0, high - low
    image = upload(np.ascontiguousarray(pixels.astype(np.float32)), device)
    if low:
        image = image.sub_(low)
    image = image.mul_(2 / (high - low)).sub_(1).permute(2, 0, 1)[None]
    return image.expand(-1, 3, -1, -1).to(dtype)


def to_pixels(
    colours: torch.Tensor,
    channels: int,
    dtype: np.dtype[Any],
    values: tuple[float, float] | None = None,
) -> Pixels:
    """Normalised colours (h, w, 3) -> pixels (h, w, 1 or 3), rounded half to even.

    ``colours`` is overwritten. Gray is the mean of the three channels. ``values`` are those of
    black and white, to which pixels are clamped; None is the range of the sample type.

    Raises:
        RenderError: a colour is NaN or infinite.
    """
    _check_finite(colours, "colours")
    found = scaled(colours, channels, dtype, values)
    if dtype == np.uint8:
        return found.round_().to(torch.uint8).cpu().numpy()
    if dtype == np.uint16:
        return found.round_().cpu().numpy().astype(np.uint16)
    if dtype == np.float32:
        return found.cpu().numpy()
    return denormalised(found.cpu().numpy(), dtype, values)


def _check_finite(values: torch.Tensor, what: str) -> None:
    """One pass: a sum is finite only if every number is."""
    if not torch.isfinite(values.sum(dtype=torch.float32)):
        raise not_finite(what)


class Direct:
    """Puts pixels in their place at once, as on the CPU (see ``TileRing``)."""

    placed = 0

    def put(
        self,
        colours: torch.Tensor,
        target: Pixels,
        channels: int,
        values: tuple[float, float] | None,
    ) -> None:
        """Fill ``target`` (h, w, 1 or 3) with the pixels of normalised colours (h, w, 3).

        One channel, gray, fills all of the target's.
        """
        target[...] = to_pixels(colours, channels, target.dtype, values)
        self.placed += 1

    def place(self) -> bool:
        """False: no tile is on its way."""
        return False

    def close(self) -> None:
        """Nothing to wait for."""


def delivery(device: torch.device) -> Direct | TileRing:
    """How tiles come from ``device``."""
    return TileRing(CudaCopies(device)) if device.type == "cuda" else Direct()


@dataclass(frozen=True)
class Sampling:
    """Which points are asked for, and where the network runs.

    ``cell`` is the policy of the pixel size told to the network; ``precision`` is fp32,
    fp16 or bf16.
    """

    rows: AxisMap
    cols: AxisMap
    cell: CellPolicy = SCALED
    device: str = "cpu"
    precision: str = "fp32"

    @classmethod
    def of(cls, plan: RenderPlan) -> Sampling:
        """The sampling of a plan."""
        return cls(plan.rows, plan.cols, plan.cell, plan.device, plan.precision)


class WindowRenderer:
    """A window of the input, encoded, that answers any output window whose halo it holds.

    Args:
        model: network on the sampling's device and in its precision, in evaluation mode.
        sampling: scale, cell policy, device and precision.
        pixels: (h, w, 1 or 3) of the read window.
        read: where that window lies in the input.
        turn: flip and turn under which the network sees the image.
        values: those of black and white; None is the range of the sample type.
    """

    def __init__(
        self,
        model: Model,
        sampling: Sampling,
        pixels: Pixels,
        read: Window,
        turn: Turn = IDENTITY,
        values: tuple[float, float] | None = None,
    ) -> None:
        self.decoder = model.render_decoder
        self.sampling, self.read, self.turn = sampling, read, turn
        # float32 for the decoder: a bilinear skip then loses nothing to a lower precision
        image = turn.apply(to_network(pixels, torch.device(sampling.device), torch.float32, values))
        cell = (
            sampling.cell.told(model.asked(sampling.rows)),
            sampling.cell.told(model.asked(sampling.cols)),
        )
        feat = model.encode(image)
        if model.encoder is None:
            feat = feat.to(PRECISION_DTYPES[sampling.precision])
        # a ReLU may turn NaN into 0, so that the colours alone would not tell
        _check_finite(feat, "features")
        self.latent: Latent = self.decoder.prepare(
            image, feat, cell[::-1] if turn.transpose else cell
        )

    def query(self, tile: Window) -> torch.Tensor:
        """Normalised colours (tile.height, tile.width, 3), float32, of an output window."""
        read, turn = self.read, self.turn
        rows = _axis_slice(
            self.sampling.rows,
            (tile.row_off, tile.row_stop),
            (read.row_off, read.row_stop),
            turn.flip_rows,
        )
        cols = _axis_slice(
            self.sampling.cols,
            (tile.col_off, tile.col_stop),
            (read.col_off, read.col_stop),
            turn.flip_cols,
        )
        if turn.transpose:
            rows, cols = cols, rows
        return turn.undo(self.decoder.query(self.latent, rows, cols))


def _axis_slice(
    axis: AxisMap, output: tuple[int, int], read: tuple[int, int], flip: bool
) -> AxisSlice:
    """Half-open output indices over a read range; counted from the far end when flipped."""
    if flip:
        return axis.slice(axis.n_out - output[1], axis.n_out - output[0], axis.n_in - read[1])
    return axis.slice(output[0], output[1], read[0])


@torch.inference_mode()
def render_array(
    model: Model,
    pixels: Pixels,
    out_shape: tuple[int, int],
    *,
    cell: CellPolicy | str | float = SCALED,
    device: str = "cpu",
    precision: str = "fp32",
    tile: int = 512,
    self_ensemble: bool = False,
    cleanup: float = 0.0,
) -> npt.NDArray[np.float32]:
    """Upscale an image that fits the memory, as one window.

    Args:
        model: network on ``device`` and in ``precision``.
        pixels: (h, w, 1 or 3) uint8, uint16 or float32 in [0, 1].
        out_shape: (height, width) of the result.
        cell: the pixel size told to the network: a policy, its text or a factor. "clamped" alone
            takes the published models' largest scale; ``CellPolicy.of_model`` that of a model.
        device: "cpu" or "cuda:N".
        precision: fp32, fp16 or bf16.
        tile: side of a query in output pixels.
        self_ensemble: average over the 8 flips and turns.
        cleanup: how lossy the image is, in [0, 100], for a model that can be told.

    Returns:
        Colours (height, width, 3), float32, about [0, 1]: neither clamped nor rounded.
    """
    model = model.told(cleanup)
    read = Window.whole(*pixels.shape[:2])
    rows, cols = (AxisMap(a, b) for a, b in zip(pixels.shape[:2], out_shape, strict=True))
    sampling = Sampling(rows, cols, CellPolicy.of(cell), device, precision)
    turns = ALL_TURNS if self_ensemble else (IDENTITY,)
    result = np.zeros((*out_shape, 3), np.float32)
    for turn in turns:
        renderer = WindowRenderer(model, sampling, pixels, read, turn)
        for part in TileGrid(*out_shape, tile, tile):
            colours = renderer.query(part).mul_(0.5 / len(turns)).add_(0.5 / len(turns))
            result[part.to_slices()] += colours.cpu().numpy()
    return result


@torch.inference_mode()
def render_task(
    model: Model,
    plan: RenderPlan,
    task: RenderTask,
    read: Callable[[Window], Pixels],
    outputs: Iterator[Window],
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[tuple[Window, Pixels]]:
    """Render ``outputs``, windows inside the task's own, and hand each on as pixels.

    Args:
        model: network of the plan's device and precision.
        plan: the image's plan.
        task: the task.
        read: gives pixels (h, w, channels) of an input window.
        outputs: windows to render.
        stopped: asked between tiles; True ends the work.

    Raises:
        RenderError: a colour that is NaN or infinite.
    """
    grid = TileGrid(*plan.out_shape, plan.tile, plan.tile)
    pixels = read(task.read)
    dtype = np.dtype(plan.dtype)
    if plan.linear:
        # 16 bits are too few for what a display is shown of light
        pixels, dtype = _shown(plan, pixels, encoded), np.dtype(np.float32)
    passes = plan.passes
    # each pass has a latent of its own, of which one at a time is kept
    groups = ([one] for one in outputs) if len(passes) == 1 else iter([list(outputs)])
    answer: Answer | None = None
    sent = 0
    filling: deque[tuple[int, Window, Pixels]] = deque()
    with closing(delivery(torch.device(plan.device))) as tiles:

        def finished() -> Iterator[tuple[Window, Pixels]]:
            while filling and filling[0][0] <= tiles.placed:
                _, window, found = filling.popleft()
                _put_nodata(plan, task, pixels, window, found)
                if plan.mask:
                    bare = pixels[..., -1] == 0
                    where = enlarged(window, bare, task.read, plan.rows, plan.cols)
                    found[..., -1] = np.where(where, 0, full_scale(np.dtype(plan.dtype)))
                if plan.linear:
                    found = _shown(plan, found, decoded).astype(plan.dtype)
                yield window, found

        for group in groups:
            collected = [np.empty((*one.shape, plan.channels), dtype) for one in group]
            for one_pass in passes:
                if answer is None or len(passes) > 1:
                    answer = None  # the last one's memory goes first
                    answer = _answer(model, plan, task, pixels, one_pass, stopped)
                    give_back()
                for output, target in zip(group, collected, strict=True):
                    for tile in grid.split(output):
                        if stopped():
                            return
                        # the whole tile even for a part of it: sums may depend on its size
                        whole = grid.holder(tile).intersect(task.output)
                        colours = answer(whole)
                        if whole != tile:
                            colours = colours[tile.relative_to(whole).to_slices()].contiguous()
                        part = (*tile.relative_to(output).to_slices(), slice(*one_pass.span))
                        tiles.put(colours, target[part], one_pass.channels, one_pass.values)
                        sent += 1
                        yield from finished()
            filling += [(sent, *one) for one in zip(group, collected, strict=True)]
            yield from finished()
        while tiles.place():
            yield from finished()


def _shown(plan: RenderPlan, pixels: Pixels, curve: Callable[[Pixels], Pixels]) -> Pixels:
    """Pixels (h, w, channels) with a curve applied to their colours, as float32."""
    found: Pixels = curve(pixels.astype(np.float32))
    if plan.alpha:
        found[..., -1] = pixels[..., -1]
    return found


def _put_nodata(
    plan: RenderPlan, task: RenderTask, pixels: Pixels, window: Window, found: Pixels
) -> None:
    """Nothing where the nearest input pixel holds nothing; band by band where they are no colours.

    Args:
        plan: the image's plan.
        task: the task.
        pixels: (h, w, channels) of the task's read window.
        window: a window of the output.
        found: (window.height, window.width, channels), rendered; changed in place.
    """
    if plan.nodata is None:
        return
    for one_pass in plan.passes:
        if one_pass.alpha:
            continue
        part = slice(*one_pass.span)
        holes = empty(pixels[..., part], plan.nodata)
        if holes.any():
            where = enlarged(window, holes, task.read, plan.rows, plan.cols)
            found[..., part][where] = plan.nodata


Answer = Callable[[Window], torch.Tensor]
"""Normalised colours (tile.height, tile.width, 3) of an output tile."""


def _answer(
    model: Model,
    plan: RenderPlan,
    task: RenderTask,
    pixels: Pixels,
    one_pass: RenderPass,
    stopped: Callable[[], bool],
) -> Answer:
    """Encode the channels of a pass, ready to be asked for the task's tiles.

    Args:
        model: network of the plan's device and precision.
        plan: the image's plan.
        task: the task.
        pixels: (h, w, channels) of the task's read window.
        one_pass: which channels.
        stopped: asked between tiles; True ends the work, and what is answered then is not an image.
    """
    # no format loses alpha as it loses colour
    model = model.told(0.0 if one_pass.alpha else plan.cleanup)
    sampling = Sampling.of(plan)
    window, shown = task.read, pixels[..., slice(*one_pass.seen)]
    flat: FlatAlpha | None = None
    if plan.alpha or plan.nodata is not None:
        window = _without_bleed(task.read, plan)
        if one_pass.alpha:
            flat = FlatAlpha(_alpha(plan, pixels), task.read, plan.rows, plan.cols)
        else:
            shown = _seen(plan, pixels, one_pass)
        shown = shown[window.relative_to(task.read).to_slices()]
    if flat is not None and flat.value is not None:
        value = 2 * flat.value - 1
        device = torch.device(plan.device)
        return lambda tile: torch.full((*tile.shape, 3), value, device=device)
    answer: Answer
    if plan.self_ensemble:
        answer = _averaged(model, plan, task, sampling, shown, window, one_pass, stopped)
    else:
        answer = WindowRenderer(model, sampling, shown, window, values=one_pass.values).query
    if flat is None:
        return answer
    pinned = flat

    def answer_alpha(tile: Window) -> torch.Tensor:
        colours = answer(tile)
        pinned.pin(colours, tile)
        return colours

    return answer_alpha


def _alpha(plan: RenderPlan, pixels: Pixels) -> npt.NDArray[np.float32]:
    """(h, w) in [0, 1]; 1 where there is none."""
    if not plan.alpha:
        return np.ones(pixels.shape[:2], np.float32)
    alpha: npt.NDArray[np.float32] = pixels[..., -1].astype(np.float32)
    return alpha / np.float32(full_scale(np.dtype(plan.dtype)))


def _seen(plan: RenderPlan, pixels: Pixels, one_pass: RenderPass) -> npt.NDArray[np.float32]:
    """What the network sees of a pass: colours carried to where there are none."""
    shown = pixels[..., slice(*one_pass.seen)].astype(np.float32)
    weight = _alpha(plan, pixels)
    if plan.nodata is not None:
        holes = empty(pixels[..., slice(*one_pass.span)], plan.nodata)
        shown[holes], weight = one_pass.low, np.where(holes, np.float32(0), weight)
    return bleed(shown, weight)


def _averaged(
    model: Model,
    plan: RenderPlan,
    task: RenderTask,
    sampling: Sampling,
    shown: Pixels,
    window: Window,
    one_pass: RenderPass,
    stopped: Callable[[], bool],
) -> Answer:
    """The mean over the 8 turns of all of the task's tiles; see ``_answer``."""
    grid = TileGrid(*plan.out_shape, plan.tile, plan.tile)
    averaged = torch.zeros(*task.output.shape, 3, device=torch.device(plan.device))
    for turn in ALL_TURNS:
        renderer = WindowRenderer(model, sampling, shown, window, turn, one_pass.values)
        for tile in grid.split(task.output):
            if stopped():
                break
            if tile.intersect(plan.region).pixels == 0:
                continue
            part = tile.relative_to(task.output).to_slices()
            averaged[part] += renderer.query(tile) / len(ALL_TURNS)
    return lambda tile: averaged[tile.relative_to(task.output).to_slices()].clone()


def _without_bleed(read: Window, plan: RenderPlan) -> Window:
    """What the network needs of a read window: without the pixels that only ``bleed`` looks at.

    A window that ends inside the image has them all; one that was cut at its border may keep them.
    """
    top, left = BLEED * (read.row_off > 0), BLEED * (read.col_off > 0)
    bottom = BLEED * (read.row_stop < plan.in_shape[0])
    right = BLEED * (read.col_stop < plan.in_shape[1])
    return Window.between(
        read.row_off + top, read.row_stop - bottom, read.col_off + left, read.col_stop - right
    )
