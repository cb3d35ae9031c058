"""EXIF inside of TIFF, and inside of AVIF; damage that a JPEG decoder passes over."""

from __future__ import annotations

import struct
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from liif_cli.geometry.window import Window
from liif_cli.io import exporter_for, open_source
from liif_cli.io.base import OutputInfo
from liif_cli.io.directories import directories_of
from tests.io.conftest import ArrayReader, make_picture

MAKE, MODEL, ARTIST, COPYRIGHT = 0x010F, 0x0110, 0x013B, 0x8298
EXPOSURE, TAKEN, ISO, MAKER_NOTE = 0x829A, 0x9003, 0x8827, 0x927C
EXIF_IFD, GPS_IFD = 0x8769, 0x8825


def exif_block() -> bytes:
    exif = Image.Exif()
    exif[MAKE], exif[MODEL], exif[ARTIST], exif[COPYRIGHT] = "Ca", "A long name", "Me", "(c) me"
    inner = exif.get_ifd(EXIF_IFD)
    inner[EXPOSURE], inner[TAKEN], inner[ISO] = 0.008, "2020:01:02 03:04:05", 200
    inner[MAKER_NOTE] = b"offsets of its own"
    exif.get_ifd(GPS_IFD)[1] = "N"
    exif.get_ifd(GPS_IFD)[2] = (12.0, 30.0, 15.5)
    return exif.tobytes().removeprefix(b"Exif\0\0")


def check_described(exif: Image.Exif) -> None:
    assert (exif[MAKE], exif[MODEL]) == ("Ca", "A long name")
    assert (exif[ARTIST], exif[COPYRIGHT]) == ("Me", "(c) me")
    inner = exif.get_ifd(EXIF_IFD)
    assert float(inner[EXPOSURE]) == 0.008
    assert (inner[TAKEN], inner[ISO]) == ("2020:01:02 03:04:05", 200)
    assert MAKER_NOTE not in inner
    gps = exif.get_ifd(GPS_IFD)
    assert gps[1] == "N"
    assert [float(value) for value in gps[2]] == [12.0, 30.0, 15.5]


def loaded(block: bytes | None) -> Image.Exif:
    assert block is not None
    exif = Image.Exif()
    exif.load(block)
    return exif


@pytest.mark.parametrize("big", [False, True])
def test_exif_goes_into_a_tiff_and_out_of_it(
    tmp_path: Path, big: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from liif_cli.io.exporters import tiff

    monkeypatch.setattr(tiff, "needs_bigtiff", lambda *_, **__: big)
    path = tmp_path / "a.tif"
    pixels = make_picture(700, 600, 3)
    info = OutputInfo(exif=exif_block(), resolution=(300.0, 300.0))
    exporter_for("tiff").export(ArrayReader(pixels), path, info)
    with tifffile.TiffFile(path) as file:
        assert file.is_bigtiff == big
        assert file.pages.first.tags[EXIF_IFD].value["ISOSpeedRatings"] == 200
    with Image.open(path) as opened:
        check_described(opened.getexif())
    check_described(loaded(open_source(path).info.exif))
    assert np.array_equal(tifffile.imread(path), pixels)


@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_of_another_writers_tiff_is_read(tmp_path: Path, order: str) -> None:
    path = tmp_path / "a.tif"
    picture = Image.fromarray(make_picture(20, 30, 3))
    if order == "<":
        picture.save(path, exif=exif_block())
        check_described(loaded(open_source(path).info.exif))
        return
    # nobody writes the directories big endian: the texts of the first one have to do
    texts = [(MAKE, "s", 0, "Ca", True), (ARTIST, "s", 0, "Me", True)]
    tifffile.imwrite(path, np.asarray(picture), byteorder=">", photometric="rgb", extratags=texts)
    found = loaded(open_source(path).info.exif)
    assert (found[MAKE], found[ARTIST]) == ("Ca", "Me")


def test_a_block_of_either_order_becomes_little_endian() -> None:
    little = directories_of(exif_block())
    assert {entry.tag for entry in little.exif} == {EXPOSURE, TAKEN, ISO}
    swapped = directories_of(swapped_block())
    assert struct.unpack("<H", swapped.main[0].data) == (3,)


def swapped_block() -> bytes:
    return b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, 3, 0, 0)


