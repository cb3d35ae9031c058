"""Damaged image files of every source format: small seeds by other libraries, then damaged.

Nothing is drawn but from the seed that is given, so that a file can be made again by its number.
"""

from __future__ import annotations

import base64
import io
import random
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import imagecodecs
import numpy as np
import OpenEXR
import tifffile
import zarr
from PIL import Image, ImageCms, PngImagePlugin

Files = dict[str, bytes]
"""Content by path inside of a store; a file is the one entry ""."""
Mutation = Callable[[bytes, random.Random, str], bytes]
HEIGHT, WIDTH = 41, 58
_PNG_HEAD = 8
_NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_HEADER = 256


def mutants(format: str, count: int, seed: int) -> Iterator[tuple[str, Files]]:
    """``count`` damaged files of a format of ``SEEDS``: a name that says how, and the content."""
    kinds = list(MUTATIONS.items())
    for number in range(count):
        rng = random.Random(f"{format} {seed} {number}")
        base, files = rng.choice(sorted(seeds(format).items()))
        files = dict(files)
        part = rng.choice(sorted(files))
        names = []
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            # most checks of a PNG see damage anywhere else than in whole chunks
            deep = format == "png" and rng.random() < 0.6
            name, change = ("chunks", _chunks) if deep else rng.choice(kinds)
            files[part] = change(files[part], rng, format)
            names.append(name)
        yield f"{number:05d}-{base}-{'-'.join(names)}", files


@cache
def seeds(format: str) -> dict[str, Files]:
    """Whole files by name, of every kind that a format's source tells apart."""
    return SEEDS[format]()


def pixels(channels: int = 3, dtype: Any = np.uint8) -> np.ndarray:
    """Smooth colours with some noise: (HEIGHT, WIDTH, channels), without channels where 1."""
    rng = np.random.default_rng(channels)
    small = rng.random((5, 7, channels), np.float32)
    found = cv2.resize(small, (WIDTH, HEIGHT)).reshape(HEIGHT, WIDTH, channels)
    found = np.clip(found + rng.normal(0, 0.01, found.shape), 0, 1).astype(np.float32)
    if np.dtype(dtype).kind != "f":
        found = np.round(found * np.iinfo(dtype).max).astype(dtype)
    return np.ascontiguousarray(found[..., 0] if channels == 1 else found)


def metadata() -> dict[str, Any]:
    """A profile and EXIF with an orientation, for Pillow's ``save``."""
    exif = Image.Exif()
    exif[0x0112], exif[0x011A], exif[0x011B] = 6, 300.0, 300.0
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return {"icc_profile": profile, "exif": exif}


def _pillow(image: Image.Image, format: str, **options: Any) -> Files:
    file = io.BytesIO()
    image.save(file, format, **options)
    return {"": file.getvalue()}


def _image(channels: int = 3) -> Image.Image:
    mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[channels]
    return Image.fromarray(pixels(channels), mode)


def _png() -> dict[str, Files]:
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", "<x:xmpmeta/>")
    text.add_text("Comment", "a comment " * 20, zip=True)
    return {
        "rgb": _pillow(_image(), "PNG", pnginfo=text, dpi=(300, 300), **metadata()),
        "gray-alpha": _pillow(_image(2), "PNG"),
        "rgba": _pillow(_image(4), "PNG"),
        "palette": _pillow(_image().quantize(40), "PNG", transparency=3),
        "bilevel": _pillow(_image(1).convert("1"), "PNG"),
        "gray16": {"": cv2.imencode(".png", pixels(1, np.uint16))[1].tobytes()},
        "rgba16": {"": imagecodecs.png_encode(pixels(4, np.uint16))},
        "interlaced": {"": _interlaced()},
        "moving": _pillow(_image(), "PNG", **_moving()),
    }


def _interlaced() -> bytes:
    import pyvips

    image = pyvips.Image.new_from_array(pixels())
    found: bytes = image.pngsave_buffer(interlace=True)
    return found


def _jpg() -> dict[str, Files]:
    cmyk = _image().convert("CMYK")
    return {
        "rgb": _pillow(_image(), "JPEG", quality=80, dpi=(72, 72), **metadata()),
        "progressive": _pillow(_image(), "JPEG", progressive=True, quality=30, subsampling=0),
        "gray": _pillow(_image(1), "JPEG", comment=b"a comment"),
        "cmyk": _pillow(cmyk, "JPEG"),
        "restarts": _pillow(_image(), "JPEG", restart_marker_blocks=2),
    }


