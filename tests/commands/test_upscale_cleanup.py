"""--cleanup of the main job: what the network is told, where it is said, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
import zarr
from click.testing import CliRunner, Result
from PIL import Image

from liif_cli.cli import liif
from liif_cli.engine.sampling import render_array
from liif_cli.models import checkpoint
from liif_cli.models.model import Model, ModelSpec, Part, via_model
from liif_cli.plan import cutting

DECODER = Part("lmliif", {"latent_hidden": [24], "depth": 2, "skip": "bilinear"})
SIZES = {"n_resblocks": 2, "n_feats": 8}
SPECS = {
    "plain": ModelSpec(encoder=Part("edsr", SIZES), decoder=DECODER),
    "told": ModelSpec(encoder=Part("edsr", {**SIZES, "cleanup": True}), decoder=DECODER),
    "pair": ModelSpec(encoder=Part("edsr", SIZES), decoder=DECODER, lossy=True),
}
QUALITY = 60
SHAPE = (34, 42)


def run(*args: object) -> Result:
    return CliRunner().invoke(liif, [str(arg) for arg in args])


def model_of(kind: str) -> Model:
    """A network whose answer depends on what it is told."""
    torch.manual_seed(3)
    model = Model(SPECS[kind]).eval().requires_grad_(False)
    for name, value in model.named_parameters():
        if ".told." in name:
            value.copy_(torch.randn_like(value) * 0.3)
    return model


@pytest.fixture
def weights(tmp_path: Path) -> dict[str, Path]:
    """Files of networks that cannot be told, are told by a number, and are two."""
    paths = {kind: tmp_path / f"{kind}.safetensors" for kind in SPECS}
    for kind, path in paths.items():
        checkpoint.save(model_of(kind), {}, path)
    return paths


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    noise = np.random.default_rng(5).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    image = Image.fromarray(noise).resize((21, 17), Image.Resampling.BICUBIC)
    image.save(tmp_path / "a.jpg", quality=QUALITY)
    return tmp_path / "a.jpg"


def expected(model: Model, photo: Path, level: float, **options: Any) -> np.ndarray:
    colours = render_array(
        model.told(level), np.asarray(Image.open(photo)), SHAPE, cell="clamped", **options
    )
    return np.rint(colours.clip(0, 1) * 255).astype(np.int16)


def near(path: Path, wanted: np.ndarray) -> bool:
    """Whether a file holds these pixels, but for what is on the edge of rounding."""
    found = np.asarray(Image.open(path), np.int16)
    return bool(np.abs(found - wanted).max() <= 1 and (found != wanted).mean() < 0.01)


@pytest.mark.parametrize("kind", ["told", "pair"])
@pytest.mark.parametrize(
    ("options", "level"),
    [
        ([], 100 - QUALITY),
        (["--cleanup", "auto"], 100 - QUALITY),
        (["--cleanup", "none"], 0),
        (["--cleanup", 0], 0),
        (["--cleanup", 87.5], 87.5),
    ],
)
def test_the_network_is_told(
    tmp_path: Path,
    weights: dict[str, Path],
    photo: Path,
    kind: str,
    options: list[object],
    level: float,
) -> None:
    target = tmp_path / "a.png"
    result = run("upscale", photo, target, "--scale", 2, "--model", weights[kind], *options)
    assert result.exit_code == 0, result.stderr
    model = model_of(kind)
    assert near(target, expected(model, photo, level))
    # which can be told from the others
    assert not near(target, expected(model, photo, 50 if level != 50 else 0))


@pytest.mark.parametrize("kind", ["told", "pair"])
def test_with_a_scale_on_the_way_and_with_turns(
    tmp_path: Path, weights: dict[str, Path], photo: Path, kind: str
) -> None:
    for name, options, model, more in (
        ("via", ["--via", 3], via_model(model_of(kind), 3), {}),
        ("turns", ["--self-ensemble"], model_of(kind), {"self_ensemble": True}),
    ):
        target = tmp_path / f"{name}.png"
        arguments = ("--scale", 2, "--model", weights[kind], *options)
        assert run("upscale", photo, target, *arguments).exit_code == 0
        assert near(target, expected(model, photo, 100 - QUALITY, **more))
        assert not near(target, expected(model, photo, 0, **more))


def test_where_it_is_said(tmp_path: Path, weights: dict[str, Path], photo: Path) -> None:
    facts = json.loads(run("info", "--json", photo, weights["told"], weights["plain"]).stdout)
    assert [entry["cleanup"] for entry in facts] == [100 - QUALITY, True, False]
    assert "cleanup          40\n" in run("info", photo).stdout
    arguments = ("upscale", photo, tmp_path / "a.png", "--scale", 2, "--model", weights["told"])
    assert ", cleanup 40," in run(*arguments, "--dry-run").stdout
    assert ", cleanup 7.5," in run(*arguments, "--dry-run", "--cleanup", 7.5).stdout
    assert "cleanup" not in run(*arguments, "--dry-run", "--cleanup", "none").stdout
    report = tmp_path / "report.json"
    verbose = run(*arguments, "--report", report, "--verbose")
    assert "cleanup 40," in verbose.stderr
    assert json.loads(report.read_text())["images"][0]["cleanup"] == 40
    record = json.loads((tmp_path / ".liif" / "a.png.json").read_text())
    assert record["identity"]["cleanup"] == 40
    # what is in the file itself says it, too
    with Image.open(tmp_path / "a.png") as image:
        assert json.loads(image.info["Comment"])["cleanup"] == 40


def test_outputs_of_another_level_are_others(
    tmp_path: Path, weights: dict[str, Path], photo: Path
) -> None:
    arguments = ("upscale", photo, tmp_path / "a.png", "--scale", 2, "--model", weights["told"])
    assert run(*arguments).exit_code == 0
    # the level that the file says, given as a number, is the same
    for same in (["--cleanup", "auto"], ["--cleanup", 40]):
        assert "skipped 1" in run(*arguments, *same).stderr
    other = run(*arguments, "--cleanup", "none")
    assert other.exit_code == 1
    assert "cleanup: was 40.0, now none" in other.stderr
    assert run(*arguments, "--cleanup", "none", "--overwrite").exit_code == 0
    assert near(tmp_path / "a.png", expected(model_of("told"), photo, 0))


def test_models_that_cannot_be_told(tmp_path: Path, weights: dict[str, Path], photo: Path) -> None:
    target = tmp_path / "out.png"
    for model in (weights["plain"], "bicubic", "edsr-small-metasr"):
        arguments = ("upscale", photo, target, "--scale", 2, "--model", model, "--overwrite")
        result = run(*arguments, "--cleanup", 30)
        assert result.exit_code == 2
        assert f"--cleanup: got 30 for --model {model}, which cannot be told" in result.stderr
        assert "liif models" in result.stderr
        assert not target.exists()
        written = []
        for fine in ("auto", "none", "0"):
            assert run(*arguments, "--cleanup", fine).exit_code == 0
            written.append(target.read_bytes())
            identity = json.loads((tmp_path / ".liif" / "out.png.json").read_text())["identity"]
            assert "cleanup" not in identity
        assert len(set(written)) == 1
        target.unlink()


@pytest.mark.parametrize("text", ["101", "-1", "much", "nan"])
def test_levels_that_are_none(tmp_path: Path, photo: Path, text: str) -> None:
    result = run("upscale", photo, tmp_path / "a.png", "--scale", 2, f"--cleanup={text}")
    assert result.exit_code == 2
    assert f"--cleanup: got '{text}', expected auto, none or a number of 0 to 100" in result.stderr


def test_alpha_is_clean(tmp_path: Path, weights: dict[str, Path]) -> None:
    # colours by WebP, which loses, with alpha that it does not lose
    rng = np.random.default_rng(2)
    pixels = np.stack([np.kron(rng.integers(0, 256, (4, 5)), np.ones((5, 5)))] * 4, -1)
    pixels[..., 1] = pixels[::-1, :, 1]
    webp = tmp_path / "a.webp"
    Image.fromarray(pixels.astype(np.uint8)).save(webp, quality=20)
    Image.open(webp).getchannel("A").save(tmp_path / "alpha.png")
    found = {}
    for name, source, options in (
        ("auto", webp, ()),
        ("clean", webp, ("--cleanup", "none")),
        ("alpha", tmp_path / "alpha.png", ()),
    ):
        target = tmp_path / f"{name}.tif"
        arguments = ("--scale", 2, "--model", weights["told"], "--overwrite", *options)
        assert run("upscale", source, target, *arguments).exit_code == 0
        found[name] = tifffile.imread(target)
    np.testing.assert_array_equal(found["auto"][..., 3], found["clean"][..., 3])
    assert (found["auto"][..., :3] != found["clean"][..., :3]).mean() > 0.1
    flat = np.isin(found["auto"][..., 3], (0, 255))
    np.testing.assert_array_equal(found["auto"][..., 3][~flat], found["alpha"][~flat])


def test_every_image_of_a_folder_has_its_own_level(
    tmp_path: Path, weights: dict[str, Path]
) -> None:
    noise = np.random.default_rng(5).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    image = Image.fromarray(noise).resize((21, 17), Image.Resampling.BICUBIC)
    (tmp_path / "in").mkdir()
    # more levels than are kept
    qualities = range(10, 100, 6)
    for quality in qualities:
        image.save(tmp_path / "in" / f"{quality}.jpg", quality=quality)
    image.save(tmp_path / "in" / "100.png")
    arguments = ("--scale", 2, "--model", weights["told"], "--format", "png")
    assert run("upscale", tmp_path / "in", tmp_path / "out", *arguments).exit_code == 0
    model = model_of("told")
    for quality in (*qualities, 100):
        source = next((tmp_path / "in").glob(f"{quality}.*"))
        assert near(tmp_path / "out" / f"{quality}.png", expected(model, source, 100 - quality))


def test_a_store_goes_on_at_its_level_only(
    tmp_path: Path, weights: dict[str, Path], photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cutting, "SHARD", 64)
    monkeypatch.setattr(cutting, "CHUNK", 32)
    arguments = ("--size", "168x136", "--model", weights["told"])
    assert run("upscale", photo, tmp_path / "a.zarr", *arguments).exit_code == 0
    whole = np.asarray(zarr.open(tmp_path / "a.zarr", mode="r")["0"])
    shard = next(path for path in (tmp_path / "a.zarr" / "0" / "c").rglob("*") if path.is_file())
    shard.unlink()
    other = run("upscale", photo, tmp_path / "a.zarr", *arguments, "--cleanup", 10)
    assert other.exit_code == 1
    assert "cleanup: was 40.0, now 10.0" in other.stderr
    assert run("verify", tmp_path / "a.zarr").exit_code == 1
    assert run("upscale", photo, tmp_path / "a.zarr", *arguments).exit_code == 0
    assert run("verify", tmp_path / "a.zarr").exit_code == 0
    np.testing.assert_array_equal(zarr.open(tmp_path / "a.zarr", mode="r")["0"], whole)
    assert run("export", tmp_path / "a.zarr", tmp_path / "a.tif").exit_code == 0
    np.testing.assert_array_equal(np.moveaxis(tifffile.imread(tmp_path / "a.tif"), 2, 0), whole)
    # which the command that would have made it takes for its own
    assert "skipped 1" in run("upscale", photo, tmp_path / "a.tif", *arguments).stderr
