"""What a format may hold, by name: sources and exporters say which of it they read and write."""

from __future__ import annotations

ABILITIES = {
    "8": "whole numbers of up to 8 bits",
    "16": "whole numbers of up to 16 bits",
    "float": "32-bit floats",
    "wide": "signed and 32-bit whole numbers, and floats of 16 and 64 bits",
    "alpha": "transparency",
    "bands": "any number of channels",
    "CMYK": "four inks, read as sRGB",
    "ICC": "a colour profile",
    "EXIF": "EXIF",
    "XMP": "XMP",
    "resolution": "pixels per inch",
    "georeference": "where on Earth it lies, and nodata",
    "pages": "several pictures, or the frames of an animation, one of which is chosen",
    "window": "a part at a time, in memory that does not grow with the image",
}
"""Name -> what it is."""


def abilities(*names: str) -> frozenset[str]:
    """Some of ``ABILITIES``.

    Raises:
        ValueError: a name that is not one.
    """
    chosen = frozenset(names)
    if unknown := chosen - ABILITIES.keys():
        raise ValueError(f"no abilities: {', '.join(sorted(unknown))}")
    return chosen
