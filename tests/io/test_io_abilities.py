"""What sources and exporters say that they can, held to files: all of it, and no more."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import OpenEXR
import pillow_heif
import pytest
import tifffile
import zarr
from PIL import Image, PngImagePlugin

from liif_cli.io import EXPORTERS, SOURCES, exporter_for, open_source
from liif_cli.io.abilities import ABILITIES, abilities
from liif_cli.io.base import ImageInfo, OutputInfo
from liif_cli.io.georeference import Georeference
from tests.io.conftest import ArrayReader, bmp_with_alpha, make_picture

ROOT = Path(__file__).parents[2]
HEIGHT, WIDTH = 24, 32
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf/></x:xmpmeta>'
SUFFIXES = {"jpg": ".jpg", "pnm": ".ppm", "tiff": ".tif", "pillow": ".tga", "jp2": ".jp2"}
NAMES = {"jpg": "JPEG", "bmp": "BMP", "tiff": "TIFF", "pillow": "TGA", "jp2": "JPEG2000"}
Maker = Callable[[Path, bytes], None]


def exif_bytes() -> bytes:
    exif = Image.Exif()
    exif[0x010F], exif[0x011A], exif[0x011B], exif[0x0128] = "camera", 300.0, 300.0, 2
    return exif.tobytes()


def image(mode: str = "RGB") -> Image.Image:
    channels = {"RGB": 3, "RGBA": 4, "CMYK": 4}[mode]
    return Image.fromarray(make_picture(HEIGHT, WIDTH, channels), mode)


def with_pillow(mode: str = "RGB", **options: Any) -> Maker:
    """A file in the suffix's format; ``icc`` and ``exif`` among the options are put in."""

    def make(path: Path, profile: bytes) -> None:
        given = dict(options)
        if given.pop("icc", False):
            given["icc_profile"] = profile
        if given.pop("with_exif", False):
            given["exif"] = exif_bytes()
        if path.suffix == ".heic":
            pillow_heif.from_pillow(image(mode)).save(path, quality=90, **given)
        else:
            image(mode).save(path, **given)

    return make


def coded(encode: Callable[..., bytes], channels: int, dtype: Any, **options: Any) -> Maker:
    def make(path: Path, profile: bytes) -> None:
        path.write_bytes(encode(make_picture(HEIGHT, WIDTH, channels, dtype), **options))

    return make


def with_tifffile(channels: int, dtype: Any, **options: Any) -> Maker:
    def make(path: Path, profile: bytes) -> None:
        pixels = make_picture(HEIGHT, WIDTH, channels, dtype)
        tifffile.imwrite(path, pixels, **options)

    return make


def moving(**options: Any) -> Maker:
    def make(path: Path, profile: bytes) -> None:
        frames = [image(), image().rotate(30)]
        frames[0].save(path, save_all=True, append_images=frames[1:], **options)

    return make


def png_with_xmp(path: Path, profile: bytes) -> None:
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", XMP.decode())
    image().save(path, pnginfo=text)


def pam(path: Path, profile: bytes) -> None:
    size = f"WIDTH {WIDTH}\nHEIGHT {HEIGHT}\nDEPTH 4\nMAXVAL 255\n"
    head = f"P7\n{size}TUPLTYPE RGB_ALPHA\nENDHDR\n"
    path.write_bytes(head.encode() + make_picture(HEIGHT, WIDTH, 4).tobytes())


def wide_ppm(path: Path, profile: bytes) -> None:
    samples = make_picture(HEIGHT, WIDTH, 3, np.uint16).astype(">u2")
    path.write_bytes(f"P6\n{WIDTH} {HEIGHT}\n65535\n".encode() + samples.tobytes())


def pfm(path: Path, profile: bytes) -> None:
    samples = make_picture(HEIGHT, WIDTH, 3, np.float32)[::-1].astype("<f4")
    path.write_bytes(f"PF\n{WIDTH} {HEIGHT}\n-1.0\n".encode() + samples.tobytes())


def translucent_bmp(path: Path, profile: bytes) -> None:
    path.write_bytes(bmp_with_alpha(make_picture(HEIGHT, WIDTH, 4)))


def deep_heic(path: Path, profile: bytes) -> None:
    samples = make_picture(HEIGHT, WIDTH, 3, np.uint16)
    pillow_heif.encode("RGB;16", (WIDTH, HEIGHT), samples.tobytes(), path, quality=90)


def heic_of_two(path: Path, profile: bytes) -> None:
    whole = pillow_heif.HeifFile()
    for _ in range(2):
        whole.add_from_pillow(image())
    whole.save(path)


