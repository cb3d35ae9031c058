"""What the tags of one page of a TIFF say: its colours, its alpha, where on the earth it lies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from liif_cli.io.base import Pixels
from liif_cli.io.georeference import CODES, Georeference
from liif_cli.io.metadata import Metadata
from liif_cli.io.refusals import kind_of_pixels, several

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, SEPARATED, YCBCR = 0, 1, 2, 3, 5, 6
TRANSPARENCY, CIELAB, ICCLAB = 4, 8, 9
"""Values of PhotometricInterpretation."""
PREMULTIPLIED, STRAIGHT = 1, 2
"""Values of ExtraSamples."""
_PLAIN = BLACK_IS_ZERO, RGB


def alpha_of(page: Any) -> int | None:
    """The kind of the alpha sample, which has to be the last, None where there is none."""
    extra = [int(value) for value in page.extrasamples]
    kinds = (PREMULTIPLIED, STRAIGHT)
    last = bool(extra) and extra[-1] in kinds and not set(extra[:-1]) & set(kinds)
    return extra[-1] if last else None


def value_of(page: Any, code: int, what: str, metadata: Metadata) -> Any:
    """The value of a tag, None where there is none, or where it is too large to be read."""
    tag = page.tags.get(code)
    return tag.value if tag is not None and metadata.fits(what, tag.valuebytecount) else None


def xmp_of(page: Any, metadata: Metadata) -> bytes | None:
    xmp = value_of(page, 700, "XMP", metadata)
    if isinstance(xmp, str):
        return xmp.encode(errors="replace")
    return bytes(xmp) if xmp else None


def stated_range_of(page: Any) -> tuple[float, float] | None:
    """Lowest and highest sample by the tags SMinSampleValue and SMaxSampleValue."""
    pair = page.tags.valueof(340), page.tags.valueof(341)
    if pair[0] is None or pair[1] is None:
        return None
    low, high = float(np.min(pair[0])), float(np.max(pair[1]))
    return (low, high) if np.isfinite([low, high]).all() and low < high else None


def photometric_of(path: Path, page: Any) -> int:
    """The photometric interpretation, after everything that is not handled was refused."""
    photometric, samples = int(page.photometric), page.samplesperpixel
    if photometric == TRANSPARENCY:
        photometric = BLACK_IS_ZERO  # 1 is where the image is
    name = getattr(page.photometric, "name", str(page.photometric))
    if page.imagedepth > 1:
        raise several(path, f"a TIFF volume of {page.imagedepth} planes")
    expected = {
        WHITE_IS_ZERO: 1,
        BLACK_IS_ZERO: 1,
        PALETTE: 1,
        RGB: 3,
        YCBCR: 3,
        SEPARATED: 4,
        CIELAB: 3,
        ICCLAB: 3,
    }
    if photometric not in expected:
        raise kind_of_pixels(path, f"a TIFF of photometric interpretation {name}")
    plain = samples == expected[photometric]
    if not plain and (photometric not in (BLACK_IS_ZERO, RGB) or samples < expected[photometric]):
        raise kind_of_pixels(path, f"a TIFF of {samples} samples per pixel ({name})")
    if photometric == SEPARATED and page.tags.valueof(332, 1) != 1:
        raise kind_of_pixels(path, "a TIFF of inks other than CMYK")
    bits, sample_format = page.bitspersample, int(page.sampleformat)
    integer = sample_format == 1 and bits in (1, 2, 4, 8, 12, 16, 32)
    integer |= sample_format == 2 and bits in (8, 16, 32) and photometric in _PLAIN
    if (bits < 8 and (samples > 1 or not plain)) or (bits > 8 and photometric == PALETTE):
        integer = False
    floating = (
        sample_format == 3 and bits in (16, 32, 64) and photometric in (*_PLAIN, WHITE_IS_ZERO)
    )
    if photometric in (CIELAB, ICCLAB):
        # the sign of a* and b* goes without saying, and is said now and then
        integer = sample_format in (1, 2) and bits in (8, 16)
        floating = sample_format == 3 and bits == 32 and photometric == CIELAB
    if photometric == YCBCR:
        integer, floating = sample_format == 1 and bits == 8, False
    if page.dtype is None or not (integer or floating):
        kind = {1: "unsigned", 2: "signed", 3: "float"}.get(sample_format, "unknown")
        raise kind_of_pixels(path, f"{kind} samples of {bits} bits ({name})")
    return photometric


def table_of(page: Any, photometric: int) -> Pixels | None:
    """Table (values, channels) of uint8 for palettes and less than 8 bits, None for all others."""
    bits = page.bitspersample
    if photometric == PALETTE:
        colours = np.asarray(page.colormap).T
        # the specification has 16 bits; some writers put 8
        table = (colours >> 8 if colours.max() > 255 else colours).astype(np.uint8)
        return table[:, :1] if bool((table == table[:, :1]).all()) else table
    if bits >= 8:
        return None
    top = (1 << bits) - 1
    ramp: Pixels = (np.arange(top + 1) * (255 // top)).astype(np.uint8)[:, np.newaxis]
    return ramp[::-1] if photometric == WHITE_IS_ZERO else ramp


def georeference_of(page: Any, metadata: Metadata) -> Georeference | None:
    """Of an upright image: nobody turns a map by a tag."""
    if page.tags.valueof(274, 1) != 1:
        return None
    values = {code: value_of(page, code, "georeferencing", metadata) for code in CODES}
    return Georeference.from_tags(values)


def resolution_of(page: Any) -> tuple[float, float] | None:
    unit = int(page.tags.valueof(296, 2))
    scale = {2: 1.0, 3: 2.54}.get(unit)
    pair = page.tags.valueof(282), page.tags.valueof(283)
    if scale is None or not all(value and value[0] and value[1] for value in pair):
        return None
    return pair[0][0] / pair[0][1] * scale, pair[1][0] / pair[1][1] * scale
