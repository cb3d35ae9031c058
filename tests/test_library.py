"""The library gives the pixels that the command writes."""

from __future__ import annotations

import doctest
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from click.testing import CliRunner

import liif_cli as liif
from liif_cli.cli import liif as command
from liif_cli.errors import InputError, LiifError, OutputError, UsageError
from tests.engine.conftest import large_weights, tiny_model  # noqa: F401 (fixtures)

ROOT = Path(__file__).resolve().parents[1]


def picture(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    rng = np.random.default_rng(len(shape) + len(dtype))
    values = rng.random((5, 6, *shape[2:]))
    smooth = np.kron(values, np.ones((8, 8, *([1] * (len(shape) - 2)))))[: shape[0], : shape[1]]
    if np.dtype(dtype).kind == "f":
        return smooth.astype(dtype)
    return (smooth * min(np.iinfo(dtype).max, 60_000)).astype(dtype)


def written(pixels: np.ndarray, folder: Path, *options: object) -> np.ndarray:
    """What the command makes of a TIFF of these pixels."""
    extra = ["unassalpha"] if pixels.ndim == 3 and pixels.shape[2] in (2, 4) else None
    kind = "rgb" if pixels.ndim == 3 and pixels.shape[2] in (3, 4) else "minisblack"
    planes = {"planarconfig": "contig"} if pixels.ndim == 3 else {}
    tifffile.imwrite(folder / "a.tif", pixels, photometric=kind, extrasamples=extra, **planes)
    words = ["upscale", folder / "a.tif", folder / "b.tif", "--overwrite", "-q", *options]
    found = CliRunner().invoke(command, [str(word) for word in words])
    assert found.exit_code == 0, found.output
    return tifffile.imread(folder / "b.tif")


SHAPES = [(30, 40), (30, 40, 3), (30, 40, 4), (30, 40, 2)]
DTYPES = ["uint8", "uint16", "float32", "int16", "float64"]


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        # each shape and each type, and with the slow ones each pair
        pytest.param(shape, dtype, marks=[] if (at - number) % 4 == 0 else pytest.mark.slow)
        for at, shape in enumerate(SHAPES)
        for number, dtype in enumerate(DTYPES)
    ],
)
def test_pixels_are_the_commands(tmp_path: Path, shape: tuple[int, ...], dtype: str) -> None:
    pixels = picture(shape, dtype)
    found = liif.upscale(pixels, scale=2.5)
    expected = written(pixels, tmp_path, "--scale", "2.5")
    assert found.dtype == pixels.dtype
    assert found.ndim == pixels.ndim
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"scale": 3, "roi": (5, 4, 20, 10)}, ("--scale", 3, "--roi", "5,4,20,10")),
        ({"size": (100, None)}, ("--size", "100x")),
        ({"size": "90x90", "fit": "inside"}, ("--size", "90x90", "--fit", "inside")),
        ({"scale": (3, 2)}, ("--scale", "3x2")),
        ({"scale": 2, "self_ensemble": True}, ("--scale", 2, "--self-ensemble")),
        ({"scale": 2, "cleanup": 40.0}, ("--scale", 2, "--cleanup", 40)),
        ({"scale": 2, "cell": "clamped"}, ("--scale", 2, "--cell", "clamped")),
        ({"scale": 4, "model": "bicubic"}, ("--scale", 4, "--model", "bicubic")),
    ],
)
def test_options_are_the_commands(tmp_path: Path, options: dict, words: tuple) -> None:
    pixels = picture((30, 40, 3), "uint8")
    found = liif.upscale(pixels, **options)
    np.testing.assert_array_equal(found, written(pixels, tmp_path, *words))


def test_gray_colours_stay_gray() -> None:
    pixels = np.repeat(picture((30, 40, 1), "uint8"), 3, axis=2)
    found = liif.upscale(pixels, scale=2)
    assert (found == found[..., :1]).all()


def test_bands_that_are_no_alpha() -> None:
    pixels = picture((20, 30, 4), "uint8")
    bands = liif.upscale(pixels, scale=2, alpha=False, model="bicubic")
    each = [liif.upscale(pixels[..., n], scale=2, model="bicubic") for n in range(4)]
    np.testing.assert_array_equal(bands, np.stack(each, axis=2))


