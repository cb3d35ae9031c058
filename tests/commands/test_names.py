"""Files of every name that a file can have: done, and shown without harm to terminals and JSON."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from liif_cli.engine.batch import upscale_batch
from liif_cli.engine.events import ImageDone
from liif_cli.geometry.size import SizeRequest
from liif_cli.plan import cutting
from liif_cli.plan.spec import RenderSpec
from tests.commands.forked import ended
from tests.engine.conftest import Events

NAMES = [
    b"caf\xe9.png",
    b"\xff\xfe.png",
    b"a\nb.png",
    b"\x1b]0;title\x07\x1b[31mred.png",
    "txt.\u202egnp.png".encode(),
    "[bold]markup[red] \U0001f600 写真.png".encode(),
    b"-n.png",
    b"x" * 240 + b".png",
    b"y" * 247 + b".png",
    b"z" * 251 + b".png",
    "é".encode() * 125 + b".png",
    b"\xe9" * 251 + b".png",
]


def pictures(folder: bytes, names: list[bytes]) -> None:
    os.makedirs(folder)
    for number, name in enumerate(names):
        with open(os.path.join(folder, name), "wb") as file:
            Image.new("RGB", (9, 7), (number, 90, 200)).save(file, "PNG")


def listed(folder: bytes) -> set[bytes]:
    return {name for name in os.listdir(folder) if not name.startswith(b".")}


def command(*args: object) -> subprocess.CompletedProcess[bytes]:
    return ended(args)


def harmless(output: bytes) -> str:
    """Output that is UTF-8, and of control characters has ends of lines only."""
    text = output.decode("utf-8")
    assert all(char == "\n" or ord(char) >= 32 for char in text)
    assert not set(text) & {"\x7f", "\x9b", "\u202e", "\u2028"}
    return text


def test_every_name_is_done_and_shown_without_harm(tmp_path: Path) -> None:
    pictures(os.fsencode(tmp_path / "in"), [*NAMES])
    # one that fails, since errors are named more than once
    broken = os.path.join(os.fsencode(tmp_path / "in"), b"bro\nken\xe9\x1b[2J.png")
    with open(broken, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\nno more")
    report = tmp_path / "report.json"
    args = ["upscale", tmp_path / "in", tmp_path / "out", "--scale", 2, "--model", "bicubic"]
    for status in ("done", "skipped"):
        found = command(*args, "--report", report, "-v")
        assert found.returncode == 1, found.stderr
        assert listed(os.fsencode(tmp_path / "out")) == set(NAMES)
        text = harmless(found.stderr)
        assert "bro\\nken\\xe9\\x1b[2J.png" in text
        # no reader of JSON stumbles: nothing but text, which half of a surrogate pair is not
        read = json.loads(report.read_bytes().decode("utf-8"))
        images = {image["input"].rpartition("/")[2]: image for image in read["images"]}
        assert [image["status"] for image in images.values()].count(status) == len(NAMES)
        assert "caf\\xe9.png" in images
        json.dumps(read, ensure_ascii=False).encode("utf-8")
        harmless(json.dumps(read, ensure_ascii=False).encode("utf-8"))
    dry = command(*args, "--overwrite", "--dry-run")
    assert "caf\\xe9.png" in harmless(dry.stdout)
    info = command("info", *sorted((tmp_path / "in").iterdir()))
    assert "caf\\xe9.png" in harmless(info.stdout)
    assert "bro\\nken" in harmless(info.stderr)
    verified = command("verify", tmp_path / "out")
    assert verified.returncode == 0
    assert "\\x1b]0;title" in harmless(verified.stdout)


@pytest.mark.parametrize("format", ["tiff", "zarr", "dzi", "jpg", "webp", "cog"])
@pytest.mark.parametrize("name", [b"caf\xe9.png", b"a\nb\x1b[2J.png", b"x" * 240 + b".png"])
def test_by_way_of_a_store_and_in_every_format(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str, name: bytes
) -> None:
    if format == "cog":
        pytest.importorskip("rasterio")
    monkeypatch.setattr(cutting, "SHARD", 64)
    monkeypatch.setattr(cutting, "CHUNK", 32)
    monkeypatch.setattr(cutting, "MEMORY_SHARE", 1 << 40)
    folder = os.path.join(os.fsencode(tmp_path), b"f\xf6lder")
    pictures(folder, [name])
    events = Events()
    out = Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), b"\xe9\nout")))
    spec = RenderSpec(size=SizeRequest.from_scale("x12"), model="bicubic", format=format)
    report = upscale_batch(Path(os.fsdecode(folder)), out, spec, listen=events)
    assert report.exit_code == 0, report.results
    (done,) = events.of(ImageDone)
    assert done.output.exists()
    assert done.output.stem == os.fsdecode(name[:-4])
    left = [path for path in out.iterdir() if "partial" in path.name]
    assert left == []
    again = upscale_batch(Path(os.fsdecode(folder)), out, spec, listen=events)
    assert [result.status for result in again.results] == ["skipped"]
