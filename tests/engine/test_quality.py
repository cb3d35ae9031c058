"""How lossy the outputs are: as asked for, and never worse than what came in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from liif_cli.cli import liif
from liif_cli.io import open_source
from tests.engine.conftest import write_photo


def upscale(source: Path, output: Path, *more: object) -> str:
    words = ["upscale", source, output, "--scale", 2, "--model", "bicubic", *more]
    result = CliRunner().invoke(liif, [str(word) for word in words])
    assert result.exit_code == 0, result.stderr
    return result.stderr


def level(path: Path) -> float:
    source = open_source(path)
    source.close()
    return source.info.cleanup


@pytest.fixture
def png(tmp_path: Path) -> Path:
    return write_photo(tmp_path / "a.png", 60, 80)


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_quality_is_what_was_asked_for(tmp_path: Path, png: Path, suffix: str) -> None:
    sizes, levels = [], []
    for quality in (30, 60, 95, 99):
        output = tmp_path / f"{quality}{suffix}"
        upscale(png, output, "--quality", quality)
        sizes.append(output.stat().st_size)
        levels.append(level(output))
    assert sizes == sorted(sizes)
    assert levels == sorted(levels, reverse=True)
    if suffix == ".jpg":
        assert levels == [70, 40, 5, 1]
    upscale(png, tmp_path / f"plain{suffix}")
    assert (tmp_path / f"plain{suffix}").stat().st_size == sizes[2]
    assert "skipped 1" in upscale(png, tmp_path / f"95{suffix}")


def test_a_jpeg_does_not_become_worse(tmp_path: Path, png: Path) -> None:
    for quality, expected in ((50, 5), (95, 5), (98, 2), (100, 0)):
        source = tmp_path / f"{quality}.jpg"
        Image.open(png).save(source, quality=quality)
        upscale(source, tmp_path / f"out{quality}.jpg")
        assert level(tmp_path / f"out{quality}.jpg") == expected or quality == 100
    upscale(tmp_path / "98.jpg", tmp_path / "less.jpg", "--quality", 40)
    assert level(tmp_path / "less.jpg") == 60


def test_a_lossless_webp_stays_one(tmp_path: Path, png: Path) -> None:
    source = tmp_path / "a.webp"
    Image.open(png).save(source, lossless=True)
    upscale(source, tmp_path / "out.webp")
    upscale(source, tmp_path / "out.png")
    with Image.open(tmp_path / "out.webp") as found, Image.open(tmp_path / "out.png") as expected:
        np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))
    upscale(source, tmp_path / "lossy.webp", "--compression", "lossy")
    assert level(tmp_path / "lossy.webp") > 0
    upscale(png, tmp_path / "less.webp", "--compression", "lossless")
    assert level(tmp_path / "less.webp") == 0
    Image.open(png).save(tmp_path / "b.webp", quality=70)
    upscale(tmp_path / "b.webp", tmp_path / "lossy2.webp")
    assert level(tmp_path / "lossy2.webp") > 0


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.tif", ["--compression", "jpeg"]),
        ("a.dzi", []),
        ("b.tif", ["--compression", "jpeg", "--format", "cog"]),
    ],
)
def test_quality_of_tiles(tmp_path: Path, png: Path, name: str, options: list[str]) -> None:
    sizes = []
    for quality in (20, 97):
        folder = tmp_path / str(quality)
        folder.mkdir()
        upscale(png, folder / name, "--quality", quality, *options)
        sizes.append(sum(path.stat().st_size for path in folder.rglob("*.*") if path.is_file()))
    assert sizes[0] < sizes[1]


def test_lossless_outputs_heed_no_quality(tmp_path: Path, png: Path) -> None:
    upscale(png, tmp_path / "a.tif")
    assert "skipped 1" in upscale(png, tmp_path / "a.tif", "--quality", 40)