def test_tensors_keep_their_layout() -> None:
    pixels = picture((20, 30, 3), "float32")
    tensor = torch.from_numpy(np.moveaxis(pixels, 2, 0).copy())
    found = liif.upscale(tensor, scale=2)
    assert isinstance(found, torch.Tensor)
    assert found.shape == (3, 40, 60)
    np.testing.assert_array_equal(np.moveaxis(found.numpy(), 0, 2), liif.upscale(pixels, scale=2))
    assert liif.upscale(tensor[0], scale=2).shape == (40, 60)


def test_work_in_parts_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    import psutil

    pixels = picture((40, 48, 3), "uint8")
    whole = liif.upscale(pixels, scale=20)
    little = psutil.Process().memory_info().rss + 400 * 2**20
    np.testing.assert_array_equal(liif.upscale(pixels, scale=20, max_memory=little, jobs=2), whole)


@pytest.mark.parametrize(
    ("image", "options", "error"),
    [
        (np.zeros((3, 4, 3), np.uint8), {}, UsageError),
        (np.zeros((3, 4, 3), np.uint8), {"scale": 2, "size": (3, 4)}, UsageError),
        (np.zeros((3, 4, 3, 1), np.uint8), {"scale": 2}, UsageError),
        (np.zeros((3, 4), np.uint8), {"scale": 2, "alpha": True}, UsageError),
        (np.zeros((0, 4, 3), np.uint8), {"scale": 2}, InputError),
        (np.zeros((3, 4, 3), bool), {"scale": 2}, InputError),
        (np.full((3, 4, 3), np.nan, np.float32), {"scale": 2}, InputError),
        (np.zeros((3, 4, 3), np.uint8), {"scale": 2, "model": "nope"}, LiifError),
    ],
)
def test_what_is_refused(image: np.ndarray, options: dict, error: type[Exception]) -> None:
    with pytest.raises(error):
        liif.upscale(image, **options)


def test_files(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a.tif", "b.tif"):
        tifffile.imwrite(tmp_path / "in" / name, picture((20, 30, 3), "uint8"), photometric="rgb")
    outputs = liif.upscale_file(tmp_path / "in", tmp_path / "out", scale=2, model="bicubic")
    assert outputs == [tmp_path / "out" / "a.tif", tmp_path / "out" / "b.tif"]
    again = liif.upscale_file(tmp_path / "in", tmp_path / "out", scale=2, model="bicubic")
    assert again == outputs
    (tmp_path / "in" / "c.tif").write_bytes(b"II*\0")
    with pytest.raises(LiifError, match=r"c\.tif"):
        liif.upscale_file(tmp_path / "in", tmp_path / "out", scale=2, model="bicubic")
    with pytest.raises(UsageError, match="colour"):
        liif.upscale_file(tmp_path / "in", tmp_path / "out", scale=2, colour="red")


def test_an_output_is_opened_lazily(tmp_path: Path) -> None:
    pixels = picture((30, 40, 3), "uint8")
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb")
    liif.upscale_file(tmp_path / "a.tif", tmp_path / "a.zarr", scale=20, model="bicubic")
    found = liif.open_output(tmp_path / "a.zarr")
    whole = liif.upscale(pixels, scale=20, model="bicubic")
    np.testing.assert_array_equal(
        found[:, 100:130, 50:90], np.moveaxis(whole[100:130, 50:90], 2, 0)
    )
    assert liif.open_output(tmp_path / "a.zarr", level=1).shape == (3, 300, 400)
    with pytest.raises(OutputError, match="level 9"):
        liif.open_output(tmp_path / "a.zarr", level=9)
    with pytest.raises(OutputError):
        liif.open_output(tmp_path / "none.zarr")


def test_importing_it_imports_nothing_heavy() -> None:
    program = (
        "import sys, liif_cli as liif; assert 'upscale' in dir(liif);"
        "print([n for n in ('torch', 'numpy', 'zarr') if n in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert found.stdout.strip() == "[]", found.stderr
    with pytest.raises(AttributeError):
        liif.nothing  # noqa: B018


def test_the_page_is_true() -> None:
    page = ROOT / "docs" / "library.md"
    if not page.exists():
        pytest.skip("no docs")
    found = doctest.testfile(str(page), module_relative=False)
    assert found.attempted > 10
    assert found.failed == 0


def test_what_overflows_half_precision_is_rendered_again_in_fp32(
    large_weights: Path,  # noqa: F811 (the fixture)
) -> None:
    image = np.random.default_rng(3).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    exact, again = (
        liif.load(str(large_weights), precision=precision).upscale(image, scale=3)
        for precision in ("fp32", "fp16")
    )
    np.testing.assert_array_equal(exact, again)
