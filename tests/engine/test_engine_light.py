"""Light goes through the network as shown, and comes out as light."""

from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
import OpenEXR
import pytest
from click.testing import CliRunner

from liif_cli.cli import liif
from liif_cli.geometry.window import Window
from liif_cli.io import open_source


def write(path: Path, light: np.ndarray) -> Path:
    planes = {
        name: np.ascontiguousarray(light[..., k]) for k, name in enumerate("RGBA"[: light.shape[2]])
    }
    OpenEXR.File({"type": OpenEXR.scanlineimage}, planes).write(str(path))
    return path


def upscaled(path: Path, output: Path, weights: object, *options: str) -> np.ndarray:
    command = ["upscale", str(path), str(output), "--scale", "2", "--model", str(weights), *options]
    done = CliRunner().invoke(liif, command)
    assert done.exit_code == 0, done.output
    info = open_source(output).info
    return open_source(output).read(Window(0, 0, info.height, info.width))


def scene(channels: int = 3, dtype: type = np.float32) -> np.ndarray:
    rng = np.random.default_rng(1)
    light = np.repeat(np.repeat(rng.random((8, 10, channels)) ** 3, 9, 0), 9, 1) * 2
    light[20:24, 30:34] = 900  # a lamp
    if channels == 4:
        light[..., 3] = np.linspace(0, 1, light.shape[1])
        light[..., :3] *= light[..., 3:]
    return light.astype(dtype)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_tiled_is_whole_and_the_type_stays(tmp_path: Path, tiny_weights: Path, dtype: type) -> None:
    path = write(tmp_path / "a.exr", scene(dtype=dtype))
    whole = upscaled(path, tmp_path / "whole.exr", tiny_weights)
    tiled = upscaled(path, tmp_path / "tiled.exr", tiny_weights, "--tile", "64")
    assert whole.dtype == dtype
    scale = np.maximum(np.abs(whole.astype(np.float32)), 1e-3)
    assert (np.abs(whole.astype(np.float32) - tiled.astype(np.float32)) / scale).max() < 2e-3


def test_it_is_the_same_as_the_shown_image_made_by_hand(tmp_path: Path, tiny_weights: Path) -> None:
    import tifffile

    from liif_cli.io.linear import decoded, encoded

    light = scene()
    found = upscaled(write(tmp_path / "a.exr", light), tmp_path / "b.exr", tiny_weights)
    tifffile.imwrite(tmp_path / "a.tif", encoded(light), photometric="rgb")
    shown = upscaled(tmp_path / "a.tif", tmp_path / "b.tif", tiny_weights)
    np.testing.assert_allclose(found, decoded(shown), rtol=1e-4, atol=1e-5)
    assert found.max() <= light.max() * 1.001


def test_alpha_is_left_alone(tmp_path: Path, tiny_weights: Path) -> None:
    path = write(tmp_path / "a.exr", scene(4))
    found = upscaled(path, tmp_path / "b.exr", "bicubic")
    assert found.shape == (144, 180, 4)
    assert found[..., 3].min() >= 0
    assert found[..., 3].max() <= 1
    np.testing.assert_allclose(found[:, 90, 3], 0.5, atol=0.02)


def test_a_radiance_picture_stays_one(tmp_path: Path) -> None:
    light = scene()
    path = tmp_path / "a.hdr"
    path.write_bytes(imagecodecs.rgbe_encode(light, header=True))
    command = ["upscale", str(path), str(tmp_path / "out"), "--scale", "2", "--model", "nearest"]
    done = CliRunner().invoke(liif, command)
    assert done.exit_code == 0, done.output
    found = imagecodecs.rgbe_decode((tmp_path / "out" / "a.hdr").read_bytes())
    expected = np.repeat(np.repeat(imagecodecs.rgbe_decode(path.read_bytes()), 2, 0), 2, 1)
    np.testing.assert_allclose(found, expected, rtol=0.01, atol=0.01)
