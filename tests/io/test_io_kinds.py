"""Alpha, CMYK, bands, pages, metadata: sources against the readers of other libraries."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image, ImageCms, ImageSequence

from liif_cli.errors import InputError
from liif_cli.geometry.window import Window
from liif_cli.io import open_source
from liif_cli.io.cmyk import to_rgb
from liif_cli.io.values import measure
from tests.io.conftest import bmp_with_alpha

HEIGHT, WIDTH = 45, 70


def with_alpha(picture, mode: str = "RGBA") -> Image.Image:
    """A picture with a ramp of alpha that has transparent and opaque parts."""
    ramp = np.clip(np.mgrid[:HEIGHT, :WIDTH][1] * 6 - 60, 0, 255).astype(np.uint8)
    image = Image.fromarray(picture(HEIGHT, WIDTH)).convert(mode)
    image.putalpha(Image.fromarray(ramp))
    return image


# --- alpha


@pytest.mark.parametrize("padding", ["zeros", "ones", "anything"])
def test_the_padding_of_a_bmp_is_no_alpha(tmp_path, picture, read_all, padding):
    path = tmp_path / "padded.bmp"
    image = with_alpha(picture)
    if padding != "anything":
        image.putalpha(0 if padding == "zeros" else 255)
    # Pillow writes the fourth byte of 32 bits, and a header without a mask for it
    image.save(path)
    info = open_source(path).info
    assert (info.channels, info.alpha) == (3, False)
    np.testing.assert_array_equal(read_all(path), np.asarray(Image.open(path).convert("RGB")))


@pytest.mark.parametrize("suffix", [".png", ".webp", ".avif", ".tif", ".bmp"])
def test_alpha_is_read(tmp_path, picture, read_all, suffix):
    path = tmp_path / f"alpha{suffix}"
    if suffix == ".bmp":
        path.write_bytes(bmp_with_alpha(np.asarray(with_alpha(picture))))
    else:
        with_alpha(picture).save(path, **({"lossless": True} if suffix == ".webp" else {}))
    info = open_source(path).info
    assert (info.channels, info.alpha, info.colours) == (4, True, 3)
    found, expected = read_all(path), np.asarray(Image.open(path).convert("RGBA"))
    np.testing.assert_array_equal(found[..., 3], expected[..., 3])
    # libwebp may change colours that nobody sees
    seen = expected[..., 3] > 0
    np.testing.assert_array_equal(found[seen], expected[seen])


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_gray_with_alpha_is_read(tmp_path, picture, read_all, suffix):
    path = tmp_path / f"alpha{suffix}"
    with_alpha(picture, "L").save(path)
    info = open_source(path).info
    assert (info.channels, info.alpha) == (2, True)
    np.testing.assert_array_equal(read_all(path), np.asarray(Image.open(path)))


@pytest.mark.parametrize("mode", ["L", "RGB", "P"])
def test_transparent_colours_become_alpha(tmp_path, picture, read_all, mode):
    image = Image.fromarray(picture(HEIGHT, WIDTH)).convert(mode)
    colour = image.getpixel((3, 4))
    path = tmp_path / "trns.png"
    image.save(path, transparency=colour)
    expected = np.asarray(Image.open(path).convert("LA" if mode == "L" else "RGBA"))
    assert open_source(path).info.alpha
    assert (expected[..., -1] == 0).any()
    np.testing.assert_array_equal(read_all(path), expected)


def test_a_gray_palette_with_transparency_becomes_gray_and_alpha(tmp_path, picture, read_all):
    path = tmp_path / "palette.png"
    Image.fromarray(picture(HEIGHT, WIDTH, 1)).quantize(5).save(path, transparency=2)
    expected = np.asarray(Image.open(path).convert("RGBA"))[..., [0, 3]]
    np.testing.assert_array_equal(read_all(path), expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_premultiplied_tiff_becomes_straight(tmp_path, picture, read_all, dtype):
    full = 1 if dtype == np.float32 else np.iinfo(dtype).max
    straight = picture(HEIGHT, WIDTH, 4, dtype)
    straight[:5, :, 3] = 0
    straight[5:9, :, 3] = full
    colours = straight[..., :3].astype(np.float64) * straight[..., 3:] / full
    if dtype != np.float32:
        colours = np.round(colours)
    path = tmp_path / "premultiplied.tif"
    stored = np.dstack([colours.astype(dtype), straight[..., 3]])
    tifffile.imwrite(path, stored, photometric="rgb", extrasamples=["assocalpha"])
    found = read_all(path)
    np.testing.assert_array_equal(found[..., 3], straight[..., 3])
    np.testing.assert_array_equal(found[5:9], straight[5:9])
    # half a step of the stored colour, divided by alpha
    seen = straight[..., 3] > 0.1 * full
    error = np.abs(found[seen].astype(np.float64) - straight[seen])
    assert error.max() <= (1e-6 if dtype == np.float32 else 6)


def test_an_extra_sample_of_no_meaning_is_a_band(tmp_path, picture):
    path = tmp_path / "nir.tif"
    pixels = picture(HEIGHT, WIDTH, 4)
    tifffile.imwrite(path, pixels, photometric="rgb", extrasamples=["unspecified"])
    info = open_source(path).info
    assert (info.channels, info.alpha) == (4, False)


# --- CMYK


def cmyk_profile() -> bytes:
    """A small ICC profile (ICC.1, lut8Type) from CMYK to Lab: inks darken, no two of them alike."""
    corners = np.stack(np.meshgrid(*[[0.0, 1.0]] * 4, indexing="ij"), -1).reshape(-1, 4)
    light = np.prod(1 - corners * [0.35, 0.4, 0.1, 0.95], axis=1)
    a = 128 + 60 * (corners[:, 1] - corners[:, 0])
    b = 128 + 60 * (corners[:, 2] - corners[:, 0])
    grid = np.stack([light * 255, a, b], -1).round().astype(np.uint8).tobytes()
    ramp = bytes(range(256))
    matrix = struct.pack(">9i", *(65536 * (k % 4 == 0) for k in range(9)))
    lut = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + matrix + ramp * 4 + grid + ramp * 3
    text = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"inks\0" + bytes(78)
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
    blocks = [(b"A2B0", lut), (b"desc", text), (b"wtpt", white)]
    offset, table, body = 128 + 4 + 12 * len(blocks), b"", b""
    for name, data in blocks:
        data += bytes(-len(data) % 4)
        table += name + struct.pack(">II", offset + len(body), len(data))
        body += data
    head = struct.pack(
        ">I4sI4s4s4s", offset + len(body), b"test", 0x02400000, b"prtr", b"CMYK", b"Lab "
    )
    head += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + struct.pack(">I", len(blocks)) + table + body


def inks(picture) -> Image.Image:
    return Image.fromarray(picture(HEIGHT, WIDTH, 4), mode="CMYK")


def by_pillow(image: Image.Image, profile: bytes) -> np.ndarray:
    return np.asarray(
        ImageCms.profileToProfile(
            image,
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.ImageCmsProfile(io.BytesIO(imagecodecs.cms_profile("srgb"))),
            outputMode="RGB",
        )
    )


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_cmyk_goes_through_its_profile(tmp_path, picture, read_all, suffix):
    path, profile = tmp_path / f"cmyk{suffix}", cmyk_profile()
    inks(picture).save(path, icc_profile=profile)
    info = open_source(path).info
    assert (info.channels, info.kind) == (3, "CMYK")
    assert "sRGB" in ImageCms.getProfileName(ImageCms.ImageCmsProfile(io.BytesIO(info.icc)))
    expected = by_pillow(Image.open(path), profile)
    assert np.abs(read_all(path).astype(int) - expected).max() <= 1
    plain = to_rgb(np.asarray(Image.open(path)), None)
    assert np.abs(plain.astype(int) - expected).max() > 20


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_cmyk_without_a_profile_goes_by_the_formula(tmp_path, picture, read_all, suffix):
    path = tmp_path / f"cmyk{suffix}"
    inks(picture).save(path)
    stored = np.asarray(Image.open(path)).astype(np.float64) / 255
    expected = 255 * (1 - stored[..., :3]) * (1 - stored[..., 3:])
    assert np.abs(read_all(path) - expected).max() <= 0.51


def test_ycck_is_read_like_pillow_does(tmp_path, picture, read_all):
    # TIFF's codec writes what Pillow does not: four components with Adobe's transform 2
    data = imagecodecs.jpeg8_encode(
        255 - np.asarray(inks(picture)), colorspace="CMYK", outcolorspace="YCCK", level=95
    )
    path = tmp_path / "ycck.jpg"
    path.write_bytes(data)
    stored = np.asarray(Image.open(path)).astype(np.float64) / 255
    expected = 255 * (1 - stored[..., :3]) * (1 - stored[..., 3:])
    assert np.abs(read_all(path) - expected).max() <= 1.01


def test_16_bit_cmyk_tiff(tmp_path, picture, read_all):
    path = tmp_path / "deep.tif"
    stored = picture(HEIGHT, WIDTH, 4, np.uint16)
    tifffile.imwrite(path, stored, photometric="separated")
    light = 1 - stored / 65535
    assert open_source(path).info.dtype == np.uint16
    np.testing.assert_allclose(
        read_all(path) / 65535, light[..., :3] * light[..., 3:], atol=1 / 65535
    )


def test_a_damaged_profile_of_inks_is_named(tmp_path, picture, read_all):
    path = tmp_path / "cmyk.tif"
    inks(picture).save(path, icc_profile=b"no profile at all")
    with pytest.raises(InputError, match=r"cmyk\.tif.*profile"):
        read_all(path)


# --- bands


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_bands_of_a_tiff(tmp_path, picture, read_all, planar):
    path = tmp_path / "bands.tif"
    pixels = picture(HEIGHT, WIDTH, 5, np.uint16)
    stored = pixels if planar == "contig" else pixels.transpose(2, 0, 1)
    tifffile.imwrite(path, stored, photometric="minisblack", planarconfig=planar)
    info = open_source(path).info
    assert (info.channels, info.alpha, info.colours) == (5, False, 5)
    np.testing.assert_array_equal(read_all(path), pixels)


@pytest.mark.parametrize("names", [["c", "y", "x"], None])
def test_bands_of_a_zarr(tmp_path, picture, read_all, names):
    path = tmp_path / "bands.zarr"
    pixels = picture(HEIGHT, WIDTH, 5)
    zarr.create_array(str(path), data=pixels.transpose(2, 0, 1).copy(), dimension_names=names)
    np.testing.assert_array_equal(read_all(path), pixels)


def test_alpha_of_a_zarr_is_what_it_says(tmp_path, picture):
    path = tmp_path / "four.zarr"
    array = zarr.create_array(str(path), data=picture(HEIGHT, WIDTH, 4))
    assert not open_source(path).info.alpha
    array.update_attributes({"alpha": True})
    assert open_source(path).info.alpha


# --- pages


def test_pages_are_counted_and_read(tmp_path, picture):
    path = tmp_path / "pages.tif"
    pages = [Image.fromarray(np.roll(picture(HEIGHT, WIDTH), k * 9, axis=1)) for k in range(3)]
    pages[0].save(path, save_all=True, append_images=pages[1:])
    for number, page in enumerate(ImageSequence.Iterator(Image.open(path)), 1):
        source = open_source(path, number)
        assert (source.info.page, source.info.pages) == (number, 3)
        np.testing.assert_array_equal(source.read(Window.whole(HEIGHT, WIDTH)), np.asarray(page))
    with pytest.raises(InputError, match="--page 4, expected 1 to 3"):
        open_source(path, 4)


def test_a_page_of_a_format_without_pages(tmp_path, picture):
    path = tmp_path / "one.png"
    Image.fromarray(picture(HEIGHT, WIDTH)).save(path)
    assert open_source(path, 1).info.pages == 1
    with pytest.raises(InputError, match=r"--page 2.*one picture"):
        open_source(path, 2)


# --- values of float images


def test_the_range_of_floats(tmp_path, picture):
    def ranges(pixels, name="a.tif", **options):
        path = tmp_path / name
        tifffile.imwrite(path, pixels.astype(np.float32), **options)
        return measure(open_source(path)).ranges

    unit = picture(HEIGHT, WIDTH, 1, np.float32)
    low, high = float(unit.min()), float(unit.max())
    assert ranges(unit) == ((0, 1),)
    (found,) = ranges(unit * 4000 - 100)
    assert found == pytest.approx((low * 4000 - 100, high * 4000 - 100), rel=1e-5)
    tags = [(340, "f", 1, -500.0, True), (341, "f", 1, 9000.0, True)]
    assert ranges(unit * 4000, extratags=tags) == ((-500, 9000),)
    # values beyond what the tags say are kept
    assert ranges(unit * 20000, extratags=tags)[0][1] == pytest.approx(high * 20000, rel=1e-5)
    assert ranges(np.full((8, 9), 7.0)) == ((7, 8),)
    rgb = picture(HEIGHT, WIDTH, 3, np.float32) * np.float32([1, 2, 3])
    assert len(ranges(rgb, photometric="rgb")) == 1
    bands = picture(HEIGHT, WIDTH, 5, np.float32) * np.float32([1, 2, 3, 400, 5])
    found = ranges(bands, photometric="minisblack", planarconfig="contig")
    assert found[0] == (0, 1)
    assert found[3] == pytest.approx((bands[..., 3].min(), bands[..., 3].max()))


def test_the_first_bad_sample_is_named(tmp_path, picture):
    path = tmp_path / "bad.tif"
    pixels = picture(700, 40, 3, np.float32)
    pixels[612, 33, 1] = np.nan
    tifffile.imwrite(path, pixels, photometric="rgb")
    with pytest.raises(InputError, match="row 612, column 33, channel 1"):
        measure(open_source(path))


def test_whole_numbers_mean_their_type(tmp_path, picture):
    path = tmp_path / "dark.tif"
    tifffile.imwrite(path, picture(HEIGHT, WIDTH, 1, np.uint16) // 16)
    assert measure(open_source(path)).ranges == ()


# --- metadata

XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:Orientation="6"/></x:xmpmeta>'


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_exif_and_xmp_are_found(tmp_path, picture, suffix):
    path = tmp_path / f"meta{suffix}"
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    image = Image.fromarray(picture(HEIGHT, WIDTH))
    if suffix == ".png":
        from PIL import PngImagePlugin

        notes = PngImagePlugin.PngInfo()
        notes.add_itxt("XML:com.adobe.xmp", XMP.decode())
        image.save(path, exif=exif, pnginfo=notes)
    else:
        image.save(path, exif=exif, xmp=XMP)
    info = open_source(path).info
    assert info.exif is not None
    assert b"Maker" in info.exif
    assert info.exif[:2] in (b"II", b"MM")
    assert info.xmp == XMP


def test_xmp_of_a_tiff(tmp_path, picture):
    path = tmp_path / "meta.tif"
    extra = [(700, 1, len(XMP), XMP, True)]
    tifffile.imwrite(path, picture(HEIGHT, WIDTH), photometric="rgb", extratags=extra)
    assert open_source(path).info.xmp == XMP


# --- damage


def test_a_zarr_of_a_newer_version_is_named(tmp_path, picture):
    path = tmp_path / "newer.zarr"
    zarr.create_array(str(path), data=picture(HEIGHT, WIDTH, 1), chunks=(16, 16))
    text = (path / "zarr.json").read_text()
    (path / "zarr.json").write_text(text.replace('"zarr_format": 3', '"zarr_format": 4'))
    with pytest.raises(InputError, match=r"newer\.zarr"):
        open_source(path)


def test_a_zarr_with_wrong_chunks_is_named(tmp_path, picture, read_all):
    path = tmp_path / "chunks.zarr"
    zarr.create_array(str(path), data=picture(HEIGHT, WIDTH, 1), chunks=(16, 16))
    text = (path / "zarr.json").read_text()
    wrong = "".join(text.split()).replace('"chunk_shape":[16,16]', '"chunk_shape":[32,16]')
    (path / "zarr.json").write_text(wrong)
    with pytest.raises(InputError, match=r"chunks\.zarr"):
        read_all(path)


@pytest.mark.parametrize("cut", [0.3, 0.7, 0.99])
def test_a_truncated_tiff_is_known_when_it_is_opened(tmp_path, picture, cut):
    path: Path = tmp_path / "short.tif"
    tifffile.imwrite(path, picture(300, 300), photometric="rgb", tile=(64, 64), compression="zstd")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * cut)])
    with pytest.raises(InputError, match=r"short\.tif"):
        open_source(path)
