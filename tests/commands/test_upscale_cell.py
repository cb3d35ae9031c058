"""--cell and --via of the main job: pixels, dry run, provenance, and what is refused."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

from liif_cli.cli import liif
from liif_cli.engine.sampling import render_array
from liif_cli.models import checkpoint
from liif_cli.models.model import Model, ModelSpec, Part, via_model

SCALE_MAX = 3.0


def upscale(*args: object) -> Result:
    return CliRunner().invoke(liif, ["upscale", *map(str, args)])


@pytest.fixture
def model() -> Model:
    torch.manual_seed(7)
    spec = ModelSpec(
        encoder=Part("edsr", {"n_resblocks": 2, "n_feats": 8}),
        decoder=Part("liif", {"hidden": [16, 16], "skip": "bilinear"}),
    )
    network = Model(spec).eval().requires_grad_(False)
    network.decoder.imnet.linears[0].weight[:, -2:] *= 20  # the cell shows in 8 bits
    return network


@pytest.fixture
def weights(tmp_path: Path, model: Model) -> Path:
    """A model whose card says that it was trained up to ``SCALE_MAX``."""
    path = tmp_path / "tiny.safetensors"
    checkpoint.save(model, {"recipe": {"scale_max": SCALE_MAX}}, path)
    return path


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    noise = np.random.default_rng(5).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((21, 17), Image.Resampling.BICUBIC).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def expected(
    model: Model, photo: Path, cell: str, shape: tuple[int, int], via: str | None = None
) -> np.ndarray:
    network = via_model(model, Fraction(via)) if via else model
    colours = render_array(network, np.asarray(Image.open(photo)), shape, cell=cell)
    return np.rint(colours.clip(0, 1) * 255).astype(np.int16)


@pytest.mark.parametrize(
    ("options", "cell", "via"),
    [
        ([], "clamped:3", None),
        (["--cell", "clamped"], "clamped:3", None),
        (["--cell", "scaled"], "scaled", None),
        (["--cell", "0.5"], "0.5", None),
        (["--via", "4"], "clamped:3", "4"),
        (["--via", "x2.5", "--cell", "scaled"], "scaled", "5/2"),
    ],
)
def test_options_reach_the_pixels_and_the_provenance(
    options: list[str],
    cell: str,
    via: str | None,
    model: Model,
    weights: Path,
    photo: Path,
    tmp_path: Path,
) -> None:
    out = tmp_path / "out.png"
    result = upscale(photo, out, "--size", "150x30", "--model", weights, *options)
    assert result.exit_code == 0, result.stderr
    with Image.open(out) as image:
        pixels, provenance = np.asarray(image, np.int16), json.loads(image.info["Comment"])
    assert np.abs(pixels - expected(model, photo, cell, (30, 150), via)).max() <= 1
    assert (provenance["cell"], provenance["via"]) == (cell, via)
    ways = {(c, v) for c in ("scaled", "clamped:3", "0.5") for v in (None, "4", "5/2")}
    same = {("scaled", "5/2"), ("clamped:3", "5/2")}  # a clamp does nothing below its scale
    others = ways - (same if (cell, via) in same else {(cell, via)})
    for other in others:
        assert np.abs(pixels - expected(model, photo, other[0], (30, 150), other[1])).max() > 1


def test_an_output_by_another_policy_is_another_one(
    weights: Path, photo: Path, tmp_path: Path
) -> None:
    command = (photo, tmp_path / "out.png", "--scale", 6, "--model", weights)
    assert upscale(*command).exit_code == 0
    assert "skipped" in upscale(*command, "--cell", "clamped").stderr
    for options, change in (
        (["--cell", "scaled"], "cell: was clamped:3, now scaled"),
        (["--via", "4"], "via: was none, now 4"),
    ):
        result = upscale(*command, *options)
        assert result.exit_code == 1
        assert change in result.stderr


def test_a_clamp_below_the_trained_scale_is_the_same_output(
    weights: Path, photo: Path, tmp_path: Path
) -> None:
    command = (photo, tmp_path / "out.png", "--scale", 3, "--model", weights)
    assert upscale(*command, "--cell", "clamped").exit_code == 0
    assert "skipped" in upscale(*command, "--cell", "scaled").stderr


def test_dry_run_names_them(weights: Path, photo: Path, tmp_path: Path) -> None:
    command = (photo, tmp_path / "out.png", "--model", weights, "--dry-run")
    assert "cell clamped:3" in upscale(*command, "--scale", 6).stdout
    assert "cell" not in upscale(*command, "--scale", 2).stdout
    line = upscale(*command, "--scale", 10, "--via", 2.5).stdout.splitlines()[0]
    assert "via x2.5 (53x43) and Lanczos" in line
    assert "cell" not in line


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--via", "0"], "--via: got '0', expected a scale of 1 to 64"),
        (["--via", "-4"], "--via"),
        (["--via", "4x4"], "--via: got '4x4'"),
        (["--via", "1e3"], "--via"),
        (["--via", "65"], "--via"),
        (["--cell", "foo"], "--cell: got 'foo', expected scaled, clamped"),
        (["--cell", "0"], "--cell: got '0'"),
        (["--model", "bicubic", "--via", "4"], "--via: got --model bicubic"),
        (["--model", "nearest", "--via", "4"], "--via: got --model nearest"),
        (["--model", "bicubic", "--cell", "scaled"], "--cell: got --model bicubic"),
    ],
)
def test_wrong_usage(options: list[str], message: str, photo: Path, tmp_path: Path) -> None:
    result = upscale(photo, tmp_path / "out.png", "--scale", 6, *options)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "out.png").exists()


def test_kernels_are_told_nothing(photo: Path, tmp_path: Path) -> None:
    result = upscale(photo, tmp_path / "out.png", "--scale", 6, "--model", "bicubic")
    assert result.exit_code == 0
    with Image.open(tmp_path / "out.png") as image:
        assert json.loads(image.info["Comment"])["cell"] == "scaled"
