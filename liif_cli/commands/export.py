"""``liif export``: any format from a finished store."""

from __future__ import annotations

from pathlib import Path

import click

from liif_cli.errors import printable
from liif_cli.plan.spec import FORMAT_ALIASES, FORMATS
from liif_cli.registries import EXPORTERS
from liif_cli.ui import options, types


@click.command()
@click.argument("store", type=types.PLACE)
@click.argument("file", type=types.PLACE)
@click.option(
    "--format",
    type=types.AliasType(FORMATS, FORMAT_ALIASES, EXPORTERS),
    default="auto",
    show_default=True,
    help="Output format. auto: by FILE's suffix.",
)
@options.file_options
@options.overwrite_option
@options.quiet_option
@options.verbose_option
def export(
    store: Path,
    file: Path,
    format: str,
    compression: str,
    pyramid: str,
    overwrite: bool,
    quiet: bool,
    verbose: bool,
) -> None:
    """Write the image of STORE, a .zarr that 'liif upscale' finished, to FILE in any format.

    Nothing is rendered again: the same pixels, colour profile, resolution and metadata go into the
    file. It is put under its name when it is complete.

    \b
    Examples:
      liif export poster.zarr poster.tif
      liif export poster.zarr poster.tif --compression zstd --pyramid pages
      liif export poster.zarr web/poster.dzi
    """
    from liif_cli.engine.export import export_store
    from liif_cli.ui.parts import parts_bar

    with parts_bar(file.name, quiet=quiet) as progress:
        export_store(
            store,
            file,
            format=format,
            compression=compression,
            pyramid=pyramid,
            overwrite=overwrite,
            progress=progress,
        )
    if not quiet:
        click.echo(printable(f"wrote {file}"), err=True)
