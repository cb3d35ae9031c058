"""``liif sample``: images to try things with."""

from __future__ import annotations

from pathlib import Path

import click

from liif_cli.ui import options


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@options.verbose_option
def sample(folder: Path, verbose: bool) -> None:
    """Write a few generated images into DIR: a chart with text, a zone plate, dead leaves, a land.

    They are made from formulas, the same ones every time. Files of their names are replaced.

    \b
    Example:
      liif sample photos/
    """
    from liif_cli.bench.samples import write_samples

    for path in write_samples(folder):
        click.echo(path)
