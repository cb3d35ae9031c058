"""``liif bench``: quality and speed of methods, by the papers' protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from liif_cli.errors import UsageError
from liif_cli.ui import options, types


@click.command()
@click.option(
    "--scales",
    type=types.NumbersType(),
    default="2,3,4,6,12,18,24,30",
    show_default=True,
    help="Magnifications above 1; may be fractional.",
)
@click.option(
    "--inputs",
    type=types.NamesType(),
    default="clean",
    show_default=True,
    help="What LR images go through, one column each: jpegQ, jpegQ-420, webpQ, avifQ (quality), "
    "noiseS (deviation), blur, blurS (softer than bicubic), area, lanczos, nearest, bilinear "
    "(another kernel); joined by +, as noise5+jpeg85-420.",
)
@click.option(
    "--data",
    multiple=True,
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Folder of HR images, or a tree with HR/ and LR_bicubic/X2, X3, ...; graphics: 40 pages "
    "of text, where no folder has that name. May be repeated; one table each. [default: four "
    "generated images, and six of the pages]",
)
@click.option(
    "--methods",
    type=types.NamesType(),
    help="Decoders (every model that comes with liif and has it), models, bicubic, nearest, "
    "bilinear, lanczos, siren. NAME@ensemble averages 8 flips and turns, NAME@clamped is told no "
    "smaller pixel than at its largest trained scale, NAME@via4 renders at x4 and continues by "
    "Lanczos, NAME@cleanupN is told a loss of N whatever the file says, NAME@blind of 0. "
    "[default: every model that comes with liif, and bicubic]",
)
@click.option(
    "--model", "models", multiple=True, metavar="NAME|PATH", help="One more model; may be repeated."
)
@click.option(
    "--protocol",
    type=click.Choice(["auto", "div2k", "benchmark"]),
    default="auto",
    show_default=True,
    help="div2k: PSNR over RGB. benchmark: over luma. auto: luma for trees with LR files and for "
    "Set5, Set14, B100 and Urban100.",
)
@click.option(
    "--cells",
    type=types.NumbersType(),
    help="Also tell networks a pixel of 1/K of an input pixel, for each K.",
)
@click.option("--limit", metavar="N", type=click.IntRange(min=1), help="Images per set.")
@click.option("--paper", is_flag=True, help="Show the papers' figures too, marked as cited.")
@click.option("--ssim", is_flag=True, help="Print tables of SSIM too.")
@click.option("--time", is_flag=True, help="Print tables of speed too.")
@click.option(
    "--out",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of results, report.html, plots and crops. A later run resumes it.",
)
@click.option("--json", "json_file", metavar="FILE", help="Write the report as JSON; - is stdout.")
@click.option(
    "--markdown",
    "markdown_file",
    metavar="FILE",
    help="Write the tables of PSNR, gain and chroma as Markdown; - is stdout.",
)
@options.device_option
@click.option(
    "--threads", metavar="N", type=click.IntRange(min=1), help="CPU threads. [default: all cores]"
)
@options.quiet_option
@options.verbose_option
@click.pass_context
def bench(
    ctx: click.Context,
    /,
    ssim: bool,
    time: bool,
    json_file: str | None,
    markdown_file: str | None,
    quiet: bool,
    verbose: bool,
    **chosen: Any,
) -> None:
    """Measure PSNR, SSIM and speed of methods at any scales, by the papers' protocol.

    docs/bench.md says what is measured and how. Scores go to OUT/results.jsonl one by one: after
    an interruption the same command resumes.

    \b
    Examples:
      liif bench
      liif bench --data Set5 --data Set14 --scales 2,3,4 --methods liif,lmliif,bicubic --paper
      liif bench --data photos/ --model mine.safetensors --out results/ --ssim --time
      liif bench --data photos/ --methods edsr-small-liif,edsr-small-liif@clamped --scales 12,30
      liif bench --methods liif --scales 8 --cells 1,2,4,8
      liif bench --data photos/ --scales 4 --inputs clean,jpeg85-420,noise5,blur --out results/

    Exit codes: 0 all measured, 1 something left out, 2 wrong usage, 3 interrupted.
    """
    from liif_cli.bench.job import Bench, BenchSpec
    from liif_cli.ui.bench import bench_progress, show

    if json_file == markdown_file == "-":
        raise UsageError("--json, --markdown", got="stdout for both", cure="name a file for one")
    spec = BenchSpec(**{**chosen, "cells": tuple(1 / k for k in chosen["cells"] or ())})
    with bench_progress(quiet=quiet) as (say, listen):
        result = Bench(spec, say).run(listen)
    code = show(result, spec.out, json_file, markdown_file, quiet=quiet, ssim=ssim, time=time)
    ctx.exit(code)
