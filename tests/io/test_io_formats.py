"""The kinds of files beside PNG, JPEG, WebP and TIFF, against another library's reader."""

from __future__ import annotations

import io
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageSequence

from liif_cli.errors import InputError
from liif_cli.geometry.window import Window
from liif_cli.io import open_source
from tests.io.conftest import make_picture

HEIGHT, WIDTH = 45, 70


def read(path: Path, page: int | None = None) -> tuple[np.ndarray, Any]:
    source = open_source(path, page)
    pixels = source.read(Window.whole(source.info.height, source.info.width))
    source.close()
    assert pixels.shape == source.info.shape
    assert pixels.dtype == source.info.dtype
    return pixels, source.info


def image(mode: str) -> Image.Image:
    """A picture in a mode of Pillow."""
    channels = {"1": 1, "L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4, "P": 3, "I;16": 1, "F": 1}
    if mode == "I;16":
        return Image.fromarray(make_picture(HEIGHT, WIDTH, 1, np.uint16))
    if mode == "F":
        return Image.fromarray(make_picture(HEIGHT, WIDTH, 1, np.float32))
    plain = {"1": "L", "P": "RGB"}.get(mode, mode)
    found = Image.fromarray(make_picture(HEIGHT, WIDTH, channels[mode]), plain)
    return found if plain == mode else found.convert(mode)


def moving(alpha: bool) -> list[Image.Image]:
    """Frames in which a part changes."""
    base = image("RGBA" if alpha else "RGB")
    found = []
    for number in range(4):
        each = base.copy()
        colour = (200, 30, 60, 255) if alpha else (200, 30, 60)
        each.paste(colour, (5 + 12 * number, 8, 15 + 12 * number, 30))
        if alpha:
            each.paste((0, 0, 0, 0), (40, 31, 60, 40 + number))
        found.append(each)
    return found


# --- animations


@pytest.mark.parametrize("alpha", [False, True], ids=["opaque", "alpha"])
@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        (".gif", {}),
        (".gif", {"disposal": 2}),
        (".png", {}),
        (".png", {"default_image": True}),
        (".webp", {"lossless": True}),
        (".webp", {"quality": 60}),
        (".avif", {"quality": 80}),
    ],
    ids=["gif", "gif-restored", "apng", "apng-apart", "webp", "lossy-webp", "avif"],
)
def test_frames_of_animations_are_pages(
    tmp_path: Path, suffix: str, options: dict[str, Any], alpha: bool
) -> None:
    path = tmp_path / f"moving{suffix}"
    frames = moving(alpha)
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=50, **options)
    with Image.open(path) as whole:
        expected = [np.asarray(each.convert("RGBA")) for each in ImageSequence.Iterator(whole)]
    assert open_source(path).info.pages == len(expected) == 4
    for number, shown in enumerate(expected, 1):
        pixels, info = read(path, number)
        assert (info.page, info.pages) == (number, 4)
        colours = shown[..., :3]
        if info.alpha:
            np.testing.assert_array_equal(pixels[..., 3], shown[..., 3])
            seen = shown[..., 3] > 0
            np.testing.assert_array_equal(pixels[seen][:, :3], colours[seen])
        else:
            assert (shown[..., 3] == 255).all()
            np.testing.assert_array_equal(pixels, colours)
    np.testing.assert_array_equal(read(path)[0], read(path, 1)[0])
    with pytest.raises(InputError, match="got --page 5, expected 1 to 4"):
        open_source(path, 5)


