"""TIFF of colours that are neither gray nor RGB: YCbCr without JPEG, CIELAB; white as zero."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, ImageOps

from liif_cli.geometry.window import Window
from liif_cli.io import open_source
from liif_cli.io.lab import to_srgb
from tests.io.conftest import make_picture

H, W = 40, 56


def read(path: Path) -> np.ndarray:
    source = open_source(path)
    whole = source.read(Window(0, 0, source.info.height, source.info.width))
    part = source.read(Window(3, 5, 20, 30))
    assert np.array_equal(part, whole[3:23, 5:35])
    return whole


def smooth() -> np.ndarray:
    picture = Image.fromarray(make_picture(H // 4, W // 4, 3))
    return np.asarray(picture.resize((W, H), Image.Resampling.BICUBIC))


def blocks_of_chroma(rgb: np.ndarray) -> bytes:
    """TIFF 6.0, section 21: data units of 2 x 2 luma, Cb and Cr."""
    ycc = np.asarray(Image.fromarray(rgb).convert("YCbCr")).astype(int)
    chroma = ycc[..., 1:].reshape(H // 2, 2, W // 2, 2, 2).mean(axis=(1, 3))
    luma = (
        ycc[..., 0].reshape(H // 2, 2, W // 2, 2).transpose(0, 2, 1, 3).reshape(H // 2, W // 2, 4)
    )
    return np.concatenate([luma, np.round(chroma)], axis=2).astype(np.uint8).tobytes()


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "packbits"])
def test_ycbcr_without_jpeg(tmp_path: Path, compression: str | None) -> None:
    path = tmp_path / "a.tif"
    rgb = smooth()
    Image.fromarray(rgb).convert("YCbCr").save(path, compression=compression)
    assert open_source(path).info.channels == 3
    found = read(path)
    with Image.open(path) as image:
        shown = np.asarray(image.convert("RGB")).astype(int)
    assert np.abs(found.astype(int) - shown).max() <= 2
    assert np.abs(found.astype(int) - rgb).max() <= 3


def test_ycbcr_with_chroma_in_blocks(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    rgb = smooth()
    data = blocks_of_chroma(rgb)
    # a gray image of as many bytes, whose tags are changed after
    plain = np.frombuffer(data, np.uint8).reshape(H, -1)
    tifffile.imwrite(
        path,
        plain,
        photometric="minisblack",
        metadata=None,
        software=False,
        extratags=[(530, "H", 2, (2, 2), True)],
        rowsperstrip=H,
    )
    with tifffile.TiffFile(path, mode="r+b") as file:
        tags = file.pages.first.tags
        tags[256].overwrite(W)
        tags[262].overwrite(6)
        tags[277].overwrite(3)
    found = read(path)
    assert found.shape == (H, W, 3)
    # chroma is repeated, not interpolated
    assert np.abs(found.astype(int) - rgb).mean() < 4


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_cielab(tmp_path: Path, dtype: str) -> None:
    path = tmp_path / "a.tif"
    rgb = smooth()
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    stored = np.asarray(
        ImageCms.profileToProfile(Image.fromarray(rgb), srgb, lab, outputMode="LAB")
    )
    if dtype != "uint8":
        # of an unsigned coding with 128 more
        light, chroma = stored[..., :1].astype(float), stored[..., 1:].view(np.int8).astype(float)
        if dtype == "uint16":
            wide = np.round(chroma * 256).astype(np.int16).view(np.uint16)
            stored = np.concatenate([np.round(light * 257).astype(np.uint16), wide], axis=2)
        else:
            stored = np.concatenate([light * (100 / 255), chroma], axis=2).astype(np.float32)
    tifffile.imwrite(path, stored, photometric="cielab", planarconfig="contig")
    info = open_source(path).info
    assert (info.kind, info.dtype, info.channels) == ("CIELAB", np.dtype(dtype), 3)
    assert info.icc is not None
    found = read(path).astype(float) * {"uint8": 1, "uint16": 1 / 257, "float32": 255}[dtype]
    # 8 bits of a* and b* are coarser than 8 bits of RGB
    assert np.abs(found - rgb).mean() < 1.5


def test_lab_of_white_gray_and_colours() -> None:
    lab = np.array([[[100, 0, 0], [53.585, 0, 0], [54.29, 80.81, 69.89]]], np.float32)
    expected = np.array([[[1, 1, 1], [0.5020, 0.5020, 0.5020], [1, 0, 0]]])
    np.testing.assert_allclose(to_srgb(lab, unsigned=False), expected, atol=2e-3)


def test_floats_whose_white_is_zero(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    pixels = np.random.default_rng(0).random((H, W), np.float32)
    tifffile.imwrite(path, pixels, photometric="miniswhite")
    np.testing.assert_allclose(read(path)[..., 0], 1 - pixels)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_ycbcr_is_turned_once(tmp_path: Path, orientation: int) -> None:
    path = tmp_path / "a.tif"
    rgb = smooth()
    Image.fromarray(rgb).convert("YCbCr").save(path, tiffinfo={274: orientation})
    with Image.open(path) as image:
        turned = np.asarray(ImageOps.exif_transpose(image.convert("RGB"))).astype(int)
    assert np.abs(read(path).astype(int) - turned).max() <= 3
