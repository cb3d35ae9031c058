"""``--name``: what outputs in a folder are called."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from liif_cli.cli import liif
from liif_cli.io import is_image


def make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (9, 7), (10, 90, 200)).save(path)


def images(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if is_image(path))


def test_names_by_a_template(tmp_path: Path) -> None:
    for name in ("a.png", "sub/b.jpg"):
        make(tmp_path / "in" / name)
    words = ["upscale", str(tmp_path / "in"), str(tmp_path / "out"), "-m", "bicubic"]
    done = CliRunner().invoke(liif, [*words, "-s", "2", "--name", "big_{stem}_{scale}x"])
    assert done.exit_code == 0, done.output
    made = {path.relative_to(tmp_path / "out").as_posix() for path in images(tmp_path / "out")}
    assert made == {"big_a_2x.png", "sub/big_b_2x.jpg"}
    # again: all are finished, and their outputs are no inputs where both are one folder
    words[2] = words[1]
    for _ in range(2):
        done = CliRunner().invoke(liif, [*words, "-s", "2", "--name", "big_{stem}_{scale}x"])
        assert done.exit_code == 0, done.output
    assert len(images(tmp_path / "in")) == 4


def test_one_image_takes_a_template_in_a_folder_only(tmp_path: Path) -> None:
    make(tmp_path / "a.png")
    words = ["upscale", str(tmp_path / "a.png"), "-m", "bicubic", "-s", "2", "--name", "{stem}_l"]
    done = CliRunner().invoke(liif, [*words, "-o", f"{tmp_path / 'out'}/"])
    assert done.exit_code == 0, done.output
    assert [path.name for path in images(tmp_path / "out")] == ["a_l.png"]


@pytest.mark.parametrize("name", ["same", "a/{stem}", "{stem}{nothing}", "{stem}{stem}"])
def test_a_template_that_cannot_be_is_refused(name: str, tmp_path: Path) -> None:
    make(tmp_path / "in" / "a.png")
    words = ["upscale", str(tmp_path / "in"), str(tmp_path / "out"), "-m", "bicubic", "-s", "2"]
    done = CliRunner().invoke(liif, [*words, "--name", name])
    assert done.exit_code == 2
    assert "--name" in done.output
