"""Training through its command line: a few iterations on small photos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from safetensors import safe_open

from liif_cli.cli import liif
from liif_cli.train.job import has_bf16, parse_overrides
from liif_cli.train.presets import PRESETS

TINY = ["crop=8", "samples=16", "batch=2", "warmup=1"]


def train(folder: Path, out: Path, *args: str) -> Result:
    sets = [text for value in TINY for text in ("--set", value)]
    return CliRunner().invoke(
        liif,
        [
            *("train", "--preset", "edsr-small-liif", "--device", "cpu"),
            *("--data", str(folder), "--out", str(out), *sets, *args),
        ],
    )


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of two photos to train on, one to hold out and one that is torn."""
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, side in (("a", 40), ("b", 60), ("held", 240)):
        pixels = rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.png")
    (folder / "torn.png").write_bytes((folder / "a.png").read_bytes()[:200])
    (tmp_path / "val.txt").write_text("held.png\n")
    return folder


def test_train_and_use(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "w/tiny.safetensors"
    result = train(photos, out, "--iterations", "3", "--val", str(tmp_path / "val.txt"))
    assert result.exit_code == 0, result.stderr
    assert result.stdout == ""
    assert f"left out: {photos / 'torn.png'}" in result.stderr
    assert "2 photos of 0.0 Mpx, 1 held out" in result.stderr
    assert "iteration 3 of 3: loss " in result.stderr
    assert "PSNR" in result.stderr
    with safe_open(out, "np") as weights:
        assert len(list(weights.keys())) > 10
        assert "held.png" in str(weights.metadata())
    upscaled = tmp_path / "up.png"
    arguments = ["upscale", str(photos / "a.png"), str(upscaled), "--scale", "1.5"]
    result = CliRunner().invoke(liif, [*arguments, "--model", str(out), "--device", "cpu"])
    assert result.exit_code == 0, result.stderr
    with Image.open(upscaled) as image:
        assert image.size == (60, 60)


def test_a_second_run_goes_on_from_the_state(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "tiny.safetensors"
    assert train(photos, out, "--iterations", "2").exit_code == 0
    first = out.read_bytes()
    out.unlink()
    result = train(photos, out, "--iterations", "2")
    assert result.exit_code == 0, result.stderr
    assert "going on at iteration 2 of 2" in result.stderr
    with safe_open(out, "np") as again:
        assert len(list(again.keys())) > 10
    assert out.stat().st_size == len(first)
    # another recipe is another training
    result = train(photos, out, "--iterations", "5")
    assert result.exit_code == 1
    assert "tiny.safetensors.state.pt" in result.stderr


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--preset", "nonsense"], "edsr-small-liif"),
        (["--set", "nonsense=1"], "iterations"),
        (["--set", "batch=1.5"], "a whole number"),
        (["--set", "lr=fast"], "--set lr"),
        (["--set", "lr"], "name=value"),
        (["--val", "missing.txt"], "--val"),
        (["--device", "cuda:99"], "--device"),
        (["--out", "weights.pth"], ".safetensors"),
        (["--data", "missing"], "--data"),
    ],
)
def test_wrong_usage(photos: Path, tmp_path: Path, args: list[str], words: str) -> None:
    result = train(photos, tmp_path / "t.safetensors", *args)
    assert result.exit_code == 2, result.stderr
    assert result.stderr.count("\n") == 1
    assert words in result.stderr
    assert not (tmp_path / "t.safetensors").exists()


def test_overrides_take_the_type_of_the_recipe() -> None:
    recipe = PRESETS["edsr-small-liif"]
    values = parse_overrides(recipe, {"lr": "1e-3", "batch": "8", "scale_max": "3"})
    assert values == {"lr": 1e-3, "batch": 8, "scale_max": 3.0}
    assert isinstance(values["scale_max"], float)


def test_bf16_is_read_from_the_flags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    path = tmp_path / "cpuinfo"
    monkeypatch.setattr("liif_cli.train.job._CPUINFO", path)
    assert not has_bf16(torch.device("cpu"))
    path.write_text("processor : 0\nflags\t\t: fpu avx2 avx512f\n")
    assert not has_bf16(torch.device("cpu"))
    path.write_text("processor : 0\nflags\t\t: fpu avx512_bf16 avx512f\n")
    assert has_bf16(torch.device("cpu"))
    path.write_text("Features\t: fp asimd bf16\n")
    assert has_bf16(torch.device("cpu"))
