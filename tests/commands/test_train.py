"""Training through its command line: a few iterations on small photos."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image
from safetensors import safe_open

from liif_cli.cli import liif
from liif_cli.models.device import has_bf16

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
    return photos_in(tmp_path)


def photos_in(where: Path) -> Path:
    folder = where / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, side in (("a", 40), ("b", 60), ("held", 240)):
        pixels = rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.png")
    (folder / "torn.png").write_bytes((folder / "a.png").read_bytes()[:200])
    (where / "val.txt").write_text("held.png\n")
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
    assert "resuming at iteration 2 of 2" in result.stderr
    with safe_open(out, "np") as again:
        assert len(list(again.keys())) > 10
    assert out.stat().st_size == len(first)
    # another recipe is another training
    result = train(photos, out, "--iterations", "5")
    assert result.exit_code == 1
    assert "tiny.safetensors.state.pt" in result.stderr
    assert "iterations was 2, is 5" in result.stderr


def test_what_is_there_is_replaced_only_when_told(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "tiny.safetensors"
    assert train(photos, out, "--iterations", "2").exit_code == 0
    state, first = out.with_name("tiny.safetensors.state.pt"), out.read_bytes()
    result = train(photos, out, "--iterations", "1", "--no-resume")
    assert result.exit_code == 2
    assert f"{state}, {out}" in result.stderr
    assert "--overwrite" in result.stderr
    state.rename(tmp_path / "kept")
    assert train(photos, out, "--iterations", "1").exit_code == 2
    assert out.read_bytes() == first
    (tmp_path / "kept").rename(state)
    result = train(photos, out, "--iterations", "1", "--no-resume", "--overwrite")
    assert result.exit_code == 0, result.stderr
    assert out.read_bytes() != first
    # the table of the old training is gone, too
    assert len(out.with_name("tiny.safetensors.log.csv").read_text().splitlines()) == 2


def test_init_grows_a_network_and_goes_on_only_from_the_same(photos: Path, tmp_path: Path) -> None:
    first, out = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    assert train(photos, first, "--iterations", "2").exit_code == 0
    grown = ["--iterations", "2", "--init", str(first), "--set", "n_resblocks=10"]
    result = train(photos, out, *grown)
    assert result.exit_code == 0, result.stderr
    assert "starting from the weights of first, with 2 residual blocks more" in result.stderr
    assert train(photos, out, *grown).exit_code == 0
    result = train(photos, out, "--iterations", "2", "--set", "n_resblocks=10")
    assert result.exit_code == 1
    assert "init was " in result.stderr
    bad = train(photos, tmp_path / "b.safetensors", "--init", str(first), "--set", "n_feats=16")
    assert bad.exit_code == 1
    expected = "got encoder.head.0.weight 32x3x3x3, expected encoder.head.0.weight 16x3x3x3"
    assert expected in bad.stderr
    # found out before the photos are read
    assert "left out" not in bad.stderr
    bad = train(photos, tmp_path / "b.safetensors", "--init", "bicubic")
    assert "a trained network" in bad.stderr


def test_a_time_budget(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "tiny.safetensors"
    result = train(photos, out, "--time", "2s", "--val", str(tmp_path / "val.txt"))
    assert result.exit_code == 0, result.stderr
    with out.with_name("tiny.safetensors.log.csv").open() as file:
        rows = list(csv.DictReader(file))
    # whole validations and saves take what they take on a busy machine
    assert 1 < float(rows[-1]["seconds"]) < 20
    assert rows[-1]["progress"] == "1.0"
    assert rows[-1]["psnr"]
    with Image.open(out.with_name("tiny.safetensors.curves.png")) as image:
        assert image.format == "PNG"


def test_photos_of_varied_sizes(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "tiny.safetensors"
    sizes = [text for v in ("target_min=8", "target_max=50", "epochs=3") for text in ("--set", v)]
    result = train(photos, out, "--preset", "edsr-small-lmliif-sizes", *sizes)
    assert result.exit_code == 0, result.stderr
    assert f"left out: {photos / 'a.png'}: got 40x40, expected sides of 50 px" in result.stderr
    # two of 60 and 240 px, two a batch
    assert "iteration 3 of 3" in result.stderr


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Small networks: one told nothing, one told how lossy an image is, and a pair."""
    folder = tmp_path_factory.mktemp("networks")
    photos = photos_in(folder)
    given = {
        "clean": [],
        "told": ["--preset", "edsr-small-liif-real", "lossy=no", "cleanup=yes"],
        "pair": ["--preset", "edsr-small-liif-real"],
    }
    found = {}
    for name, args in given.items():
        found[name] = folder / f"{name}.safetensors"
        sets = [["--set", arg] if "=" in arg else [arg] for arg in args]
        flat = [word for words in sets for word in words]
        pages = ["--set", "pages=2"] if args else []
        result = train(photos, found[name], "--iterations", "4", *flat, *pages)
        assert result.exit_code == 0, result.stderr
        assert ("2 pages of graphics" in result.stderr) == bool(args)
    return found


