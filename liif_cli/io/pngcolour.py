"""What PNG chunks say of colours, for files without a profile: kept in PNG, a profile elsewhere.

PNG, third edition, section 11.3.2: cICP goes before sRGB, and that before gAMA with cHRM.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

COLOUR_CHUNKS = {b"cICP": 4, b"sRGB": 1, b"gAMA": 4, b"cHRM": 32}
"""Names of the chunks, and the bytes that each has."""
_SRGB_PRIMARIES = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
_SRGB_GAMMA = 1 / 2.2
_CICP_SRGB = (1, 13, 0, 1)
_SAME = 0.001


def colour_chunks(chunks: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """Those of a file's chunks that say something of colours, in the order of writing."""
    return {
        name: chunks[name]
        for name, size in COLOUR_CHUNKS.items()
        if len(chunks.get(name, b"")) == size
    }


def is_other(chunks: Mapping[bytes, bytes]) -> bool:
    """Whether colours are other than sRGB, and no profile that can be made says so: cICP."""
    return b"cICP" in chunks and tuple(chunks[b"cICP"]) != _CICP_SRGB


def profile_of(chunks: Mapping[bytes, bytes], *, gray: bool) -> bytes | None:
    """A colour profile that says what the chunks do; None for sRGB, which needs none, and for cICP.

    A curve is a plain power, as gAMA means it: its exponent is 100000 / gAMA.
    """
    if b"cICP" in chunks or b"sRGB" in chunks or not chunks:
        return None
    gamma = _SRGB_GAMMA
    if b"gAMA" in chunks:
        gamma = struct.unpack(">I", chunks[b"gAMA"])[0] / 100_000
    numbers = _SRGB_PRIMARIES
    if b"cHRM" in chunks:
        numbers = tuple(value / 100_000 for value in struct.unpack(">8I", chunks[b"cHRM"]))
    own = gray or all(abs(a - b) < _SAME for a, b in zip(numbers, _SRGB_PRIMARIES, strict=True))
    # what nearly every writer of these chunks means by them is sRGB
    if gamma <= 0 or (own and abs(gamma - _SRGB_GAMMA) < _SAME):
        return None
    import imagecodecs

    try:
        if gray:
            profile = imagecodecs.cms_profile("gray", whitepoint=numbers[:2], gamma=1 / gamma)
        else:
            profile = imagecodecs.cms_profile(
                "rgb", whitepoint=numbers[:2], primaries=numbers[2:], gamma=1 / gamma
            )
    except (RuntimeError, ValueError):
        # chromaticities of no colours
        return None
    return bytes(profile)
