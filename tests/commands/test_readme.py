"""The commands of the README's first block, in their order, on small images and sizes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from liif_cli.cli import liif

ROOT = Path(__file__).resolve().parents[2]
# posters of a test are small; a third of their sides each
SMALLER = {"20000x15000": "800x600", "120x80cm": "12x8cm", "3840x": "700x", "50,40,30": "5,40,30"}


def commands() -> list[str]:
    text = (ROOT / "README.md").read_text()
    (block,) = (one for one in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) if "-s 4" in one)
    lines = [line.split("#")[0].strip() for line in block.splitlines()]
    return [line for line in lines if line.startswith("liif ")]


@pytest.mark.slow
def test_they_do_what_they_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not (ROOT / "README.md").exists():
        pytest.skip("no README")
    monkeypatch.chdir(tmp_path)
    for folder in ("photos", "scans"):
        assert CliRunner().invoke(liif, ["sample", folder]).exit_code == 0
    for scan in Path("scans").iterdir():
        scan.rename(scan.with_stem(f"scan-{scan.stem}"))
    images = sorted(Path("photos").iterdir())
    for name, image in zip(("photo.jpg", "a.jpg"), images, strict=False):
        from PIL import Image

        Image.open(image).convert("RGB").save(name)
    Image.open(images[0]).save("b.tif")
    lines = commands()
    assert len(lines) > 12
    for line in lines:
        for large, small in SMALLER.items():
            line = line.replace(large, small)
        found = CliRunner().invoke(liif, shlex.split(line)[1:])
        assert found.exit_code == 0, f"{line}\n{found.output}"
    for name in (
        "photo-4x.jpg",
        "poster.tif",
        "poster.zarr",
        "poster.dzi",
        "print.tif",
        "run.json",
    ):
        assert Path(name).exists(), name
    assert Image.open("poster.tif").size == (800, 600)
    assert sorted(path.name for path in Path("plain").iterdir() if path.suffix) == [
        path.name for path in images
    ]
