"""Bleeding, flat alpha and passes: tiles equal the whole, to the last bit where alpha is flat."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from liif_cli.engine.alpha import FlatAlpha, bleed
from liif_cli.engine.cost import model_cost
from liif_cli.engine.render import render_task
from liif_cli.geometry.axis import AxisMap
from liif_cli.geometry.size import SizeRequest
from liif_cli.geometry.window import Window
from liif_cli.models.model import Model
from liif_cli.plan.passes import BLEED, RenderPass, pass_count, render_passes
from liif_cli.plan.plan import RenderPlan
from liif_cli.plan.planner import make_plan
from liif_cli.plan.spec import InputFacts, Machine, OutputFacts, RenderSpec

HEIGHT, WIDTH = 90, 60


def image(channels: int, seed: int = 5) -> np.ndarray:
    """Noise whose last channel is alpha with large transparent, opaque and mixed parts."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (HEIGHT, WIDTH, channels), dtype=np.uint8)
    pixels[:40, :, -1] = 0
    pixels[60:, :50, -1] = 255
    pixels[20:23, 30:33, -1] = 180
    return pixels


def plan_of(model: Model, channels: int, alpha: bool, ensemble: bool = False) -> RenderPlan:
    spec = RenderSpec(SizeRequest.from_scale("1.5"), "tiny", self_ensemble=ensemble)
    out_shape = spec.size.output_shape(HEIGHT, WIDTH)
    rows, cols = AxisMap(HEIGHT, out_shape[0]), AxisMap(WIDTH, out_shape[1])
    facts = InputFacts("a.png", "png", (HEIGHT, WIDTH, channels), "uint8", "d", alpha=alpha)
    output = OutputFacts("b.tif", "tiff", 1 << 40)
    cost = model_cost(model, rows, cols, tile=64, sample_bytes=4)
    machine = Machine(1, 1 << 28, 1 << 31)
    return make_plan(spec, facts, [output], cost, machine, model_digest="w", precision="fp32")


def rendered(model: Model, plan: RenderPlan, pixels: np.ndarray) -> np.ndarray:
    found = np.zeros((*plan.out_shape, plan.channels), np.uint8)
    for task in plan.tasks():
        parts = render_task(
            model, plan, task, lambda window: pixels[window.to_slices()], iter([task.output])
        )
        for window, part in parts:
            found[window.to_slices()] = part
    return found


@pytest.mark.parametrize(
    ("channels", "alpha", "ensemble"),
    [(4, True, False), (2, True, True), (5, False, False), (6, True, False)],
)
def test_tasks_equal_the_whole(tiny_model, channels, alpha, ensemble):
    pixels, plan = image(channels), plan_of(tiny_model, channels, alpha, ensemble)
    whole = rendered(tiny_model, dataclasses.replace(plan, task=plan.out_shape), pixels)
    tiled = dataclasses.replace(plan, task=(45, 45), tile=64)
    assert len(list(tiled.tasks())) == 6
    assert any(task.read.shape != (HEIGHT, WIDTH) for task in tiled.tasks())
    parts = rendered(tiny_model, tiled, pixels)
    # float sums in another order may round a half to the other side
    assert np.abs(parts.astype(int) - whole).max() <= 1
    if alpha:
        flat = (whole[..., -1] == 0) | (whole[..., -1] == 255)
        np.testing.assert_array_equal(parts[..., -1][flat], whole[..., -1][flat])
        assert (whole[: int(1.5 * 18), :, -1] == 0).all()
        assert (whole[int(1.5 * 62) :, : int(1.5 * 47), -1] == 255).all()
        assert ((whole[..., -1] > 0) & (whole[..., -1] < 255)).any()


def test_bands_do_not_see_each_other(tiny_model):
    pixels = image(5)
    plan = plan_of(tiny_model, 5, False)
    found = rendered(tiny_model, plan, pixels)
    for band in range(5):
        alone = rendered(tiny_model, plan_of(tiny_model, 1, False), pixels[..., band : band + 1])
        np.testing.assert_array_equal(found[..., band], alone[..., 0])


def test_hidden_colours_do_not_reach_visible_pixels(tiny_model):
    # within the reach of bleeding, what lies under transparent pixels changes nothing
    pixels, other = image(4), image(4)
    rng = np.random.default_rng(1)
    hidden = (pixels[..., 3] == 0) & (np.abs(np.arange(HEIGHT)[:, None] - 40) <= BLEED - 3)
    other[hidden, :3] = rng.integers(0, 256, (int(hidden.sum()), 3))
    assert (pixels != other).any()
    plan = plan_of(tiny_model, 4, True)
    one, two = rendered(tiny_model, plan, pixels), rendered(tiny_model, plan, other)
    rows = slice(int(1.5 * 41), None)
    np.testing.assert_array_equal(one[rows], two[rows])


