"""Images of high dynamic range: light as the network sees it, OpenEXR and Radiance files."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import imagecodecs
import numpy as np
import OpenEXR
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liif_cli.errors import InputError
from liif_cli.geometry.window import Window
from liif_cli.io import exporter_for, open_source
from liif_cli.io.base import OutputInfo
from liif_cli.io.linear import decoded, encoded
from liif_cli.io.values import measure
from tests.io.conftest import ArrayReader

H, W = 24, 36
RNG = np.random.default_rng(0)
LIGHT = (RNG.random((H, W, 3)) ** 4 * 50).astype(np.float32)


def write_exr(path: Path, planes: dict[str, np.ndarray], **header: object) -> Path:
    OpenEXR.File({"type": OpenEXR.scanlineimage, **header}, planes).write(str(path))
    return path


def read(path: Path, page: int = 1) -> np.ndarray:
    source = open_source(path, page)
    return source.read(Window(0, 0, source.info.height, source.info.width))


@given(st.floats(-65504, 65504))
def test_the_curve_has_an_inverse(amount: float) -> None:
    light = np.array([amount])
    np.testing.assert_allclose(decoded(encoded(light)), light, rtol=1e-9, atol=1e-12)


def test_the_curve_is_that_of_srgb_up_to_white_and_smooth_above() -> None:
    np.testing.assert_allclose(
        encoded(np.array([0, 0.001, 0.2140411, 1])), [0, 0.01292, 0.5, 1], atol=1e-6
    )
    steps = encoded(np.linspace(0.9, 1.1, 2001))
    slopes = np.diff(steps)
    assert (slopes > 0).all()
    assert np.abs(np.diff(slopes)).max() < 1e-6
    np.testing.assert_array_equal(encoded(-np.array([0.3, 7])), -encoded(np.array([0.3, 7])))


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("names", ["RGB", "RGBA", "Y", "YA"])
def test_exr_of_colours(tmp_path: Path, names: str, dtype: type) -> None:
    pixels = RNG.random((H, W, len(names))).astype(dtype)
    if "A" in names:
        pixels[..., :-1] *= pixels[..., -1:]  # as the format has it
    planes = {name: np.ascontiguousarray(pixels[..., k]) for k, name in enumerate(names)}
    path = write_exr(tmp_path / "a.exr", planes)
    info = open_source(path).info
    assert (info.alpha, info.linear, info.dtype) == ("A" in names, True, np.dtype(dtype))
    found = read(path).astype(np.float32)
    if "A" in names:
        found[..., :-1] *= found[..., -1:]
    np.testing.assert_allclose(found, pixels, rtol=2e-3 if dtype == np.float16 else 1e-5)


def test_exr_with_more_channels_gives_its_colours_and_says_so(tmp_path: Path) -> None:
    planes = {name: LIGHT[..., k].copy() for k, name in enumerate("RGB")}
    path = write_exr(tmp_path / "a.exr", {**planes, "Z": LIGHT[..., 0].copy()})
    info = open_source(path).info
    assert info.channels == 3
    assert info.dropped == ("its channel Z is dropped, as no colours",)
    np.testing.assert_array_equal(read(path), LIGHT)


def test_exr_without_colours_is_bands(tmp_path: Path) -> None:
    planes = {"Z": LIGHT[..., 0].copy(), "U": LIGHT[..., 1].copy()}
    path = write_exr(tmp_path / "a.exr", planes)
    info = open_source(path).info
    assert (info.channels, info.linear, info.alpha) == (2, False, False)
    # the library sorts them
    np.testing.assert_array_equal(read(path), LIGHT[..., [1, 0]])


def test_exr_of_whole_numbers_is_no_light(tmp_path: Path) -> None:
    plane = RNG.integers(0, 2**32, (H, W), dtype=np.uint32)
    path = write_exr(tmp_path / "a.exr", {"id": plane})
    info = open_source(path).info
    assert (info.linear, info.dtype) == (False, np.uint32)
    np.testing.assert_array_equal(read(path)[..., 0], plane)


def test_parts_are_pages(tmp_path: Path) -> None:
    path = tmp_path / "a.exr"
    planes = [LIGHT[..., k].copy() for k in (0, 1)]
    OpenEXR.File(
        [
            OpenEXR.Part({"type": OpenEXR.scanlineimage}, {"Y": plane}, f"p{k}")
            for k, plane in enumerate(planes)
        ]
    ).write(str(path))
    assert open_source(path).info.pages == 2
    for page, plane in enumerate(planes, 1):
        np.testing.assert_array_equal(read(path, page)[..., 0], plane)


def test_a_data_window_of_its_own_is_said(tmp_path: Path) -> None:
    window = (np.array([0, 0], np.int32), np.array([W + 9, H + 9], np.int32))
    path = write_exr(tmp_path / "a.exr", {"Y": LIGHT[..., 0].copy()}, displayWindow=window)
    info = open_source(path).info
    assert (info.height, info.width) == (H, W)
    assert any("display window" in what for what in info.dropped)


def test_not_a_number_is_refused_by_name(tmp_path: Path) -> None:
    plane = LIGHT[..., 0].copy()
    plane[3, 5] = np.nan
    path = write_exr(tmp_path / "a.exr", {"Y": plane})
    with pytest.raises(InputError, match="row 3, column 5"):
        read(path)


@pytest.mark.parametrize("cut", [6, 20, 200, 400, 900])
def test_cut_exr_is_an_error_that_names_it(tmp_path: Path, cut: int) -> None:
    path = write_exr(tmp_path / "a.exr", {"Y": LIGHT[..., 0].copy()})
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(InputError, match=r"a\.exr"):
        read(path)


@pytest.mark.parametrize(
    ("size", "turn"),
    [
        (f"-Y {H} +X {W}", lambda a: a),
        (f"+Y {H} +X {W}", lambda a: a[::-1]),
        (f"-Y {H} -X {W}", lambda a: a[:, ::-1]),
        (f"+X {H} -Y {W}", lambda a: a.swapaxes(0, 1)),
        (f"-X {H} +Y {W}", lambda a: a.swapaxes(0, 1)[::-1, ::-1]),
    ],
)
def test_radiance_pictures_are_turned_as_their_size_says(tmp_path: Path, size: str, turn) -> None:
    path = tmp_path / "a.hdr"
    data = bytes(imagecodecs.rgbe_encode(LIGHT, header=True))
    start = data.index(b"-Y")
    end = data.index(b"\n", start)
    path.write_bytes(data[:start] + size.encode() + data[end:])
    expected = imagecodecs.rgbe_decode(data)
    info = open_source(path).info
    assert info.linear
    np.testing.assert_array_equal(read(path), turn(expected))


def test_radiance_output_is_rounded_not_cut(tmp_path: Path) -> None:
    path = tmp_path / "a.hdr"
    exporter_for("hdr").export(ArrayReader(LIGHT), path, OutputInfo())
    found = read(path)
    step = np.ldexp(1.0, np.frexp(LIGHT.max(axis=2, keepdims=True))[1] - 8)
    assert (np.abs(found - LIGHT) <= step / 2 + 1e-6).mean() > 0.99
    assert abs((found - LIGHT).mean()) < step.mean() / 20
    dark = np.zeros((4, 9, 3), np.float32)
    exporter_for("hdr").export(ArrayReader(dark), path, OutputInfo())
    assert not read(path).any()


def test_light_spans_what_the_network_sees_of_it(tmp_path: Path) -> None:
    planes = {name: LIGHT[..., k].copy() for k, name in enumerate("RGB")}
    ((low, high),) = measure(open_source(write_exr(tmp_path / "a.exr", planes))).ranges
    assert low == 0
    np.testing.assert_allclose(high, encoded(LIGHT.max()), rtol=1e-6)


def test_a_header_without_its_windows_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.exr"
    path.write_bytes(b"v/1\x01" + struct.pack("<I", 2) + b"\0" + bytes(100))
    with pytest.raises(InputError, match="damaged"):
        open_source(path)


def test_luma_and_chroma_are_refused_by_name(tmp_path: Path) -> None:
    planes = {name: LIGHT[..., k].copy() for k, name in enumerate(("Y", "RY", "BY"))}
    path = write_exr(tmp_path / "a.exr", planes)
    with pytest.raises(InputError, match="luma and chroma"):
        open_source(path)


def test_primaries_of_its_own_become_a_profile(tmp_path: Path) -> None:
    planes = {name: LIGHT[..., k].copy() for k, name in enumerate("RGB")}
    plain = open_source(write_exr(tmp_path / "a.exr", planes)).info
    points = (0.7347, 0.2653, 0.0, 1.0, 0.0001, -0.077, 0.32168, 0.33767)
    aces = open_source(write_exr(tmp_path / "b.exr", planes, chromaticities=points)).info
    assert plain.icc is not None
    assert aces.icc is not None
    assert plain.icc != aces.icc
    assert not plain.dropped
    assert any("chromaticities" in what for what in aces.dropped)


def test_in_a_tiff_the_profile_says_that_it_is_light(tmp_path: Path) -> None:
    from PIL import ImageCms

    icc = open_source(write_exr(tmp_path / "a.exr", {"Y": LIGHT[..., 0].copy()})).info.icc
    assert icc is not None
    profile = ImageCms.ImageCmsProfile(io.BytesIO(icc)).profile
    assert profile.xcolor_space.strip() == "GRAY"
