"""Tiles on their way from a device: in order, to the byte, and never read before they are there."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from liif_cli.engine import render
from liif_cli.engine.batch import upscale_batch
from liif_cli.engine.cost import model_cost
from liif_cli.engine.render import render_task
from liif_cli.engine.samples import to_pixels
from liif_cli.engine.sampling import WindowRenderer
from liif_cli.engine.transfer import CudaCopies, Direct, TileRing
from liif_cli.errors import RenderError
from liif_cli.geometry.axis import AxisMap
from liif_cli.geometry.size import SizeRequest
from liif_cli.geometry.window import Window
from liif_cli.models.model import Model
from liif_cli.plan.plan import RenderPlan
from liif_cli.plan.planner import make_plan
from liif_cli.plan.spec import InputFacts, Machine, OutputFacts, RenderSpec
from tests.engine.conftest import Events, write_photo

NEEDS_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")


class LateCopies:
    """Copies that happen only when their event is waited for; ``most`` were under way at once."""

    def __init__(self) -> None:
        self.under_way = self.most = 0
        self.started: list[LateCopies._Copy] = []

    class _Copy:
        def __init__(self, owner: LateCopies, pairs: tuple[Any, ...]) -> None:
            self.owner, self.pairs, self.done = owner, pairs, False

        def synchronize(self) -> None:
            assert not self.done
            for source, target in self.pairs:
                target.copy_(source)
            self.done = True
            self.owner.under_way -= 1

    def buffer(self, size: int) -> torch.Tensor:
        return torch.full((size,), 0x5A, dtype=torch.uint8)

    def start(self, *pairs: tuple[torch.Tensor, torch.Tensor]) -> LateCopies._Copy:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        self.started.append(self._Copy(self, pairs))
        return self.started[-1]


def ring_of(copies: LateCopies, in_flight: int = 2) -> TileRing:
    return TileRing(copies, in_flight)


def colours_of(seed: int, height: int = 5, width: int = 7) -> torch.Tensor:
    """Normalised colours, some beyond the range."""
    return torch.randn(height, width, 3, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("values", [None, (-3.0, 200.5)])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("in_flight", [1, 2, 5])
def test_tiles_arrive_in_order_and_are_the_direct_ones(
    dtype: str, channels: int, values: tuple[float, float] | None, in_flight: int
) -> None:
    copies = LateCopies()
    ring = ring_of(copies, in_flight)
    sides = [(5, 7), (8, 9), (1, 1), (8, 9), (2, 3), (3, 2)]
    targets = [np.zeros((h + 1, w, channels), dtype)[1:] for h, w in sides]
    for number, (target, side) in enumerate(zip(targets, sides, strict=True)):
        ring.put(colours_of(number, *side), target, channels, values)
        assert ring.placed == max(0, number + 1 - in_flight)
        assert not any(late.any() for late in targets[ring.placed :])
    while ring.place():
        pass
    assert ring.placed == len(sides)
    assert copies.most == in_flight
    for number, (target, side) in enumerate(zip(targets, sides, strict=True)):
        expected = to_pixels(colours_of(number, *side), channels, np.dtype(dtype), values)
        np.testing.assert_array_equal(target, expected)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_gray_fills_three_channels(dtype: str) -> None:
    ring, target = ring_of(LateCopies()), np.zeros((5, 7, 4), dtype)
    ring.put(colours_of(3), target[..., :3], 1, None)
    ring.place()
    direct = np.zeros((5, 7, 3), dtype)
    Direct().put(colours_of(3), direct, 1, None)
    np.testing.assert_array_equal(target[..., :3], direct)
    np.testing.assert_array_equal(direct, np.repeat(direct[..., :1], 3, 2))
    assert direct.any()
    assert not target[..., 3].any()


@pytest.mark.parametrize("level", [0, 1, 32767, 32768, 65534, 65535])
def test_every_half_of_uint16_survives(level: int) -> None:
    ring, target = ring_of(LateCopies()), np.empty((1, 1, 3), np.uint16)
    ring.put(torch.full((1, 1, 3), level / 32767.5 - 1), target, 3, None)
    ring.place()
    assert (target == level).all()


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_a_bad_tile_fails_in_its_turn_and_the_rest_is_waited_for(bad: float) -> None:
    copies = LateCopies()
    ring = ring_of(copies)
    targets = [np.zeros((5, 7, 3), np.uint8) for _ in range(4)]
    for number, target in enumerate(targets[:3]):
        colours = colours_of(number)
        if number == 1:
            colours[2, 3, 1] = bad
        ring.put(colours, target, 3, None)
    assert ring.placed == 1
    with pytest.raises(RenderError, match="NaN or infinity in its colours"):
        ring.put(colours_of(3), targets[3], 3, None)
    assert ring.placed == 1
    assert targets[0].any()
    assert not any(target.any() for target in targets[1:])
    ring.close()
    assert copies.under_way == 0
    assert not ring.place()


# -- whole tasks through a ring -------------------------------------------------------------------

HEIGHT, WIDTH = 40, 52


def plan_of(model: Model, channels: int, alpha: bool, dtype: str, ensemble: bool) -> RenderPlan:
    spec = RenderSpec(SizeRequest.from_scale("2.3"), "tiny", self_ensemble=ensemble, tile=64)
    out_shape = spec.size.output_shape(HEIGHT, WIDTH)
    rows, cols = AxisMap(HEIGHT, out_shape[0]), AxisMap(WIDTH, out_shape[1])
    facts = InputFacts("a.png", "png", (HEIGHT, WIDTH, channels), dtype, "d", alpha=alpha)
    cost = model_cost(model, rows, cols, tile=64, sample_bytes=4)
    output = OutputFacts("b.tif", "tiff", 1 << 40)
    machine = Machine(1, 1 << 28, 1 << 31)
    plan = make_plan(spec, facts, [output], cost, machine, model_digest="w", precision="fp32")
    return dataclasses.replace(plan, task=plan.out_shape)


def windows(model: Model, plan: RenderPlan, **options: Any) -> Any:
    """What ``render_task`` gives for the whole image asked for in three parts."""
    top = np.iinfo(plan.dtype).max
    shape = (HEIGHT, WIDTH, plan.channels)
    pixels = np.random.default_rng(2).integers(0, top, shape, plan.dtype)
    (task,) = plan.tasks()
    height, width = plan.out_shape
    parts = [Window(0, 0, 64, width), Window(64, 0, 20, width), Window(84, 0, height - 84, width)]
    return render_task(
        model, plan, task, lambda window: pixels[window.to_slices()], iter(parts), **options
    )


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> LateCopies:
    """Every task's tiles go through a ring."""
    late = LateCopies()
    monkeypatch.setattr(render, "delivery", lambda device: ring_of(late))
    return late


