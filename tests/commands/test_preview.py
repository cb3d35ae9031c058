"""liif upscale --preview: a sheet of parts, as the run would render them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner, Result
from PIL import Image

import liif_cli as liif
from liif_cli.cli import liif as command
from liif_cli.engine.preview import TILE, part_of
from liif_cli.io import open_source


def run(*args: object) -> Result:
    return CliRunner().invoke(command, [str(arg) for arg in args])


def noise(shape: tuple[int, ...], dtype: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape).astype(dtype)


def test_the_tile_is_what_a_run_renders(tmp_path: Path) -> None:
    pixels = noise((200, 300, 3))
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found = run(
        *("upscale", tmp_path / "a.png", tmp_path / "b.png", "-s", 4),
        *("--preview", tmp_path / "s.png", "--at", "100,80"),
    )
    assert found.exit_code == 0, found.output
    assert not (tmp_path / "b.png").exists()
    sheet = np.asarray(Image.open(tmp_path / "s.png"))
    whole = liif.upscale(pixels, scale=4)
    plain = liif.upscale(pixels, scale=4, model="bicubic")
    rows, cols = slice(4 * 50, 4 * 110), slice(4 * 60, 4 * 140)
    height, width = TILE
    np.testing.assert_array_equal(sheet[8 : 8 + height, 8 : 8 + width], plain[rows, cols])
    second = sheet[8 : 8 + height, 8 + width + 4 : 8 + 2 * width + 4]
    np.testing.assert_array_equal(second, whole[rows, cols])


def test_all_kinds_of_images_and_one_that_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    Image.fromarray(noise((40, 50, 4)), "RGBA").save(tmp_path / "in" / "alpha.png")
    Image.fromarray(noise((40, 50))).save(tmp_path / "in" / "gray.png")
    tifffile.imwrite(tmp_path / "in" / "float.tif", noise((40, 50, 3), np.float32) * 3)
    tifffile.imwrite(tmp_path / "in" / "deep.tif", noise((40, 50, 3), np.uint16) * 200)
    tifffile.imwrite(tmp_path / "in" / "bands.tif", noise((7, 40, 50)), planarconfig="separate")
    (tmp_path / "in" / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    found = run(
        *("upscale", tmp_path / "in", tmp_path / "out", "--size", "300x200", "-m", "bicubic"),
        *("--preview", tmp_path / "s.png"),
    )
    assert found.exit_code == 1
    assert found.output.count("error:") == 1
    assert "bad.png" in found.output
    with Image.open(tmp_path / "s.png") as sheet:
        size = sheet.size
    # 6 cells in 2 columns
    assert size == (2 * (2 * 320 + 4 + 8) + 8, 3 * (240 + 22 + 8) + 8)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("at", [None, (0, 0), (10**6, 10**6)])
def test_parts_lie_inside_of_their_image(tmp_path: Path, at: tuple[int, int] | None) -> None:
    Image.new("RGB", (70, 30)).save(tmp_path / "a.png")
    info = open_source(tmp_path / "a.png").info
    for out in ((30, 70), (3000, 7000), (4, 9), (240, 320)):
        part = part_of(info, out, at)
        assert part.clip(30, 70) == part
        assert part.pixels > 0


def test_what_does_not_fit(tmp_path: Path) -> None:
    Image.new("RGB", (70, 30)).save(tmp_path / "a.png")
    words = ("upscale", tmp_path / "a.png", tmp_path / "b.png", "-s", 2)
    assert run(*words, "--at", "3,4").exit_code == 2
    assert run(*words, "--preview", tmp_path / "s.png", "--at", "middle").exit_code == 2


def assert_shows(sheet: Path, seen: int, not_seen: int) -> None:
    """One channel's colour is on the sheet, and another one's is not."""
    pixels = np.asarray(Image.open(sheet).convert("RGB")).astype(int)
    assert ((pixels[..., seen] > 200) & (pixels[..., not_seen] < 50)).sum() > 1000
    assert not ((pixels[..., not_seen] > 200) & (pixels[..., seen] < 50)).any()


def test_the_page_that_was_asked_for_is_shown(tmp_path: Path) -> None:
    pages = np.zeros((2, 60, 80, 3), np.uint8)
    pages[0, ..., 0], pages[1, ..., 2] = 250, 250
    tifffile.imwrite(tmp_path / "a.tif", pages, photometric="rgb")
    words = ["upscale", tmp_path / "a.tif", tmp_path / "o.tif", "-s", "2", "-m", "bicubic"]
    for page, seen, not_seen in ((1, 0, 2), (2, 2, 0)):
        sheet = tmp_path / f"{page}.png"
        done = run(*words, "--page", page, "--preview", sheet)
        assert done.exit_code == 0, done.output
        assert_shows(sheet, seen, not_seen)


def test_the_level_that_was_asked_for_is_shown(tmp_path: Path) -> None:
    full, reduced = np.zeros((120, 160, 3), np.uint8), np.zeros((60, 80, 3), np.uint8)
    full[..., 0], reduced[..., 2] = 250, 250
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        tiff.write(full, photometric="rgb", subifds=1)
        tiff.write(reduced, photometric="rgb", subfiletype=1)
    words = ["upscale", tmp_path / "a.tif", tmp_path / "o.tif", "-s", "2", "-m", "bicubic"]
    for level, seen, not_seen in ((0, 0, 2), (1, 2, 0)):
        sheet = tmp_path / f"{level}.png"
        done = run(*words, "--level", level, "--preview", sheet)
        assert done.exit_code == 0, done.output
        assert_shows(sheet, seen, not_seen)
