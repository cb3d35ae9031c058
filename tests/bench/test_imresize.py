"""Resampling against MATLAB's documented properties and a vector worked out by hand, and Pillow."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from liif_cli.bench.imresize import imresize, pillow_bicubic


def keys(x: Fraction) -> Fraction:
    x = abs(x)
    if x <= 1:
        return Fraction(3, 2) * x**3 - Fraction(5, 2) * x**2 + 1
    if x <= 2:
        return -Fraction(1, 2) * x**3 + Fraction(5, 2) * x**2 - 4 * x + 2
    return Fraction(0)


def plain_line(line: list[int], n_out: int) -> list[float]:
    """imresize of one line before rounding, in exact fractions, straight from the definition."""
    n_in, result = len(line), []
    scale = Fraction(n_out, n_in)
    shrink = min(Fraction(1), scale)
    for j in range(n_out):
        centre = Fraction(2 * j + 1, 2) / scale - Fraction(1, 2)
        total = weights = Fraction(0)
        for i in range(-8 * n_in, 9 * n_in):
            weight = keys(shrink * (centre - i))
            mirrored = i % (2 * n_in)
            total += weight * line[min(mirrored, 2 * n_in - 1 - mirrored)]
            weights += weight
        result.append(float(max(Fraction(0), min(Fraction(255), total / weights))))
    return result


@given(st.lists(st.integers(0, 255), min_size=2, max_size=9), st.integers(1, 12))
def test_a_line_is_the_definition(line: list[int], n_out: int) -> None:
    image = np.array(line, np.uint8)[None, :, None]
    ours = imresize(image, (1, n_out))[0, :, 0]
    assert np.abs(ours - plain_line(line, n_out)).max() <= 0.5 + 1e-9


def test_a_golden_vector() -> None:
    """Exactly 57.34375, 122.65625 and 0, 17.96875, 72.65625, 130.625, 191.875, 178.59375, ..."""
    image = np.array([0, 100, 200, 60], np.uint8)[None, :, None]
    assert imresize(image, (1, 2))[0, :, 0].tolist() == [57, 123]
    assert imresize(image, (1, 8))[0, :, 0].tolist() == [0, 18, 73, 131, 192, 179, 91, 47]


def test_the_axis_that_shrinks_more_goes_first_and_rounds() -> None:
    image = np.random.default_rng(4).integers(0, 256, (24, 12, 1), dtype=np.uint8)
    by_rows = imresize(imresize(image, (6, 12)), (6, 6))
    by_cols = imresize(imresize(image, (24, 6)), (6, 6))
    assert (by_rows != by_cols).any()
    np.testing.assert_array_equal(imresize(image, (6, 6)), by_rows)
    turned = imresize(image.transpose(1, 0, 2), (6, 6))
    np.testing.assert_array_equal(turned, by_rows.transpose(1, 0, 2))


def test_equal_factors_take_rows_first() -> None:
    image = np.random.default_rng(5).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    rows_first = imresize(imresize(image, (8, 24)), (8, 8))
    assert (rows_first != imresize(imresize(image, (24, 8)), (8, 8))).any()
    np.testing.assert_array_equal(imresize(image, (8, 8)), rows_first)


@pytest.mark.parametrize("resize", [imresize, pillow_bicubic])
def test_a_flat_image_stays_flat(resize: object) -> None:
    flat = np.full((17, 23, 3), 201, np.uint8)
    assert (resize(flat, (5, 4)) == 201).all()  # type: ignore[operator]
    assert (resize(flat, (40, 61)) == 201).all()  # type: ignore[operator]


@given(st.integers(1, 30), st.integers(1, 12), st.integers(0, 12), st.integers(0, 2**32 - 1))
def test_no_level_from_pillow(scale: int, height: int, wider: int, seed: int) -> None:
    # wide images: for tall ones new versions of Pillow take the rows first
    shape = height, height + wider
    noise = np.random.default_rng(seed).integers(
        0, 256, (shape[0] * scale, shape[1] * scale, 3), dtype=np.uint8
    )
    pillow = Image.fromarray(noise).resize(shape[::-1], Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(pillow_bicubic(noise, shape), np.asarray(pillow))
