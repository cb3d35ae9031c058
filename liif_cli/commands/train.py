"""``liif train``: a network from a folder of photos."""

from __future__ import annotations

from pathlib import Path

import click

from liif_cli.ui import options


@click.command()
@click.option("--preset", required=True, metavar="NAME", help="Network and recipe to start from.")
@click.option(
    "--data",
    required=True,
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Folder of photos to train on.",
)
@click.option(
    "--out",
    required=True,
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Weights file to write (.safetensors). The state of the training goes to FILE.state.pt.",
)
@click.option(
    "--val",
    metavar="LIST.txt",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Text file, one file name of DIR a line: held out of training, used for the PSNR.",
)
@click.option(
    "--set",
    "assignments",
    multiple=True,
    type=options.AssignmentType(),
    help="Replace a value of the recipe, for instance lr=1e-3. May be repeated.",
)
@click.option(
    "--iterations", metavar="N", type=click.IntRange(min=1), help="The same as --set iterations=N."
)
@options.device_option
@click.option(
    "--bf16/--no-bf16",
    default=None,
    help="Run the network in bfloat16. [default: where the device has instructions for it]",
)
@click.option(
    "--seed", default=0, show_default=True, metavar="N", help="Of the weights and the data's order."
)
@click.option(
    "--threads", metavar="N", type=click.IntRange(min=1), help="CPU threads. [default: all cores]"
)
@options.quiet_option
@options.verbose_option
def train(
    preset: str,
    data: Path,
    out: Path,
    val: Path | None,
    assignments: tuple[tuple[str, str], ...],
    iterations: int | None,
    device: str,
    bf16: bool | None,
    seed: int,
    threads: int | None,
    quiet: bool,
    verbose: bool,
) -> None:
    """Train a network on the photos of a folder and write its averaged weights.

    Photos that are damaged or too small are left out by name. A training that was interrupted goes
    on from its last saved state when the same command is given again.

    \b
    Examples:
      liif train --preset edsr-small-liif --data photos/ --out small.safetensors
      liif train --preset edsr-small-liif --data photos/ --out quick.safetensors \\
          --val held_out.txt --iterations 2000 --set lr=1e-3 --set batch=8
    """
    import torch

    from liif_cli.train.job import TrainJob
    from liif_cli.ui.training import training_progress

    values = dict(assignments)
    if iterations is not None:
        values["iterations"] = str(iterations)
    if threads is not None:
        torch.set_num_threads(threads)
    job = TrainJob.from_texts(
        preset, values, data=data, out=out, val=val, device=device, bf16=bf16, seed=seed
    )
    with training_progress(quiet=quiet) as progress:
        job.run(progress.report, progress.say)
