"""Inputs that are decoded once to the disk: the same pixels, and not twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from liif_cli.errors import InputError
from liif_cli.geometry.window import Window
from liif_cli.io import open_source, unpack
from liif_cli.io.orientation import Orientation
from liif_cli.io.unpack import UnpackedSource, upright_band


@pytest.fixture(autouse=True)
def small_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bands that small images have several of."""
    monkeypatch.setattr(unpack, "BAND_BYTES", 1500)


def noise(height: int, width: int, channels: int = 3, dtype: str = "uint8") -> np.ndarray:
    """Smooth enough for every PNG filter to be chosen somewhere."""
    rng = np.random.default_rng(0)
    rows, cols = np.mgrid[:height, :width]
    shape = (height, width, channels)
    ramp = (rows * 3 + cols * 5)[..., None] + rng.integers(0, 9, shape)
    full = np.iinfo(dtype).max
    image = np.where(rng.random((height, 1, 1)) < 0.3, rng.integers(0, full, shape), ramp * 7)
    return image.astype(dtype)


def unpacked(path: Path, folder: Path) -> UnpackedSource:
    source: Any = open_source(path)
    assert source.info.unpack_bytes is not None
    return unpack.unpack(source, folder / "u.npy", "digest", lambda: None)


def check(path: Path, tmp_path: Path) -> None:
    whole = open_source(path)
    info = whole.info
    found = unpacked(path, tmp_path)
    everything = Window.whole(info.height, info.width)
    np.testing.assert_array_equal(found.read(everything), whole.read(everything))
    part = Window(info.height // 3, info.width // 4, info.height // 2, info.width // 2)
    np.testing.assert_array_equal(found.read(part), whole.read(part))
    stored = np.load(tmp_path / "u.npy")
    np.testing.assert_array_equal(stored, whole.read(everything))


@pytest.mark.parametrize("mode", ["L", "RGB", "P", "1", "I;16", "P4"])
def test_png(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(noise(61, 47))
    if mode == "P4":
        image = image.quantize(13)
        image.save(tmp_path / "a.png", bits=4)
    elif mode == "I;16":
        Image.fromarray(noise(61, 47, 1, "uint16")[..., 0]).save(tmp_path / "a.png")
    else:
        image.convert(mode).save(tmp_path / "a.png")
    check(tmp_path / "a.png", tmp_path)


@pytest.mark.parametrize("value", range(1, 9))
def test_orientations(tmp_path: Path, value: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = value
    Image.fromarray(noise(61, 47)).save(tmp_path / "a.png", exif=exif)
    check(tmp_path / "a.png", tmp_path)
    tifffile.imwrite(
        tmp_path / "a.tif",
        noise(61, 47),
        photometric="rgb",
        rowsperstrip=7,
        compression="zlib",
        extratags=[(274, 3, 1, value, True)],
    )
    (tmp_path / "u.json").unlink()
    check(tmp_path / "a.tif", tmp_path)


@pytest.mark.parametrize("value", range(1, 9))
def test_bands_lie_where_their_rows_do(value: int) -> None:
    orientation = Orientation.from_exif(value)
    height, width = orientation.shape(10, 7)
    for start, stop in ((0, 3), (3, 10)):
        window = upright_band(orientation, start, stop, height, width)
        assert orientation.stored_window(window, height, width) == Window(start, 0, stop - start, 7)


@pytest.mark.parametrize("options", [{"compression": "lzw"}, {"planarconfig": "separate"}])
def test_tiff_strips(tmp_path: Path, options: dict[str, Any]) -> None:
    image = noise(61, 47, 3, "uint16")
    if "planarconfig" in options:
        image = np.moveaxis(image, 2, 0)
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb", rowsperstrip=5, **options)
    check(tmp_path / "a.tif", tmp_path)


def test_what_is_there_is_not_decoded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, noise(61, 47), photometric="rgb", rowsperstrip=5, compression="zlib")
    source: Any = open_source(path)
    bands = len(list(source.bands()))
    assert bands > 3
    calls = []

    def stop_in_the_third() -> None:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        unpack.unpack(source, tmp_path / "u.npy", "digest", stop_in_the_third)
    firsts = []
    real = type(source).bands

    def watched(self: Any, first: int = 0) -> Any:
        firsts.append(first)
        return real(self, first)

    monkeypatch.setattr(type(source), "bands", watched)
    found = unpack.unpack(open_source(path), tmp_path / "u.npy", "digest", lambda: None)  # type: ignore[arg-type]
    assert firsts == [2]
    whole = Window.whole(61, 47)
    np.testing.assert_array_equal(found.read(whole), noise(61, 47))
    unpack.unpack(open_source(path), tmp_path / "u.npy", "digest", lambda: None)  # type: ignore[arg-type]
    assert firsts == [2]
    unpack.unpack(open_source(path), tmp_path / "u.npy", "another", lambda: None)  # type: ignore[arg-type]
    assert firsts == [2, 0]


def test_what_cannot_be_read_by_row(tmp_path: Path) -> None:
    image = Image.fromarray(noise(61, 47))
    image.save(tmp_path / "a.jpg")
    assert open_source(tmp_path / "a.jpg").info.unpack_bytes is None
    tifffile.imwrite(tmp_path / "a.tif", noise(64, 48), photometric="rgb", tile=(16, 16))
    assert open_source(tmp_path / "a.tif").info.unpack_bytes is None
    # interlaced: the byte of the header after the filter method
    image.save(tmp_path / "a.png")
    data = bytearray((tmp_path / "a.png").read_bytes())
    data[28] = 1
    (tmp_path / "a.png").write_bytes(data)
    assert open_source(tmp_path / "a.png").info.unpack_bytes is None


def test_a_damaged_png_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(noise(61, 47)).save(path)
    data = bytearray(path.read_bytes())
    at = data.index(b"IDAT") + 4
    data[at + 500 : at + 504] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"damaged|truncated"):
        unpacked(path, tmp_path)
