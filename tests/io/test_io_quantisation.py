"""How lossy a file is, as far as it tells, held against what its writer was asked for."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import pyvips
import tifffile
import zarr
from PIL import Image, JpegPresets

from liif_cli.errors import InputError
from liif_cli.io import open_source
from liif_cli.io.quantisation import av1, jpeg, vp8
from liif_cli.io.sources import avif
from tests.io.conftest import make_picture

HEIGHT, WIDTH = 40, 56
PICTURE = Image.fromarray(make_picture(HEIGHT, WIDTH))


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


@pytest.fixture
def level(tmp_path: Path) -> Callable[[bytes], float]:
    """The level of a file of these bytes."""

    def found(data: bytes, name: str = "file") -> float:
        path = tmp_path / name
        path.write_bytes(data)
        source = open_source(path)
        source.close()
        return source.info.cleanup

    return found


# --- JPEG


def parts(data: bytes) -> list[tuple[int, bytes]]:
    """(marker, body) of a JPEG's segments; the scan with all that follows is the last one."""
    found, at = [], 2
    while data[at + 1] != 0xDA:
        (length,) = struct.unpack_from(">H", data, at + 2)
        found.append((data[at + 1], data[at + 4 : at + 2 + length]))
        at += 2 + length
    return [*found, (0xDA, data[at + 2 :])]


def joined(segments: list[tuple[int, bytes]]) -> bytes:
    head = b"".join(
        bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body
        for marker, body in segments[:-1]
    )
    return b"\xff\xd8" + head + b"\xff\xda" + segments[-1][1]


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("RGB", {"subsampling": 0}),
        ("RGB", {"subsampling": 2}),
        ("RGB", {"progressive": True}),
        ("RGB", {"keep_rgb": True}),
        ("L", {}),
        ("L", {"progressive": True}),
        ("CMYK", {}),
    ],
)
def test_the_quality_of_every_kind_of_jpeg(level, mode: str, options: dict[str, Any]) -> None:
    image = PICTURE.convert(mode)
    for quality in range(1, 101):
        assert level(encoded(image, "JPEG", quality=quality, **options)) == 100 - quality


def test_cmyk_and_progressive_are_what_they_should_be() -> None:
    assert any(m == 0xEE for m, _ in parts(encoded(PICTURE.convert("CMYK"), "JPEG")))
    assert any(m == 0xC2 for m, _ in parts(encoded(PICTURE, "JPEG", progressive=True)))


def test_tables_of_16_bits(level) -> None:
    data = encoded(PICTURE, "JPEG", quality=35)
    wide = [
        (marker, bytes([body[0] | 16]) + np.frombuffer(body[1:], "u1").astype(">u2").tobytes())
        if marker == 0xDB
        else (marker, body)
        for marker, body in parts(data)
    ]
    assert level(joined(wide)) == 65


def test_steps_beyond_a_byte(level, tmp_path: Path) -> None:
    # libtiff writes qualities below 25 with the tables as they are, where libjpeg cuts them to 255
    for quality in (1, 2, 5, 10, 20, 24):
        pyvips.Image.new_from_array(np.asarray(PICTURE)).tiffsave(
            str(tmp_path / "a.tif"), compression="jpeg", Q=quality
        )
        with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
            tables = tiff.pages[0].jpegtables
        luma = next(body for marker, body in parts(tables[:-2] + b"\xff\xda") if marker == 0xDB)
        assert (jpeg.read_tables(luma)[0].max() > 255) == (quality < 24)
        assert level((tmp_path / "a.tif").read_bytes()) == 100 - quality


def test_tables_behind_the_frame_header(level) -> None:
    segments = parts(encoded(PICTURE, "JPEG", quality=61))
    tables = [one for one in segments if one[0] == 0xDB]
    others = [one for one in segments if one[0] != 0xDB]
    assert level(joined([*others[:-1], *tables, others[-1]])) == 39


def test_all_tables_in_one_segment(level) -> None:
    segments = parts(encoded(PICTURE, "JPEG", quality=61))
    tables = b"".join(body for marker, body in segments if marker == 0xDB)
    others = [one for one in segments if one[0] != 0xDB]
    assert len(tables) == 2 * 65
    assert level(joined([others[0], (0xDB, tables), *others[1:]])) == 39


def test_luma_decides_where_colours_have_tables_of_their_own(level) -> None:
    fine, coarse = ([jpeg.standard_table(q).ravel().tolist()] for q in (90, 20))
    assert level(encoded(PICTURE, "JPEG", qtables=fine + coarse)) == 10
    assert level(encoded(PICTURE, "JPEG", qtables=coarse + fine)) == 80