def jp2_with_boxes(path: Path, profile: bytes) -> None:
    from tests.io.test_io_formats import with_jp2_boxes

    path.write_bytes(with_jp2_boxes(profile))


def jp2_with_xmp(path: Path, profile: bytes) -> None:
    import struct

    image().save(path)
    uuid = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
    box = struct.pack(">I4s", 24 + len(XMP), b"uuid") + uuid + XMP
    data = path.read_bytes()
    at = data.index(b"jp2c") - 4
    path.write_bytes(data[:at] + box + data[at:])


def jxl_with(name: bytes) -> Maker:
    """A container with EXIF or XMP in a box of its own."""

    def make(path: Path, profile: bytes) -> None:
        import struct

        pixels = make_picture(HEIGHT, WIDTH, 3)
        body = bytes(4) + exif_bytes().removeprefix(b"Exif\0\0") if name == b"Exif" else XMP
        data = imagecodecs.jpegxl_encode(pixels, usecontainer=True)
        path.write_bytes(data + struct.pack(">I4s", 8 + len(body), name) + body)

    return make


def of_zarr(channels: int = 3, dtype: Any = np.uint8, **attributes: Any) -> Maker:
    def make(path: Path, profile: bytes) -> None:
        import base64

        pixels = make_picture(HEIGHT, WIDTH, channels, dtype)
        array = zarr.create_array(str(path), data=pixels, chunks=(16, 16, channels))
        for name, value in attributes.items():
            raw = profile if value == "icc" else value
            array.attrs[name] = base64.b64encode(raw).decode() if isinstance(raw, bytes) else raw

    return make


def of_exr(channels: int, dtype: Any, **header: Any) -> Maker:
    def make(path: Path, profile: bytes) -> None:
        names = {3: "RGB", 4: "RGBA"}.get(channels, "EDCBZ")
        pixels = make_picture(HEIGHT, WIDTH, channels, np.float32).astype(dtype)
        planes = {name: np.ascontiguousarray(pixels[..., k]) for k, name in enumerate(names)}
        OpenEXR.File({"type": OpenEXR.scanlineimage, **header}, planes).write(str(path))

    return make


def exr_of_two(path: Path, profile: bytes) -> None:
    plane = make_picture(HEIGHT, WIDTH, 1, np.float32).reshape(HEIGHT, WIDTH)
    parts = [OpenEXR.Part({"type": OpenEXR.scanlineimage}, {"Y": plane}, name) for name in "ab"]
    OpenEXR.File(parts).write(str(path))


def as_format(name: str, mode: str, **options: Any) -> Maker:
    """A format of Pillow in a file of another suffix: found by its content."""

    def make(path: Path, profile: bytes) -> None:
        given = {"icc_profile": profile} if options.get("icc") else {}
        rest = {key: value for key, value in options.items() if key != "icc"}
        image(mode).save(path, name, **given, **rest)

    return make


def psd(mode: int, channels: int, depth: int = 8) -> Maker:
    def make(path: Path, profile: bytes) -> None:
        import struct

        head = struct.pack(
            ">4sH6sHIIHH", b"8BPS", 1, bytes(6), channels, HEIGHT, WIDTH, depth, mode
        )
        icc = struct.pack(">4sHH", b"8BIM", 1039, 0) + struct.pack(">I", len(profile)) + profile
        icc += bytes(len(profile) % 2)
        planes = make_picture(HEIGHT, WIDTH, channels).transpose(2, 0, 1).tobytes()
        blocks = struct.pack(">I", 0) + struct.pack(">I", len(icc)) + icc
        path.write_bytes(head + blocks + struct.pack(">I", 0) + struct.pack(">H", 0) + planes)

    return make


