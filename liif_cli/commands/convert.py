"""``liif convert``: a published checkpoint as a weights file of this program."""

from __future__ import annotations

from pathlib import Path

import click

from liif_cli.errors import OutputError, UsageError, printable
from liif_cli.ui import options


@click.command()
@click.argument("source", metavar="INPUT", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("target", metavar="OUTPUT", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--lossy",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="A network of the same shape that is told how lossy an image is: OUTPUT renders lossy "
    "images as it does, and clean ones as INPUT does.",
)
@click.option(
    "--clean-to",
    type=click.FloatRange(0, 100),
    default=0.0,
    show_default=True,
    metavar="LEVEL",
    help="With --lossy: images that are this lossy, or less, count as clean.",
)
@options.overwrite_option
@options.verbose_option
def convert(
    source: Path,
    target: Path,
    lossy: Path | None,
    clean_to: float,
    overwrite: bool,
    verbose: bool,
) -> None:
    """Convert INPUT, a published PyTorch checkpoint, to OUTPUT, a .safetensors file.

    Published LIIF and MetaSR checkpoints are read as plain data: code in them is refused, not run.
    The result holds the network's configuration and needs nothing else. A file of this program is
    checked and written anew, or joined with another one by --lossy.

    \b
    Examples:
      liif convert edsr-baseline-liif.pth edsr-baseline-liif.safetensors
      liif convert clean.safetensors pair.safetensors --lossy told.safetensors --clean-to 7
    """
    if target.suffix.lower() != ".safetensors":
        raise UsageError(
            "OUTPUT", got=repr(str(target)), expected="a name that ends in .safetensors"
        )
    if clean_to and lossy is None:
        raise UsageError(
            "--clean-to", got="no --lossy", expected="a network for lossy images as well"
        )
    if target.exists() and not overwrite:
        raise OutputError(
            f"{target} exists", expected="no file", cure="use --overwrite to replace it"
        )

    from liif_cli.io.atomic import output_errors
    from liif_cli.models import checkpoint
    from liif_cli.models.pair import join

    converted = checkpoint.load(source)
    if lossy is not None:
        converted = join(converted, checkpoint.load(lossy), clean_to)
    model = converted.build()
    with output_errors(target):
        checkpoint.save(model, converted.card, target)
    click.echo(printable(f"{target}: {model.parameter_count:,} parameters"))
