"""What goes beside the pixels of an output: the input's metadata, made true of its size."""

from __future__ import annotations

import dataclasses

from liif_cli import __version__
from liif_cli.io.base import ImageInfo, OutputInfo
from liif_cli.io.exif import rewritten, upright_xmp
from liif_cli.io.pngcolour import profile_of
from liif_cli.plan.plan import RenderPlan


def output_info(plan: RenderPlan, info: ImageInfo) -> OutputInfo:
    """What goes beside the pixels: the input's, made true of the output's size.

    The colour profile and the resolution stay even where metadata are stripped, since pixels mean
    something else without them.
    """
    own = _scaled(info.resolution, plan.scale)
    resolution = (plan.dpi, plan.dpi) if plan.dpi else own
    region = plan.region
    as_chunks = plan.output_format == "png"
    beside = OutputInfo(
        icc=info.icc if as_chunks or not info.colour else _profile(info),
        colour=info.colour if as_chunks else {},
        resolution=resolution,
        alpha=plan.alpha,
        offset=(region.row_off, region.col_off),
        compression=plan.compression,
        quality=plan.quality,
        rgb_bands=info.rgb_bands,
        mask=plan.mask,
        band_names=info.band_names,
        pixel_size=(info.pixel_size[0] / plan.scale[1], info.pixel_size[1] / plan.scale[0])
        if info.pixel_size
        else None,
        pyramid=plan.pyramid,
    )
    if plan.strip_metadata:
        return beside
    return dataclasses.replace(
        beside,
        software=f"liif {__version__}",
        provenance=plan.identity(),
        georeference=info.georeference.scaled(plan.in_shape, plan.out_shape).moved(*beside.offset)
        if info.georeference
        else None,
        exif=rewritten(info.exif, *region.shape, resolution) if info.exif else None,
        xmp=upright_xmp(info.xmp) if info.xmp else None,
    )


def _profile(info: ImageInfo) -> bytes | None:
    return profile_of(info.colour, gray=info.colours == 1)


def _scaled(
    resolution: tuple[float, float] | None, scale: tuple[float, float]
) -> tuple[float, float] | None:
    """Pixels an inch of the output, so that the printed size stays."""
    return (resolution[0] * scale[1], resolution[1] * scale[0]) if resolution else None