GEO = [(33550, 12, 3, (10.0, 10.0, 0.0), True), (33922, 12, 6, (0.0,) * 6, True)]
MAKERS: dict[str, dict[str, Maker]] = {
    "png": {
        "8": with_pillow(),
        "16": coded(imagecodecs.png_encode, 3, np.uint16),
        "alpha": with_pillow("RGBA"),
        "ICC": with_pillow(icc=True),
        "EXIF": with_pillow(with_exif=True),
        "XMP": png_with_xmp,
        "resolution": with_pillow(dpi=(300, 300)),
        "pages": moving(),
    },
    "jpg": {
        "8": with_pillow(),
        "16": coded(imagecodecs.jpeg8_encode, 3, np.uint16, lossless=True, bitspersample=16),
        "CMYK": with_pillow("CMYK"),
        "ICC": with_pillow(icc=True),
        "EXIF": with_pillow(with_exif=True),
        "XMP": with_pillow(xmp=XMP),
        "resolution": with_pillow(dpi=(300, 300)),
    },
    "webp": {
        "8": with_pillow(),
        "alpha": with_pillow("RGBA"),
        "ICC": with_pillow(icc=True),
        "EXIF": with_pillow(with_exif=True),
        "XMP": with_pillow(xmp=XMP),
        "resolution": with_pillow(with_exif=True),
        "pages": moving(),
    },
    "bmp": {
        "8": with_pillow(),
        "alpha": translucent_bmp,
        "resolution": with_pillow(dpi=(300, 300)),
    },
    "avif": {
        "8": with_pillow(),
        "16": coded(imagecodecs.avif_encode, 3, np.uint16, level=90, bitspersample=12),
        "alpha": with_pillow("RGBA"),
        "ICC": with_pillow(icc=True),
        "EXIF": with_pillow(with_exif=True),
        "XMP": with_pillow(xmp=XMP),
        "resolution": with_pillow(with_exif=True),
        "pages": moving(),
    },
    "heic": {
        "8": with_pillow(),
        "16": deep_heic,
        "alpha": with_pillow("RGBA"),
        "ICC": with_pillow(icc=True),
        "EXIF": with_pillow(with_exif=True),
        "XMP": with_pillow(xmp=XMP),
        "resolution": with_pillow(with_exif=True),
        "pages": heic_of_two,
    },
    "gif": {"8": with_pillow(), "alpha": with_pillow("RGBA"), "pages": moving()},
    "jxl": {
        "8": coded(imagecodecs.jpegxl_encode, 3, np.uint8),
        "EXIF": jxl_with(b"Exif"),
        "XMP": jxl_with(b"xml "),
        "resolution": jxl_with(b"Exif"),
        "16": coded(imagecodecs.jpegxl_encode, 3, np.uint16),
        "float": coded(imagecodecs.jpegxl_encode, 3, np.float32, lossless=True),
        "alpha": coded(imagecodecs.jpegxl_encode, 4, np.uint8),
    },
    "jp2": {
        "8": with_pillow(),
        "16": coded(imagecodecs.jpeg2k_encode, 3, np.uint16, level=0, reversible=True),
        "alpha": with_pillow("RGBA"),
        "ICC": jp2_with_boxes,
        "XMP": jp2_with_xmp,
        "resolution": jp2_with_boxes,
    },
    "pnm": {"8": with_pillow(), "16": wide_ppm, "float": pfm, "alpha": pam},
    "qoi": {"8": with_pillow(), "alpha": with_pillow("RGBA")},
    "exr": {
        "float": of_exr(3, np.float32),
        "wide": of_exr(3, np.float16),
        "ICC": of_exr(3, np.float32),
        "alpha": of_exr(4, np.float16),
        "bands": of_exr(5, np.float32),
        "resolution": of_exr(3, np.float32, xDensity=300.0),
        "pages": exr_of_two,
    },
    "hdr": {
        "float": coded(imagecodecs.rgbe_encode, 3, np.float32, header=True),
        "ICC": coded(imagecodecs.rgbe_encode, 3, np.float32, header=True),
    },
    "tiff": {
        "8": with_pillow(),
        "16": with_tifffile(3, np.uint16, photometric="rgb"),
        "float": with_tifffile(3, np.float32, photometric="rgb"),
        "wide": with_tifffile(1, np.int16),
        "alpha": with_pillow("RGBA"),
        "bands": with_tifffile(5, np.uint8, photometric="minisblack", planarconfig="contig"),
        "CMYK": with_pillow("CMYK"),
        "ICC": with_pillow(icc=True),
        "EXIF": with_pillow(with_exif=True),
        "XMP": with_tifffile(
            3, np.uint8, photometric="rgb", extratags=[(700, 1, len(XMP), XMP, True)]
        ),
        "resolution": with_pillow(dpi=(300, 300)),
        "georeference": with_tifffile(3, np.uint8, photometric="rgb", extratags=GEO),
        "pages": moving(),
        "window": with_tifffile(3, np.uint8, photometric="rgb", tile=(16, 16)),
    },
    "zarr": {
        "8": of_zarr(),
        "16": of_zarr(dtype=np.uint16),
        "float": of_zarr(dtype=np.float32),
        "wide": of_zarr(dtype=np.float64),
        "alpha": of_zarr(4, alpha=True),
        "bands": of_zarr(5),
        "ICC": of_zarr(icc_profile="icc"),
        "EXIF": of_zarr(exif=b"MM\0*\0\0\0\x08\0\0\0\0\0\0"),
        "XMP": of_zarr(xmp=XMP),
        "resolution": of_zarr(resolution=[300, 300]),
        "georeference": of_zarr(georeference={"scale": [10.0, 10.0, 0.0], "nodata": "0"}),
        "window": of_zarr(),
    },
    "pillow": {
        "8": with_pillow(),
        "16": lambda path, profile: Image.fromarray(make_picture(HEIGHT, WIDTH, 1, np.uint16)).save(
            path.with_suffix(".im"), "IM"
        ),
        "float": lambda path, profile: Image.fromarray(
            make_picture(HEIGHT, WIDTH, 1, np.float32)
        ).save(path.with_suffix(".im"), "IM"),
        "alpha": with_pillow("RGBA"),
        "CMYK": psd(4, 4),
        "ICC": psd(3, 3),
        "EXIF": with_pillow(),
        "resolution": as_format("PCX", "RGB", dpi=(300, 300)),
        "pages": as_format("ICO", "RGBA", sizes=[(8, 8), (16, 16)]),
    },
}


