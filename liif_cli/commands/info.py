"""``liif info``: what files hold."""

from __future__ import annotations

import json
from pathlib import Path

import click

from liif_cli.errors import EXIT_FAILED, LiifError
from liif_cli.ui import options


@click.command()
@click.argument(
    "files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@options.json_option
@options.verbose_option
@click.pass_context
def info(ctx: click.Context, /, files: tuple[Path, ...], as_json: bool, verbose: bool) -> None:
    """Say what each FILE holds: an image, a tile store, or the weights of a network.

    Images: format, size, channels, samples, colour profile, resolution. Tile stores: how many of
    their shards are done, and the fingerprint of what they are made from. Weights: the network, its
    parameters, its card and its digest.

    \b
    Examples:
      liif info photo.jpg poster.tif
      liif info large/.poster.tif.partial.zarr
      liif info my-model.safetensors --json
    """
    from liif_cli.ui.facts import facts_of, text_of
    from liif_cli.ui.format import named

    found = []
    failed = False
    for path in files:
        try:
            facts = {"path": str(path), **facts_of(path)}
        except LiifError as error:
            failed = True
            facts = {"path": str(path), "error": str(error)}
            click.echo(f"error: {named(path, str(error))}", err=True)
        found.append(facts)
        if not as_json and "error" not in facts:
            click.echo(path)
            for name, value in facts.items():
                if name != "path":
                    click.echo(f"  {name:<12} {text_of(value)}")
    if as_json:
        click.echo(json.dumps(found, indent=1))
    ctx.exit(EXIT_FAILED if failed else 0)
