"""``liif sample``: images to try things with."""

from __future__ import annotations

from pathlib import Path

import click

from liif_cli.errors import UsageError, printable
from liif_cli.ui import options

PAGES = 20


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--kind",
    type=click.Choice(["formulas", "graphics"]),
    default="formulas",
    show_default=True,
    help="formulas: a chart with text, a zone plate, dead leaves, a landscape. graphics: pages as "
    "in screenshots, scans and documents.",
)
@click.option(
    "--count",
    type=click.IntRange(1, 100_000),
    metavar="N",
    help=f"Pages of graphics to write.  [default: {PAGES}, one or two of each sort]",
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    metavar="N",
    help="Another seed gives other graphics.  [default: 0]",
)
@options.verbose_option
def sample(folder: Path, kind: str, count: int | None, seed: int | None, verbose: bool) -> None:
    """Write a few generated images into DIR, the same ones every time.

    The formulas are four images of up to 384 pixels. The graphics are pages of 896x704: text in
    several scripts, windows, charts, code, scans, drawings, maps, tables, patterns, logos. They are
    drawn with OpenCV's own fonts; the same version of OpenCV draws the same pages. Files of their
    names are replaced.

    \b
    Examples:
      liif sample photos/
      liif sample screens/ --kind graphics --count 100 --seed 7
    """
    from liif_cli.bench.samples import write_graphics, write_samples

    if kind == "formulas":
        for name, value in (("--count", count), ("--seed", seed)):
            if value is not None:
                raise UsageError(
                    name, got="--kind formulas", expected="--kind graphics", cure="add that"
                )
        paths = iter(write_samples(folder))
    else:
        paths = write_graphics(folder, PAGES if count is None else count, seed or 0)
    for path in paths:
        click.echo(printable(path))