@pytest.mark.parametrize(
    ("channels", "alpha", "dtype", "ensemble"),
    [
        (3, False, "uint8", False),
        (3, False, "uint16", True),
        (1, False, "uint8", False),
        (4, True, "uint8", False),
        (5, False, "uint16", False),
    ],
)
def test_a_task_through_the_ring_is_the_direct_one(
    tiny_model: Model,
    channels: int,
    alpha: bool,
    dtype: str,
    ensemble: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan = plan_of(tiny_model, channels, alpha, dtype, ensemble)
    direct = list(windows(tiny_model, plan))
    late = LateCopies()
    monkeypatch.setattr(render, "delivery", lambda device: ring_of(late))
    through = list(windows(tiny_model, plan))
    assert [window for window, _ in through] == [window for window, _ in direct]
    for (_, expected), (_, got) in zip(direct, through, strict=True):
        np.testing.assert_array_equal(got, expected)
    assert late.most == 2
    assert late.under_way == 0


def test_an_output_is_handed_on_while_the_next_one_is_computed(
    tiny_model: Model, copies: LateCopies
) -> None:
    parts = windows(tiny_model, plan_of(tiny_model, 3, False, "uint8", False))
    next(parts)
    assert copies.under_way == 2
    # of 2 x 3 tiles on its way, those of the first output were 2
    assert [copy.done for copy in copies.started] == [True, True, False, False]
    parts.close()
    assert copies.under_way == 0


def test_a_stop_in_the_middle_waits_for_what_is_on_its_way(
    tiny_model: Model, copies: LateCopies
) -> None:
    plan = plan_of(tiny_model, 3, False, "uint8", False)
    found = list(windows(tiny_model, plan, stopped=lambda: len(copies.started) == 5))
    assert [window.row_off for window, _ in found] == [0]
    assert len(copies.started) == 5
    assert copies.under_way == 0


@pytest.mark.parametrize("first_bad", [0, 3, 4, 5])
def test_outputs_before_an_overflow_are_handed_on(
    tiny_model: Model, copies: LateCopies, monkeypatch: pytest.MonkeyPatch, first_bad: int
) -> None:
    query, asked = WindowRenderer.query, []

    def overflow(self: WindowRenderer, tile: Window) -> torch.Tensor:
        asked.append(tile)
        colours = query(self, tile)
        return colours.mul_(float("inf")) if len(asked) > first_bad else colours

    monkeypatch.setattr(WindowRenderer, "query", overflow)
    parts = windows(tiny_model, plan_of(tiny_model, 3, False, "uint8", False))
    found: list[int] = []
    with pytest.raises(RenderError, match="NaN or infinity"):
        found.extend(window.row_off for window, _ in parts)
    assert found == [0, 64, 84][: first_bad // 2]
    assert copies.under_way == 0


def test_tasks_that_overflow_on_the_way_are_rendered_again_in_fp32(
    tmp_path: Path,
    photo: Path,
    tiny_weights: Path,
    events: Events,
    copies: LateCopies,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    query = WindowRenderer.query

    def overflow(self: WindowRenderer, tile: Window) -> torch.Tensor:
        colours = query(self, tile)
        if self.sampling.precision == "fp16":
            colours[-1, -1] = float("inf")
        return colours

    monkeypatch.setattr(WindowRenderer, "query", overflow)
    found = []
    for precision in ("fp32", "fp16"):
        size = SizeRequest.from_scale("x3")
        spec = RenderSpec(size=size, model=str(tiny_weights), precision=precision)
        out = tmp_path / f"{precision}.png"
        assert upscale_batch(photo, out, spec, listen=events).exit_code == 0
        found.append(np.asarray(Image.open(out)))
    np.testing.assert_array_equal(*found)


def test_a_device_run_counts_its_pinned_memory(tiny_model: Model) -> None:
    on_cpu = plan_of(tiny_model, 3, False, "uint16", False)
    spec = RenderSpec(SizeRequest.from_scale("2.3"), "tiny", tile=64)
    facts = InputFacts("a.png", "png", (HEIGHT, WIDTH, 3), "uint16", "d")
    cost = model_cost(tiny_model, on_cpu.rows, on_cpu.cols, tile=64, sample_bytes=4)
    plans = [
        make_plan(
            spec,
            facts,
            [OutputFacts("b.tif", "tiff", 1 << 40)],
            cost,
            Machine(1, 1 << 28, 1 << 31, device),
            model_digest="w",
            precision="fp32",
        )
        for device in ("cpu", "cuda:0")
    ]
    assert plans[0].task == plans[1].task
    # two tiles of 64 x 64 x 3 x 2 bytes, and at most the window as float32, in powers of two
    extra = plans[1].projected_mem - plans[0].projected_mem
    assert 2 * 32768 < extra <= 2 * 32768 + 32768


# -- with an accelerator --------------------------------------------------------------------------


@NEEDS_CUDA
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("channels", [1, 3])
def test_real_copies_bring_the_direct_pixels(dtype: str, channels: int) -> None:
    device = torch.device("cuda:0")
    ring = TileRing(CudaCopies(device))
    tiles = [colours_of(seed, 300 + seed, 257).to(device) for seed in range(9)]
    expected = [to_pixels(tile.clone(), channels, np.dtype(dtype)) for tile in tiles]
    targets = [np.zeros_like(one) for one in expected]
    for tile, target in zip(tiles, targets, strict=True):
        ring.put(tile, target, channels, None)
    while ring.place():
        pass
    for target, one in zip(targets, expected, strict=True):
        np.testing.assert_array_equal(target, one)


@NEEDS_CUDA
@pytest.mark.parametrize("model", ["edsr-small-lmliif", "edsr-small-liif"])
@pytest.mark.parametrize(("precision", "most"), [("fp32", 1), ("fp16", 1), ("bf16", 2)])
def test_a_device_writes_what_the_cpu_writes(
    tmp_path: Path, events: Events, model: str, precision: str, most: int
) -> None:
    photo = write_photo(tmp_path / "photo.png", 300, 280)
    found = []
    for device, exact in (("cpu", "fp32"), ("cuda:0", precision)):
        size = SizeRequest.from_scale("x5.3")
        spec = RenderSpec(size=size, model=model, device=device, precision=exact)
        out = tmp_path / f"{device[:4]}.png"
        assert upscale_batch(photo, out, spec, listen=events).exit_code == 0
        found.append(np.asarray(Image.open(out)).astype(int))
    assert np.abs(found[0] - found[1]).max() <= most
