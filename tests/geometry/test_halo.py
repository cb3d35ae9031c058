"""Read windows hold every code that a tile uses, and end at the image's border."""

from hypothesis import given
from hypothesis import strategies as st

from liif_cli.geometry.axis import AxisMap
from liif_cli.geometry.grid import TileGrid
from liif_cli.geometry.halo import read_window
from liif_cli.geometry.window import Window

sides = st.integers(1, 48)
radii = st.integers(1, 7)


@given(sides, sides, sides, sides, st.integers(1, 20), st.integers(1, 20), radii, radii)
def test_tiles_read_their_codes_and_the_radius_round_them(
    in_height: int,
    in_width: int,
    height: int,
    width: int,
    tile_height: int,
    tile_width: int,
    row_radius: int,
    col_radius: int,
) -> None:
    rows, cols = AxisMap(in_height, height), AxisMap(in_width, width)
    whole = Window.whole(in_height, in_width)
    for tile in TileGrid(height, width, tile_height, tile_width):
        window = read_window(tile, rows, cols, (row_radius, col_radius))
        assert window.clip(in_height, in_width) == window
        near_rows = rows.slice(tile.row_off, tile.row_stop).nearest
        near_cols = cols.slice(tile.col_off, tile.col_stop).nearest
        used = Window.between(
            int(near_rows[0]), int(near_rows[-1]) + 1, int(near_cols[0]), int(near_cols[-1]) + 1
        )
        assert window == used.pad(row_radius, col_radius).intersect(whole)
        for name in ("left", "right"):
            codes = getattr(rows.slice(tile.row_off, tile.row_stop, window.row_off), name)
            assert 0 <= codes.min() <= codes.max() < window.height
            codes = getattr(cols.slice(tile.col_off, tile.col_stop, window.col_off), name)
            assert 0 <= codes.min() <= codes.max() < window.width


@given(sides, sides, sides, sides, radii)
def test_windows_of_all_tiles_cover_the_image(
    in_height: int, in_width: int, height: int, width: int, radius: int
) -> None:
    # when growing, no LR pixel is left unread
    rows, cols = AxisMap(in_height, in_height + height), AxisMap(in_width, in_width + width)
    seen = set()
    for tile in TileGrid(rows.n_out, cols.n_out, 9, 11):
        window = read_window(tile, rows, cols, (radius, radius))
        seen |= {
            (r, c)
            for r in range(window.row_off, window.row_stop)
            for c in range(window.col_off, window.col_stop)
        }
    assert len(seen) == in_height * in_width


def test_by_hand() -> None:
    rows, cols = AxisMap(100, 400), AxisMap(50, 200)
    # rows 200..239 lie over LR rows 50..59, columns 0..39 over LR columns 0..9
    window = read_window(Window(200, 0, 40, 40), rows, cols, (3, 5))
    assert window == Window.between(47, 63, 0, 15)
