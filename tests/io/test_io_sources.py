"""Every source against another library's reader; new registry entries need a sample here."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import imagecodecs
import numpy as np
import OpenEXR
import pillow_heif
import pytest
import tifffile
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps, PngImagePlugin

from liif_cli.errors import InputError
from liif_cli.geometry.window import Window
from liif_cli.io import SOURCES, is_image, open_source
from liif_cli.io.base import Source
from liif_cli.io.orientation import Orientation

HEIGHT, WIDTH = 45, 70


def save(path: Path, pixels: np.ndarray, **options) -> None:
    """Write with another library than the source's own where there is one."""
    if path.suffix == ".zarr":
        zarr.create_array(str(path), data=pixels, chunks=(16, 16, 1)[: pixels.ndim], **options)
    elif path.suffix == ".tif" and pixels.dtype != np.uint8:
        tifffile.imwrite(
            path, pixels, photometric="rgb" if pixels.ndim == 3 else "minisblack", **options
        )
    elif path.suffix == ".heic":
        pillow_heif.from_pillow(Image.fromarray(pixels)).save(path, **options)
    elif path.suffix == ".jxl":
        path.write_bytes(imagecodecs.jpegxl_encode(pixels, lossless=True))
    elif path.suffix == ".exr":
        light = (pixels / 255).astype(np.float32)
        planes = {name: np.ascontiguousarray(light[..., k]) for k, name in enumerate("RGB")}
        OpenEXR.File({"type": OpenEXR.scanlineimage}, planes).write(str(path))
    elif path.suffix == ".hdr":
        cv2.imwrite(str(path), (pixels[..., ::-1] / 255).astype(np.float32))
    elif pixels.dtype == np.uint16 and pixels.ndim == 3:
        path.write_bytes(imagecodecs.png_encode(pixels))
    else:
        Image.fromarray(pixels).save(path, **options)


SAMPLES = {
    "png": (".png", {}),
    "jpg": (".jpg", {"quality": 92}),
    "webp": (".webp", {"quality": 90}),
    "bmp": (".bmp", {}),
    "avif": (".avif", {}),
    "tiff": (".tif", {"compression": "tiff_lzw"}),
    "zarr": (".zarr", {}),
    "heic": (".heic", {"quality": 90}),
    "gif": (".gif", {}),
    "jxl": (".jxl", {}),
    "jp2": (".jp2", {}),
    "pnm": (".ppm", {}),
    "qoi": (".qoi", {}),
    "exr": (".exr", {}),
    "hdr": (".hdr", {}),
    "pillow": (".pcx", {}),
}
WHOLE = Window.whole(HEIGHT, WIDTH)


@pytest.fixture(params=list(SOURCES))
def sample(request, tmp_path, picture) -> Path:
    suffix, options = SAMPLES[request.param]
    path = tmp_path / f"sample{suffix}"
    save(path, picture(HEIGHT, WIDTH), **options)
    return path


def reference(path: Path) -> np.ndarray:
    if path.is_dir():
        return np.asarray(zarr.open_array(str(path), mode="r"))
    data = path.read_bytes()
    if data[4:12] == b"ftypheic":
        return np.asarray(pillow_heif.read_heif(data))
    if data.startswith(b"\xff\x0a"):
        # which no other reader at hand knows
        return imagecodecs.jpegxl_decode(data)
    if data.startswith(b"v/1"):
        return OpenEXR.File(io.BytesIO(data)).channels()["RGB"].pixels
    if data.startswith(b"#?"):
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)[..., ::-1]
    return np.asarray(Image.open(path).convert("RGB"))


def test_pixels_are_those_of_another_reader(sample):
    source = open_source(sample)
    assert isinstance(source, Source)
    assert source.info.shape == (HEIGHT, WIDTH, 3)
    assert source.info.dtype == (np.float32 if source.info.linear else np.uint8)
    assert source.info.path == sample
    assert SOURCES.load(source.info.format) is type(source)
    pixels = source.read(WHOLE)
    assert pixels.flags.c_contiguous
    np.testing.assert_array_equal(pixels, reference(sample))
    source.close()


