"""Every exporter, read back by another library; new registry entries need a reader here."""

from __future__ import annotations

import importlib.util
import json
import math
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import cv2
import imagecodecs
import numpy as np
import OpenEXR
import pytest
import tifffile
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from liif_cli.errors import OutputError
from liif_cli.geometry.window import Window
from liif_cli.io import EXPORTERS, exporter_for, format_for, open_source
from liif_cli.io.base import OutputInfo
from liif_cli.io.exporters import png, tiff
from liif_cli.io.limits import limit
from liif_cli.io.tilestore import TileStore


def read_pillow(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def read_zarr(path: Path) -> np.ndarray:
    array = zarr.open_group(str(path), mode="r")["0"]
    assert array.metadata.dimension_names == ("c", "y", "x")
    return np.asarray(array).transpose(1, 2, 0).squeeze()


def read_deep_zoom(path: Path) -> np.ndarray:
    """The largest level put together from its tiles, going by the descriptor alone."""
    image = ElementTree.parse(path).getroot()
    size = image[0].attrib
    height, width = int(size["Height"]), int(size["Width"])
    side, overlap = int(image.attrib["TileSize"]), int(image.attrib["Overlap"])
    levels = path.with_name(path.stem + "_files")
    found: np.ndarray | None = None
    for tile in (levels / str(math.ceil(math.log2(max(height, width))))).iterdir():
        assert tile.suffix == "." + image.attrib["Format"]
        col, row = map(int, tile.stem.split("_"))
        pixels = read_pillow(tile)
        if found is None:
            found = np.zeros((height, width, *pixels.shape[2:]), np.uint8)
        top, left = max(0, row * side - overlap), max(0, col * side - overlap)
        found[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    return found


def read_jpeg_2000(path: Path) -> np.ndarray:
    # Pillow has no 48 bits
    pixels = imagecodecs.jpeg2k_decode(path.read_bytes())
    if pixels.dtype == np.uint8:
        np.testing.assert_array_equal(pixels, read_pillow(path))
    return pixels


def read_jpeg_xl(path: Path) -> np.ndarray:
    return imagecodecs.jpegxl_decode(path.read_bytes())


def read_avif(path: Path) -> np.ndarray:
    pixels = imagecodecs.avif_decode(path.read_bytes())
    if pixels.dtype == np.uint16:
        return np.round(pixels * (65535 / 4095)).astype(np.uint16)
    np.testing.assert_allclose(pixels.astype(int), read_pillow(path).astype(int), atol=1)
    return pixels


def read_exr(path: Path) -> np.ndarray:
    (pixels,) = OpenEXR.File(str(path)).channels().values()
    return pixels.pixels


def read_hdr(path: Path) -> np.ndarray:
    found = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[..., ::-1]
    np.testing.assert_array_equal(found, imagecodecs.rgbe_decode(path.read_bytes()))
    return found


def read_ome_tiff(path: Path) -> np.ndarray:
    with tifffile.TiffFile(path) as file:
        assert file.is_ome
        return file.series[0].asarray()


def read_ours(path):
    source = open_source(path)
    found = source.read(Window.whole(source.info.height, source.info.width))
    source.close()
    return found[..., 0] if found.shape[2] == 1 else found


READERS = {
    "png": read_pillow,
    "jpg": read_pillow,
    "webp": read_pillow,
    "tiff": tifffile.imread,
    "ome-tiff": read_ome_tiff,
    "zarr": read_zarr,
    "dzi": read_deep_zoom,
    "cog": tifffile.imread,
    "jp2": read_jpeg_2000,
    "jxl": read_jpeg_xl,
    "avif": read_avif,
    "exr": read_exr,
    "hdr": read_hdr,
}
# what has no reader of another library yet is at least read by our own
READERS |= {name: read_ours for name in EXPORTERS if name not in READERS}
HERE = [name for name in EXPORTERS if name != "cog" or importlib.util.find_spec("rasterio")]
LOSSY = {"hdr": 1.0, "jpg": 6.0, "avif": 6.0, "webp": 12.0, "dzi": 6.0}


def own(name: str) -> str:
    """A sample type that the format holds: uint8 if it can."""
    dtypes = exporter_for(name).dtypes
    return "uint8" if "uint8" in dtypes else dtypes[0]


def export(name: str, pixels, folder: Path, info: OutputInfo | None = None) -> Path:
    exporter = exporter_for(name)
    path = folder / f"out{exporter.suffixes[0]}"
    exporter.export(pixels, path, info or OutputInfo())
    return path


def kinds() -> list[tuple[str, str, int]]:
    found = []
    for name in HERE:
        for dtype in exporter_for(name).dtypes:
            found += [(name, dtype, channels) for channels in (1, 3)]
    return found


# the larger ones are cut: tiles of 512 pixels
SIDES = [(1, 1), (5, 1), (1, 5), (37, 53), (515, 24), (24, 1030)]


@pytest.mark.parametrize(("name", "dtype", "channels"), kinds())
@pytest.mark.parametrize("size", [*SIDES, pytest.param((530, 1030), marks=pytest.mark.slow)])
def test_round_trip(tmp_path, picture, reader, name, dtype, channels, size):
    pixels = picture(*size, channels, dtype)
    path = export(name, reader(pixels), tmp_path)
    if name == "png" and dtype == "uint16" and channels == 3:
        # Pillow has no 48 bits
        found = imagecodecs.png_decode(path.read_bytes())
    else:
        found = READERS[name](path)
    if name == "hdr":
        # floats of a shared exponent, which know no gray
        assert found.shape == (*size, 3)
        expected = np.broadcast_to(pixels.reshape(*size, channels), (*size, 3)).astype(np.float32)
        assert (np.abs(found - expected) <= expected.max(axis=2, keepdims=True) / 128).all()
        return
    if name == "webp" and channels == 1:
        # the format knows no gray
        assert np.ptp(found.astype(int), axis=-1).max() <= 3
        found = found[..., 0]
    found, pixels = found.reshape(*size, channels), pixels.reshape(*size, channels)
    assert found.dtype == pixels.dtype
    if name in LOSSY:
        rms = np.sqrt(np.mean((found.astype(float) - pixels) ** 2))
        assert rms < LOSSY[name] * (257 if dtype == "uint16" else 1)
    else:
        np.testing.assert_array_equal(found, pixels)


@pytest.mark.parametrize("name", HERE)
def test_our_own_source_reads_it(tmp_path, picture, reader, name):
    if name == "dzi":
        pytest.skip("a format that is only written")
    pixels = reader(picture(40, 60, 3, own(name)))
    path = export(name, pixels, tmp_path, OutputInfo(resolution=(300, 150)))
    info = open_source(path).info
    format = "tiff" if name in ("cog", "ome-tiff") else name
    assert (info.format, info.shape, info.dtype) == (format, (40, 60, 3), own(name))
    if "resolution" in exporter_for(name).carries:
        assert info.resolution == pytest.approx((300, 150), rel=1e-3)


@pytest.mark.parametrize("name", HERE)
@pytest.mark.parametrize("length", [None, 200_001])
def test_profile(tmp_path, picture, reader, profile, name, length, capfd):
    # JPEG cuts long ones into parts
    icc = profile if length is None else profile + bytes(length - len(profile))
    path = export(name, reader(picture(20, 30, 3, own(name))), tmp_path, OutputInfo(icc=icc))
    if "ICC" not in exporter_for(name).carries:
        # the file may still mean colours of its own, as those that hold light do
        assert open_source(path).info.icc != icc
        return
    if name == "dzi":
        for tile in path.with_name("out_files").rglob("*_*"):
            with Image.open(tile) as image:
                image.load()
                assert image.info["icc_profile"] == icc
        return
    if name not in ("zarr", "jp2"):
        with Image.open(path) as image:
            assert image.info["icc_profile"] == icc
    assert open_source(path).info.icc == icc


@pytest.mark.parametrize("name", ["png", "jpg", "tiff"])
def test_resolution_software_and_provenance(tmp_path, picture, reader, name):
    info = OutputInfo(resolution=(300, 150), software="liif 1.2", provenance={"model": "größer"})
    path = export(name, reader(picture(20, 30)), tmp_path, info)
    if name == "tiff":
        with tifffile.TiffFile(path) as file:
            tags = file.pages.first.tags
            assert tags["XResolution"].value[0] / tags["XResolution"].value[1] == 300
            assert tags["YResolution"].value[0] / tags["YResolution"].value[1] == 150
            assert tags["ResolutionUnit"].value == 2
            assert tags["Software"].value == "liif 1.2"
            assert json.loads(tags["ImageDescription"].value) == info.provenance
        return
    with Image.open(path) as image:
        image.load()
        assert image.info["dpi"] == pytest.approx((300, 150), rel=1e-3)
    data = path.read_bytes()
    assert b"liif 1.2" in data
    assert json.dumps(info.provenance).encode() in data


@pytest.mark.parametrize("name", HERE)
def test_same_pixels_same_bytes(tmp_path, picture, reader, name):
    if name == "zarr":
        pytest.skip("a folder; its shards are compared in the tests of the tile store")
    info = OutputInfo(software="liif", provenance={"b": 1, "a": 2})
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    pixels = picture(300, 700, 3, own(name))
    first = export(name, reader(pixels), tmp_path / "a", info)
    second = export(name, reader(pixels), tmp_path / "b", info)
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("name", HERE)
def test_from_a_tile_store(tmp_path, picture, name):
    pixels = picture(150, 230, 3, own(name))
    store = TileStore.create(
        tmp_path / "store",
        height=150,
        width=230,
        channels=3,
        dtype=own(name),
        chunk=32,
        shard=64,
        fingerprint="f",
    )
    for window in store.grid:
        store.base.write_shard(window, pixels[window.to_slices()])
    found = READERS[name](export(name, store, tmp_path)).astype(float)
    assert np.abs(found - pixels).mean() < (LOSSY.get(name, 1e-9))
    # a reader that was moved is still one
    window = Window(60, 60, 10, 10)
    np.testing.assert_array_equal(store.read(window), pixels[window.to_slices()])


def test_zarr_moves_a_finished_store(tmp_path, picture):
    store = TileStore.create(
        tmp_path / "store", height=20, width=30, channels=1, dtype="uint8", fingerprint="f"
    )
    store.base.write_shard(Window(0, 0, 20, 30), picture(20, 30, 1)[..., np.newaxis])
    inode = store.base.shard_path(0, 0).stat().st_ino
    path = export("zarr", store, tmp_path)
    assert not (tmp_path / "store").exists()
    assert TileStore.open(path, "f").base.shard_path(0, 0).stat().st_ino == inode


def test_zarr_copies_across_file_systems(tmp_path, picture, monkeypatch):
    import errno

    store = TileStore.create(
        tmp_path / "store", height=20, width=30, channels=1, dtype="uint8", fingerprint="f"
    )
    store.base.write_shard(Window(0, 0, 20, 30), picture(20, 30, 1)[..., np.newaxis])

    def refuse(self, path):
        raise OSError(errno.EXDEV, "cross-device")

    monkeypatch.setattr(TileStore, "move", refuse)
    path = export("zarr", store, tmp_path)
    assert (tmp_path / "store").exists()
    np.testing.assert_array_equal(read_zarr(path), picture(20, 30, 1))


@pytest.mark.parametrize("name", HERE)
def test_limits_are_refused_before_anything_is_written(tmp_path, name):
    exporter = exporter_for(name)

    class Huge:
        height, width, channels = 1, (exporter.max_side or 0) + 1, 3
        dtype = np.dtype("uint8")

        def read(self, window):
            raise AssertionError("read in spite of the limit")

    if exporter.max_side is not None:
        with pytest.raises(OutputError, match=f"{exporter.max_side} pixels.*tiff or zarr"):
            export(name, Huge(), tmp_path)
        assert limit(exporter, exporter.max_side, 1, np.dtype(exporter.dtypes[0])) is None
    Huge.width = 1
    for dtype in {"uint8", "uint16", "float32"} - set(exporter.dtypes):
        Huge.dtype = np.dtype(dtype)
        with pytest.raises(OutputError, match=f"{dtype}.*samples"):
            export(name, Huge(), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", HERE)
def test_no_permission_is_an_output_error_naming_the_file(tmp_path, picture, reader, name):
    # a file where a folder should be: refused for every user, root too
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"file/out\."):
        export(name, reader(picture(8, 8)), tmp_path / "file")


def test_suffixes_name_one_format_each():
    for name in EXPORTERS:
        for suffix in exporter_for(name).suffixes:
            # a COG is a TIFF, and has to be asked for
            named = format_for(Path("a" + suffix.upper()))
            assert named == ("tiff" if name == "cog" else name)
    assert format_for(Path("a.gif")) is None
    assert format_for(Path(".png")) is None


# --- PNG


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 9),
    st.integers(1, 40),
    st.sampled_from([1, 2, 3, 6]),
    st.integers(0, 2**32 - 1),
)
def test_filters_are_undone(height, width, distance, seed):
    rng = np.random.default_rng(seed)
    # a walk rather than noise, so that every filter is chosen now and then
    rows = np.cumsum(rng.integers(-3, 4, (height + 1, width * distance)), axis=seed % 2)
    rows = rows.astype(np.uint8)
    found = png.filter_rows(rows[1:], rows[0], distance)
    np.testing.assert_array_equal(_unfilter(found, rows[0], distance), rows[1:])


