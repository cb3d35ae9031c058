"""``liif info``: what files hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from liif_cli.errors import EXIT_FAILED, LiifError, printable
from liif_cli.ui import options, types


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=types.PLACE)
@options.json_option
@options.verbose_option
@click.pass_context
def info(ctx: click.Context, /, files: tuple[Path, ...], as_json: bool, verbose: bool) -> None:
    """Say what each FILE holds: an image, a folder, a tile store, or the weights of a network.

    Images: format, size, channels and what they are, samples, how lossy the file is (cleanup, from
    0 for clean to 100), pages, colour profile, metadata, resolution, and the paper that a scale of
    4 fills at 150 dpi. Folders: a line per image and their sum. Tile stores: how many of their
    shards are done, and the fingerprint of what they are made from. Weights: the network, its
    parameters, whether --cleanup is for it, its card and its digest.

    \b
    Examples:
      liif info photo.jpg poster.tif poster.dzi
      liif info photos/
      liif info large/.poster.tif.partial.zarr
      liif info my-model.safetensors --json
    """
    from liif_cli.ui.facts import facts_of, lines_of
    from liif_cli.ui.format import named

    listed: list[dict[str, Any]] = []
    failed = False
    for path in files:
        try:
            facts = facts_of(path)
            listed.append({"path": printable(path), **facts})
        except LiifError as error:
            failed = True
            listed.append({"path": printable(path), "error": str(error)})
            click.echo(f"error: {named(path, str(error))}", err=True)
            continue
        if not as_json:
            click.echo(printable(path))
            click.echo("\n".join(lines_of(facts)))
    if as_json:
        click.echo(json.dumps(listed, indent=1))
    ctx.exit(EXIT_FAILED if failed else 0)
