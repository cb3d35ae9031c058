"""The test pages of text: the same layout at every scale, and what is said of their colours."""

import numpy as np
import pytest
from PIL import Image

from liif_cli.errors import UsageError
from liif_cli.graphics import TEXT_PAGES, text_pair
from liif_cli.graphics.pairs import TEXT_SIZE

HARD = [number for number in range(TEXT_PAGES) if number % 4 == 0 or number % 8 == 7]
SMOOTH = [number for number in range(TEXT_PAGES) if number not in HARD]


@pytest.mark.parametrize("scale", [2, 3, pytest.param(4, marks=pytest.mark.slow)])
@pytest.mark.parametrize("number", SMOOTH[::5])
def test_the_hr_page_reduced_by_area_is_the_lr_page(number: int, scale: int) -> None:
    lr, hr, _ = text_pair(number, scale)
    assert lr.shape == (*TEXT_SIZE, 3)
    assert hr.shape == (TEXT_SIZE[0] * scale, TEXT_SIZE[1] * scale, 3)
    reduced = np.asarray(Image.fromarray(hr).reduce(scale)).astype(int)
    assert abs(reduced - lr).max() <= 1


@pytest.mark.parametrize(
    "number",
    [HARD[0], HARD[-1], *(pytest.param(one, marks=pytest.mark.slow) for one in HARD[4:-1:4])],
)
def test_a_page_without_antialiasing_has_two_colours_where_they_belong(number: int) -> None:
    lr, hr, _ = text_pair(number, 4)
    colours = np.unique(hr.reshape(-1, 3), axis=0)
    assert len(colours) == 2
    np.testing.assert_array_equal(np.unique(lr.reshape(-1, 3), axis=0), colours)
    # where a block of the HR page has one colour, the LR pixel has it, too
    blocks = hr.reshape(TEXT_SIZE[0], 4, TEXT_SIZE[1], 4, 3)
    flat = (blocks == blocks[:, :1, :, :1]).all(axis=(1, 3, 4))
    np.testing.assert_array_equal(lr[flat], blocks[:, 0, :, 0][flat])
    assert 0.2 < flat.mean() < 1


def test_looks_of_the_pages() -> None:
    pairs = [text_pair(number, 2) for number in range(24)]
    assert sum(pair.black_on_white for pair in pairs) == 12
    coloured = 0
    for lr, hr, black_on_white in pairs:
        chroma = max(int(np.ptp(page, axis=2).max()) for page in (lr, hr))
        ground = np.median(hr, axis=(0, 1))
        if black_on_white:
            assert chroma == 0
            assert (ground == 255).all()
            assert hr.min() < 30
        coloured += chroma > 20
        # ink, and not too much of it
        inked = (abs(hr.astype(int) - ground).max(axis=2) > 30).mean()
        assert 0.01 < inked < 0.6
    assert coloured >= 6


def test_the_same_page_every_time_and_another_one_by_its_number() -> None:
    first, again, other = text_pair(5, 3), text_pair(5, 3), text_pair(6, 3)
    np.testing.assert_array_equal(first.hr, again.hr)
    np.testing.assert_array_equal(first.lr, again.lr)
    assert (first.hr != other.hr).any()
    np.testing.assert_array_equal(first.lr, text_pair(5, 4).lr)


def test_wrong_numbers_and_scales_are_named() -> None:
    with pytest.raises(UsageError, match="got 40, expected 0 to 39"):
        text_pair(40, 2)
    with pytest.raises(UsageError, match="got 5, expected 2, 3, 4, 6"):
        text_pair(0, 5)