def _webp() -> dict[str, Files]:
    return {
        "lossy": _pillow(_image(), "WEBP", quality=60),
        "lossless": _pillow(_image(), "WEBP", lossless=True),
        "moving": _pillow(_image(), "WEBP", **_moving(quality=60)),
        "alpha": _pillow(_image(4), "WEBP", quality=60, **metadata()),
        "lossless-alpha": _pillow(_image(4), "WEBP", lossless=True, xmp=b"<x:xmpmeta/>"),
    }


def _bmp() -> dict[str, Files]:
    return {
        "rgb": _pillow(_image(), "BMP", dpi=(72, 72)),
        "rgba": _pillow(_image(4), "BMP"),
        "palette": _pillow(_image().quantize(200), "BMP"),
        "gray": _pillow(_image(1), "BMP"),
        "bilevel": _pillow(_image(1).convert("1"), "BMP"),
        "fields16": {"": bmp_of_fields(16, (0xF800, 0x07E0, 0x001F))},
        "fields32": {"": bmp_of_fields(32, (0xFF0000, 0xFF00, 0xFF))},
        "unused32": {"": bmp_of_fields(32, (0xFF0000, 0xFF00, 0xFF), method=0)},
        "runs8": {"": _runs()},
        "core": {"": _core()},
    }


def bmp_of_fields(bits: int, masks: tuple[int, ...], method: int = 3) -> bytes:
    """A BMP of random colours whose header has masks of red, green and blue behind it."""
    stride = (WIDTH * bits + 31) // 32 * 4
    data = np.random.default_rng(bits).bytes(stride * HEIGHT)
    offset = 14 + 40 + 12
    head = struct.pack("<2sIHHI", b"BM", offset + len(data), 0, 0, offset)
    info = struct.pack("<IiiHHIIiiII", 40, WIDTH, HEIGHT, 1, bits, method, len(data), 0, 0, 0, 0)
    return head + info + struct.pack("<III", *masks) + data


def _runs() -> bytes:
    """Run lengths: each row a run of one colour, and some pixels as they are."""
    rows = b""
    for row in range(HEIGHT):
        rows += bytes([WIDTH - 6, row, 0, 6, *range(6), 0, 0])
    data, palette = rows + b"\0\1", np.arange(1024, dtype=np.uint8).tobytes()
    offset = 14 + 40 + len(palette)
    head = struct.pack("<2sIHHI", b"BM", offset + len(data), 0, 0, offset)
    info = struct.pack("<IiiHHIIiiII", 40, WIDTH, HEIGHT, 1, 8, 1, len(data), 0, 0, 256, 0)
    return head + info + palette + data


def _core() -> bytes:
    stride = (WIDTH * 24 + 31) // 32 * 4
    data = np.random.default_rng(1).bytes(stride * HEIGHT)
    head = struct.pack("<2sIHHI", b"BM", 26 + len(data), 0, 0, 26)
    return head + struct.pack("<IHHHH", 12, WIDTH, HEIGHT, 1, 24) + data


def _avif() -> dict[str, Files]:
    return {
        "rgb": _pillow(_image(), "AVIF", quality=60, speed=9, **metadata()),
        "rgba": _pillow(_image(4), "AVIF", quality=60, speed=9),
        "gray": {"": imagecodecs.avif_encode(pixels(1), level=60, speed=9)},
        "bits10": {
            "": imagecodecs.avif_encode(
                pixels(3, np.uint16) >> 6, level=60, speed=9, bitspersample=10
            )
        },
    }


def _exr() -> dict[str, Files]:
    def made(channels: int, dtype: Any, **header: Any) -> Files:
        samples = pixels(channels, np.float32).reshape(HEIGHT, WIDTH, channels)
        names = {1: "Y", 3: "RGB", 4: "RGBA"}[channels]
        planes = {
            name: np.ascontiguousarray(samples[..., k].astype(dtype))
            for k, name in enumerate(names)
        }
        file = io.BytesIO()
        OpenEXR.File({"type": OpenEXR.scanlineimage, **header}, planes).write(file)
        return {"": file.getvalue()}

    return {
        "rgb": made(3, np.float16, compression=OpenEXR.ZIP_COMPRESSION, xDensity=300.0),
        "rgba": made(4, np.float32, compression=OpenEXR.NO_COMPRESSION),
        "gray": made(1, np.float16, compression=OpenEXR.PIZ_COMPRESSION),
    }