def _unfilter(filtered: np.ndarray, above: np.ndarray, distance: int) -> np.ndarray:
    """PNG, third edition, section 9.2, byte by byte."""
    out = []
    for line in filtered:
        kind, row = line[0], line[1:].astype(int)
        for k in range(row.size):
            a = row[k - distance] if k >= distance else 0
            b, c = int(above[k]), int(above[k - distance]) if k >= distance else 0
            p = a + b - c
            paeth = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
            row[k] = (row[k] + (0, a, b, (a + b) // 2, paeth)[kind]) % 256
        above = row
        out.append(row)
    return np.array(out)


def test_png_is_one_valid_zlib_stream(tmp_path, picture, reader):
    path = export("png", reader(picture(700, 400)), tmp_path)
    data, at, stream, pieces = path.read_bytes(), 8, b"", 0
    while at < len(data):
        length, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        body = data[at + 8 : at + 8 + length]
        assert zlib.crc32(name + body) == int.from_bytes(data[at + 8 + length :][:4], "big")
        if name == b"IDAT":
            stream, pieces = stream + body, pieces + 1
        at += length + 12
    assert pieces > 3
    assert len(zlib.decompress(stream)) == 700 * (1 + 400 * 3)


@pytest.mark.parametrize("name", [name for name in HERE if exporter_for(name).streams])
def test_streamed_formats_keep_little_in_memory(tmp_path, name):
    class Endless:
        """Rows of 3 kB without end: 51 MB in all, whose levels are too large for memory."""

        height, width, channels = 17000, 1000, 3
        dtype = np.dtype("uint8")

        def read(self, window):
            return np.full((*window.shape, 3), window.row_off % 251, np.uint8)

    tracemalloc.start()
    export(name, Endless(), tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 36e6


# --- TIFF


def test_tiff_is_tiled_deflate_with_a_predictor(tmp_path, picture, reader):
    path = export("tiff", reader(picture(600, 700)), tmp_path)
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        assert (page.tilelength, page.tilewidth) == (512, 512)
        assert page.compression.name == "ADOBE_DEFLATE"
        assert page.predictor == 2
        assert page.photometric.name == "RGB"
        assert not file.is_bigtiff


@pytest.mark.parametrize(("side", "expected"), [(100, False), (31_500, False), (33_000, True)])
def test_bigtiff_goes_by_the_uncompressed_size(side, expected):
    class Sized:
        height = width = side
        channels, dtype = 3, np.dtype("uint8")

    assert tiff.needs_bigtiff(Sized()) is expected


def test_bigtiff_is_read_back(tmp_path, picture, reader, monkeypatch):
    monkeypatch.setattr(tiff, "_CLASSIC_LIMIT", 2**20)
    path = export("tiff", reader(picture(600, 700)), tmp_path)
    with tifffile.TiffFile(path) as file:
        assert file.is_bigtiff
        np.testing.assert_array_equal(file.asarray(), picture(600, 700))


# --- JPEG 2000


def test_jpeg_2000_of_any_resolution(tmp_path, picture, reader):
    for resolution in ((300, 150), (9600, 2400), (1e6, 0.5)):
        info = OutputInfo(resolution=resolution)
        path = export("jp2", reader(picture(8, 9)), tmp_path, info)
        assert open_source(path).info.resolution == pytest.approx(resolution, rel=0.03)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("with_profile", [False, True])
def test_jpeg_2000_says_what_its_channels_are(
    tmp_path, picture, reader, profile, channels, with_profile
):
    alpha = channels in (2, 4)
    info = OutputInfo(alpha=alpha, icc=profile if with_profile else None, resolution=(300, 150))
    pixels = picture(40, 60, channels)
    path = export("jp2", reader(pixels), tmp_path, info)
    source = open_source(path)
    assert (source.info.alpha, source.info.channels) == (alpha, channels)
    found = source.read(Window.whole(40, 60))
    np.testing.assert_array_equal(found.reshape(pixels.shape), pixels)
    with Image.open(path) as image:
        assert image.mode == {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[channels]
        np.testing.assert_array_equal(np.asarray(image), pixels)


# --- memory of those that hold the whole image

MEASURE = """
import sys, threading, time
import numpy as np, psutil
from pathlib import Path
from liif_cli.io import exporter_for
from liif_cli.io.base import OutputInfo
from tests.io.conftest import ArrayReader
name, path, compression = sys.argv[1:]
side = 2000
rng = np.random.default_rng(0)
steps = rng.integers(-3, 4, (side, side, 3), dtype=np.int8)
dtypes = exporter_for(name).dtypes
dtype = "uint8" if "uint8" in dtypes else dtypes[0]
pixels = np.cumsum(steps, axis=1, dtype=np.int16).astype(np.uint8).astype(dtype)
small = np.ascontiguousarray(pixels[:64, :64])
exporter_for(name).export(ArrayReader(small), Path(path), OutputInfo(compression=compression))
process = psutil.Process()
base, peak, done = process.memory_info().rss, [0], threading.Event()
def watch():
    while not done.is_set():
        peak[0] = max(peak[0], process.memory_info().rss)
        time.sleep(0.002)
thread = threading.Thread(target=watch)
thread.start()
exporter_for(name).export(ArrayReader(pixels), Path(path), OutputInfo(compression=compression))
done.set()
thread.join()
print((peak[0] - base) / pixels.nbytes)
"""


QUICK = ("exr", "hdr")


def held() -> list[Any]:
    names = [name for name in HERE if not exporter_for(name).streams]
    kinds = [(name, one) for name in names for one in exporter_for(name).compressions or ("",)]
    return [
        pytest.param(*kind, marks=[] if kind[0] in QUICK else pytest.mark.slow) for kind in kinds
    ]


@pytest.mark.parametrize(("name", "compression"), held())
def test_a_codec_holds_no_more_than_it_says(tmp_path, name, compression):
    path = tmp_path / f"out{exporter_for(name).suffixes[0]}"
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, name, str(path), compression],
        capture_output=True,
        text=True,
        check=True,
        cwd=root,
    )
    measured, raw = float(done.stdout), 2000 * 2000 * 3
    # what the allocator keeps; JPEG XL has buffers for its threads, whatever the image's size
    slack = 0.5 + (160e6 / raw if compression == "lossy" and name == "jxl" else 0)
    assert measured < exporter_for(name).memory + slack
