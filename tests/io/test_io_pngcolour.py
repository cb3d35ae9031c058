"""Colours of PNG files without profile, and metadata in places of old."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image, ImageCms, PngImagePlugin

from liif_cli.cli import liif
from liif_cli.io import open_source
from liif_cli.io.pngcolour import profile_of
from tests.io.conftest import make_picture

GAMMA = b"gAMA", struct.pack(">I", 35_000)
SRGB_GAMMA = b"gAMA", struct.pack(">I", 45_455)
WIDE = b"cHRM", struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
INTENT = b"sRGB", b"\1"
PQ = b"cICP", bytes((9, 16, 0, 1))


def write(path: Path, *chunks: tuple[bytes, bytes], mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    info = PngImagePlugin.PngInfo()
    for name, data in chunks:
        info.add(name, data)
    Image.fromarray(make_picture(20, 30, 3)).convert(mode).save(path, pnginfo=info)
    return path


def chunks_of(path: Path) -> dict[bytes, bytes]:
    data, at, found = path.read_bytes(), 8, {}
    while at < len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        found[name] = data[at + 8 : at + 8 + size]
        at += size + 12
    return found


def upscale(source: Path, output: Path) -> Result:
    words = ["upscale", str(source), str(output), "--scale", "2", "--model", "bicubic"]
    result = CliRunner().invoke(liif, words)
    assert result.exit_code == 0, result.stderr
    return result


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA"])
@pytest.mark.parametrize(
    "chunks",
    [[GAMMA], [GAMMA, WIDE], [INTENT, SRGB_GAMMA], [PQ]],
    ids=["gamma", "wide", "srgb", "pq"],
)
def test_chunks_of_colour_are_kept_in_png(
    tmp_path: Path, chunks: list[tuple[bytes, bytes]], mode: str
) -> None:
    source = write(tmp_path / "a.png", *chunks, mode=mode)
    result = upscale(source, tmp_path / "out.png")
    found = chunks_of(tmp_path / "out.png")
    for name, data in chunks:
        assert found[name] == data
    order = list(found)
    assert all(order.index(name) < order.index(b"IDAT") for name, _ in chunks)
    assert b"iCCP" not in found
    assert "dropped" not in result.stderr


@pytest.mark.parametrize("suffix", [".tif", ".jpg", ".webp", ".zarr"])
def test_elsewhere_they_become_a_profile(tmp_path: Path, suffix: str) -> None:
    source = write(tmp_path / "a.png", GAMMA, WIDE)
    upscale(source, tmp_path / f"out{suffix}")
    icc = open_source(tmp_path / f"out{suffix}").info.icc
    assert icc is not None
    # a gray of half is the power that was stated, which sRGB says by another number
    half = Image.new("RGB", (1, 1), (128, 128, 128))
    own = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    shown = ImageCms.profileToProfile(half, own, ImageCms.createProfile("sRGB"))
    light = (128 / 255) ** (1 / 0.35)
    expected = 255 * (1.055 * light ** (1 / 2.4) - 0.055)
    assert shown.getpixel((0, 0)) == pytest.approx([expected] * 3, abs=2)


def test_what_is_srgb_needs_no_profile() -> None:
    assert profile_of({}, gray=False) is None
    assert profile_of(dict([SRGB_GAMMA]), gray=False) is None
    assert profile_of(dict([SRGB_GAMMA]), gray=True) is None
    assert profile_of(dict([INTENT, GAMMA]), gray=False) is None
    assert profile_of({b"gAMA": bytes(4)}, gray=False) is None
    assert profile_of({b"cHRM": bytes(32)}, gray=False) is None
    gray = profile_of(dict([GAMMA]), gray=True)
    assert gray is not None
    assert ImageCms.ImageCmsProfile(io.BytesIO(gray)).profile.xcolor_space == "GRAY"


def test_what_no_profile_says_is_warned_of(tmp_path: Path) -> None:
    source = write(tmp_path / "a.png", PQ)
    result = upscale(source, tmp_path / "out.tif")
    assert "its colour space, cICP (9, 16, 0, 1), is dropped" in result.stderr


def test_a_profile_goes_before_chunks(tmp_path: Path, profile: bytes) -> None:
    info = PngImagePlugin.PngInfo()
    info.add(*GAMMA)
    path = tmp_path / "a.png"
    Image.fromarray(make_picture(20, 30, 3)).save(path, pnginfo=info, icc_profile=profile)
    assert open_source(path).info.colour == {}
    upscale(path, tmp_path / "out.png")
    found = chunks_of(tmp_path / "out.png")
    assert b"gAMA" not in found
    assert b"iCCP" in found


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", ["exif", "APP1"])
def test_exif_as_imagemagick_writes_it(tmp_path: Path, kind: str, packed: bool) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "scanner"
    data = exif.tobytes()
    assert data.startswith(b"Exif\0\0")
    rows = [data.hex()[at : at + 72] for at in range(0, 2 * len(data), 72)]
    text = f"\n{kind}\n{len(data):8}\n" + "\n".join(rows) + "\n"
    keyword = f"Raw profile type {kind}".encode() + b"\0"
    chunk = (
        (b"zTXt", keyword + b"\0" + zlib.compress(text.encode()))
        if packed
        else (b"tEXt", keyword + text.encode())
    )
    path = write(tmp_path / "a.png", chunk)
    info = open_source(path).info
    assert (info.height, info.width) == (30, 20)
    assert info.exif is not None
    assert b"scanner" in info.exif
    upscale(path, tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as found:
        assert found.size == (40, 60)
        assert found.getexif()[0x010F] == "scanner"
        assert found.getexif()[0x0112] == 1


def test_a_raw_profile_that_is_no_hex_is_dropped_with_a_word(tmp_path: Path) -> None:
    path = write(tmp_path / "a.png", (b"tEXt", b"Raw profile type exif\0\nexif\n  5\nzz zz\n"))
    assert open_source(path).info.exif is None
    assert open_source(path).info.dropped == (
        "its EXIF is dropped, which is damaged: it is not hexadecimal text",
    )
