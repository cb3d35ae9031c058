"""Rendering: windows equal the whole, turns undo themselves, colours become pixels exactly."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from liif_cli.engine.samples import to_network, to_pixels
from liif_cli.engine.sampling import ALL_TURNS, Sampling, Turn, WindowRenderer, render_array
from liif_cli.errors import RenderError
from liif_cli.geometry.axis import AxisMap
from liif_cli.geometry.halo import read_window
from liif_cli.geometry.window import Window
from liif_cli.models.model import Model


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (23, 31, 3), dtype=np.uint8)


@pytest.mark.parametrize("turn", ALL_TURNS)
@pytest.mark.parametrize("out_shape", [(46, 62), (50, 101), (11, 15), (23, 300)])
@torch.inference_mode()
def test_a_turned_window_equals_the_turned_whole(
    tiny_model: Model, pixels: np.ndarray, turn: Turn, out_shape: tuple[int, int]
) -> None:
    # the whole image turned in pixels, rendered, and turned back
    image = turn.apply(torch.from_numpy(pixels).permute(2, 0, 1)[None])
    turned = image[0].permute(1, 2, 0).contiguous().numpy()
    shape = out_shape[::-1] if turn.transpose else out_shape
    expected = turn.undo(torch.from_numpy(render_array(tiny_model, turned, shape))).numpy()

    rows, cols = AxisMap(23, out_shape[0]), AxisMap(31, out_shape[1])
    height, width = out_shape
    tile = Window.between(height // 3, height // 3 + height // 2, width // 4, width // 4 + 5)
    radius = (tiny_model.radius(rows), tiny_model.radius(cols))
    read = read_window(tile, rows, cols, radius)
    renderer = WindowRenderer(
        tiny_model, Sampling(rows, cols), pixels[read.to_slices()], read, turn
    )
    got = renderer.query(tile).numpy() * 0.5 + 0.5
    np.testing.assert_allclose(got, expected[tile.to_slices()], atol=1e-5)


def test_self_ensemble_is_the_mean_over_eight_turns(tiny_model: Model, pixels: np.ndarray) -> None:
    parts = []
    for turn in ALL_TURNS:
        image = turn.apply(torch.from_numpy(pixels).permute(2, 0, 1)[None])
        turned = image[0].permute(1, 2, 0).contiguous().numpy()
        shape = (93, 70) if turn.transpose else (70, 93)
        parts.append(turn.undo(torch.from_numpy(render_array(tiny_model, turned, shape))).numpy())
    whole = render_array(tiny_model, pixels, (70, 93), self_ensemble=True)
    np.testing.assert_allclose(whole, np.mean(parts, axis=0), atol=1e-6)
    assert np.abs(whole - parts[0]).max() > 1e-4


@pytest.mark.parametrize("turn", ALL_TURNS)
def test_turns_undo_themselves(turn: Turn) -> None:
    image = torch.arange(2 * 3 * 5 * 3).reshape(1, 3, 5, 6)
    there = turn.apply(image)
    assert torch.equal(turn.undo(there[0].permute(1, 2, 0)), image[0].permute(1, 2, 0))
    assert len({str(other.apply(image).tolist()) for other in ALL_TURNS}) == 8


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_survive_the_way_to_the_network_and_back(dtype: type, channels: int) -> None:
    top = np.iinfo(dtype).max
    values = np.linspace(0, top, 3 * 7 * 5).astype(dtype).reshape(7, 5, 3)[..., :channels]
    image = to_network(values, torch.device("cpu"), torch.float32)
    assert image.shape == (1, 3, 7, 5)
    assert float(image.min()) >= -1
    assert float(image.max()) <= 1
    back = to_pixels(image[0].permute(1, 2, 0).clone(), channels, np.dtype(dtype))
    np.testing.assert_array_equal(back, values)


def test_rounding_is_half_to_even_after_clamping() -> None:
    levels = torch.tensor([-40.0, 0.5, 1.5, 2.5, 254.5, 300.0])
    colours = (levels / 255 * 2 - 1).reshape(1, 6, 1).expand(1, 6, 3).clone()
    got = to_pixels(colours, 3, np.dtype(np.uint8))[0, :, 0]
    np.testing.assert_array_equal(got, [0, 0, 2, 2, 254, 255])


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_no_colour_is_refused(bad: float) -> None:
    colours = torch.zeros(4, 4, 3)
    colours[2, 1, 0] = bad
    with pytest.raises(RenderError, match="NaN or infinity"):
        to_pixels(colours, 3, np.dtype(np.uint8))
