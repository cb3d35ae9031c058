"""``liif models``: what can be given to --model."""

from __future__ import annotations

import json

import click

from liif_cli.ui import options


@click.command()
@options.json_option
@click.option("--measure", is_flag=True, help="Measure the speed of each at x2, x4 and x16.")
@options.verbose_option
def models(as_json: bool, measure: bool, verbose: bool) -> None:
    """List the models that come with liif, and the kernels that need no weights.

    The default one is marked. PSNR is given where the model's card has it. -v shows what encoders
    and decoders are built with. --measure takes a few seconds per model and gives output megapixels
    per second on all cores of this machine, without reading and writing files.

    \b
    Examples:
      liif models
      liif models --measure
      liif models --json
    """
    from liif_cli.ui.modellist import print_models, shipped_models

    rows = shipped_models(measure=measure)
    if as_json:
        click.echo(json.dumps(rows, indent=1))
    else:
        print_models(rows, verbose=verbose)