def test_windows_are_slices_of_the_whole_from_any_thread(sample):
    whole, source = reference(sample), open_source(sample)
    rng = np.random.default_rng(1)

    def check(_):
        row, col = int(rng.integers(0, HEIGHT)), int(rng.integers(0, WIDTH))
        window = Window(row, col, int(rng.integers(1, HEIGHT - row + 1)), WIDTH - col)
        np.testing.assert_array_equal(source.read(window), whole[window.to_slices()])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(check, range(40)))


def test_window_outside_is_refused(sample):
    source = open_source(sample)
    for window in (Window(0, 0, HEIGHT + 1, 1), Window(-1, 0, 2, 2), Window(0, WIDTH, 1, 1)):
        with pytest.raises(ValueError, match="not inside"):
            source.read(window)


def test_truncated_file_is_named(sample):
    if sample.is_dir():
        pytest.skip("a folder is not cut short; see the test of damaged chunks")
    data = sample.read_bytes()
    for size in {1, 5, 20, 60, *(len(data) * part // 8 for part in range(1, 8)), len(data) - 1}:
        sample.write_bytes(data[:size])
        with pytest.raises(InputError, match=sample.name):
            open_source(sample).read(WHOLE)


def test_garbage_behind_the_magic_is_an_input_error(sample, read_all):
    if sample.is_dir():
        pytest.skip("a folder has no magic")
    if sample.suffix == ".ppm":
        pytest.skip("whatever lies behind its header are samples")
    data = bytearray(sample.read_bytes())
    data[16:] = bytes(len(data) - 16)
    sample.write_bytes(data)
    with pytest.raises(InputError, match=sample.name):
        read_all(sample)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_flipped_bytes_never_raise_anything_else(tmp_path, data):
    name = data.draw(st.sampled_from([name for name in SOURCES if name != "zarr"]))
    suffix, options = SAMPLES[name]
    path = tmp_path / f"flipped{suffix}"
    pixels = np.random.default_rng(0).integers(0, 256, (12, 15, 3), dtype=np.uint8)
    save(path, pixels, **options)
    encoded = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, min(len(encoded) - 1, 700)))
        encoded[at] = data.draw(st.integers(0, 255))
    path.write_bytes(encoded)
    try:
        source = open_source(path)
        if source.info.height * source.info.width < 2**22:
            source.read(Window(0, 0, 1, 1))
        source.close()
    except InputError as error:
        found = str(error)
    else:
        found = path.name
    assert path.name in found


def test_content_goes_before_suffix(sample, tmp_path, read_all):
    other = tmp_path / "other.xyz"
    expected = reference(sample)
    sample.rename(other)
    np.testing.assert_array_equal(read_all(other), expected)


def test_empty_missing_and_unknown(tmp_path):
    empty = tmp_path / "empty.png"
    empty.touch()
    with pytest.raises(InputError, match="empty file"):
        open_source(empty)
    with pytest.raises(InputError, match="no such file"):
        open_source(tmp_path / "missing.png")
    text = tmp_path / "note.txt"
    text.write_text("hello")
    with pytest.raises(InputError, match="unknown format"):
        open_source(text)
    with pytest.raises(InputError, match="not a Zarr store"):
        open_source(tmp_path)


def test_is_image_goes_by_suffix():
    for name in ("a.png", "A.JPG", "b.Jpeg", "c.tiff", "d.TIF", "e.webp", "f.bmp", "g.avif"):
        assert is_image(Path(name))
    assert not is_image(Path("a.txt"))
    assert not is_image(Path("png"))


# --- gray, depths, palettes


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".avif", ".tif", ".zarr"])
def test_gray_stays_gray(tmp_path, picture, suffix):
    path = tmp_path / f"gray{suffix}"
    save(path, picture(HEIGHT, WIDTH, 1))
    source = open_source(path)
    assert source.info.shape == (HEIGHT, WIDTH, 1)
    expected = (
        np.asarray(zarr.open_array(str(path), mode="r"))
        if path.is_dir()
        else np.asarray(Image.open(path).convert("L"))
    )
    np.testing.assert_array_equal(source.read(WHOLE)[..., 0], expected)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("suffix", [".png", ".tif", ".zarr"])
def test_16_bits_stay(tmp_path, picture, read_all, suffix, channels):
    path = tmp_path / f"deep{suffix}"
    pixels = picture(HEIGHT, WIDTH, channels, np.uint16)
    save(path, pixels)
    assert open_source(path).info.dtype == np.uint16
    np.testing.assert_array_equal(read_all(path).reshape(pixels.shape), pixels)