def test_bleeding_of_one_pixel():
    colours = np.zeros((41, 41, 2), np.float32)
    alpha = np.zeros((41, 41), np.float32)
    colours[20, 20], alpha[20, 20] = (7, 250), 0.25
    found = bleed(colours, alpha)
    square = slice(20 - BLEED, 21 + BLEED)
    np.testing.assert_array_equal(found[square, square], np.broadcast_to([7, 250], (33, 33, 2)))
    assert (found[:4] == 0).all()


def test_bleeding_weighs_by_alpha():
    colours = np.float32([[[10], [99], [40]]])
    found = bleed(colours, np.float32([[0.75, 0, 0.25]]))
    np.testing.assert_allclose(found[0, :, 0], [10, (7.5 + 10), 40])


def test_colours_of_faint_pixels_give_way_to_those_beside_them():
    colours = np.ones((1, 4, 3), np.float32)
    colours[0, 0] = (0.8, 0.1, 0.0)
    alpha = np.float32([[1, 3 / 255, 3 / 255, 0.5]])
    found = bleed(colours, alpha)
    np.testing.assert_allclose(found[0, 1], colours[0, 0], atol=0.03)
    # between both sides it is the mean of them, and what is seen stays
    assert (found[0, 2] > 0.5).all()
    np.testing.assert_array_equal(found[0, [0, 3]], colours[0, [0, 3]])
    # where nothing is seen nearby, nothing is changed
    np.testing.assert_array_equal(bleed(colours, np.full((1, 4), 0.02, np.float32)), colours)


def test_bleeding_of_windows_equals_the_whole():
    pixels = image(4).astype(np.float32)
    alpha = pixels[..., 3] / np.float32(255)
    whole = bleed(pixels[..., :3], alpha)
    for window in (Window(0, 0, 60, 60), Window(11, 7, 60, 50), Window(30, 20, 60, 40)):
        part = bleed(pixels[(*window.to_slices(), slice(3))], alpha[window.to_slices()])
        top, left = BLEED * (window.row_off > 0), BLEED * (window.col_off > 0)
        bottom = window.height - BLEED * (window.row_stop < HEIGHT)
        right = window.width - BLEED * (window.col_stop < WIDTH)
        inner = (slice(top, bottom), slice(left, right))
        np.testing.assert_array_equal(part[inner], whole[window.to_slices()][inner])


def test_flat_windows_need_no_network():
    read, axis = Window(0, 0, 9, 9), AxisMap(9, 27)
    assert FlatAlpha(np.ones((9, 9), np.float32), read, axis, axis).value == 1
    assert FlatAlpha(np.zeros((9, 9), np.float32), read, axis, axis).value == 0
    mixed = np.ones((9, 9), np.float32)
    mixed[4, 4] = 0.5
    assert FlatAlpha(mixed, read, axis, axis).value is None


@pytest.mark.parametrize(
    ("channels", "alpha", "spans"),
    [
        (1, False, [(0, 1)]),
        (2, True, [(0, 1), (1, 2)]),
        (2, False, [(0, 1), (1, 2)]),
        (3, False, [(0, 3)]),
        (4, True, [(0, 3), (3, 4)]),
        (4, False, [(0, 1), (1, 2), (2, 3), (3, 4)]),
    ],
)
def test_passes(channels, alpha, spans):
    found = render_passes(channels, alpha, (), 255.0)
    assert [one.span for one in found] == spans
    assert len(found) == pass_count(channels, alpha)
    assert found[-1].alpha == alpha


def test_bands_have_ranges_of_their_own():
    found = render_passes(3, True, ((0.0, 1.0), (-5.0, 9.0)), 1.0)
    assert found == [
        RenderPass(0, 1, 0.0, 1.0),
        RenderPass(1, 2, -5.0, 9.0),
        RenderPass(2, 3, 0.0, 1.0, alpha=True),
    ]


def test_alpha_and_passes_are_counted_in_memory(tiny_model):
    plain, rgba = plan_of(tiny_model, 3, False), plan_of(tiny_model, 4, True)
    assert rgba.radius == tuple(side + BLEED for side in plain.radius)
    assert rgba.projected_mem > plain.projected_mem
    assert RenderPlan.from_json(rgba.to_json()) == rgba
    floats = dataclasses.replace(rgba, dtype="float32", ranges=((-1.5, 2.5),))
    assert RenderPlan.from_json(floats.to_json()) == floats
