"""Drawing: coordinates, antialiasing, widths, turned text."""

import numpy as np
import pytest

from liif_cli.graphics.canvas import Canvas, Lettering
from liif_cli.graphics.fonts import BUILTIN_TEST_FONTS, BUILTIN_TRAIN_FONTS

SANS = BUILTIN_TRAIN_FONTS[0]
WHITE, BLACK, RED = (255, 255, 255), (0, 0, 0), (200, 30, 10)


def cover(page: np.ndarray) -> np.ndarray:
    """Ink of a page that is black on white, 0 to 1."""
    return 1 - page[..., 0] / 255


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_shapes_lie_where_they_are_said_to(factor: int) -> None:
    canvas = Canvas((40, 60), WHITE, factor=factor)
    canvas.rect(10, 20, 5, 8, RED)
    page = canvas.page()
    inside = np.zeros((40, 60), dtype=bool)
    inside[10:15, 20:28] = True
    assert (page[inside] == RED).all()
    assert (page[~inside] == 255).all()

    canvas = Canvas((41, 61), WHITE, factor=factor)
    canvas.circle(20.5, 30.5, 10, BLACK)
    page = cover(canvas.page())
    y, x = np.mgrid[:41, :61] + 0.5
    assert np.average(y, weights=page) == pytest.approx(20.5, abs=0.1)
    assert np.average(x, weights=page) == pytest.approx(30.5, abs=0.1)
    assert page.sum() == pytest.approx(np.pi * 100, rel=0.12)


@pytest.mark.parametrize("factor", [1, 4])
def test_text_moves_by_fractions_of_a_pixel(factor: int) -> None:
    centres = []
    for x in (10.0, 10.25, 10.5):
        canvas = Canvas((40, 120), WHITE, factor=factor)
        canvas.text(30, x, "Hamburg", Lettering(SANS, 20), BLACK)
        page = cover(canvas.page())
        centres.append(np.average(np.arange(120), weights=page.sum(axis=0)))
    assert np.diff(centres) == pytest.approx([0.25, 0.25], abs=0.05)


def test_text_has_the_width_that_was_measured() -> None:
    text = Lettering(BUILTIN_TEST_FONTS[0], 23.5)
    canvas = Canvas((40, 400), WHITE)
    end = 10 + canvas.text(30, 10, "minimum", text, BLACK)
    columns = np.flatnonzero(cover(canvas.page()).sum(axis=0) > 0.2)
    assert 10 <= columns[0] <= 14
    assert end - 4 <= columns[-1] <= end
    assert text.width("") == 0
    assert text.width("a b") > text.width("ab") > text.width("a") > 0
    assert text.fit("minimum", text.width("mini") + 0.1) == "mini"


@pytest.mark.parametrize("colour", [BLACK, RED])
def test_text_without_antialiasing_has_two_colours(colour: tuple[int, int, int]) -> None:
    canvas = Canvas((40, 120), WHITE, smooth=False)
    canvas.text(30, 10.3, "Quartz", Lettering(SANS, 20), colour)
    colours = {tuple(row) for row in canvas.page().reshape(-1, 3).tolist()}
    assert colours == {WHITE, colour}


def test_text_is_as_black_as_it_is_large() -> None:
    """The ink of a letter grows with the square of its size: no size is faint or clotted."""
    inks = []
    for size in (14, 28, 56):
        canvas = Canvas((120, 400), WHITE)
        canvas.text(80, 10, "Quartz", Lettering(SANS, size), BLACK)
        inks.append(cover(canvas.page()).sum() / size**2)
    assert inks == pytest.approx([inks[-1]] * 3, rel=0.05)


def test_turned_text_is_the_same_text_turned() -> None:
    drawn = []
    for turn in range(4):
        canvas = Canvas((201, 201), WHITE)
        canvas.text(100, 100, "Axis 5", Lettering(SANS, 30), BLACK, turn=turn)
        page = canvas.page()
        drawn.append(np.rot90(page, -turn))
        assert (page != 255).any()
    for page in drawn[1:]:
        # the origin lies on a corner of pixels, and the turned page's on the next one
        shifts = [np.roll(page, (dy, dx), (0, 1)) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
        assert any((shifted == drawn[0]).all() for shifted in shifts)


def test_text_beyond_the_page_is_cut_off() -> None:
    canvas = Canvas((30, 50), WHITE)
    for y, x in ((10, -40), (40, 45), (-5, 10), (200, 300), (10, -900)):
        canvas.text(y, x, "cut off", Lettering(SANS, 24), BLACK)
    assert (canvas.page() != 255).any()