def _hdr() -> dict[str, Files]:
    light = pixels(3, np.float32)
    return {
        "lines": {"": bytes(imagecodecs.rgbe_encode(light, header=True))},
        "opencv": {"": cv2.imencode(".hdr", light)[1].tobytes()},
    }


def _tiff() -> dict[str, Files]:
    def page(data: np.ndarray, **options: Any) -> Files:
        file = io.BytesIO()
        tifffile.imwrite(file, data, **options)
        return {"": file.getvalue()}

    rgb, gray = pixels(), pixels(1)
    tile = {"tile": (16, 32)}
    found = {
        "plain": page(rgb, photometric="rgb", resolution=(300, 300)),
        "planar": page(rgb.transpose(2, 0, 1).copy(), photometric="rgb", planarconfig="separate"),
        "float": page(pixels(1, np.float32), compression="deflate", predictor=True, **tile),
        "rgba16": page(
            pixels(4, np.uint16), photometric="rgb", extrasamples=["unassalpha"], **tile
        ),
        "bands": page(pixels(5), photometric="minisblack", planarconfig="contig", **tile),
        "pages": page(np.stack([gray, 255 - gray]), photometric="minisblack", rowsperstrip=7),
        "big": page(gray, bigtiff=True, compression="lzw", rowsperstrip=5),
        "miniswhite": page(gray, photometric="miniswhite", byteorder=">"),
        "profile": page(rgb, photometric="rgb", iccprofile=metadata()["icc_profile"], **tile),
    }
    for name in ("deflate", "lzw", "zstd", "packbits", "lzma", "webp", "png"):
        found[name] = page(rgb, photometric="rgb", compression=name, **tile)
    found["jpeg"] = page(rgb, photometric="ycbcr", compression="jpeg", **tile)
    for name in ("jpeg2000", "jpegxr", "lerc", "jpegxl"):
        found[name] = page(rgb, photometric="rgb", compression=name)
    for name in ("group3", "group4"):
        found[name] = _pillow(_image(1).convert("1"), "TIFF", compression=name)
    found["old-jpeg"] = _pillow(_image(), "TIFF", compression="jpeg")
    found["ycbcr"] = _pillow(_image().convert("YCbCr"), "TIFF")
    found["lab"] = page(rgb, photometric="cielab", planarconfig="contig")
    exif = Image.Exif()
    exif[0x010F] = "camera"
    exif.get_ifd(0x8769)[0x8827] = 200
    found["exif"] = _pillow(_image(), "TIFF", exif=exif)
    found["ome"] = page(np.stack([gray, 255 - gray]), ome=True, metadata={"axes": "CYX"})
    masked = io.BytesIO()
    with tifffile.TiffWriter(masked) as tiff:
        tiff.write(rgb, photometric="rgb", metadata=None)
        tiff.write(gray > 99, photometric="mask", subfiletype=4, metadata=None)
    found["mask"] = {"": masked.getvalue()}
    found["cmyk"] = _pillow(_image().convert("CMYK"), "TIFF", compression="tiff_lzw")
    found["palette"] = _pillow(_image().quantize(90), "TIFF", compression="tiff_deflate")
    return found


def _zarr() -> dict[str, Files]:
    from zarr.codecs import BloscCodec, GzipCodec, ZstdCodec

    found = {}
    arrays: dict[str, dict[str, Any]] = {
        "zstd": {"compressors": ZstdCodec()},
        "blosc": {"compressors": BloscCodec()},
        "gzip": {"compressors": GzipCodec()},
        "sharded": {"shards": (32, 32, 3), "chunks": (16, 16, 3)},
        "v2": {"zarr_format": 2, "chunks": (16, 32, 3)},
        "float": {"data": pixels(1, np.float32)},
    }
    for name, options in arrays.items():
        options = {"data": pixels(), "attributes": _attributes(), **options}
        found[name] = _stored(lambda path, kept=options: zarr.create_array(path, **kept))

    def ome(path: str) -> None:
        group = zarr.create_group(path)
        axes = [{"name": name, "type": "space"} for name in "yx"]
        levels = [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1, 1]}]}]
        group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": levels}]}
        group.create_array("0", data=pixels(1), chunks=(20, 30))

    return {**found, "ome": _stored(ome)}


