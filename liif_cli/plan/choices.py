"""What the output's format can hold, and which of its choices are taken."""

from __future__ import annotations

import numpy as np

from liif_cli.errors import OutputError, UsageError
from liif_cli.io.limits import compression_limit, holds, kind_of
from liif_cli.plan.spec import InputFacts, OutputFacts, RenderSpec


def check_format(output: OutputFacts, out_shape: tuple[int, int], source: InputFacts) -> None:
    """Refuse an output that its format cannot hold.

    Raises:
        OutputError: it cannot.
    """
    dtype, channels = source.dtype, source.shape[2]
    if dtype not in output.dtypes:
        raise OutputError(
            f"{output.format} cannot hold {dtype} samples ({output.path})",
            expected=", ".join(output.dtypes),
            cure="use --format tiff or --format zarr",
        )
    if not holds(output.channels, channels, source.alpha):
        raise OutputError(
            f"{output.format} cannot hold {kind_of(channels, source.alpha)} ({output.path})",
            cure="use --format png, webp, tiff or zarr"
            if channels - source.alpha in (1, 3)
            else "use --format tiff or --format zarr",
        )
    if source.nodata is not None and not output.nodata:
        raise OutputError(
            f"{output.format} cannot say where nothing was measured ({output.path})",
            got=f"an input whose nodata is {source.nodata:g}",
            cure="use --format tiff, cog or zarr",
        )
    if output.max_side is not None and max(out_shape) > output.max_side:
        raise OutputError(
            f"{output.format} cannot hold this size ({output.path})",
            got=f"{out_shape[1]}x{out_shape[0]}",
            expected=f"at most {output.max_side} pixels per side",
            cure="use --format tiff or --format zarr",
        )


def check_compression(compression: str, output: OutputFacts, source: InputFacts) -> None:
    """Refuse samples that the compression cannot hold.

    Raises:
        OutputError: it cannot.
    """
    expected = compression_limit(compression, np.dtype(source.dtype), source.shape[2], source.alpha)
    if expected is not None:
        raise OutputError(
            f"{output.format} cannot be compressed so ({output.path})",
            got=f"{source.shape[2]} channels of {source.dtype}",
            expected=expected,
            cure="leave out --compression",
        )


def chosen_compression(spec: RenderSpec, source: InputFacts, output: OutputFacts) -> str:
    """What was asked for; else a WebP without loss stays one, and all others have the default.

    Raises:
        UsageError: the format does not offer it.
    """
    chosen = choose(
        "--compression", spec.compression, output.format, output.path, output.compressions
    )
    if output.format != "webp":
        return chosen
    same = source.format == "webp" and not source.cleanup
    # as it was before there was a choice, so that outputs of then stay finished
    plain = "" if chosen == "lossy" else chosen
    return "lossless" if same and spec.compression == "auto" else plain


def chosen_quality(
    spec: RenderSpec, source: InputFacts, output: OutputFacts, compression: str
) -> int:
    """What was asked for, else that of a lossy input where it is above the format's own; or 0."""
    lossy = output.quality or compression in ("jpeg", "lossy")
    if compression in ("lossless", "png") or not lossy:
        return 0
    own = round(100 - source.cleanup) if source.cleanup and output.quality else 0
    quality = spec.quality or max(own, output.quality)
    return 0 if quality == output.quality else quality


def choose(option: str, wanted: str, format: str, path: str, offered: tuple[str, ...]) -> str:
    """What is chosen of what a format offers; empty where it offers nothing.

    Raises:
        UsageError: the format does not offer it.
    """
    if wanted == "auto":
        return offered[0] if offered else ""
    if wanted not in offered:
        raise UsageError(
            option,
            got=f"{wanted} for {path}",
            expected=f"for {format} " + (", ".join(offered) or "no choice at all"),
            cure="leave it out, or choose another --format",
        )
    return wanted
