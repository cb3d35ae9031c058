"""One task: read a window, encode it once, answer every output pixel of it tile by tile."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing

import numpy as np
import torch

from liif_cli.engine.alpha import FlatAlpha, Plane, bleed
from liif_cli.engine.heap import give_back
from liif_cli.engine.samples import full_scale
from liif_cli.engine.sampling import ALL_TURNS, Sampling, WindowRenderer
from liif_cli.engine.transfer import Delivery, delivery
from liif_cli.geometry.grid import TileGrid
from liif_cli.geometry.window import Window
from liif_cli.io.base import Pixels
from liif_cli.io.linear import decoded, encoded
from liif_cli.io.nodata import empty, enlarged
from liif_cli.models.model import Model
from liif_cli.plan.passes import BLEED, RenderPass
from liif_cli.plan.plan import RenderPlan, RenderTask

Answer = Callable[[Window], torch.Tensor]
"""Normalised colours (tile.height, tile.width, 3) of an output tile."""


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
    with closing(delivery(torch.device(plan.device))) as tiles:
        shown = Shown(model, plan, task, read(task.read), stopped)
        yield from _Rendering(shown, tiles).render(outputs)


class Shown:
    """What a task has read, ready to be shown to the network pass by pass.

    Args:
        model: network of the plan's device and precision.
        plan: the image's plan.
        task: the task.
        pixels: (h, w, channels) of the task's read window.
        stopped: asked between tiles; True ends the work, and what is answered then is not an image.
    """

    def __init__(
        self,
        model: Model,
        plan: RenderPlan,
        task: RenderTask,
        pixels: Pixels,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self._model, self.plan, self.task, self.stopped = model, plan, task, stopped
        self.grid = TileGrid(*plan.out_shape, plan.tile, plan.tile)
        self.dtype = np.dtype(plan.dtype)
        if plan.linear:
            # 16 bits are too few for what a display is shown of light
            pixels, self.dtype = _curved(plan, pixels, encoded), np.dtype(np.float32)
        self._pixels = pixels

    def answer(self, one_pass: RenderPass) -> Answer:
        """Encode the channels of a pass, ready to be asked for the task's tiles."""
        plan, read = self.plan, self.task.read
        if not plan.alpha and plan.nodata is None:
            return self._answer(one_pass, self._pixels[..., slice(*one_pass.seen)], read)
        window = _without_bleed(read, plan)
        inside = window.relative_to(read).to_slices()
        if not one_pass.alpha:
            return self._answer(one_pass, self._bled(one_pass)[inside], window)
        flat = FlatAlpha(self._alpha(), read, plan.rows, plan.cols)
        if flat.value is not None:
            value, device = 2 * flat.value - 1, torch.device(plan.device)
            return lambda tile: torch.full((*tile.shape, 3), value, device=device)
        answer = self._answer(one_pass, self._pixels[..., slice(*one_pass.seen)][inside], window)

        def pinned(tile: Window) -> torch.Tensor:
            colours = answer(tile)
            flat.pin(colours, tile)
            return colours

        return pinned

    def finish(self, window: Window, rendered: Pixels) -> Pixels:
        """An output window (window.height, window.width, channels) with all that is not rendered.

        Nodata, a mask, and light as the file holds it; ``rendered`` is changed in place.
        """
        plan = self.plan
        self._put_nodata(window, rendered)
        if plan.mask:
            bare = self._enlarged(window, self._pixels[..., -1] == 0)
            rendered[..., -1] = np.where(bare, 0, full_scale(np.dtype(plan.dtype)))
        if plan.linear:
            return _curved(plan, rendered, decoded).astype(plan.dtype)
        return rendered

    def _answer(self, one_pass: RenderPass, seen: Pixels, window: Window) -> Answer:
        """Of pixels (h, w, 1 or 3) of an input window, which holds the task's halo."""
        # no format loses alpha as it loses colour
        model = self._model.told(0.0 if one_pass.alpha else self.plan.cleanup)
        sampling = Sampling.of(self.plan)
        if not self.plan.self_ensemble:
            return WindowRenderer(model, sampling, seen, window, values=one_pass.values).query
        output = self.task.output
        averaged = torch.zeros(*output.shape, 3, device=torch.device(self.plan.device))
        wanted = [
            tile for tile in self.grid.split(output) if tile.intersect(self.plan.region).pixels
        ]
        for turn in ALL_TURNS:
            if self.stopped():
                break
            renderer = WindowRenderer(model, sampling, seen, window, turn, one_pass.values)
            for tile in wanted:
                if self.stopped():
                    break
                part = tile.relative_to(output).to_slices()
                averaged[part] += renderer.query(tile) / len(ALL_TURNS)
        return lambda tile: averaged[tile.relative_to(output).to_slices()].clone()

    def _alpha(self) -> Plane:
        """(h, w) in [0, 1]; 1 where there is none."""
        if not self.plan.alpha:
            return np.ones(self._pixels.shape[:2], np.float32)
        alpha: Plane = self._pixels[..., -1].astype(np.float32)
        return alpha / np.float32(full_scale(np.dtype(self.plan.dtype)))

    def _bled(self, one_pass: RenderPass) -> Plane:
        """What the network sees of a pass: colours carried to where there are none."""
        seen = self._pixels[..., slice(*one_pass.seen)].astype(np.float32)
        weight = self._alpha()
        if self.plan.nodata is not None:
            holes = empty(self._pixels[..., slice(*one_pass.span)], self.plan.nodata)
            seen[holes], weight = one_pass.low, np.where(holes, np.float32(0), weight)
        return bleed(seen, weight)

    def _put_nodata(self, window: Window, rendered: Pixels) -> None:
        """Nodata where the nearest input pixel is nodata; per band where bands are not colours."""
        if self.plan.nodata is None:
            return
        for one_pass in self.plan.passes:
            if one_pass.alpha:
                continue
            part = slice(*one_pass.span)
            holes = empty(self._pixels[..., part], self.plan.nodata)
            if holes.any():
                rendered[..., part][self._enlarged(window, holes)] = self.plan.nodata

    def _enlarged(self, window: Window, where: Pixels) -> Pixels:
        return enlarged(window, where, self.task.read, self.plan.rows, self.plan.cols)


