"""Cubic resampling weights against Pillow's bicubic and the kernel's own properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from liif_cli.geometry.resample import (
    CUBIC,
    LANCZOS3,
    Kernel,
    cubic,
    cubic_support,
    cubic_taps,
    lanczos3,
    resample_weights,
)

sides = st.integers(1, 40)


@pytest.mark.parametrize(
    ("kernel", "filter"),
    [(CUBIC, Image.Resampling.BICUBIC), (LANCZOS3, Image.Resampling.LANCZOS)],
)
@given(sides, sides, sides, sides, st.integers(0, 2**32 - 1))
def test_equals_pillow(
    kernel: Kernel,
    filter: Image.Resampling,
    in_height: int,
    in_width: int,
    height: int,
    width: int,
    seed: int,
) -> None:
    image = np.random.default_rng(seed).random((in_height, in_width), dtype=np.float32)
    pillow = Image.fromarray(image).resize((width, height), filter)
    rows = resample_weights(in_height, height, kernel)
    cols = resample_weights(in_width, width, kernel)
    np.testing.assert_allclose(rows @ image @ cols.T, np.asarray(pillow), rtol=0, atol=2e-6)


@given(st.one_of(sides, st.integers(1, 10_000_000)), st.integers(1, 10_000_000), st.data())
def test_taps_lie_inside_and_weigh_one(n_in: int, n_out: int, data: st.DataObject) -> None:
    # a kernel of a huge reduction has as many taps as it covers; keep the test small
    n_out = max(n_out, n_in // 50 + 1)
    index = np.array([0, data.draw(st.integers(0, n_out - 1)), n_out - 1], dtype=np.int64)
    taps, weights = cubic_taps(index, n_in, n_out)
    assert taps.shape == weights.shape
    assert taps.min() >= 0
    assert taps.max() < n_in
    np.testing.assert_allclose(weights.sum(1), 1, rtol=0, atol=1e-12)
    # every tap with weight lies within the support of the pixel's centre
    centre = (index + 0.5) * n_in / n_out
    reach = abs(taps + 0.5 - centre[:, None])
    assert (reach[weights != 0] <= cubic_support(n_in, n_out) * (1 + 1e-9)).all()


@given(sides, sides)
def test_a_flat_line_stays_flat(n_in: int, n_out: int) -> None:
    np.testing.assert_allclose(resample_weights(n_in, n_out) @ np.ones(n_in), 1, atol=1e-12)


@given(st.integers(5, 40), st.integers(2, 6))
def test_growing_reproduces_a_parabola_inside(n_in: int, scale: int) -> None:
    # Keys' kernel with a = -1/2 is exact for polynomials up to degree 2
    x_in, x_out = np.arange(n_in) + 0.5, (np.arange(n_in * scale) + 0.5) / scale
    grown = resample_weights(n_in, n_in * scale) @ (x_in**2 - 3 * x_in)
    inside = (x_out > 2.5) & (x_out < n_in - 2.5)
    np.testing.assert_allclose(grown[inside], (x_out**2 - 3 * x_out)[inside], atol=1e-9)


def test_kernel_interpolates() -> None:
    at = np.array([0, 1, -1, 2, -2, 3, 0.5, -0.5, 1.5])
    assert cubic(at).tolist() == [1, 0, 0, 0, 0, 0, 0.5625, 0.5625, -0.0625]


def test_lanczos_interpolates() -> None:
    at = np.array([0, 1, -1, 2, -2, 3, -3, 3.5])
    np.testing.assert_allclose(lanczos3(at), [1, 0, 0, 0, 0, 0, 0, 0], atol=1e-16)
    # sinc(1/2) sinc(1/6) = (2 / pi) (3 / pi)
    np.testing.assert_allclose(lanczos3(np.array([0.5, -0.5])), 6 / np.pi**2, atol=1e-15)


def test_same_size_changes_nothing() -> None:
    np.testing.assert_array_equal(resample_weights(7, 7), np.eye(7))


@pytest.mark.parametrize(("n_in", "n_out", "support"), [(4, 8, 2), (8, 8, 2), (8, 4, 4)])
def test_support_widens_when_shrinking(n_in: int, n_out: int, support: float) -> None:
    assert cubic_support(n_in, n_out) == support