@pytest.mark.parametrize("bits", [10, 12])
def test_avif_of_more_bits_spans_uint16(tmp_path, picture, read_all, bits):
    path = tmp_path / "deep.avif"
    deep = (picture(HEIGHT, WIDTH, 3, np.uint16) >> (16 - bits)).astype(np.uint16)
    deep[0, 0], deep[-1, -1] = 0, 2**bits - 1
    # quantiser 0 without chroma subsampling: as good as lossless
    path.write_bytes(imagecodecs.avif_encode(deep, level=100, bitspersample=bits))
    assert open_source(path).info.dtype == np.uint16
    found = read_all(path)
    assert np.abs(found / 65535 - deep / (2**bits - 1)).max() < 2 / (2**bits - 1)


@pytest.mark.parametrize("suffix", [".tif", ".zarr"])
def test_float_is_taken_and_nan_refused(tmp_path, picture, read_all, suffix):
    path, bad = tmp_path / f"float{suffix}", tmp_path / f"nan{suffix}"
    pixels = picture(HEIGHT, WIDTH, 3, np.float32)
    save(path, pixels)
    np.testing.assert_array_equal(read_all(path), pixels)
    pixels[3, 4, 1] = np.nan
    save(bad, pixels)
    with pytest.raises(InputError, match="NaN"):
        read_all(bad)
    pixels[3, 4, 1] = np.inf
    save(tmp_path / f"inf{suffix}", pixels)
    with pytest.raises(InputError, match="infinite"):
        read_all(tmp_path / f"inf{suffix}")


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
@pytest.mark.parametrize("colours", [2, 13, 200])
def test_palettes_are_expanded(tmp_path, picture, read_all, suffix, colours):
    image = Image.fromarray(picture(HEIGHT, WIDTH)).quantize(colours)
    path = tmp_path / f"palette{suffix}"
    image.save(path)
    np.testing.assert_array_equal(read_all(path), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
def test_gray_palettes_become_gray(tmp_path, picture, read_all, suffix):
    image = Image.fromarray(picture(HEIGHT, WIDTH, 1)).quantize(7)
    path = tmp_path / f"palette{suffix}"
    image.save(path)
    found = read_all(path)
    assert found.shape == (HEIGHT, WIDTH, 1)
    np.testing.assert_array_equal(found[..., 0], np.asarray(image.convert("L")))


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
def test_bilevel_becomes_gray(tmp_path, picture, read_all, suffix):
    image = Image.fromarray(picture(HEIGHT, WIDTH, 1)).convert("1")
    path = tmp_path / f"bilevel{suffix}"
    image.save(path)
    np.testing.assert_array_equal(read_all(path)[..., 0], np.asarray(image.convert("L")))


def test_run_length_bmp(tmp_path, read_all):
    # Pillow reads run lengths but does not write them: 4 rows of 6 pixels, two runs each
    rows = b"".join(bytes([3, row, 3, row + 4, 0, 0]) for row in range(4)) + b"\0\1"
    palette = b"".join(bytes([k, 2 * k, 3 * k, 0]) for k in range(8)).ljust(1024, b"\0")
    info = b"".join(
        value.to_bytes(size, "little")
        for value, size in ((40, 4), (6, 4), (4, 4), (1, 2), (8, 2), (1, 4), (len(rows), 4))
    ) + bytes(16)
    offset = 14 + 40 + 1024
    head = b"BM" + (offset + len(rows)).to_bytes(4, "little") + bytes(4)
    path = tmp_path / "runs.bmp"
    path.write_bytes(head + offset.to_bytes(4, "little") + info + palette + rows)
    np.testing.assert_array_equal(read_all(path), np.asarray(Image.open(path).convert("RGB")))


@pytest.mark.parametrize("options", [{"progressive": True}, {"keep_rgb": True}, {"subsampling": 2}])
def test_kinds_of_jpeg(tmp_path, picture, read_all, options):
    path = tmp_path / "kind.jpg"
    save(path, picture(HEIGHT, WIDTH), **options)
    np.testing.assert_array_equal(read_all(path), np.asarray(Image.open(path)))


def test_lossless_webp(tmp_path, picture, read_all):
    path = tmp_path / "lossless.webp"
    save(path, picture(HEIGHT, WIDTH), lossless=True)
    np.testing.assert_array_equal(read_all(path), picture(HEIGHT, WIDTH))


def test_whole_files_state_their_memory(tmp_path, picture):
    path = tmp_path / "a.png"
    save(path, picture(HEIGHT, WIDTH))
    assert open_source(path).info.decoded_bytes == HEIGHT * WIDTH * 3


# --- orientation


def _oriented(path: Path, pixels: np.ndarray, value: int) -> None:
    if path.suffix == ".tif" and pixels.ndim == 3:
        tifffile.imwrite(path, pixels, photometric="rgb", extratags=[(274, "H", 1, value, True)])
        return
    exif = Image.Exif()
    exif[0x0112] = value
    options = {"lossless": True} if path.suffix == ".webp" else {}
    Image.fromarray(pixels).save(path, exif=exif.tobytes(), **options)


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".avif", ".tif"])
def test_orientation_is_applied(tmp_path, picture, suffix, value):
    path = tmp_path / f"turned{suffix}"
    _oriented(path, picture(HEIGHT, WIDTH), value)
    # AVIF: Pillow writes irot and imir from it and gives an EXIF orientation back
    expected = np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))
    source = open_source(path)
    assert source.info.shape == expected.shape
    assert expected.shape[0] == (HEIGHT if value < 5 else WIDTH)
    height, width = expected.shape[:2]
    for window in (Window.whole(height, width), Window(5, 9, 11, 17)):
        np.testing.assert_array_equal(source.read(window), expected[window.to_slices()])


