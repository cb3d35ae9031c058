"""Bicubic and nearest against Pillow and float64."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from liif_cli.geometry.axis import AxisMap
from liif_cli.geometry.resample import resample_weights
from liif_cli.models.model import Model, ModelSpec, Part
from liif_cli.testing.rendering import render

BICUBIC = Model(ModelSpec(decoder=Part("bicubic")))
NEAREST = Model(ModelSpec(decoder=Part("nearest")))
SIDES = st.tuples(st.integers(1, 30), st.integers(1, 30))
OUT_SIDES = st.tuples(st.integers(1, 90), st.integers(1, 90))
SHAPES = [((20, 31), (40, 62)), ((17, 23), (61, 50)), ((40, 37), (11, 19)), ((9, 50), (90, 20))]


def photo(shape: tuple[int, int]) -> npt.NDArray[np.uint8]:
    rng = np.random.default_rng(shape[0] * 100 + shape[1])
    return rng.integers(0, 256, (*shape, 3), dtype=np.uint8)


def to_image(pixels: npt.NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 127.5 - 1


@pytest.mark.parametrize(("in_shape", "out_shape"), SHAPES)
def test_bicubic_is_pillows(in_shape: tuple[int, int], out_shape: tuple[int, int]) -> None:
    pixels = photo(in_shape)
    ours = (render(BICUBIC, to_image(pixels), out_shape).numpy() + 1) * 127.5
    for channel in range(3):
        exact = Image.fromarray(pixels[..., channel].astype(np.float32))
        theirs = np.asarray(exact.resize(out_shape[::-1], Image.Resampling.BICUBIC))
        assert np.abs(ours[..., channel] - theirs).max() < 1e-3


@pytest.mark.parametrize(("in_shape", "out_shape"), SHAPES)
def test_bicubic_is_pillows_of_8_bit(in_shape: tuple[int, int], out_shape: tuple[int, int]) -> None:
    """Pillow rounds and clips to 8 bit after each pass: middle tones, and some rounding."""
    pixels = photo(in_shape) // 2 + 64
    ours = (render(BICUBIC, to_image(pixels), out_shape).numpy() + 1) * 127.5
    theirs = Image.fromarray(pixels).resize(out_shape[::-1], Image.Resampling.BICUBIC)
    error = np.abs(np.rint(ours) - np.asarray(theirs))
    assert error.max() <= 2
    assert error.mean() < 0.3


@given(SIDES, OUT_SIDES)
def test_bicubic_is_exact(in_shape: tuple[int, int], out_shape: tuple[int, int]) -> None:
    image = to_image(photo(in_shape))
    rows, cols = (resample_weights(a, b) for a, b in zip(in_shape, out_shape, strict=True))
    exact = np.einsum("ij,cjk,lk->ilc", rows, image[0].double().numpy(), cols, optimize=True)
    assert np.abs(render(BICUBIC, image, out_shape).numpy() - exact).max() < 1e-5


def test_bicubic_of_many_blocks_in_tiles() -> None:
    image = to_image(photo((40, 150)))
    for out_shape in ((900, 700), (21, 1300)):
        whole = render(BICUBIC, image, out_shape)
        tiled = render(BICUBIC, image, out_shape, (512, 333))
        torch.testing.assert_close(tiled, whole, rtol=0, atol=1e-5)


@given(SIDES, OUT_SIDES)
def test_nearest_takes_the_pixel_that_holds_the_centre(
    in_shape: tuple[int, int], out_shape: tuple[int, int]
) -> None:
    pixels = photo(in_shape)
    row, col = (
        [min(int((2 * i + 1) * a // (2 * b)), a - 1) for i in range(b)]
        for a, b in zip(in_shape, out_shape, strict=True)
    )
    ours = (render(NEAREST, to_image(pixels), out_shape).numpy() + 1) * 127.5
    assert np.array_equal(np.rint(ours), pixels[np.ix_(row, col)])


@pytest.mark.parametrize(("in_shape", "out_shape"), SHAPES[:2])
def test_nearest_is_pillows(in_shape: tuple[int, int], out_shape: tuple[int, int]) -> None:
    pixels = photo(in_shape)
    theirs = Image.fromarray(pixels).resize(out_shape[::-1], Image.Resampling.NEAREST)
    ours = (render(NEAREST, to_image(pixels), out_shape).numpy() + 1) * 127.5
    assert np.array_equal(np.rint(ours), np.asarray(theirs))


def test_kernels_answer_float32_for_half_precision() -> None:
    image = to_image(photo((8, 9)))
    rows, cols = AxisMap(8, 20).slice(0, 20), AxisMap(9, 30).slice(0, 30)
    decoder = BICUBIC.render_decoder
    half = decoder.query(decoder.prepare(image.half(), image.half(), (1.0, 1.0)), rows, cols)
    assert half.dtype == torch.float32
    assert (half - render(BICUBIC, image, (20, 30))).abs().max() < 2e-3
