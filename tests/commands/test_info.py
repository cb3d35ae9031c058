"""``liif info``, ``models``, ``sample`` and ``convert`` through the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image
from safetensors import safe_open

from liif_cli.cli import liif
from liif_cli.models import checkpoint
from liif_cli.models.loader import DEFAULT_MODEL, shipped
from liif_cli.models.model import Model, ModelSpec, Part

SPEC = ModelSpec(
    encoder=Part("edsr", {"n_resblocks": 1, "n_feats": 4, "res_scale": 1.0}),
    decoder=Part("liif", {"hidden": [8]}),
)


def run(*args: object) -> Result:
    return CliRunner().invoke(liif, [str(arg) for arg in args])


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.safetensors"
    checkpoint.save(Model(SPEC), {"data": "noise", "psnr": {"x2": 30.5}}, path)
    return path


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """The same network as a file in the published layout."""
    args = {
        "encoder_spec": {
            "name": "edsr-baseline",
            "args": {"no_upsampling": True, "n_resblocks": 1, "n_feats": 4},
        },
        "imnet_spec": {"name": "mlp", "args": {"out_dim": 3, "hidden_list": [8]}},
    }
    state = {key.removeprefix("decoder."): v for key, v in Model(SPEC).state_dict().items()}
    path = tmp_path / "published.pth"
    torch.save({"model": {"name": "liif", "args": args, "sd": state}, "epoch": 1}, path)
    return path


def test_info_of_several_files(tmp_path: Path, weights: Path) -> None:
    image = tmp_path / "a.jpg"
    Image.new("L", (30, 20)).save(image, dpi=(72, 72))
    result = run("info", image, weights)
    assert result.exit_code == 0, result.stderr
    assert result.stderr == ""
    first, second = result.stdout.split(f"{weights}\n")
    lines = {tuple(line.split(maxsplit=1)) for line in first.splitlines()[1:]}
    assert {("kind", "image"), ("format", "jpg"), ("size", "30x20"), ("channels", "1")} <= lines
    assert ("resolution", "72x72 dpi") in lines
    assert "edsr(n_resblocks=1, n_feats=4, res_scale=1.0)" in second
    assert [line.split() for line in second.splitlines()[-4:]] == [
        ["card"],
        ["data", "noise"],
        ["psnr"],
        ["x2", "30.5"],
    ]


def test_info_as_json_with_one_bad_file(tmp_path: Path, weights: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no image")
    result = run("info", "--json", tmp_path / "bad.png", weights, tmp_path / "missing.png")
    assert result.exit_code == 1
    bad, good, missing = json.loads(result.stdout)
    assert bad["path"] == str(tmp_path / "bad.png")
    assert str(tmp_path / "bad.png") in bad["error"]
    assert "missing.png" in missing["error"]
    assert result.stderr.count("error: ") == 2
    parameters = sum(value.numel() for value in Model(SPEC).parameters())
    assert (good["kind"], good["parameters"]) == ("weights", parameters)
    assert good["card"] == {"data": "noise", "psnr": {"x2": 30.5}}
    assert len(good["digest"]) == 64


def test_models_lists_every_name(monkeypatch: pytest.MonkeyPatch, weights: Path) -> None:
    monkeypatch.setattr("liif_cli.models.loader.WEIGHTS", weights.parent)
    result = run("models", "--json")
    assert result.exit_code == 0, result.stderr
    found: list[dict[str, Any]] = json.loads(result.stdout)
    assert [facts["name"] for facts in found] == ["tiny", "bicubic", "nearest"]
    assert found[0]["psnr"] == {"x2": 30.5}
    text = run("models").stdout.splitlines()
    assert len(text) == 3
    assert text[0].startswith("tiny: encoder edsr, decoder liif")
    assert "PSNR x2 30.5" in text[0]


def test_models_measures_speed_on_request(monkeypatch: pytest.MonkeyPatch, weights: Path) -> None:
    monkeypatch.setattr("liif_cli.models.loader.WEIGHTS", weights.parent)
    monkeypatch.setattr("liif_cli.engine.probe.PROBE_SECONDS", 0.02)
    found = json.loads(run("models", "--json", "--measure").stdout)
    for facts in found:
        assert set(facts["mpx_per_second"]) == {"x2", "x4", "x16"}
        assert min(facts["mpx_per_second"].values()) > 0
    assert "mpx_per_second" not in json.loads(run("models", "--json").stdout)[0]


def test_the_default_is_marked(monkeypatch: pytest.MonkeyPatch, weights: Path) -> None:
    weights.rename(weights.with_name(f"{DEFAULT_MODEL}.safetensors"))
    monkeypatch.setattr("liif_cli.models.loader.WEIGHTS", weights.parent)
    starred = [line for line in run("models").stdout.splitlines() if " *:" in line]
    assert [line.split()[0] for line in starred] == [DEFAULT_MODEL]


def test_models_of_the_package_load() -> None:
    result = run("models", "--json")
    assert result.exit_code == 0, result.stderr
    names = [facts["name"] for facts in json.loads(result.stdout)]
    assert names == [*shipped(), "bicubic", "nearest"]


def test_sample_writes_images(tmp_path: Path) -> None:
    result = run("sample", tmp_path / "new" / "photos")
    assert result.exit_code == 0, result.stderr
    paths = result.stdout.splitlines()
    assert len(paths) == 4
    for path in paths:
        with Image.open(path) as image:
            assert min(image.size) >= 200
    (tmp_path / "file").write_text("")
    result = run("sample", tmp_path / "file" / "photos")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert "unexpected" not in result.stderr


def test_sample_graphics_are_the_same_every_time(tmp_path: Path) -> None:
    written = []
    for folder in (tmp_path / "first", tmp_path / "second"):
        result = run("sample", folder, "--kind", "graphics", "--count", "3", "--seed", "5")
        assert result.exit_code == 0, result.stderr
        paths = [Path(line) for line in result.stdout.splitlines()]
        assert sorted(folder.iterdir()) == paths
        assert len(paths) == 3
        written.append([(path.name, path.read_bytes()) for path in paths])
    assert written[0] == written[1]
    for path in paths:
        with Image.open(path) as image:
            assert (image.format, image.mode, image.size) == ("PNG", "RGB", (896, 704))
    other = run("sample", tmp_path / "third", "--kind", "graphics", "--count", "1")
    assert Path(other.stdout.strip()).read_bytes() != written[0][0][1]


def test_sample_options_of_graphics_need_graphics(tmp_path: Path) -> None:
    result = run("sample", tmp_path / "new", "--seed", "5")
    assert result.exit_code == 2
    assert "--kind graphics" in result.stderr
    assert not (tmp_path / "new").exists()


def test_convert_a_published_checkpoint(tmp_path: Path, published: Path) -> None:
    target = tmp_path / "own.safetensors"
    result = run("convert", published, target)
    assert result.exit_code == 0, result.stderr
    with safe_open(target, "pt") as file:
        keys = set(file.keys())
        tensor = file.get_tensor("decoder.imnet.layers.0.weight")
    assert keys == set(Model(SPEC).state_dict())
    sd = torch.load(published, weights_only=True)["model"]["sd"]
    torch.testing.assert_close(tensor, sd["imnet.layers.0.weight"], rtol=0, atol=0)
    before = target.read_bytes()
    result = run("convert", published, target)
    assert result.exit_code == 1
    assert "--overwrite" in result.stderr
    assert target.read_bytes() == before
    assert run("convert", target, target, "--overwrite").exit_code == 0
    assert checkpoint.load(target).card == checkpoint.load(published).card


def test_convert_refuses(tmp_path: Path, published: Path) -> None:
    assert run("convert", published, tmp_path / "own.pth").exit_code == 2
    (tmp_path / "bad.pth").write_bytes(b"no checkpoint at all")
    (tmp_path / "file").write_text("")
    for source, target, words in (
        (tmp_path / "bad.pth", tmp_path / "own.safetensors", "is not a checkpoint"),
        (tmp_path / "missing.pth", tmp_path / "own.safetensors", "cannot read"),
        (published, tmp_path / "file" / "own.safetensors", "cannot write"),
        (published, tmp_path / "nowhere" / "own.safetensors", "cannot write"),
    ):
        result = run("convert", source, target)
        assert result.exit_code == 1, result.stderr
        assert result.stderr.startswith("error: ")
        assert result.stderr.count("\n") == 1
        assert words in result.stderr
    assert not (tmp_path / "own.safetensors").exists()


def test_info_of_kinds_of_images(tmp_path: Path) -> None:
    alpha, pages = tmp_path / "alpha.png", tmp_path / "pages.tif"
    Image.new("RGBA", (30, 20)).save(alpha)
    inks = [Image.new("CMYK", (30, 20)) for _ in range(2)]
    inks[0].save(pages, save_all=True, append_images=inks[1:])
    result = run("info", alpha, pages, "--json")
    first, second = json.loads(result.stdout)
    assert (first["channels"], first["holds"], first["pages"]) == (4, "RGB with alpha", 1)
    assert (second["channels"], second["holds"], second["pages"]) == (3, "RGB from CMYK", 2)


def test_upscale_takes_the_options_of_inputs(tmp_path: Path) -> None:
    source, target = tmp_path / "pages.tif", tmp_path / "out.tif"
    pages = [Image.new("L", (30, 20), shade) for shade in (10, 200)]
    pages[0].save(source, save_all=True, append_images=pages[1:])
    options = ["--scale", "2", "--model", "bicubic", "--page", "2", "--strip-metadata"]
    result = run("upscale", source, target, *options, "--max-input-pixels", "600")
    assert result.exit_code == 0, result.stderr
    with Image.open(target) as found:
        assert found.size == (60, 40)
        assert found.getpixel((3, 3)) == 200
        assert 305 not in dict(found.tag_v2)  # type: ignore[attr-defined]
    result = run("upscale", source, target, *options, "--max-input-pixels", "599")
    assert result.exit_code == 1
    assert "--max-input-pixels" in result.stderr


def test_a_folder_is_a_line_per_image_and_their_sum(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    Image.new("RGB", (30, 20)).save(tmp_path / "b.png")
    Image.new("L", (10, 10)).save(tmp_path / "sub" / "a.jpg")
    (tmp_path / "c.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "d.svg").write_text("<svg/>")
    found = CliRunner().invoke(liif, ["info", str(tmp_path), "--json"])
    assert found.exit_code == 0, found.output
    (facts,) = json.loads(found.output)
    assert (facts["kind"], facts["images"], facts["unreadable"]) == ("folder", 3, 1)
    assert facts["left out"] == ["d.svg"]
    assert facts["files"]["b.png"] == "30x20 png, RGB, uint8"
    assert facts["files"]["sub/a.jpg"].startswith("10x10 jpg")
    assert facts["files"]["c.png"].startswith("error:")
    text = CliRunner().invoke(liif, ["info", str(tmp_path)]).output
    assert "b.png" in text


def test_deep_zoom_and_the_paper_that_a_print_fills(tmp_path: Path) -> None:
    Image.new("RGB", (600, 300)).save(tmp_path / "a.png")
    words = [
        "upscale",
        str(tmp_path / "a.png"),
        str(tmp_path / "a.dzi"),
        "-s",
        "2",
        "-m",
        "bicubic",
    ]
    assert CliRunner().invoke(liif, words).exit_code == 0
    found = CliRunner().invoke(liif, ["info", str(tmp_path / "a.dzi"), "--json"])
    (facts,) = json.loads(found.output)
    assert (facts["format"], facts["size"], facts["levels"]) == ("Deep Zoom", "1200x600", 12)
    (facts,) = json.loads(
        CliRunner().invoke(liif, ["info", str(tmp_path / "a.png"), "--json"]).output
    )
    # 2400 pixels at 150 dpi are 16 inches
    assert facts["print at x4"] == "41x20 cm at 150 dpi"