def seen(info: ImageInfo) -> frozenset[str]:
    """What an image that was opened shows of the abilities."""
    found = {
        "8": info.dtype == np.uint8,
        "16": info.dtype == np.uint16,
        "float": info.dtype == np.float32,
        "wide": info.dtype.name not in ("uint8", "uint16", "float32"),
        "alpha": info.alpha,
        "bands": info.colours not in (1, 3),
        "CMYK": info.kind == "CMYK",
        "ICC": info.icc is not None and info.kind != "CMYK",
        "EXIF": info.exif is not None,
        "XMP": info.xmp is not None,
        "resolution": info.resolution is not None,
        "georeference": info.georeference is not None,
        "pages": info.pages > 1,
        "window": info.by_window,
    }
    assert found.keys() == ABILITIES.keys()
    return frozenset(name for name, there in found.items() if there)


@pytest.mark.parametrize("name", list(SOURCES))
def test_a_source_reads_what_it_says_and_no_more(tmp_path: Path, name: str, profile: bytes) -> None:
    declared, makers = SOURCES.load(name).reads, MAKERS[name]
    assert declared <= makers.keys(), "a file for everything that is declared"
    shown = set()
    for ability, make in makers.items():
        path = tmp_path / f"{ability}{SUFFIXES.get(name, f'.{name}')}"
        make(path, profile)
        if not path.exists():
            (path,) = tmp_path.glob(f"{ability}.*")
        source = open_source(path)
        assert source.info.format == name
        shown |= seen(source.info)
        assert (ability in declared) == (ability in seen(source.info)), ability
        source.close()
    assert shown == declared


@pytest.mark.parametrize("name", [each for each in EXPORTERS if each != "dzi"])
def test_an_exporter_writes_what_it_says_and_no_more(
    tmp_path: Path, name: str, profile: bytes
) -> None:
    if name == "cog":
        pytest.importorskip("rasterio")
    exporter = exporter_for(name)
    georeference = Georeference(scale=(10.0, 10.0, 0.0), tiepoints=(0.0,) * 6)
    info = OutputInfo(
        icc=profile,
        exif=exif_bytes().removeprefix(b"Exif\0\0"),
        xmp=XMP,
        resolution=(300.0, 300.0),
        georeference=georeference,
    )
    path = tmp_path / f"out{exporter.suffixes[0]}"
    dtype = np.uint8 if "uint8" in exporter.dtypes else np.float32
    exporter.export(ArrayReader(make_picture(600, 700, 3, dtype)), path, info)
    source = open_source(path)
    found = seen(source.info) & {"ICC", "EXIF", "XMP", "resolution", "georeference"}
    source.close()
    # EXIF tells the resolution of these, which have no other place for it
    by_exif = {"resolution"} if name in ("webp", "avif", "jxl") else set()
    if name in ("exr", "hdr"):
        by_exif = {"ICC"}  # of light, by the format itself
    assert found - by_exif == exporter.carries


def test_abilities_are_known_ones() -> None:
    with pytest.raises(ValueError, match="no abilities: ICCC"):
        abilities("8", "ICCC")
    assert set(MAKERS) == set(SOURCES)


def test_the_page_of_formats_is_up_to_date() -> None:
    script = ROOT / "docs/generate_formats.py"
    if importlib.util.find_spec("liif_cli") is None or not script.exists():
        pytest.skip("no docs")
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, script, "--check"], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