@pytest.mark.parametrize("cut", [9, 20, 40, 60])
def test_a_cut_block_says_nothing_or_less_and_breaks_nothing(cut: int) -> None:
    directories_of(exif_block()[:cut])


def test_a_tiff_that_describes_nothing_has_no_exif(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, make_picture(20, 30, 3), photometric="rgb", resolution=(300, 300))
    assert open_source(path).info.exif is None


def test_a_damaged_exif_directory_is_left_out_and_said(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    Image.fromarray(make_picture(20, 30, 3)).save(path, exif=exif_block())
    with tifffile.TiffFile(path) as file:
        place = file.pages.first.tags[EXIF_IFD].valueoffset
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, place, len(data) + 100)
    path.write_bytes(data)
    info = open_source(path).info
    assert info.exif is None
    assert any("EXIF" in what for what in info.dropped)


def test_small_tiffs_open_in_libvips(tmp_path: Path) -> None:
    pyvips = pytest.importorskip("pyvips")
    for side in (1, 16, 40, 130):
        path = tmp_path / f"{side}.tif"
        pixels = make_picture(side, side, 3)
        exporter_for("tiff").export(ArrayReader(pixels), path, OutputInfo())
        assert np.array_equal(pyvips.Image.new_from_file(str(path)).numpy(), pixels)


def test_avif_has_its_exif_and_xmp(tmp_path: Path) -> None:
    path = tmp_path / "a.avif"
    packet = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>'
    Image.fromarray(make_picture(20, 30, 3)).save(path, exif=exif_block(), xmp=packet)
    info = open_source(path).info
    found = loaded(info.exif)
    assert found[MAKE] == "Ca"
    assert found.get_ifd(EXIF_IFD)[ISO] == 200
    assert info.xmp == packet
    assert not info.dropped


def test_an_avif_item_of_another_kind_is_no_exif(tmp_path: Path) -> None:
    path = tmp_path / "a.avif"
    Image.fromarray(make_picture(20, 30, 3)).save(path, exif=exif_block())
    data = path.read_bytes()
    # an item information entry of another kind
    path.write_bytes(data.replace(b"ExifExif", b"Exi_Exif", 1))
    info = open_source(path).info
    assert info.exif is None
    assert open_source(path).read(Window(0, 0, 20, 30)).shape == (20, 30, 3)


def damaged_jpeg(channels: int = 3, **options: object) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (128, 128, channels), dtype=np.uint8)
    data = imagecodecs.jpeg8_encode(noise.squeeze(), level=90, **options)
    middle = len(data) // 2
    return data[:middle] + data[middle + 4000 :]


@pytest.mark.parametrize("channels", [1, 3])
def test_damage_that_a_jpeg_decoder_passes_over_is_noticed(tmp_path: Path, channels: int) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(damaged_jpeg(channels))
    source = open_source(path)
    assert source.damage == ""
    source.read(Window(0, 0, 128, 128))
    assert "orrupt" in source.damage or "remature" in source.damage


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": "4:2:0"}])
def test_whole_jpegs_have_no_damage(tmp_path: Path, mode: str, options: dict[str, object]) -> None:
    path = tmp_path / "a.jpg"
    channels = {"L": 1, "RGB": 3, "CMYK": 4}[mode]
    picture = make_picture(67, 45, channels)
    Image.fromarray(picture.squeeze(), mode).save(path, **options)
    source = open_source(path)
    source.read(Window(0, 0, 67, 45))
    assert source.damage == ""
