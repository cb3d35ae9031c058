"""The algebra of windows, against sets of pixels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liif_cli.geometry.window import Window

offsets, lengths = st.integers(-12, 12), st.integers(0, 12)
windows = st.builds(Window, offsets, offsets, lengths, lengths)


def pixels(window: Window) -> set[tuple[int, int]]:
    return {
        (row, col)
        for row in range(window.row_off, window.row_stop)
        for col in range(window.col_off, window.col_stop)
    }


@given(windows)
def test_counts(window: Window) -> None:
    assert window.pixels == len(pixels(window))
    assert window.shape == (window.height, window.width)


@given(windows, windows)
def test_intersect_is_the_common_pixels(a: Window, b: Window) -> None:
    assert pixels(a.intersect(b)) == pixels(a) & pixels(b)
    assert a.intersect(b) == b.intersect(a)
    assert min(a.intersect(b).shape) >= 0


@given(windows, st.integers(1, 12), st.integers(1, 12))
def test_clip_keeps_the_pixels_of_the_image(window: Window, height: int, width: int) -> None:
    assert pixels(window.clip(height, width)) == pixels(window) & pixels(
        Window.whole(height, width)
    )


@given(windows, st.integers(0, 4), st.integers(0, 4))
def test_pad_reaches_every_neighbour(window: Window, rows: int, cols: int) -> None:
    padded = window.pad(rows, cols)
    assert padded.pad(-rows, -cols) == window
    reached = {
        (row + dr, col + dc)
        for row, col in pixels(window)
        for dr in range(-rows, rows + 1)
        for dc in range(-cols, cols + 1)
    }
    # a window without pixels still grows, but has no neighbours
    assert not window.pixels or pixels(padded) == reached


@given(windows)
def test_between_undoes_the_stops(window: Window) -> None:
    again = Window.between(window.row_off, window.row_stop, window.col_off, window.col_stop)
    assert again == window


@given(windows, windows)
def test_relative_to_shifts_the_origin(window: Window, other: Window) -> None:
    moved = window.relative_to(other)
    assert pixels(moved) == {
        (row - other.row_off, col - other.col_off) for row, col in pixels(window)
    }


@given(st.data())
def test_slices_index_an_array(data: st.DataObject) -> None:
    inside = st.integers(0, 9)
    row, col = data.draw(inside), data.draw(inside)
    height, width = data.draw(st.integers(0, 10 - row)), data.draw(st.integers(0, 10 - col))
    window = Window(row, col, height, width)
    image = np.zeros((10, 10), dtype=int)
    image[window.to_slices()] = 1
    assert {(int(r), int(c)) for r, c in zip(*np.nonzero(image), strict=True)} == pixels(window)


def test_windows_are_frozen_keys_in_reading_order() -> None:
    window = Window(0, 1, 2, 3)
    assert {window: "a"}[Window(0, 1, 2, 3)] == "a"
    assert sorted([Window(1, 0, 1, 1), Window(0, 5, 1, 1), window])[0] == window
    with pytest.raises(AttributeError):
        window.width = 4  # type: ignore[misc]


def test_shift_moves_down_and_right() -> None:
    assert Window(1, 2, 3, 4).shift(10, 200) == Window(11, 202, 3, 4)
