"""Every kind of image from file to file: made by one library, upscaled, read by another."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image, ImageCms, PngImagePlugin

from liif_cli.engine.batch import BatchReport, upscale_batch
from liif_cli.engine.events import Listener, Warned
from liif_cli.geometry.size import SizeRequest
from liif_cli.plan.spec import RenderSpec
from tests.engine.conftest import Events

HEIGHT, WIDTH = 40, 56


def smooth(channels: int, dtype: Any = np.uint8) -> np.ndarray:
    """A smooth picture (HEIGHT, WIDTH[, channels]) of channels that differ."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    planes = [0.5 + 0.3 * np.sin(y / 9 + k) + 0.15 * np.cos(x / (7 + k)) for k in range(channels)]
    values = np.stack(planes, -1)
    if np.dtype(dtype).kind != "f":
        values = np.round(values * np.iinfo(dtype).max)
    found = values.astype(dtype)
    return found[..., 0] if channels == 1 else found


def upscale(
    source: Path, target: Path, listen: Listener = lambda event: None, **options: Any
) -> BatchReport:
    spec = RenderSpec(SizeRequest.from_scale(options.pop("scale", "2")), "bicubic", **options)
    return upscale_batch(source, target, spec, listen=listen)


def made(source: Path, target: Path, **options: Any) -> Path:
    """Upscale and give the output back."""
    report = upscale(source, target, **options)
    assert report.exit_code == 0, report.results
    return target


def near(found: np.ndarray, small: np.ndarray, tolerance: float) -> None:
    """Whether shrinking the result by 2 gives the input back, about; both of one sample type."""
    assert found.shape == (2 * HEIGHT, 2 * WIDTH, *small.shape[2:])
    assert found.dtype == small.dtype
    wide = found.astype(np.float64)
    means = wide.reshape(HEIGHT, 2, WIDTH, 2, -1).mean(axis=(1, 3)).reshape(small.shape)
    assert np.abs(means - small).max() < tolerance


def failure(source: Path, target: Path, **options: Any) -> str:
    """The message of the one image that fails; nothing is left behind."""
    report = upscale(source, target, **options)
    assert report.exit_code == 1
    assert not target.exists()
    return str(report.results[0].error)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_gray(tmp_path, suffix):
    source = tmp_path / f"gray{suffix}"
    Image.fromarray(smooth(1)).save(source)
    found = Image.open(made(source, tmp_path / f"out{suffix}"))
    assert found.mode == "L"
    near(np.asarray(found), smooth(1), 4)


@pytest.mark.parametrize(("mode", "channels"), [("LA", 2), ("RGBA", 4)])
@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp", ".zarr"])
def test_alpha(tmp_path, mode, channels, suffix):
    small = smooth(channels)
    small[:14, :, -1], small[26:, :, -1] = 0, 255
    source, target = tmp_path / "alpha.png", tmp_path / f"out{suffix}"
    Image.fromarray(small).save(source)
    made(source, target)
    if suffix == ".zarr":
        group: Any = zarr.open(str(target), mode="r")
        array = group if isinstance(group, zarr.Array) else group["0"]
        assert group.attrs["alpha"] is True
        found = np.asarray(array[:]).transpose(1, 2, 0)
    else:
        opened = Image.open(target)
        found = np.asarray(opened.convert(mode))
        assert opened.mode == ("RGBA" if suffix == ".webp" else mode)
    alpha = found[..., -1]
    # flat parts are flat to the last bit: two pixels of the input away from the edge
    assert (alpha[: 2 * 12] == 0).all()
    assert (alpha[2 * 28 :] == 255).all()
    seen = slice(2 * 28, None)
    want = small[28:, :, :-1].repeat(2, axis=0).repeat(2, axis=1).astype(int)
    assert np.abs(found[seen, :, :-1] - want).max() < (24 if suffix == ".webp" else 12)
    if suffix == ".tif":
        page = tifffile.TiffFile(target).pages[0]
        assert [int(kind) for kind in page.extrasamples] == [2]


