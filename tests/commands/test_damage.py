"""A JPEG that its decoder had to mend: done with one warning, or refused where that is asked."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from liif_cli.cli import liif
from tests.io.test_io_directories import damaged_jpeg


def test_a_mended_jpeg_is_done_with_one_warning(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(damaged_jpeg())
    command = ["upscale", str(path), str(tmp_path / "b.png"), "--scale", "3", "--model", "bicubic"]
    done = CliRunner().invoke(liif, [*command, "--tile", "64"])
    assert done.exit_code == 0, done.output
    assert done.output.count("damaged, its decoder says:") == 1
    assert (tmp_path / "b.png").exists()


def test_strict_refuses_a_mended_jpeg_and_does_the_others(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(damaged_jpeg())
    from PIL import Image

    Image.new("RGB", (8, 8), "red").save(folder / "b.jpg")
    report = tmp_path / "report.json"
    command = ["upscale", str(folder), str(tmp_path / "out"), "--scale", "2", "--model", "bicubic"]
    done = CliRunner().invoke(liif, [*command, "--strict", "--report", str(report)])
    assert done.exit_code == 1, done.output
    images = json.loads(report.read_text())["images"]
    states = {Path(image["input"]).name: image["status"] for image in images}
    assert states == {"a.jpg": "failed", "b.jpg": "done"}
    assert "damaged file" in done.output
    assert not (tmp_path / "out" / "a.jpg").exists()
