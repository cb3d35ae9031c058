"""``liif verify``: read outputs again, and say what is damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from liif_cli.errors import EXIT_FAILED, LiifError, printable
from liif_cli.ui import options, types


@click.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=types.PLACE)
@options.json_option
@options.quiet_option
@options.verbose_option
@click.pass_context
def verify(
    ctx: click.Context,
    /,
    paths: tuple[Path, ...],
    as_json: bool,
    quiet: bool,
    verbose: bool,
) -> None:
    """Read each PATH again, all of it, and say what is damaged.

    PATH is an output of 'liif upscale' or 'liif export', or a folder of them. In an OME-Zarr or an
    unfinished tile store, every chunk of every level is held against its checksum, and the metadata
    against their digests. A file is held against the checksum that was recorded beside it; where
    there is none, all of it is decoded, which finds less.

    To mend a store, run the 'liif upscale' command that made it again, with --verify-existing: its
    damaged shards are rendered, the others stay.

    \b
    Examples:
      liif verify poster.zarr
      liif verify large/ poster.tif --json

    Exit codes: 0 all intact, 1 something is damaged, 2 wrong usage.
    """
    from liif_cli.engine.verify import outputs_below
    from liif_cli.engine.verify import verify as verify_output
    from liif_cli.ui.format import counted
    from liif_cli.ui.parts import parts_bar

    verdicts: list[dict[str, Any]] = []
    failed = False
    for path in paths:
        try:
            outputs = outputs_below(path)
        except LiifError as error:
            failed = True
            verdicts.append({"path": printable(path), "intact": False, "error": str(error)})
            click.echo(f"error: {error}", err=True)
            continue
        for output in outputs:
            with parts_bar(output.name, quiet=quiet or as_json) as progress:
                verdict = verify_output(output, progress)
            failed |= not verdict.intact
            damage = [{"where": each.where, "what": each.what} for each in verdict.damage]
            verdicts.append({"path": printable(output), "intact": verdict.intact, "damage": damage})
            if as_json or (quiet and verdict.intact):
                continue
            parts = counted(verdict.parts, "part")
            state = "intact" if verdict.intact else "damaged"
            click.echo(printable(f"{output}: {state}, {parts}"))
            for each in verdict.damage:
                click.echo(printable(f"  {each.where}: {each.what}"))
    if as_json:
        click.echo(json.dumps(verdicts, indent=1))
    ctx.exit(EXIT_FAILED if failed else 0)