def test_the_frame_says_which_table_is_of_luma(level) -> None:
    fine, coarse = ([jpeg.standard_table(q).ravel().tolist()] for q in (90, 20))
    segments = dict(parts(encoded(PICTURE, "JPEG", qtables=fine + coarse)))
    frame = bytearray(segments[0xC0])
    frame[8], frame[11], frame[14] = 1, 0, 0
    swapped = [
        (marker, bytes(frame) if marker == 0xC0 else body)
        for marker, body in parts(encoded(PICTURE, "JPEG", qtables=fine + coarse))
    ]
    assert level(joined(swapped)) == 80


@pytest.mark.parametrize(
    ("preset", "expected"),
    # by the loss of luma on photos (decisions/0012)
    [
        ("web_low", 67),
        ("web_medium", 31),
        ("web_high", 13),
        ("web_very_high", 5),
        ("web_maximum", 1),
        ("low", 19),
        ("medium", 13),
        ("high", 9),
        ("maximum", 5),
    ],
)
def test_tables_of_photoshop(level, preset: str, expected: int) -> None:
    tables = [list(table) for table in JpegPresets.presets[preset]["quantization"]]
    assert level(encoded(PICTURE, "JPEG", qtables=tables)) == pytest.approx(expected, abs=5)


def test_coarser_tables_are_lossier(level) -> None:
    flat = [level(encoded(PICTURE, "JPEG", qtables=[[step] * 64] * 2)) for step in range(1, 255, 7)]
    assert flat[0] == 0
    assert flat == sorted(flat)
    assert len(set(flat)) > 15


def test_the_expected_loss_is_that_of_rounding_laplacian_numbers() -> None:
    rng = np.random.default_rng(1)
    for quality in (95, 70, 30, 5):
        table = jpeg.standard_table(quality)
        radius = np.hypot(*np.indices((8, 8)))
        magnitude = 57.5 / np.maximum(radius, 1) ** 1.25
        numbers = rng.laplace(0, magnitude, (20_000, 8, 8))
        numbers[:, 0, 0] = rng.uniform(-1000, 1000, 20_000)
        error = numbers - table * np.round(numbers / table)
        assert jpeg.expected_loss(table) == pytest.approx((error**2).mean(), rel=0.02)


def test_steps_of_any_size_have_a_loss() -> None:
    for step in (0, 1, 65535):
        assert np.isfinite(jpeg.expected_loss(np.full((8, 8), step)))
    assert jpeg.quality_of(np.full((8, 8), 65535)) == 1


def test_a_jpeg_saved_again_says_what_it_was_saved_with_last(level) -> None:
    low = Image.open(io.BytesIO(encoded(PICTURE, "JPEG", quality=30)))
    assert level(encoded(low, "JPEG", quality=95)) == 5


def test_an_abbreviated_jpeg_is_refused(level) -> None:
    segments = [one for one in parts(encoded(PICTURE, "JPEG")) if one[0] != 0xDB]
    with pytest.raises(InputError, match="abbreviated JPEG, without its quantisation tables"):
        level(joined(segments))


@pytest.mark.parametrize("cut", [1, 40])
def test_damaged_tables_are_refused(level, cut: int) -> None:
    segments = [
        (marker, body[:-cut] if marker == 0xDB else body)
        for marker, body in parts(encoded(PICTURE, "JPEG"))
    ]
    with pytest.raises(InputError, match="damaged"):
        level(joined(segments))
    with pytest.raises(ValueError, match="0x24"):
        jpeg.read_tables(b"\x24" + bytes(64))


def test_12_bits_have_a_level_and_lossless_ones_none(level) -> None:
    deep = (make_picture(HEIGHT, WIDTH, 1, np.uint16) >> 4).astype(np.uint16)
    assert level(imagecodecs.jpeg8_encode(deep, level=90, bitspersample=12)) == 10
    assert level(imagecodecs.jpeg8_encode(deep, lossless=True, bitspersample=12)) == 0


def test_arithmetic_coding_is_refused_by_name(level) -> None:
    data = encoded(PICTURE, "JPEG").replace(b"\xff\xc0", b"\xff\xc9", 1)
    with pytest.raises(InputError, match="a JPEG of 8 bits, process 0xc9"):
        level(data)


# --- WebP


