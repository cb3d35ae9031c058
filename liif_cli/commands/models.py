"""``liif models``: what can be given to --model."""

from __future__ import annotations

import json

import click

from liif_cli.ui import options


@click.command()
@options.json_option
@options.verbose_option
def models(as_json: bool, verbose: bool) -> None:
    """List the models that come with liif, and the kernels that need no weights.

    The default one is marked. PSNR is given where the model's card has it.

    \b
    Examples:
      liif models
      liif models --json
    """
    from liif_cli.ui.modellist import print_models, shipped_models

    found = shipped_models()
    if as_json:
        click.echo(json.dumps(found, indent=1))
    else:
        print_models(found)