def test_alpha_has_no_halo(tmp_path):
    # a white disc on transparent black, the classic: composed on white, nothing may be dark
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    inside = np.clip(14.5 - np.hypot(y - 20, x - 28), 0, 1)
    small = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    small[inside > 0, :3] = 255
    small[..., 3] = np.round(inside * 255)
    source = tmp_path / "disc.png"
    Image.fromarray(small).save(source)
    found = np.asarray(Image.open(made(source, tmp_path / "out.png", scale="4"))).astype(float)
    shown = found[..., :3] * found[..., 3:] / 255 + (255 - found[..., 3:])
    assert shown.min() > 254
    # without bleeding, bicubic draws the black into the edge
    plain = np.asarray(Image.fromarray(small[..., :3]).resize((4 * WIDTH, 4 * HEIGHT), 3))
    halo = plain * found[..., 3:] / 255 + (255 - found[..., 3:])
    assert halo.min() < 230


@pytest.mark.parametrize("transparent", [False, True])
def test_palette(tmp_path, transparent):
    image = Image.fromarray(smooth(3)).quantize(16)
    source = tmp_path / "palette.png"
    image.save(source, **({"transparency": image.getpixel((5, 5))} if transparent else {}))
    found = Image.open(made(source, tmp_path / "out.png", scale="1"))
    assert found.mode == ("RGBA" if transparent else "RGB")
    # at scale 1 bicubic gives the input back
    expected = np.asarray(Image.open(source).convert(found.mode))
    seen = expected[..., -1] > 0 if transparent else np.ones((HEIGHT, WIDTH), bool)
    np.testing.assert_array_equal(np.asarray(found)[seen], expected[seen])
    np.testing.assert_array_equal(np.asarray(found)[..., 3:], expected[..., 3:])


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_16_bits(tmp_path, suffix, channels):
    source, target = tmp_path / "deep.tif", tmp_path / f"out{suffix}"
    small = smooth(channels, np.uint16)
    if channels == 4:
        small[..., 3] = 65535
    kinds = {"extrasamples": ["unassalpha"]} if channels == 4 else {}
    photometric = "minisblack" if channels == 1 else "rgb"
    tifffile.imwrite(source, small, photometric=photometric, **kinds)
    made(source, target)
    read = imagecodecs.png_decode if suffix == ".png" else None
    found = read(target.read_bytes()) if read else tifffile.imread(target)
    near(found, small, 65535 / 60)
    if channels == 4:
        assert (found[..., 3] == 65535).all()


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_cmyk(tmp_path, suffix):
    source = tmp_path / f"cmyk{suffix}"
    inks = smooth(4)
    Image.fromarray(inks, mode="CMYK").save(source, **({"quality": 98} if suffix == ".jpg" else {}))
    found = Image.open(made(source, tmp_path / f"out{suffix}"))
    assert found.mode == "RGB"
    light = 1 - inks / 255
    near(np.asarray(found), np.round(255 * light[..., :3] * light[..., 3:]).astype(np.uint8), 8)
    profile = ImageCms.ImageCmsProfile(io.BytesIO(found.info["icc_profile"]))
    assert "sRGB" in ImageCms.getProfileName(profile)


def exif_block() -> Image.Exif:
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Maker", 6
    exif[0x011A], exif[0x011B], exif[0x0128] = 300.0, 150.0, 2
    inner = exif.get_ifd(0x8769)
    inner[0xA002], inner[0xA003], inner[0x9003] = WIDTH, HEIGHT, "2020:01:02 03:04:05"
    return exif


XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><d tiff:Orientation="6"/></x:xmpmeta>'


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_exif_rotated(tmp_path, suffix):
    source = tmp_path / "turned.jpg"
    Image.fromarray(smooth(3)).save(source, exif=exif_block(), xmp=XMP, quality=95)
    found = Image.open(made(source, tmp_path / f"out{suffix}"))
    assert found.size == (2 * HEIGHT, 2 * WIDTH)
    turned = np.asarray(Image.open(source).transpose(Image.Transpose.ROTATE_270))
    small = np.asarray(found.resize((HEIGHT, WIDTH), Image.Resampling.BOX))
    assert np.abs(small.astype(int) - turned).max() < 16
    exif = found.getexif()
    assert exif[0x010F] == "Maker"
    assert exif[0x0112] == 1
    inner = exif.get_ifd(0x8769)
    assert (inner[0xA002], inner[0xA003]) == found.size
    assert inner[0x9003] == "2020:01:02 03:04:05"
    # the resolution turns with the image and grows with it
    assert (float(exif[0x011A]), float(exif[0x011B])) == pytest.approx((300, 600))
    kept = found.info.get("xmp") or found.info.get("XML:com.adobe.xmp", "").encode()
    assert kept == XMP.replace(b'"6"', b'"1"')


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".zarr"])
def test_stripped_metadata(tmp_path, suffix):
    profile = p3_profile()
    source, target = tmp_path / "full.jpg", tmp_path / f"out{suffix}"
    image = Image.fromarray(smooth(3))
    image.save(source, exif=exif_block(), xmp=XMP, icc_profile=profile, dpi=(300, 150))
    made(source, target, strip_metadata=True)
    if target.is_dir():
        attributes = zarr.open(str(target), mode="r").attrs.asdict()
        assert not {"exif", "xmp", "software"} & attributes.keys()
        return
    found = Image.open(target)
    if suffix == ".tif":
        assert not {270, 305, 700, 34665} & dict(found.tag_v2).keys()
    else:
        assert not found.getexif()
        assert (
            not {"xmp", "XML:com.adobe.xmp", "comment", "Comment", "Software"} & found.info.keys()
        )
    assert found.info["icc_profile"] == profile


def p3_profile() -> bytes:
    """Display P3 by LittleCMS: its primaries under D65."""
    return bytes(
        imagecodecs.cms_profile(
            "rgb",
            whitepoint=[0.3127, 0.3290, 1.0],
            primaries=[0.680, 0.320, 1.0, 0.265, 0.690, 1.0, 0.150, 0.060, 1.0],
            gamma=2.2,
        )
    )


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_p3_profile(tmp_path, suffix):
    profile, source = p3_profile(), tmp_path / f"wide{suffix}"
    Image.fromarray(smooth(3)).save(source, icc_profile=profile)
    found = Image.open(made(source, tmp_path / f"out{suffix}"))
    # numbers and profile both stay, so that the colours do
    assert found.info["icc_profile"] == profile
    near(np.asarray(found), smooth(3), 5 if suffix in (".png", ".tif") else 16)


@pytest.mark.parametrize("suffix", [".tif", ".zarr"])
def test_float_range(tmp_path, suffix):
    small = smooth(1, np.float32) * 4000 - 1500
    source, target = tmp_path / "height.tif", tmp_path / f"out{suffix}"
    tifffile.imwrite(source, small)
    made(source, target)
    if suffix == ".tif":
        found = tifffile.imread(target)
    else:
        group: Any = zarr.open(str(target), mode="r")
        found = np.asarray((group if isinstance(group, zarr.Array) else group["0"])[0])
    near(found, small, 4000 / 60)
    assert found.min() >= small.min()
    assert found.max() <= small.max()
    # a band of its own keeps its own scale
    assert np.ptp(found) > 0.95 * np.ptp(small)