class _Rendering:
    """A task on its way: tiles are answered, sent to the host, and put together as outputs.

    Args:
        shown: what is rendered.
        delivery: how tiles come from the device.
    """

    def __init__(self, shown: Shown, delivery: Delivery) -> None:
        self._shown, self._delivery = shown, delivery
        self._filling: deque[tuple[int, Window, Pixels]] = deque()
        self._sent = 0
        self._pass: RenderPass | None = None
        self._answer: Answer | None = None

    def render(self, outputs: Iterator[Window]) -> Iterator[tuple[Window, Pixels]]:
        """See ``render_task``."""
        shown, passes = self._shown, self._shown.plan.passes
        # each pass has a latent of its own, of which one at a time is kept
        for group in ([one] for one in outputs) if len(passes) == 1 else iter([list(outputs)]):
            targets = [np.empty((*one.shape, shown.plan.channels), shown.dtype) for one in group]
            for one_pass, tile, target in self._tiles_of(passes, group, targets):
                if shown.stopped():
                    return
                self._send(one_pass, tile, target)
                yield from self._finished()
            self._filling += [(self._sent, *one) for one in zip(group, targets, strict=True)]
            yield from self._finished()
        while self._delivery.place():
            yield from self._finished()

    def _tiles_of(
        self, passes: list[RenderPass], group: list[Window], targets: list[Pixels]
    ) -> Iterator[tuple[RenderPass, Window, Pixels]]:
        """Pass by pass, every tile of the outputs with its place (h, w, 1 or 3) in their pixels."""
        for one_pass in passes:
            for output, target in zip(group, targets, strict=True):
                for tile in self._shown.grid.split(output):
                    part = (*tile.relative_to(output).to_slices(), slice(*one_pass.span))
                    yield one_pass, tile, target[part]

    def _send(self, one_pass: RenderPass, tile: Window, target: Pixels) -> None:
        """Render a tile, or the part of one, into ``target`` (tile.height, tile.width, 1 or 3)."""
        answer = self._answered(one_pass)
        # the whole tile even for a part of it: sums may depend on its size
        whole = self._shown.grid.holder(tile).intersect(self._shown.task.output)
        colours = answer(whole)
        if whole != tile:
            colours = colours[tile.relative_to(whole).to_slices()].contiguous()
        self._delivery.put(colours, target, one_pass.channels, one_pass.values)
        self._sent += 1

    def _answered(self, one_pass: RenderPass) -> Answer:
        if self._answer is None or self._pass != one_pass:
            self._answer = None  # the last one's memory goes first
            self._pass, self._answer = one_pass, self._shown.answer(one_pass)
            give_back()
        return self._answer

    def _finished(self) -> Iterator[tuple[Window, Pixels]]:
        """The outputs whose last tile has arrived."""
        while self._filling and self._filling[0][0] <= self._delivery.placed:
            _, window, rendered = self._filling.popleft()
            yield window, self._shown.finish(window, rendered)


def _curved(plan: RenderPlan, pixels: Pixels, curve: Callable[[Pixels], Pixels]) -> Pixels:
    """Pixels (h, w, channels) with a curve applied to their colours, as float32."""
    curved: Pixels = curve(pixels.astype(np.float32))
    if plan.alpha:
        curved[..., -1] = pixels[..., -1]
    return curved


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