def test_a_still_has_one_page(tmp_path: Path) -> None:
    path = tmp_path / "still.gif"
    image("P").save(path)
    assert open_source(path).info.pages == 1
    with pytest.raises(InputError, match="no --page: it has one picture"):
        open_source(path, 2)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_gif(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "a.gif"
    image(mode).save(path)
    pixels, info = read(path)
    assert (info.format, info.alpha) == ("gif", False)
    np.testing.assert_array_equal(pixels, np.asarray(Image.open(path).convert("RGB")))


def test_gif_that_is_transparent(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    pale = image("RGBA")
    pale.paste((0, 0, 0, 0), (5, 5, 30, 20))
    pale.save(path)
    pixels, info = read(path)
    expected = np.asarray(Image.open(path).convert("RGBA"))
    assert info.alpha
    np.testing.assert_array_equal(pixels[..., 3], expected[..., 3])
    seen = expected[..., 3] > 0
    np.testing.assert_array_equal(pixels[seen], expected[seen])


def test_a_gif_that_is_cut_between_frames(tmp_path: Path) -> None:
    path = tmp_path / "cut.gif"
    frames = moving(False)
    frames[0].save(path, save_all=True, append_images=frames[1:])
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match="truncated"):
        open_source(path)


# --- QOI, Netpbm


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_qoi(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "a.qoi"
    image(mode).save(path)
    pixels, info = read(path)
    assert info.alpha == (mode == "RGBA")
    np.testing.assert_array_equal(pixels, np.asarray(Image.open(path)))


@pytest.mark.parametrize("suffix", [".ppm", ".pgm", ".pbm", ".pam", ".pfm"])
@pytest.mark.parametrize("plain", [False, True])
def test_netpbm(tmp_path: Path, suffix: str, plain: bool) -> None:
    mode = {".ppm": "RGB", ".pgm": "L", ".pbm": "1", ".pam": "RGBA", ".pfm": "F"}[suffix]
    path = tmp_path / f"a{suffix}"
    if plain:
        if suffix in (".pam", ".pfm"):
            pytest.skip("has no plain form")
        pixels = np.asarray(image("L" if mode == "1" else mode))
        bits = mode == "1"
        samples = (pixels < 128).astype(np.uint8) if bits else pixels
        kind = {".pbm": "P1", ".pgm": "P2", ".ppm": "P3"}[suffix]
        text = " ".join(map(str, samples.ravel().tolist()))
        top = "" if bits else "255\n"
        path.write_text(f"{kind}\n# a comment\n{WIDTH} {HEIGHT}\n{top}{text}\n")
        expected = np.asarray(Image.open(path).convert("L" if bits else mode))
    elif suffix == ".pam":
        pixels = make_picture(HEIGHT, WIDTH, 4)
        head = f"P7\nWIDTH {WIDTH}\nHEIGHT {HEIGHT}\nDEPTH 4\nMAXVAL 255\nTUPLTYPE RGB_ALPHA\n"
        path.write_bytes(head.encode() + b"ENDHDR\n" + pixels.tobytes())
        expected = pixels
    else:
        image(mode).save(path)
        expected = np.asarray(Image.open(path).convert("L" if mode == "1" else mode))
    found, info = read(path)
    assert info.format == "pnm"
    np.testing.assert_array_equal(found.reshape(expected.shape), expected)


def test_netpbm_of_16_bits_comments_and_another_top(tmp_path: Path) -> None:
    path = tmp_path / "a.ppm"
    samples = (make_picture(HEIGHT, WIDTH, 3, np.uint16) >> 4).astype(">u2")
    path.write_bytes(b"P6 # colours\n# of a scanner\n70\t45\n4095\n" + samples.tobytes())
    found, info = read(path)
    assert info.dtype == np.uint16
    wanted = np.round(samples.astype(np.float64) * 65535 / 4095)
    np.testing.assert_array_equal(found, wanted)
    path.write_bytes(b"P2\n3 1\n15\n0 5 15\n")
    assert read(path)[0].ravel().tolist() == [0, 85, 255]
    path.write_bytes(b"P5\n3 1\n9\n\0\1\x0a")
    with pytest.raises(InputError, match="a sample of 10, above 9"):
        read(path)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"P6\n2 2\n255\n" + bytes(11), "truncated"),
        (b"P5\n2 2\n0\n" + bytes(4), "largest value of 0"),
        (b"P5\n2 2\n70000\n" + bytes(4), "largest value of 70000"),
        (b"P5\n2 x\n255\n" + bytes(4), "damaged"),
        (b"P5\n2", "truncated"),
        (b"P2\n2 2\n255\n1 2 3", "3 of 4 samples"),
        (b"P1\n2 2\n0121", "no bits"),
        (b"P7\nWIDTH 2\nHEIGHT 1\nDEPTH 5\nMAXVAL 255\nENDHDR\n" + bytes(10), "5 samples"),
        (b"P7\nWIDTH 2\nHEIGHT 1\nMAXVAL 255\nENDHDR\n" + bytes(10), "damaged"),
    ],
)
def test_damaged_netpbm(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "a.pnm"
    path.write_bytes(data)
    with pytest.raises(InputError, match=words):
        read(path)


# --- JPEG 2000, JPEG XL


def encoded(kind: str, pixels: np.ndarray, **options: Any) -> bytes:
    encode: Callable[..., bytes] = getattr(imagecodecs, f"{kind}_encode")
    return encode(pixels, **options)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_jpeg_2000(tmp_path: Path, channels: int, dtype: Any) -> None:
    path = tmp_path / "a.jp2"
    pixels = make_picture(HEIGHT, WIDTH, channels, dtype)
    path.write_bytes(encoded("jpeg2k", pixels, level=0, reversible=True))
    found, info = read(path)
    assert (info.format, info.dtype, info.alpha) == ("jp2", dtype, channels == 4)
    np.testing.assert_array_equal(found.reshape(pixels.shape), pixels)
    if dtype is np.uint8:
        with Image.open(path) as other:
            np.testing.assert_array_equal(found.reshape(pixels.shape), np.asarray(other))


def test_a_jpeg_2000_codestream_of_12_bits(tmp_path: Path) -> None:
    path = tmp_path / "a.j2k"
    pixels = (make_picture(HEIGHT, WIDTH, 3, np.uint16) >> 4).astype(np.uint16)
    options = {"level": 0, "reversible": True, "bitspersample": 12, "codecformat": "j2k"}
    path.write_bytes(encoded("jpeg2k", pixels, **options))
    found, _ = read(path)
    np.testing.assert_array_equal(found, np.round(pixels.astype(np.float64) * 65535 / 4095))


def with_jp2_boxes(profile: bytes) -> bytes:
    """A JPEG 2000 file with a colour profile and a resolution of 300 pixels a centimetre."""
    data = encoded("jpeg2k", make_picture(HEIGHT, WIDTH, 3), level=0, reversible=True)
    at = data.index(b"colr") - 4
    size = struct.unpack_from(">I", data, at)[0]
    body = b"\2\0\0" + profile
    resolution = struct.pack(">HHHHbb", 300, 1, 300, 1, 2, 2)
    place = struct.pack(">I4s", 8 + len(resolution), b"resc") + resolution
    boxes = struct.pack(">I4s", 8 + len(body), b"colr") + body
    boxes += struct.pack(">I4s", 8 + len(place), b"res ") + place
    head = data.index(b"jp2h") - 4
    whole = struct.unpack_from(">I", data, head)[0] - size + len(boxes)
    changed = data[:head] + struct.pack(">I", whole) + data[head + 4 : at] + boxes
    return changed + data[at + size :]


def test_profile_and_resolution_of_a_jpeg_2000(tmp_path: Path, profile: bytes) -> None:
    path = tmp_path / "a.jp2"
    path.write_bytes(with_jp2_boxes(profile))
    _, info = read(path)
    assert info.icc == profile
    assert info.resolution == pytest.approx((300 * 100 * 0.0254, 300 * 100 * 0.0254))


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("container", [False, True])
def test_jpeg_xl(tmp_path: Path, channels: int, dtype: Any, container: bool) -> None:
    path = tmp_path / "a.jxl"
    pixels = make_picture(HEIGHT, WIDTH, channels, dtype)
    path.write_bytes(encoded("jpegxl", pixels, lossless=True, usecontainer=container))
    found, info = read(path)
    assert (info.format, info.dtype, info.alpha) == ("jxl", dtype, channels == 4)
    np.testing.assert_array_equal(found.reshape(pixels.shape), pixels)


@pytest.mark.parametrize(
    "size", [(8, 8), (256, 256), (1, 1), (257, 3), (64, 96), (2048, 9), (40, 32), (900, 1600)]
)
def test_sizes_of_jpeg_xl(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "a.jxl"
    path.write_bytes(encoded("jpegxl", np.zeros((*size, 3), np.uint8), lossless=True))
    info = open_source(path).info
    assert (info.height, info.width) == size


# --- what Pillow reads


@pytest.mark.parametrize(
    ("suffix", "modes"),
    [
        (".tga", ["L", "LA", "RGB", "RGBA", "P"]),
        (".icns", ["RGBA"]),
        (".dds", ["RGB", "RGBA", "L"]),
        (".pcx", ["L", "RGB", "P", "1"]),
        (".sgi", ["L", "RGB", "RGBA"]),
        (".xbm", ["1"]),
        (".im", ["L", "RGB", "F", "CMYK"]),
        (".msp", ["1"]),
    ],
)
def test_what_pillow_reads(tmp_path: Path, suffix: str, modes: list[str]) -> None:
    for mode in modes:
        path = tmp_path / f"{mode.replace(';', '')}{suffix}"
        image(mode).save(path)
        found, info = read(path)
        assert info.format == "pillow"
        with Image.open(path) as whole:
            whole.load()
        if mode == "CMYK":
            assert found.shape[2] == 3
            continue
        plain = {"1": "L", "P": "RGB"}.get(whole.mode, whole.mode)
        expected = np.asarray(whole.convert(plain))
        np.testing.assert_array_equal(found.reshape(expected.shape), expected)


def test_the_sizes_of_an_icon_are_pages(tmp_path: Path) -> None:
    path = tmp_path / "a.ico"
    image("RGBA").resize((64, 64)).save(path, sizes=[(16, 16), (48, 48), (32, 32)])
    for page, side in enumerate((48, 32, 16), 1):
        found, info = read(path, page)
        assert (info.pages, found.shape) == (3, (side, side, 4))
        with Image.open(path) as icon:
            icon.size = (side, side)
            np.testing.assert_array_equal(found, np.asarray(icon.convert("RGBA")))
    with pytest.raises(InputError, match="--page 4"):
        open_source(path, 4)


def test_16_bits_of_the_other_order(tmp_path: Path) -> None:
    path = tmp_path / "a.ara"
    samples = make_picture(HEIGHT, WIDTH, 1, np.uint16)
    words = dict.fromkeys(range(64), 0) | {1: 4, 8: HEIGHT, 9: WIDTH, 10: 2, 13: 1, 33: 256}
    path.write_bytes(struct.pack(">64i", *words.values()) + samples.astype(">u2").tobytes())
    found, info = read(path)
    assert info.dtype == np.uint16
    np.testing.assert_array_equal(found[..., 0], samples)


def test_the_flattened_picture_of_a_psd(tmp_path: Path) -> None:
    path = tmp_path / "a.psd"
    pixels = make_picture(HEIGHT, WIDTH, 3)
    head = struct.pack(">4sH6sHIIHH", b"8BPS", 1, bytes(6), 3, HEIGHT, WIDTH, 8, 3)
    planes = pixels.transpose(2, 0, 1).tobytes()
    path.write_bytes(head + struct.pack(">III", 0, 0, 0) + struct.pack(">H", 0) + planes)
    np.testing.assert_array_equal(read(path)[0], pixels)


# --- HEIC


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_heic(tmp_path: Path, mode: str, profile: bytes) -> None:
    path = tmp_path / "a.heic"
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "camera"
    turned = image(mode)
    pillow_heif.from_pillow(turned).save(
        path, quality=90, icc_profile=profile, exif=exif.tobytes(), xmp=b"<x:xmpmeta/>"
    )
    found, info = read(path)
    heif = pillow_heif.open_heif(path)
    expected = np.asarray(heif)
    np.testing.assert_array_equal(found.reshape(expected.shape), expected)
    assert (info.format, info.pages, info.alpha) == ("heic", 1, mode == "RGBA")
    assert info.exif is not None
    assert b"camera" in info.exif
    assert info.icc == heif.info.get("icc_profile")


def test_pages_and_10_bits_of_heic(tmp_path: Path) -> None:
    path = tmp_path / "a.heic"
    pictures = [make_picture(HEIGHT, WIDTH, 3), make_picture(30, 40, 3)]
    whole = pillow_heif.HeifFile()
    for pixels in pictures:
        whole.add_frombytes("RGB", pixels.shape[1::-1], pixels.tobytes())
    whole.save(path, quality=95, primary_index=1)
    first, info = read(path)
    assert (info.pages, first.shape) == (2, (30, 40, 3))
    assert read(path, 2)[0].shape == (HEIGHT, WIDTH, 3)
    deep = (make_picture(HEIGHT, WIDTH, 3, np.uint16) >> 6 << 6).astype(np.uint16)
    pillow_heif.encode("RGB;16", (WIDTH, HEIGHT), deep.tobytes(), path, quality=-1)
    found, info = read(path)
    assert info.dtype == np.uint16
    stored = np.asarray(pillow_heif.open_heif(path, convert_hdr_to_8bit=False)) >> 6
    np.testing.assert_array_equal(found, np.round(stored.astype(np.float64) * 65535 / 1023))
    assert np.abs(found.astype(int) - deep).mean() < 1000
    buffer = io.BytesIO(path.read_bytes()[:300])
    path.write_bytes(buffer.getvalue())
    with pytest.raises(InputError, match=r"a\.heic"):
        read(path)


@pytest.mark.parametrize(
    ("suffix", "module", "library"), [(".tga", "PIL", "Pillow"), (".heic", "pillow_heif", "heif")]
)
def test_without_the_extra_a_file_says_what_it_needs(
    tmp_path: Path, suffix: str, module: str, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"a{suffix}"
    if suffix == ".heic":
        pillow_heif.from_pillow(image("RGB")).save(path)
    else:
        image("RGB").save(path)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=rf"no .*{library}.*pip install 'liif-cli\[formats\]'"):
        open_source(path)


# --- JPEG of more than 8 bits, and without loss


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("bits", "lossless"), [(12, False), (12, True), (16, True), (8, True), (10, True)]
)
def test_jpeg_of_other_processes(tmp_path: Path, bits: int, lossless: bool, channels: int) -> None:
    path = tmp_path / "a.jpg"
    dtype = np.uint16 if bits > 8 else np.uint8
    samples = make_picture(HEIGHT, WIDTH, channels, dtype)
    stored = (samples >> (16 - bits if bits > 8 else 0)).astype(dtype)
    path.write_bytes(
        imagecodecs.jpeg8_encode(stored, level=95, bitspersample=bits, lossless=lossless)
    )
    found, info = read(path)
    coded = imagecodecs.jpeg8_decode(path.read_bytes()).reshape(found.shape)
    top, most = (1 << bits) - 1, int(np.iinfo(dtype).max)
    np.testing.assert_array_equal(found, np.round(coded.astype(np.float64) * most / top))
    assert info.dtype == dtype
    assert info.cleanup == (0 if lossless else 5)
    if lossless:
        np.testing.assert_array_equal(coded, stored.reshape(found.shape))