def test_a_pair_is_trained_or_joined(networks: dict[str, Path], tmp_path: Path) -> None:
    from liif_cli.models.loader import load_model

    out = tmp_path / "joined.safetensors"
    convert = ["convert", str(networks["clean"]), str(out), "--lossy"]
    result = CliRunner().invoke(liif, [*convert, str(networks["told"])])
    assert result.exit_code == 0, result.stderr
    cpu = torch.device("cpu")
    clean, told, pair, joined = (
        load_model(str(path), cpu).model for path in (*networks.values(), out)
    )
    assert joined.spec == pair.spec
    image = torch.rand(1, 3, 9, 9, generator=torch.Generator().manual_seed(1))
    # loaded weights may be laid out in another way, and sums added up in another order
    same = {"rtol": 0, "atol": 1e-6}
    torch.testing.assert_close(joined.told(0).encode(image), clean.encode(image), **same)
    torch.testing.assert_close(joined.told(40).encode(image), told.told(40).encode(image), **same)
    # a little loss may count as clean
    some = tmp_path / "some.safetensors"
    given = ["convert", str(networks["clean"]), str(some), "--clean-to", "40"]
    result = CliRunner().invoke(liif, given)
    assert (result.exit_code, "--lossy" in result.stderr) == (2, True)
    assert CliRunner().invoke(liif, [*given, "--lossy", str(networks["told"])]).exit_code == 0
    tolerant = load_model(str(some), cpu).model
    torch.testing.assert_close(tolerant.told(40).encode(image), clean.encode(image), **same)
    torch.testing.assert_close(tolerant.told(41).encode(image), told.told(41).encode(image), **same)
    # pairs give the half that is asked of them
    again = tmp_path / "again.safetensors"
    convert = ["convert", str(networks["pair"]), str(again), "--lossy", str(out)]
    assert CliRunner().invoke(liif, convert).exit_code == 0
    halves = load_model(str(again), cpu).model
    torch.testing.assert_close(halves.encode(image), pair.encode(image), **same)
    torch.testing.assert_close(halves.told(40).encode(image), told.told(40).encode(image), **same)


@pytest.mark.parametrize(
    ("clean", "lossy", "words"),
    [
        ("clean", "clean", "network for lossy images"),
        ("told", "told", "network for clean images"),
        ("clean", "default", "n_resblocks=16"),
    ],
)
def test_networks_that_make_no_pair_are_refused(
    networks: dict[str, Path], tmp_path: Path, clean: str, lossy: str, words: str
) -> None:
    from liif_cli.models.loader import shipped

    paths = {**networks, "default": shipped()["edsr-small-lmliif"]}
    out = tmp_path / "out.safetensors"
    convert = ["convert", str(paths[clean]), str(out), "--lossy", str(paths[lossy])]
    result = CliRunner().invoke(liif, convert)
    assert result.exit_code == 1, result.stderr
    assert words in result.stderr
    assert not out.exists()


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--preset", "edsr-small-liif-real", "--set", "cleanup=yes"], "lossy=false"),
        (["--preset", "nonsense"], "edsr-small-liif"),
        (["--set", "nonsense=1"], "iterations"),
        (["--set", "batch=1.5"], "a whole number"),
        (["--set", "lr=fast"], "--set lr"),
        (["--set", "lr"], "name=value"),
        (["--set", "n_resblocks=few"], "a whole number"),
        (["--set", "hidden=wide"], "whole numbers with commas"),
        (["--set", "cell_decode=perhaps"], "true or false"),
        (["--set", "skip=cubic"], "skip is None or 'bilinear'"),
        (["--set", "ema=1"], "recipe value ema"),
        (["--time", "5m", "--iterations", "5"], "--time"),
        (["--time", "5"], "25m"),
        (["--checkpoint-every", "0s"], "--checkpoint-every"),
        (["--init", "missing"], "edsr-small-liif"),
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


def test_a_device_without_float64_is_refused(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    result = train(photos, tmp_path / "t.safetensors", "--device", "mps")
    assert result.exit_code == 2
    assert "expected auto, cpu, cuda or cuda:N to train" in result.stderr


def test_bf16_is_read_from_the_flags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    path = tmp_path / "cpuinfo"
    monkeypatch.setattr("liif_cli.models.device._CPUINFO", path)
    assert not has_bf16(torch.device("cpu"))
    path.write_text("processor : 0\nflags\t\t: fpu avx2 avx512f\n")
    assert not has_bf16(torch.device("cpu"))
    path.write_text("processor : 0\nflags\t\t: fpu avx512_bf16 avx512f\n")
    assert has_bf16(torch.device("cpu"))
    path.write_text("Features\t: fp asimd bf16\n")
    assert has_bf16(torch.device("cpu"))


def test_a_full_disk_at_the_end_keeps_the_weights(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    out = tmp_path / "w/tiny.safetensors"
    result = train(photos, out, "--iterations", "2")
    assert result.exit_code == 1
    assert "tiny.safetensors.state.pt: got a full disk" in result.stderr.splitlines()[-1]
    assert sorted(path.name for path in out.parent.iterdir()) == [
        "tiny.safetensors",
        "tiny.safetensors.log.csv",
    ]
    with safe_open(out, "np") as weights:
        assert len(list(weights.keys())) > 10


def test_a_folder_without_images(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/notes.txt").write_text("no image")
    result = train(tmp_path / "empty", tmp_path / "t.safetensors", "--iterations", "1")
    assert result.exit_code == 1
    assert "0 images, none to train on" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]
