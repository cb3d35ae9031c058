"""Tiles cover every pixel of the output exactly once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liif_cli.geometry.grid import TileGrid
from liif_cli.geometry.window import Window

lengths = st.integers(1, 40)
grids = st.builds(TileGrid, lengths, lengths, lengths, lengths)


def counts(grid: TileGrid, windows: list[Window]) -> np.ndarray:
    image = np.zeros((grid.height, grid.width), dtype=int)
    for window in windows:
        assert window.clip(grid.height, grid.width) == window
        image[window.to_slices()] += 1
    return image


@given(grids)
def test_every_pixel_once(grid: TileGrid) -> None:
    tiles = list(grid)
    assert (counts(grid, tiles) == 1).all()
    assert len(tiles) == len(grid) == grid.rows * grid.cols
    assert min(min(tile.shape) for tile in tiles) >= 1


@given(grids)
def test_tiles_come_row_by_row(grid: TileGrid) -> None:
    assert list(grid) == sorted(grid)
    assert [grid.tile(r, c) for r in range(grid.rows) for c in range(grid.cols)] == list(grid)


@given(grids)
def test_only_tiles_at_the_border_are_cut(grid: TileGrid) -> None:
    for tile in grid:
        assert tile.height == grid.tile_height or tile.row_stop == grid.height
        assert tile.width == grid.tile_width or tile.col_stop == grid.width


@given(grids, st.integers(-10, 50), st.integers(-10, 50), st.integers(0, 60), st.integers(0, 60))
def test_split_covers_the_window_once(
    grid: TileGrid, row: int, col: int, height: int, width: int
) -> None:
    window = Window(row, col, height, width)
    parts = list(grid.split(window))
    wanted = counts(grid, [window.clip(grid.height, grid.width)])
    np.testing.assert_array_equal(counts(grid, parts), wanted)
    tiles = list(grid)
    for part in parts:
        assert part.pixels > 0
        assert sum(part.intersect(tile) == part for tile in tiles) == 1


@given(grids)
def test_split_of_the_whole_is_the_grid(grid: TileGrid) -> None:
    assert list(grid.split(Window.whole(grid.height, grid.width))) == list(grid)


def test_enormous_grids_cost_nothing() -> None:
    grid = TileGrid(10_000_000, 9_999_999, 512, 1000)
    assert (grid.rows, grid.cols) == (19_532, 10_000)
    assert grid.tile(19_531, 9_999) == Window(9_999_872, 9_999_000, 128, 999)


@pytest.mark.parametrize("place", [(-1, 0), (0, -1), (2, 0), (0, 3)])
def test_tiles_outside_do_not_exist(place: tuple[int, int]) -> None:
    with pytest.raises(IndexError, match="of a grid of 2 x 3"):
        TileGrid(20, 30, 10, 10).tile(*place)


@pytest.mark.parametrize("lengths", [(0, 1, 1, 1), (1, 0, 1, 1), (1, 1, 0, 1), (1, 1, 1, -2)])
def test_lengths_below_one_are_refused(lengths: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="must be 1 or more"):
        TileGrid(*lengths)
