"""Profiles, EXIF, XMP and text of files: how much of them is taken, and what is said of the rest.

A file of some kilobytes may hold a profile that inflates to gigabytes. What is larger than any
camera or scanner makes it is dropped before it is read or inflated, and the image is done without.
"""

from __future__ import annotations

import base64
import zlib
from typing import BinaryIO

MOST_BYTES = 16 * 2**20
"""Of one profile, one EXIF block, one XMP packet; the largest real profiles have some 4 MB."""


class Metadata:
    """Takes what is of a reasonable size; ``dropped`` has a phrase for all else."""

    def __init__(self) -> None:
        self._dropped: dict[str, str] = {}

    @property
    def dropped(self) -> tuple[str, ...]:
        """What was left out and why: "its colour profile is dropped, ..."."""
        return tuple(f"its {what} is dropped, {why}" for what, why in self._dropped.items())

    def drop(self, what: str, why: str) -> None:
        """Note that something was left out; the first reason counts."""
        self._dropped.setdefault(what, why)

    def fits(self, what: str, size: int) -> bool:
        """Whether something of ``size`` bytes may be read; noted where it may not."""
        if size > MOST_BYTES:
            self.drop(what, f"which has {size:,} bytes, more than {MOST_BYTES:,}")
        return size <= MOST_BYTES

    def kept(self, what: str, data: bytes | None) -> bytes | None:
        """``data`` where it is small enough, None where it is not, or is not there."""
        return data if data is not None and self.fits(what, len(data)) else None

    def read(self, what: str, file: BinaryIO, size: int) -> bytes | None:
        """The next ``size`` bytes; None, and nothing read, where they are too many."""
        return file.read(size) if self.fits(what, size) else None

    def inflated(self, what: str, data: bytes) -> bytes | None:
        """A zlib stream, inflated; None where it is damaged, or would become too large."""
        stream = zlib.decompressobj()
        try:
            inflated = stream.decompress(data, MOST_BYTES + 1)
        except zlib.error as error:
            self.drop(what, f"which is damaged: {error}")
            return None
        if len(inflated) > MOST_BYTES:
            self.drop(what, f"which inflates to more than {MOST_BYTES:,} bytes")
            return None
        if not stream.eof:
            self.drop(what, "which ends early")
            return None
        return inflated

    def decoded(self, what: str, text: object) -> bytes | None:
        """Bytes of a text in base64; None for anything else."""
        if not isinstance(text, str) or not self.fits(what, len(text) * 3 // 4):
            return None
        try:
            return base64.b64decode(text, validate=True)
        except ValueError as error:
            self.drop(what, f"which is damaged: {error}")
            return None
