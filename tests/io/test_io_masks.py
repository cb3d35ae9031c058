"""Masks of TIFF: a page of the file, or a file beside it; they stay all or nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from PIL import Image

from liif_cli.cli import liif
from liif_cli.errors import InputError
from liif_cli.geometry.window import Window
from liif_cli.io import open_source
from tests.io.conftest import make_picture

rasterio = pytest.importorskip("rasterio")

H, W = 40, 60
VALID = np.hypot(*np.mgrid[-20:20, -30:30]) < 19


def with_gdal(path: Path, pixels: np.ndarray, *, inside: bool, **options: object) -> Path:
    """A file with a mask that GDAL wrote."""
    profile = {"driver": "GTiff", "height": H, "width": W, "count": pixels.shape[2]}
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=inside),
        rasterio.open(path, "w", dtype=pixels.dtype, **profile, **options) as file,
    ):
        file.write(pixels.transpose(2, 0, 1))
        file.write_mask(VALID)
    return path


def read(path: Path) -> np.ndarray:
    source = open_source(path)
    return source.read(Window(0, 0, source.info.height, source.info.width))


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "int16"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("inside", [True, False])
def test_a_mask_is_read_as_alpha(tmp_path: Path, inside: bool, channels: int, dtype: str) -> None:
    pixels = make_picture(H, W, channels, np.dtype(dtype) if dtype != "int16" else np.uint8)
    pixels = pixels.reshape(H, W, channels).astype(dtype)
    path = with_gdal(
        tmp_path / "a.tif", pixels, inside=inside, tiled=True, blockxsize=16, blockysize=16
    )
    assert (tmp_path / "a.tif.msk").exists() != inside
    info = open_source(path).info
    assert (info.channels, info.alpha, info.mask, info.pages) == (channels + 1, True, True, 1)
    found = read(path)
    np.testing.assert_array_equal(found[..., :-1][VALID], pixels[VALID])
    full = 1 if dtype == "float32" else np.iinfo(dtype).max
    np.testing.assert_array_equal(found[..., -1], np.where(VALID, full, 0))


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("model", ["bicubic", "edsr-small-lmliif"])
def test_it_stays_a_mask_and_nothing_bleeds(tmp_path: Path, model: str) -> None:
    pixels = np.full((H, W, 1), 0.5, np.float32)
    pixels[~VALID] = -1e30  # what lies behind is nothing
    path = with_gdal(tmp_path / "a.tif", pixels, inside=True)
    out = tmp_path / "b.tif"
    command = ["upscale", str(path), str(out), "--scale", "3", "--model", model, "--tile", "64"]
    done = CliRunner().invoke(liif, command)
    assert done.exit_code == 0, done.output
    with rasterio.open(out) as file:
        mask, values = file.dataset_mask(), file.read(1)
    np.testing.assert_array_equal(mask > 0, np.repeat(np.repeat(VALID, 3, 0), 3, 1))
    assert np.abs(values[mask > 0] - 0.5).max() < 0.02


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    Image.fromarray(make_picture(H, W, 3)).save(tmp_path / "a.tif")
    tifffile.imwrite(tmp_path / "a.tif.msk", np.zeros((H + 1, W), np.uint8))
    with pytest.raises(InputError, match="a mask of 60x41"):
        open_source(tmp_path / "a.tif")


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_formats_without_alpha_refuse_it(tmp_path: Path) -> None:
    path = with_gdal(tmp_path / "a.tif", make_picture(H, W, 3), inside=True)
    command = ["upscale", str(path), str(tmp_path / "b.jpg"), "--scale", "2", "--model", "nearest"]
    done = CliRunner().invoke(liif, command)
    assert done.exit_code == 1
    assert "jpg cannot hold RGB with alpha" in done.output
