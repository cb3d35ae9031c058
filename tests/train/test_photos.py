"""Photos of a folder, read in kinds that another library wrote."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from liif_cli.bench.data import read_rgb
from liif_cli.errors import InputError, TrainError, UsageError
from liif_cli.train.photos import load_photos, read_names, read_photo
from liif_cli.train.presets import BASES

RECIPE = dataclasses.replace(BASES["edsr-small-liif"], crop=8, scale_max=4.0)


def rgb(path: Path, height: int, width: int, seed: int = 0) -> np.ndarray:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


def test_photos_are_read_in_order_and_held_out_by_name(tmp_path: Path) -> None:
    a = rgb(tmp_path / "a.png", 40, 50, 1)
    b = rgb(tmp_path / "b.png", 240, 250, 2)
    c = rgb(tmp_path / "c.png", 33, 32, 3)
    (tmp_path / "notes.txt").write_text("no image")
    rgb(tmp_path / ".hidden.png", 40, 40)
    warnings: list[str] = []
    photos = load_photos(tmp_path, ["b.png"], RECIPE, warnings.append)
    assert warnings == []
    assert (photos.names, photos.held_out) == (["a.png", "c.png"], ["b.png"])
    np.testing.assert_array_equal(photos.train[0], a)
    np.testing.assert_array_equal(photos.train[1], c)
    np.testing.assert_array_equal(photos.validation[0], b)
    assert photos.pixels == 40 * 50 + 33 * 32


def test_bad_and_small_photos_are_left_out_by_name(tmp_path: Path) -> None:
    rgb(tmp_path / "a.png", 40, 40)
    rgb(tmp_path / "small.png", 31, 400)
    rgb(tmp_path / "held.png", 239, 400)
    whole = (tmp_path / "a.png").read_bytes()
    (tmp_path / "torn.png").write_bytes(whole[: len(whole) // 2])
    warnings: list[str] = []
    photos = load_photos(tmp_path, ["held.png"], RECIPE, warnings.append)
    assert photos.names == ["a.png"]
    assert photos.validation == []
    assert [("held.png" in w, "small.png" in w, "torn.png" in w) for w in warnings] == [
        (True, False, False),
        (False, True, False),
        (False, False, True),
    ]
    assert "expected sides of 32 px or more" in warnings[1]
    assert "expected sides of 240 px or more" in warnings[0]


def test_nothing_to_train_on(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--data"):
        load_photos(tmp_path / "missing", [], RECIPE, print)
    with pytest.raises(TrainError, match="0 images"):
        load_photos(tmp_path, [], RECIPE, print)
    rgb(tmp_path / "a.png", 240, 240)
    with pytest.raises(TrainError, match="none to train on"):
        load_photos(tmp_path, ["a.png"], RECIPE, print)
    with pytest.raises(UsageError, match=r"--val: got b\.png"):
        load_photos(tmp_path, ["b.png"], RECIPE, print)


def test_gray_and_16_bit_become_rgb_8_bit(tmp_path: Path) -> None:
    gray = np.arange(48, dtype=np.uint8).reshape(6, 8)
    Image.fromarray(gray).save(tmp_path / "gray.png")
    np.testing.assert_array_equal(read_photo(tmp_path / "gray.png"), np.dstack([gray] * 3))
    deep = np.random.default_rng(0).integers(0, 65536, (6, 8, 3), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "deep.tif", deep, photometric="rgb")
    expected = np.rint(deep / 65535 * 255)
    np.testing.assert_array_equal(read_photo(tmp_path / "deep.tif"), expected)


@pytest.mark.parametrize("read", [read_photo, read_rgb])
@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "uint32"])
def test_samples_that_span_anything_are_refused(
    tmp_path: Path, dtype: str, read: Callable[[Path], object]
) -> None:
    """Cast to 8 bits, they would wrap around without a word."""
    path = tmp_path / "elevation.tif"
    tifffile.imwrite(path, np.full((8, 8), 100, dtype))
    with pytest.raises(InputError, match=f"{dtype} samples"):
        read(path)


def test_names(tmp_path: Path) -> None:
    path = tmp_path / "val.txt"
    path.write_text("a.png\n\n  b c.png  \n# a comment\nd.png # another\n")
    assert read_names(path) == ["a.png", "b c.png", "d.png"]
    path.write_text("\n")
    with pytest.raises(UsageError, match="no names"):
        read_names(path)
    with pytest.raises(UsageError, match="--val"):
        read_names(tmp_path / "missing.txt")