class BoolEncoder:
    """The encoder of RFC 6386, section 7.3, at even odds."""

    def __init__(self) -> None:
        self.out = bytearray()
        self.range, self.bottom, self.left = 255, 0, 24

    def flag(self, value: bool) -> None:
        split = 1 + ((self.range - 1) * 128 >> 8)
        if value:
            self.bottom += split
            self.range -= split
        else:
            self.range = split
        while self.range < 128:
            self.range <<= 1
            if self.bottom & 1 << 31:
                at = len(self.out) - 1
                while self.out[at] == 255:
                    self.out[at] = 0
                    at -= 1
                self.out[at] += 1
            self.bottom = self.bottom << 1 & 0xFFFFFFFF
            self.left -= 1
            if self.left == 0:
                self.out.append(self.bottom >> 24)
                self.bottom &= (1 << 24) - 1
                self.left = 8

    def number(self, value: int, bits: int) -> None:
        for bit in reversed(range(bits)):
            self.flag(bool(value >> bit & 1))

    def signed(self, value: int, bits: int) -> None:
        self.number(abs(value), bits)
        self.flag(value < 0)

    def done(self) -> bytes:
        for _ in range(32):
            self.flag(False)
        return bytes(self.out)


def vp8_frame(
    base: int,
    segments: tuple[int | None, ...] = (),
    *,
    absolute: bool = True,
    tree: tuple[int | None, ...] = (),
    filter_deltas: bool = False,
) -> bytes:
    """A key frame's header; None is what is not given."""
    bools = BoolEncoder()
    bools.number(0, 2)
    bools.flag(bool(segments))
    if segments:
        bools.flag(bool(tree))
        bools.flag(True)
        bools.flag(absolute)
        for step in segments:
            bools.flag(step is not None)
            if step is not None:
                bools.signed(step, 7)
        for strength in (3, None, -5, 63):
            bools.flag(strength is not None)
            if strength is not None:
                bools.signed(strength, 6)
        for odds in tree:
            bools.flag(odds is not None)
            if odds is not None:
                bools.number(odds, 8)
    bools.number(0b1_011010_101, 10)
    bools.flag(filter_deltas)
    if filter_deltas:
        bools.flag(True)
        for delta in (2, None, -9, 63, None, None, 1, -1):
            bools.flag(delta is not None)
            if delta is not None:
                bools.signed(delta, 6)
    bools.number(2, 2)
    bools.number(base, 7)
    return bytes(10) + bools.done()


@pytest.mark.parametrize("filter_deltas", [False, True])
def test_the_quantiser_of_a_vp8_header(filter_deltas: bool) -> None:
    def found(*args: Any, **options: Any) -> float:
        frame = vp8_frame(*args, filter_deltas=filter_deltas, **options)
        return vp8.mean_quantiser(frame[: vp8.HEADER_BYTES])

    for base in (0, 1, 37, 126, 127):
        assert found(base) == base
    # a quarter of the macroblocks in each segment, or nearly
    assert found(9, (10, 20, 30, 40), tree=(128, 128, 128)) == 25
    assert found(50, (10, -20, None, 90), absolute=False, tree=(128, 128, 128)) == 66.75
    # without a map all macroblocks are of the first segment
    assert found(9, (10, 20, 30, 40)) == 10
    assert found(9, (10, 20, 30, 40), tree=(64, 192, None)) == pytest.approx(
        (0.25 * 0.75 * 10) + (0.25 * 0.25 * 20) + 0.75 * (255 * 30 + 40) / 256
    )


def test_worse_webp_is_lossier(level) -> None:
    for mode in ("RGB", "RGBA", "L"):
        image = PICTURE.convert(mode)
        found = [level(encoded(image, "WEBP", quality=q)) for q in (100, 90, 75, 50, 25, 5, 0)]
        assert found == sorted(found)
        assert found[0] == 2
        assert 5 <= found[1] <= 12
        assert found[-1] == 93
        assert all(value == round(value) for value in found)


def test_lossless_webp_is_clean(level) -> None:
    assert level(encoded(PICTURE, "WEBP", lossless=True, quality=20)) == 0
    assert level(encoded(PICTURE.convert("RGBA"), "WEBP", lossless=True)) == 0


# --- AVIF

# libavif's quality to libaom's quantiser to base_q_idx
BASE = {0: 255, 20: 216, 50: 148, 60: 120, 80: 60, 90: 32, 99: 4, 100: 0}


def coded(data: bytes) -> bytes:
    return data[data.index(b"mdat") + 4 :]


@pytest.mark.parametrize("size", [(WIDTH, HEIGHT), (1, 1), (200, 65), (129, 640)])
def test_the_quantiser_of_an_avif(size: tuple[int, int]) -> None:
    image = PICTURE.resize(size)
    for quality, base in BASE.items():
        data = encoded(image, "AVIF", quality=quality, speed=9)
        assert av1.base_quantiser(coded(data)) == base


