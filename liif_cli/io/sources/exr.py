"""OpenEXR: gray, RGB and other channels of 16 and 32 bits, with and without alpha."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from liif_cli.geometry.window import Window
from liif_cli.io.abilities import abilities
from liif_cli.io.base import Pixels
from liif_cli.io.linear import REC_709, linear_profile
from liif_cli.io.metadata import Metadata
from liif_cli.io.refusals import check_finite, damaged, kind_of_pixels, needs, truncated
from liif_cli.io.sources.tiff import straight
from liif_cli.io.sources.whole import Header, WholeFileSource, read_exactly

_MAGIC = b"v/1\x01"
_DEEP, _SEVERAL = 0x800, 0x1000
_MOST_HEADER = 2**20
_TYPES = ("uint32", "float16", "float32")
_COLOURS = (("R", "G", "B"), ("Y",))


@dataclass
class _Part:
    """One picture of a file: its attributes by name, (type, value) each."""

    attributes: dict[str, tuple[str, bytes]] = field(default_factory=dict)

    def box(self, name: str) -> tuple[int, int, int, int]:
        """(left, top, right, bottom) of a window, the last ones within."""
        left, top, right, bottom = struct.unpack("<4i", self.attributes[name][1])
        return left, top, right, bottom

    @property
    def channels(self) -> dict[str, tuple[str, tuple[int, int]]]:
        """Name -> sample type, and (x, y) sampling, of the channel list."""
        data, channels, at = self.attributes["channels"][1], {}, 0
        while data[at] != 0:
            end = data.index(0, at)
            kind, x, y = struct.unpack_from("<i4xii", data, end + 1)
            channels[data[at:end].decode("latin-1")] = (_TYPES[kind], (x, y))
            at = end + 17
        return channels


class ExrSource(WholeFileSource):
    """An OpenEXR file; each part is a page. R, G and B, or Y, with A; else all channels as bands.

    Colours are amounts of light. Those of a file are multiplied by alpha and are divided by it.
    What lies outside of the data window is not there. The profile says that they are linear.
    """

    format = "exr"
    suffixes = (".exr",)
    reads = abilities("float", "wide", "alpha", "bands", "ICC", "resolution", "pages")

    @classmethod
    def matches(cls, path: Path, head: bytes) -> bool:
        return head.startswith(_MAGIC)

    @classmethod
    def read_page_header(cls, path: Path, file: BinaryIO, page: int) -> Header:
        parts = list(_parts(path, file))
        part = parts[min(page, len(parts)) - 1]
        if part.attributes.get("type", ("", b""))[1].startswith(b"deep"):
            raise kind_of_pixels(path, "an OpenEXR file of deep pixels", "flatten it")
        names, alpha = chosen(part)
        channels = part.channels
        if {"RY", "BY"} & channels.keys():
            raise kind_of_pixels(path, "an OpenEXR file of luma and chroma", "save it as RGB")
        kinds = {channels[name][0] for name in names}
        if {channels[name][1] for name in names} != {(1, 1)}:
            raise kind_of_pixels(path, "an OpenEXR file of channels at several resolutions")
        if len(kinds) > 1:
            raise kind_of_pixels(path, f"an OpenEXR file of {' and '.join(sorted(kinds))} samples")
        metadata = Metadata()
        if rest := sorted(set(channels) - set(names)):
            more = ", ".join(rest[:4]) + (", ..." if len(rest) > 4 else "")
            metadata.drop(
                f"channel {more}" if len(rest) == 1 else f"channels {more}", "as no colours"
            )
        left, top, right, bottom = window = part.box("dataWindow")
        if window != part.box("displayWindow"):
            metadata.drop("display window", "and the data window is all of the image")
        _needed(path)
        dtype = np.dtype(kinds.pop())
        linear = names[0] in ("R", "Y") and dtype.kind == "f"
        own = _chromaticities(part)
        if linear and own is not None:
            metadata.drop("chromaticities", "in OpenEXR and Radiance outputs")
        return Header(
            bottom - top + 1,
            right - left + 1,
            len(names),
            dtype,
            resolution=_resolution(part),
            alpha=alpha,
            pages=len(parts),
            dropped=metadata.dropped,
            icc=linear_profile(own or REC_709, gray=names[0] == "Y") if linear else None,
            linear=linear,
        )

    def decode(self, data: bytes) -> Pixels:
        import io

        library = _needed(self.info.path)
        stream = io.BytesIO(data)
        names, alpha = chosen(list(_parts(self.info.path, stream))[self.info.page - 1])
        stream.seek(0)
        part = library.File(stream, separate_channels=True).parts[self.info.page - 1]
        planes = [part.channels[name].pixels for name in names]
        pixels = np.stack(planes, axis=-1)
        height, width = pixels.shape[:2]
        check_finite(self.info.path, pixels, Window.whole(height, width))
        return straight(pixels) if alpha else pixels


def chosen(part: _Part) -> tuple[list[str], bool]:
    """Names of the channels that are read, and whether the last one is alpha."""
    names = list(part.channels)
    for colours in _COLOURS:
        if set(colours) <= set(names):
            alpha = "A" in names
            return [*colours, *(["A"] if alpha else [])], alpha
    return names, False


def _needed(path: Path) -> Any:
    try:
        import OpenEXR
    except ImportError as error:
        raise needs(path, "openexr", "formats") from error
    return OpenEXR


def _parts(path: Path, file: BinaryIO) -> Iterator[_Part]:
    """Headers of the parts (OpenEXR, Technical Introduction: File Layout)."""
    file.seek(0)
    magic, version = struct.unpack("<4sI", read_exactly(path, file, 8, "its header"))
    if magic != _MAGIC:
        raise damaged(path, "no OpenEXR signature")
    data = file.read(_MOST_HEADER)
    at, more = 0, True
    while more:
        part = _Part()
        while data[at : at + 1] != b"\0":
            name, at = _text(path, data, at)
            kind, at = _text(path, data, at)
            (size,) = struct.unpack_from("<i", data, at)
            if size < 0 or at + 4 + size > len(data):
                raise truncated(path, "it ends in its header")
            part.attributes[name] = kind, data[at + 4 : at + 4 + size]
            at += 4 + size
        at += 1
        yield part
        more = bool(version & _SEVERAL) and data[at : at + 1] != b"\0"
        if at >= len(data):
            raise truncated(path, "it ends in its header")


def _text(path: Path, data: bytes, at: int) -> tuple[str, int]:
    end = data.find(b"\0", at, at + 256)
    if end < 0:
        raise damaged(path, "a name without an end in its header")
    return data[at:end].decode("latin-1"), end + 1


def _chromaticities(part: _Part) -> tuple[float, ...] | None:
    """(x, y) of red, green, blue and white where they are not those of Rec. ITU-R BT.709."""
    kind, value = part.attributes.get("chromaticities", ("", b""))
    if kind != "chromaticities" or len(value) != 32:
        return None
    points = struct.unpack("<8f", value)
    return None if np.allclose(points, REC_709, atol=1e-3) else points


def _resolution(part: _Part) -> tuple[float, float] | None:
    kind, value = part.attributes.get("xDensity", ("", b""))
    if kind != "float" or len(value) != 4:
        return None
    (density,) = struct.unpack("<f", value)
    (aspect,) = struct.unpack("<f", part.attributes["pixelAspectRatio"][1])
    return (density, density * aspect) if density > 0 and aspect > 0 else None
