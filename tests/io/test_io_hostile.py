"""Files that are not images, do harm, or hold far more than they seem to: refused or cut down."""

from __future__ import annotations

import base64
import io
import os
import socket
import struct
import tracemalloc
import zlib
from pathlib import Path

import numcodecs
import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from benchmarks import mutants
from liif_cli.errors import InputError
from liif_cli.io import open_source
from liif_cli.io.metadata import MOST_BYTES, Metadata

MAGIC = b"\x89PNG\r\n\x1a\n"
TOO_MANY = MOST_BYTES + 1


def png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(*more: bytes, size: tuple[int, int] = (6, 4), bits: int = 8) -> bytes:
    """An RGB file of zeros, with more chunks behind its header."""
    width, height = size
    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, 2, 0, 0, 0))
    rows = zlib.compress(bytes((1 + 3 * width) * height))
    return MAGIC + head + b"".join(more) + png_chunk(b"IDAT", rows) + png_chunk(b"IEND", b"")


def zeros(count: int) -> bytes:
    """A zlib stream of many zeros."""
    stream = zlib.compressobj()
    parts = [stream.compress(bytes(2**20)) for _ in range(count >> 20)]
    return b"".join([*parts, stream.compress(bytes(count & 0xFFFFF)), stream.flush()])


def encoded(image: Image.Image, format: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["pipe", "socket", "device", "link to itself", "link to a pipe"])
def test_only_regular_files_are_opened(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)  # the name of a socket must be short
    path = Path("f.png")
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "link to itself":
        path.symlink_to(path)
    else:
        os.mkfifo("pipe")
        path.symlink_to("pipe")
    with pytest.raises(InputError, match=r"f\.png: got (a|Too many levels)"):
        open_source(path)


def test_a_store_with_a_pipe_in_it(tmp_path):
    path = tmp_path / "a.zarr"
    zarr.create_array(str(path), data=np.zeros((8, 8), np.uint8))
    chunk = path / "c" / "0" / "0"
    chunk.unlink(missing_ok=True)
    chunk.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(chunk)
    with pytest.raises(InputError, match="a named pipe"):
        open_source(path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (png(size=(0, 4)), "a size of 0x4"),
        (png(bits=0), "colour type 2 of 0 bits"),
        (png().replace(b"IDAT", b"IDXT"), "it holds no pixels"),
        (MAGIC + png_chunk(b"gAMA", b"\0\0\0\1") + png()[8:], "its first chunk"),
        (b"RIFF\x0c\0\0\0WEBPVP8X\0\0\0\0", "its header"),
    ],
)
def test_damaged_headers_are_named(tmp_path, data, message):
    path = tmp_path / "a.png"
    path.write_bytes(data)
    with pytest.raises(InputError, match=message):
        open_source(path)


@pytest.mark.parametrize("bits", [16, 32])
@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_colour_mask_of_no_bits(tmp_path, bits, missing):
    masks = [0xF800, 0x07E0, 0x001F] if bits == 16 else [0xFF0000, 0xFF00, 0xFF]
    masks[missing] = 0
    path = tmp_path / "a.bmp"
    path.write_bytes(mutants.bmp_of_fields(bits, tuple(masks)))
    with pytest.raises(InputError, match="a mask of no bits"):
        open_source(path)


@pytest.mark.parametrize("bits", [16, 32])
def test_colour_masks(tmp_path, read_all, bits):
    masks = (0xF800, 0x07E0, 0x001F) if bits == 16 else (0xFF0000, 0xFF00, 0xFF)
    path = tmp_path / "a.bmp"
    path.write_bytes(mutants.bmp_of_fields(bits, masks))
    with Image.open(path) as image:
        expected = np.asarray(image.convert("RGB"), np.int16)
    found = read_all(path)
    assert found.shape == (mutants.HEIGHT, mutants.WIDTH, 3)
    # 5 and 6 bits are widened in more than one way
    assert np.abs(found - expected).max() <= (8 if bits == 16 else 0)


def test_a_palette_index_without_a_colour(tmp_path, read_all):
    data = bytearray(mutants.seeds("bmp")["palette"][""])
    assert struct.unpack_from("<I", data, 46) == (200,)
    data[struct.unpack_from("<I", data, 10)[0]] = 255
    path = tmp_path / "a.bmp"
    path.write_bytes(data)
    with pytest.raises(InputError, match="a damaged file"):
        read_all(path)


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("field", [4, 12])
def test_blosc_chunks_that_are_not_as_long_as_they_say(tmp_path, read_all, version, field):
    path = tmp_path / "a.zarr"
    codec = numcodecs.Blosc() if version == 2 else zarr.codecs.BloscCodec()
    noise = np.random.default_rng(0).integers(0, 9, (40, 50), np.uint8)
    zarr.create_array(str(path), data=noise, compressors=codec, zarr_format=version)
    assert (read_all(path)[..., 0] == noise).all()
    chunk = path / ("0.0" if version == 2 else "c/0/0")
    data = bytearray(chunk.read_bytes())
    assert struct.unpack_from("<I", data, 4) == (2000,)
    struct.pack_into("<I", data, field, 0x04001BDE)
    chunk.write_bytes(data)
    with pytest.raises(InputError, match="a damaged file"):
        read_all(path)