def test_the_quantiser_behind_tiles_and_sequence_headers(tmp_path: Path) -> None:
    wide = PICTURE.resize((4500, 160))
    for tiles in ({}, {"tile_cols": 2, "tile_rows": 1}):
        data = encoded(wide, "AVIF", quality=50, speed=10, **tiles)
        assert av1.base_quantiser(coded(data)) == 148
    # of an animation, the header is not reduced
    moving = encoded(PICTURE, "AVIF", save_all=True, append_images=[PICTURE.rotate(9)], quality=50)
    assert av1.base_quantiser(coded(moving)) in range(100, 200)
    deep = (make_picture(HEIGHT, WIDTH, 3, np.uint16) >> 6).astype(np.uint16)
    data = imagecodecs.avif_encode(deep, level=60, bitspersample=10, speed=9)
    assert av1.base_quantiser(coded(data)) == 120


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_worse_avif_is_lossier(level, mode: str) -> None:
    image = PICTURE.convert(mode)
    found = [level(encoded(image, "AVIF", quality=q, speed=9)) for q in (100, 90, 60, 50, 20, 0)]
    assert found == [0, 4, 23, 41, 88, 94]


def test_another_writer_of_avif(level) -> None:
    image = pyvips.Image.new_from_array(np.asarray(PICTURE))
    for options, expected in (({"Q": 60}, 23), ({"Q": 20}, 88), ({"lossless": True}, 0)):
        assert level(image.heifsave_buffer(compression="av1", effort=0, **options)) == expected


def test_a_grid_of_tiles_has_the_level_of_its_first_tile() -> None:
    def box(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I4s", len(body) + 8, name) + body

    tile = coded(encoded(PICTURE, "AVIF", quality=50, speed=9))
    iref = bytes(4) + box(b"dimg", struct.pack(">4H", 7, 2, 3, 4))
    # version 1: item, method, reference, base offset, extents of (offset, length)
    iloc = bytes([1, 0, 0, 0, 0x44, 0x40]) + struct.pack(">H", 2)
    iloc += struct.pack(">HHHIHII", 7, 1, 0, 0, 1, 0, 4)
    iloc += struct.pack(">HHHIHII", 3, 0, 0, 100, 1, 11, len(tile))
    file = io.BytesIO(bytes(111) + tile)
    boxes = {b"iref": iref, b"iloc": iloc, b"idat": b"grid"}
    assert av1.base_quantiser(avif._coded(file, boxes, 7)) == 148
    assert avif._coded(file, {b"iloc": iloc, b"idat": b"grid"}, 7) == b"grid"
    assert avif._coded(file, {b"iloc": iloc}, 5) == b""
    with pytest.raises(IndexError):
        avif._coded(file, {b"iloc": iloc[:-3]}, 3)


@pytest.mark.parametrize("cut", [0, 1, 3, 8, 15])
def test_a_header_that_ends_early_says_nothing(cut: int) -> None:
    data = coded(encoded(PICTURE, "AVIF", quality=50, speed=9))[:cut]
    assert av1.base_quantiser(data) is None
    assert av1.level_of(data) == 0


# --- others


@pytest.mark.parametrize("tiles", [{}, {"tile": True, "tile_width": 16, "tile_height": 16}])
def test_jpeg_and_webp_inside_of_tiff(level, tmp_path: Path, tiles: dict[str, Any]) -> None:
    image = pyvips.Image.new_from_array(np.asarray(PICTURE))

    def of(**options: Any) -> float:
        image.tiffsave(str(tmp_path / "made.tif"), **options, **tiles)
        return level((tmp_path / "made.tif").read_bytes())

    for quality in (30, 75, 100):
        assert of(compression="jpeg", Q=quality) == 100 - quality
    assert 80 < of(compression="webp", Q=10) < 90
    assert of(compression="webp", lossless=True) == 0
    assert of(compression="deflate") == 0


def test_tables_in_every_tile_of_a_tiff(level, tmp_path: Path) -> None:
    path = tmp_path / "own.tif"
    for pixels in (np.asarray(PICTURE), np.asarray(PICTURE.convert("L"))):
        tifffile.imwrite(
            path, pixels, tile=(16, 16), compression="jpeg", compressionargs={"level": 40}
        )
        assert level(path.read_bytes()) == 60


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF"])
def test_lossless_formats_are_clean(level, format: str) -> None:
    assert level(encoded(PICTURE, format)) == 0


def test_zarr_is_clean(tmp_path: Path) -> None:
    zarr.save(tmp_path / "a.zarr", np.asarray(PICTURE))
    assert open_source(tmp_path / "a.zarr").info.cleanup == 0