def test_orientations_compose():
    pixels = np.arange(6).reshape(2, 3, 1)
    for first in range(1, 9):
        for second in range(1, 9):
            one, two = Orientation.from_exif(first), Orientation.from_exif(second)
            np.testing.assert_array_equal(one.then(two).apply(pixels), two.apply(one.apply(pixels)))


# --- refused by name


# --- profile and resolution


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif", ".avif"])
def test_profile_is_kept(tmp_path, picture, profile, suffix):
    path = tmp_path / f"profile{suffix}"
    save(path, picture(HEIGHT, WIDTH), icc_profile=profile)
    assert open_source(path).info.icc == profile


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".bmp"])
def test_resolution_is_kept(tmp_path, picture, suffix):
    path = tmp_path / f"resolution{suffix}"
    save(path, picture(HEIGHT, WIDTH), dpi=(300, 150))
    assert open_source(path).info.resolution == pytest.approx((300, 150), rel=1e-3)


def test_resolution_turns_with_the_image(tmp_path, picture):
    path = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(picture(HEIGHT, WIDTH)).save(path, exif=exif.tobytes(), dpi=(300, 150))
    assert open_source(path).info.resolution == (150, 300)


def test_damaged_exif_is_no_reason_to_refuse(tmp_path, picture, read_all):
    path = tmp_path / "exif.jpg"
    Image.fromarray(picture(HEIGHT, WIDTH)).save(path, exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")
    assert read_all(path).shape == (HEIGHT, WIDTH, 3)


def test_png_text_does_not_disturb(tmp_path, picture, read_all):
    path = tmp_path / "text.png"
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Comment", "x" * 5000, zip=True)
    Image.fromarray(picture(HEIGHT, WIDTH)).save(path, pnginfo=notes)
    np.testing.assert_array_equal(read_all(path), picture(HEIGHT, WIDTH))


def test_interlaced_png(tmp_path, read_all):
    # a 1 x 1 image, interlaced: Pillow does not write larger ones
    import zlib

    def chunk(name, data):
        return (
            len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")
        )

    path = tmp_path / "interlaced.png"
    head = b"\0\0\0\1\0\0\0\1\x08\0\0\0\1"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(b"\0\x7b"))
        + chunk(b"IEND", b"")
    )
    assert read_all(path).item() == 123


def test_jpeg_with_something_behind_its_end(tmp_path, picture, read_all):
    # phones append other pictures behind the first one
    path, data = tmp_path / "tail.jpg", io.BytesIO()
    Image.fromarray(picture(HEIGHT, WIDTH)).save(data, "JPEG")
    path.write_bytes(data.getvalue() + b"something else")
    np.testing.assert_array_equal(read_all(path), np.asarray(Image.open(data)))
