"""OME-TIFF: a tiled TIFF with its description in OME-XML, for microscopes' programs."""

from __future__ import annotations

import json
import uuid
from typing import Any

import tifffile

from liif_cli.io.base import DTYPES, OutputInfo, PixelReader
from liif_cli.io.exporters.tiff import TiffExporter

_OF_THIS = uuid.UUID("5b1f2f0e-6f0c-5f0d-9d6a-3f1c0e8a7b21")
"""Name space of the identities that files get."""


class OmeTiffExporter(TiffExporter):
    """What TIFF holds; reduced levels are SubIFDs, as OME-TIFF 6 has them.

    The note of how it was made is in the description of the image.
    """

    name = "ome-tiff"
    suffixes = (".ome.tif", ".ome.tiff")
    dtypes = tuple(name for name in DTYPES if name != "float16")
    pyramids = ("subifd", "none")

    def description(self, pixels: PixelReader, info: OutputInfo) -> bytes:
        """OME-XML of a file, equal for equal images.

        Args:
            pixels: of full resolution.
            info: what goes beside them.
        """
        count = pixels.channels
        metadata: dict[str, Any] = {"axes": "YXS" if count > 1 else "YX"}
        if info.provenance:
            metadata["Description"] = json.dumps(info.provenance, sort_keys=True)
        if info.pixel_size is not None:
            for axis, size in zip("XY", info.pixel_size, strict=True):
                metadata |= {f"PhysicalSize{axis}": size, f"PhysicalSize{axis}Unit": "µm"}
        if info.band_names and count == 1:
            metadata["Channel"] = {"Name": list(info.band_names)}
        identity = json.dumps([metadata, pixels.height, pixels.width, count], sort_keys=True)
        document = tifffile.OmeXml(
            Creator=info.software or "liif", UUID=f"urn:uuid:{uuid.uuid5(_OF_THIS, identity)}"
        )
        shape = (pixels.height, pixels.width, count)[: 2 + (count > 1)]
        stored = (1, 1, 1, pixels.height, pixels.width, count)
        document.addimage(str(pixels.dtype), shape, stored, **metadata)
        return document.tostring(declaration=True).encode()