def _attributes() -> dict[str, Any]:
    icc = base64.b64encode(metadata()["icc_profile"]).decode()
    return {"alpha": False, "icc_profile": icc, "resolution": [72.0, 72.0]}


def _stored(write: Callable[[str], Any]) -> Files:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "a.zarr")
        write(str(root))
        files = sorted(path for path in root.rglob("*") if path.is_file())
        return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


def _flip(data: bytes, rng: random.Random, format: str) -> bytes:
    found = bytearray(data)
    for _ in range(rng.choice((1, 2, 8, 40))):
        if found:
            found[rng.randrange(len(found))] ^= 1 << rng.randrange(8)
    return bytes(found)


def _flip_head(data: bytes, rng: random.Random, format: str) -> bytes:
    return _flip(data[:_HEADER], rng, format) + data[_HEADER:]


def _cut(data: bytes, rng: random.Random, format: str) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _drop(data: bytes, rng: random.Random, format: str) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + data[at + rng.randrange(1, 64) :]


def _swap(data: bytes, rng: random.Random, format: str) -> bytes:
    a, b, c, d = sorted(rng.randrange(len(data) + 1) for _ in range(4))
    return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


def _fill(data: bytes, rng: random.Random, format: str) -> bytes:
    at, length = rng.randrange(len(data) + 1), rng.randrange(1, 200)
    piece = rng.choice((b"\0" * length, b"\xff" * length, rng.randbytes(length)))
    return data[:at] + piece + data[at + length :]


def _number(data: bytes, rng: random.Random, format: str) -> bytes:
    """Some number, mostly in the header, becomes one at the edge of what it can be."""
    size = rng.choice((1, 2, 4, 4, 8))
    value = rng.choice(_NUMBERS) & ((1 << 8 * size) - 1)
    order = rng.choice(("little", "big"))
    top = rng.choice((min(_HEADER, len(data)), len(data)))
    at = rng.randrange(max(1, top - size))
    return data[:at] + value.to_bytes(size, order) + data[at + size :]  # type: ignore[arg-type]


def _chunks(data: bytes, rng: random.Random, format: str) -> bytes:
    """Chunks of a PNG, a WebP or a JPEG change places or content, with checksums that are right."""
    if format == "png" and data[:4] == b"\x89PNG":
        return _png_chunks(data, rng)
    if format == "webp" and data[:4] == b"RIFF":
        return _webp_chunks(data, rng)
    if format == "jpg" and data[:2] == b"\xff\xd8":
        parts = data.split(b"\xff")
        a, b = rng.randrange(1, len(parts)), rng.randrange(1, len(parts))
        parts[a], parts[b] = parts[b], parts[a]
        return b"\xff".join(parts)
    return _swap(data, rng, format)


def _png_chunks(data: bytes, rng: random.Random) -> bytes:
    found, at = [], _PNG_HEAD
    while at + 8 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        found.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    if not found:
        return data
    _reorder(found, rng)
    out = data[:_PNG_HEAD]
    for name, body in found:
        check = struct.pack(">I", zlib.crc32(body, zlib.crc32(name)))
        out += struct.pack(">I", len(body)) + name + body + check
    return out


def _webp_chunks(data: bytes, rng: random.Random) -> bytes:
    found, at = [], 12
    while at + 8 <= len(data):
        (length,) = struct.unpack_from("<I", data, at + 4)
        found.append((data[at : at + 4], data[at + 8 : at + 8 + length]))
        at += 8 + length + length % 2
    if not found:
        return data
    _reorder(found, rng)
    out = b"WEBP"
    for name, body in found:
        out += name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)
    return b"RIFF" + struct.pack("<I", len(out)) + out


def _reorder(chunks: list[tuple[bytes, bytes]], rng: random.Random) -> None:
    a, b = rng.randrange(len(chunks)), rng.randrange(len(chunks))
    what = rng.randrange(4)
    if what == 0:
        chunks[a], chunks[b] = chunks[b], chunks[a]
    elif what == 1:
        chunks.insert(b, chunks[a])
    elif what == 2:
        del chunks[a]
    else:
        name, body = chunks[a]
        change = rng.choice((_flip, _number, _fill, _cut))
        if name in (b"IDAT", b"iCCP"):
            body = _repacked(body, body.find(b"\0") + 2 if name == b"iCCP" else 0, change, rng)
        elif body:
            body = change(body, rng, "")
        chunks[a] = name, body