def test_floats_within_one_stay_as_they_are(tmp_path):
    small = smooth(3, np.float32) * np.float32(0.1)
    source = tmp_path / "dark.tif"
    tifffile.imwrite(source, small, photometric="rgb")
    found = tifffile.imread(made(source, tmp_path / "out.tif", scale="1"))
    np.testing.assert_allclose(found, small, atol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_floats_that_are_no_numbers(tmp_path, bad):
    small = smooth(1, np.float32)
    small[7, 9] = bad
    source = tmp_path / "bad.tif"
    tifffile.imwrite(source, small)
    assert "row 7, column 9" in failure(source, tmp_path / "out.tif")


@pytest.mark.parametrize("suffix", [".tif", ".zarr"])
def test_five_bands(tmp_path, suffix):
    small = smooth(5, np.uint16)
    # a band that no other may leak into
    small[..., 2] = 777
    source, target = tmp_path / "bands.tif", tmp_path / f"out{suffix}"
    stored = small.transpose(2, 0, 1)
    tifffile.imwrite(source, stored, photometric="minisblack", planarconfig="separate")
    made(source, target)
    if suffix == ".tif":
        found = tifffile.imread(target)
    else:
        group: Any = zarr.open(str(target), mode="r")
        array = group if isinstance(group, zarr.Array) else group["0"]
        found = np.asarray(array[:]).transpose(1, 2, 0)
    near(found, small, 65535 / 60)
    assert (found[..., 2] == 777).all()
    for band in range(5):
        alone, name = tmp_path / f"band{band}.tif", tmp_path / f"alone{band}.tif"
        tifffile.imwrite(alone, small[..., band])
        np.testing.assert_array_equal(tifffile.imread(made(alone, name)), found[..., band])


def test_pages(tmp_path):
    source = tmp_path / "pages.tif"
    pages = [Image.fromarray(np.roll(smooth(3), 9 * k, axis=1)) for k in range(3)]
    pages[0].save(source, save_all=True, append_images=pages[1:])
    for page in (1, 2, 3):
        found = tifffile.imread(made(source, tmp_path / f"out{page}.tif", page=page))
        assert found.shape == (2 * HEIGHT, 2 * WIDTH, 3)
        middle = found[::2, ::2].astype(int) - np.asarray(pages[page - 1])
        assert np.abs(middle[:, 16:40]).mean() < 6
    events = Events()
    first = tifffile.imread(made(source, tmp_path / "first.tif", listen=events))
    assert any("the first of 3 pages" in event.message for event in events.of(Warned))
    np.testing.assert_array_equal(first, tifffile.imread(tmp_path / "out1.tif"))
    assert "expected 1 to 3" in failure(source, tmp_path / "out4.tif", page=4)


# --- refused before any work


def test_alpha_to_jpeg_is_refused_with_the_cure(tmp_path):
    source = tmp_path / "alpha.png"
    Image.fromarray(smooth(4)).save(source)
    message = failure(source, tmp_path / "out.jpg")
    assert "jpg cannot hold RGB with alpha" in message
    assert "--format png" in message


def test_bands_to_png_are_refused_with_the_cure(tmp_path):
    source = tmp_path / "bands.tif"
    tifffile.imwrite(source, smooth(4), photometric="minisblack", planarconfig="contig")
    message = failure(source, tmp_path / "out.png")
    assert "png cannot hold 4 bands" in message
    assert "--format tiff" in message


def test_a_bomb_is_refused_before_it_is_decoded(tmp_path):
    source = tmp_path / "bomb.png"
    Image.fromarray(smooth(3)).save(source)
    message = failure(source, tmp_path / "out.png", max_input_pixels=HEIGHT * WIDTH - 1)
    assert "56x40, 2,240 pixels" in message
    assert "--max-input-pixels" in message
    # a header alone, of 2^31 - 1 pixels per side, is enough to know
    data = bytearray(source.read_bytes())
    data[16:24] = (2**31 - 1).to_bytes(4, "big") * 2
    source.write_bytes(data)
    assert "at most 1,073,741,824" in failure(source, tmp_path / "out.png", scale="0.01")


def test_text_and_exif_survive_a_second_run(tmp_path):
    # what is written is read again as what it was
    source, first = tmp_path / "in.png", tmp_path / "first.png"
    notes = PngImagePlugin.PngInfo()
    notes.add_itxt("XML:com.adobe.xmp", XMP.decode())
    Image.fromarray(smooth(4)).save(source, exif=exif_block(), pnginfo=notes)
    made(source, first)
    found = Image.open(made(first, tmp_path / "second.webp"))
    assert found.getexif()[0x010F] == "Maker"
    assert found.mode == "RGBA"