@pytest.mark.parametrize("codec", ["gzip", "zstd", "blosc"])
@pytest.mark.parametrize("sharded", [False, True])
def test_chunks_unpack_to_what_they_can_hold(tmp_path, read_all, codec, sharded):
    codecs = {
        "gzip": zarr.codecs.GzipCodec(),
        "zstd": zarr.codecs.ZstdCodec(),
        "blosc": zarr.codecs.BloscCodec(),
    }
    small = np.random.default_rng(0).integers(0, 9, (16, 24), np.uint8)
    options = {"shards": (16, 24), "chunks": (8, 8)} if sharded else {}
    path = tmp_path / "a.zarr"
    zarr.create_array(str(path), data=small, compressors=codecs[codec], **options)
    assert (read_all(path)[..., 0] == small).all()
    if sharded:
        return
    # the chunk of an array that is a hundred thousand times larger
    large, ones = tmp_path / "large.zarr", np.ones((1600, 2400, 10), np.uint8)
    zarr.create_array(str(large), data=ones, chunks=ones.shape, compressors=codecs[codec])
    os.replace(large / "c" / "0" / "0" / "0", path / "c" / "0" / "0")
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="a damaged file"):
            read_all(path)
        assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    finally:
        tracemalloc.stop()


def test_tiles_far_larger_than_the_image(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((40, 50), np.uint8), tile=(16, 32), compression="deflate")
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tiff.pages[0].tags["TileWidth"].overwrite(2**30)
    with pytest.raises(InputError, match="tiles or chunks of 17,179,869,184 bytes"):
        open_source(path)


def hostile_files(folder: Path) -> dict[str, tuple[Path, str]]:
    """Images with metadata that are too large, by name: the path, and what is dropped."""
    rgb = Image.new("RGB", (8, 6), "red")
    bomb = zeros(200 * 2**20)
    text = b"XML:com.adobe.xmp\0\1\0\0\0"
    large = bytes(TOO_MANY)
    files = {
        "png-profile": (".png", png(png_chunk(b"iCCP", b"p\0\0" + bomb)), "colour profile"),
        "png-damaged": (".png", png(png_chunk(b"iCCP", b"p\0\0no zlib")), "colour profile"),
        "png-short": (
            ".png",
            png(png_chunk(b"iCCP", b"p\0\0" + zeros(999)[:-9])),
            "colour profile",
        ),
        "png-xmp": (".png", png(png_chunk(b"iTXt", text + bomb)), "XMP"),
        "png-exif": (".png", png(png_chunk(b"eXIf", large)), "EXIF"),
        "webp": (".webp", encoded(rgb, "WEBP", icc_profile=large), "colour profile"),
        "webp-xmp": (".webp", encoded(rgb, "WEBP", xmp=large), "XMP"),
        "avif": (".avif", encoded(rgb, "AVIF", icc_profile=large, speed=10), "colour profile"),
    }
    found = {}
    for name, (suffix, data, what) in files.items():
        path = folder / (name + suffix)
        path.write_bytes(data)
        found[name] = path, what
    tifffile.imwrite(folder / "a.tif", np.zeros((6, 8, 3), np.uint8), iccprofile=large)
    found["tiff"] = folder / "a.tif", "colour profile"
    attributes = {"icc_profile": base64.b64encode(large).decode()}
    zarr.create_array(
        str(folder / "a.zarr"), data=np.zeros((6, 8), np.uint8), attributes=attributes
    )
    found["zarr"] = folder / "a.zarr", "colour profile"
    return found


def test_metadata_that_are_too_large_are_dropped_and_the_image_is_read(tmp_path, read_all):
    for name, (path, what) in hostile_files(tmp_path).items():
        tracemalloc.start()
        try:
            source = open_source(path)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        info = source.info
        assert len(info.dropped) == 1, name
        assert info.dropped[0].startswith(f"its {what} is dropped, which "), name
        assert (info.icc, info.exif, info.xmp) == (None, None, None), name
        assert read_all(path).shape[:2] == (info.height, info.width), name
        # AVIF's boxes and Zarr's attributes are read as a whole
        assert peak < (8 if name in ("avif", "zarr") else 2.5) * MOST_BYTES, name


def test_text_bombs_are_never_inflated(tmp_path, read_all):
    bomb = b"Comment\0\0" + zeros(300 * 2**20)
    path = tmp_path / "a.png"
    path.write_bytes(png(png_chunk(b"zTXt", bomb), png_chunk(b"iTXt", b"Comment\0\1\0\0\0" + bomb)))
    tracemalloc.start()
    try:
        assert read_all(path).shape == (4, 6, 3)
        assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
    finally:
        tracemalloc.stop()


def test_compressed_xmp_of_a_reasonable_size_is_kept(tmp_path):
    text = b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(b"<x:xmpmeta/>")
    path = tmp_path / "a.png"
    path.write_bytes(png(png_chunk(b"iTXt", text)))
    info = open_source(path).info
    assert (info.xmp, info.dropped) == (b"<x:xmpmeta/>", ())


def test_the_largest_that_is_kept():
    metadata = Metadata()
    assert len(metadata.inflated("profile", zeros(MOST_BYTES)) or b"") == MOST_BYTES
    assert metadata.kept("EXIF", bytes(MOST_BYTES)) is not None
    assert metadata.dropped == ()
    assert metadata.inflated("profile", zeros(TOO_MANY)) is None
    assert metadata.kept("EXIF", bytes(TOO_MANY)) is None
    assert metadata.decoded("XMP", "no base64!") is None
    assert len(metadata.dropped) == 3


def test_a_file_far_larger_than_its_image_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(encoded(Image.new("RGB", (8, 6)), "JPEG"))
    with path.open("r+b") as file:
        file.truncate(2**30)  # sparse
    with pytest.raises(InputError, match=r"1,073,741,824 bytes for 8x6 pixels"):
        open_source(path)
