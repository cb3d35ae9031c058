"""A folder with one of each entry that once ended a run: what can be done is, the rest is named."""

from __future__ import annotations

import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from PIL import Image

from benchmarks import mutants

ROOT = Path(__file__).resolve().parents[2]
GOOD = 10
MEMORY = "600MiB"


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def bad_entries(folder: Path) -> list[str]:
    """Make one of each; their names."""
    whole = mutants.seeds("png")["rgb"][""]
    os.mkfifo(folder / "pipe.png")
    with socket.socket(socket.AF_UNIX) as server:
        # the name of a socket must be short
        server.bind(os.path.relpath(folder / "socket.png"))
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "gone.png").symlink_to("nowhere.png")
    (folder / "empty.png").touch()
    (folder / "cut.png").write_bytes(whole[:-40])
    (folder / "text.jpg").write_text("no image")
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 0, 9, 8, 2, 0, 0, 0))
    (folder / "width-zero.png").write_bytes(whole[:8] + head + whole[33:])
    (folder / "mask.bmp").write_bytes(mutants.bmp_of_fields(16, (0xF800, 0, 0x1F)))
    closed = folder / "closed"
    closed.mkdir()
    (closed / "inside.png").write_bytes(whole)
    closed.chmod(0)
    bad = ["pipe.png", "socket.png", "loop.png", "gone.png", "empty.png", "cut.png", "text.jpg"]
    return [*bad, "width-zero.png", "mask.bmp", "closed"]


def bomb(path: Path) -> None:
    """A PNG of 1.5 MB whose profile inflates to 1.5 GB."""
    whole = mutants.seeds("png")["rgb"][""]
    packer = zlib.compressobj(wbits=-15)
    # behind a full flush nothing refers to what was before, so that a block may be repeated
    block = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
    checksum = struct.pack(">HH", 1500 * 2**20 % 65521, 1)
    profile = chunk(b"iCCP", b"p\0\0\x78\x9c" + 1500 * block + b"\x03\x00" + checksum)
    path.write_bytes(whole[:33] + profile + whole[33:])


# a process that was forked counts its parent's memory as its own peak, and pytest's is large
MEASURE = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
sys.exit(code)
"""


def liif(*args: object) -> tuple[int, str, float]:
    """Exit code, stderr, and peak memory in MiB, of a command that heeds permissions."""
    command = [sys.executable, "-m", "liif_cli", *map(str, args)]
    if os.geteuid() == 0:
        drop = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]
        command = [*drop, "--inh-caps", "-dac_override,-dac_read_search", *command]
    ended = subprocess.run(
        [sys.executable, "-c", MEASURE, *command],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    return ended.returncode, ended.stderr, float(ended.stdout)


@pytest.mark.skipif(
    os.geteuid() == 0 and shutil.which("setpriv") is None, reason="root may read everything"
)
def test_one_of_each_bad_entry_beside_good_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder, out, report = tmp_path / "in", tmp_path / "out", tmp_path / "report.json"
    folder.mkdir()
    good = [f"{number}.png" for number in range(GOOD - 1)]
    for number, name in enumerate(good):
        Image.new("RGB", (20, 14), (number, 99, 180)).save(folder / name)
    bomb(folder / "bomb.png")
    good.append("bomb.png")
    bad = bad_entries(folder)
    (folder / "sub").mkdir()

    args = ["upscale", folder, out, "--scale", 2, "--model", "bicubic", "--max-memory", MEMORY]
    try:
        code, text, peak = liif(*args, "--report", report)
    finally:
        (folder / "closed").chmod(0o700)

    assert code == 1, text
    assert {path.name for path in out.iterdir() if not path.name.startswith(".")} == set(good)
    for name in good:
        with Image.open(out / name) as image:
            image.load()
    assert peak < 600

    read = json.loads(report.read_text())
    assert read["exit_code"] == 1
    assert read["counts"] == {
        "done": GOOD, "skipped": 0, "failed": len(bad), "interrupted": 0,
    }  # fmt: skip
    failed = [image for image in read["images"] if image["status"] == "failed"]
    assert sorted(Path(image["input"]).name for image in failed) == sorted(bad)
    assert read["images"][-1]["input"] == str(folder / "closed")
    assert not any(image["error"].startswith("unexpected") for image in failed)
    lines = text.splitlines()
    for name in bad:
        assert sum(line.startswith("error: ") and f"/{name}: " in line for line in lines) == 1
    warnings = [line for line in lines if line.startswith("warning: ")]
    assert len(warnings) == 1
    assert "bomb.png: its colour profile is dropped, which inflates to more than" in warnings[0]


def test_a_dry_run_names_them_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "in"
    folder.mkdir()
    bad = [name for name in bad_entries(folder) if name != "closed"]
    (folder / "closed").chmod(0o700)
    Image.new("RGB", (20, 14)).save(folder / "a.png")
    args = ["upscale", folder, tmp_path / "out", "--scale", 2, "--model", "bicubic", "--dry-run"]
    found = subprocess.run(
        [sys.executable, "-m", "liif_cli", *map(str, args)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 1, found.stderr
    errors = [line for line in found.stdout.splitlines() if line.startswith("error: ")]
    # cut.png ends in its pixels, which a plan does not read
    assert len(errors) >= len(bad) - 1
    assert not (tmp_path / "out").exists()