def _repacked(body: bytes, start: int, change: Mutation, rng: random.Random) -> bytes:
    """A chunk whose zlib stream holds something else."""
    try:
        plain = zlib.decompress(body[start:])
    except zlib.error:
        return body
    return body[:start] + zlib.compress(change(plain, rng, ""))


def _moving(**options: Any) -> dict[str, Any]:
    later = [_image().rotate(20 * number) for number in (1, 2)]
    return {"save_all": True, "append_images": later, "duration": 40, **options}


def _heic() -> dict[str, Files]:
    import pillow_heif

    found = {}
    for name, channels in (("rgb", 3), ("rgba", 4), ("gray", 1)):
        file = io.BytesIO()
        pillow_heif.from_pillow(_image(channels)).save(file, quality=60, **metadata_bytes())
        found[name] = {"": file.getvalue()}
    return found


def metadata_bytes() -> dict[str, bytes]:
    """The same, for writers that take bytes."""
    found = metadata()
    return {"icc_profile": found["icc_profile"], "exif": found["exif"].tobytes()}


def _gif() -> dict[str, Files]:
    return {
        "still": _pillow(_image(), "GIF"),
        "gray": _pillow(_image(1), "GIF", comment=b"a comment"),
        "alpha": _pillow(_image(4), "GIF"),
        "moving": _pillow(_image(), "GIF", **_moving(disposal=2)),
    }


def _jxl() -> dict[str, Files]:
    encode = imagecodecs.jpegxl_encode
    return {
        "rgb": {"": encode(pixels(), lossless=True)},
        "lossy": {"": encode(pixels(), distance=2.0)},
        "rgba": {"": encode(pixels(4), lossless=True, usecontainer=True)},
        "gray16": {"": encode(pixels(1, np.uint16), lossless=True)},
        "float": {"": encode(pixels(3, np.float32), lossless=True)},
    }


def _jp2() -> dict[str, Files]:
    encode = imagecodecs.jpeg2k_encode
    return {
        "rgb": {"": encode(pixels(), level=0, reversible=True)},
        "lossy": {"": encode(pixels(), level=30)},
        "rgba16": {"": encode(pixels(4, np.uint16), level=0, reversible=True)},
        "codestream": {"": encode(pixels(1), level=0, reversible=True, codecformat="j2k")},
    }


def _pnm() -> dict[str, Files]:
    head = f"P7\nWIDTH {WIDTH}\nHEIGHT {HEIGHT}\nDEPTH 4\nMAXVAL 255\nTUPLTYPE RGB_ALPHA\nENDHDR\n"
    text = " ".join(map(str, pixels(1).ravel().tolist()))
    return {
        "rgb": _pillow(_image(), "PPM"),
        "bits": _pillow(_image(1).convert("1"), "PPM"),
        "float": {"": cv2.imencode(".pfm", pixels(3, np.float32))[1].tobytes()},
        "rgba": {"": head.encode() + pixels(4).tobytes()},
        "plain": {"": f"P2\n# gray\n{WIDTH} {HEIGHT}\n255\n{text}\n".encode()},
    }


def _qoi() -> dict[str, Files]:
    return {"rgb": _pillow(_image(), "QOI"), "rgba": _pillow(_image(4), "QOI")}


def _pillow_only() -> dict[str, Files]:
    return {
        "sgi": _pillow(_image(), "SGI"),
        "dds": _pillow(_image(4), "DDS", pixel_format="DXT5"),
        "icon": _pillow(_image(4), "ICO", sizes=[(16, 16), (32, 32)]),
    }


SEEDS: dict[str, Callable[[], dict[str, Files]]] = {
    "png": _png,
    "jpg": _jpg,
    "webp": _webp,
    "bmp": _bmp,
    "avif": _avif,
    "exr": _exr,
    "hdr": _hdr,
    "tiff": _tiff,
    "zarr": _zarr,
    "heic": _heic,
    "gif": _gif,
    "jxl": _jxl,
    "jp2": _jp2,
    "pnm": _pnm,
    "qoi": _qoi,
    "pillow": _pillow_only,
}
MUTATIONS: dict[str, Mutation] = {
    "flip": _flip,
    "flip-head": _flip_head,
    "cut": _cut,
    "drop": _drop,
    "swap": _swap,
    "fill": _fill,
    "number": _number,
    "chunks": _chunks,
}
