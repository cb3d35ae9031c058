"""``liif train``: a network from a folder of photos."""

from __future__ import annotations

from pathlib import Path

import click

from liif_cli.ui import options, training_options


@click.command()
@training_options.recipe_options
@training_options.file_options
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
    assignments: tuple[tuple[str, str], ...],
    iterations: int | None,
    budget: float | None,
    init: str | None,
    data: Path,
    out: Path,
    val: Path | None,
    resume: bool,
    overwrite: bool,
    checkpoint_every: float,
    device: str,
    bf16: bool | None,
    seed: int,
    threads: int | None,
    quiet: bool,
    verbose: bool,
) -> None:
    """Train a network on the photos of a folder and write its averaged weights.

    Photos that are damaged or too small are left out by name. A training that was interrupted
    resumes from its last saved state when the same command is given again.

    \b
    Examples:
      liif train --preset edsr-small-lmliif --data photos/ --out small.safetensors
      liif train --preset edsr-baseline-lmliif --data photos/ --val held_out.txt \\
          --time 25m --out mine.safetensors
      liif train --preset edsr-small-lmliif --init edsr-small-lmliif --data photos/ \\
          --iterations 2000 --set lr=5e-4 --out further.safetensors
    """
    values = training_options.recipe_values(assignments, iterations, budget)

    import torch

    from liif_cli.train.job import TrainJob
    from liif_cli.ui.training import training_progress

    if threads is not None:
        torch.set_num_threads(threads)
    job = TrainJob.from_texts(
        preset,
        values,
        data=data,
        out=out,
        val=val,
        device=device,
        bf16=bf16,
        seed=seed,
        init=init,
        resume=resume,
        overwrite=overwrite,
        save_seconds=checkpoint_every,
    )
    with training_progress(quiet=quiet) as progress:
        job.run(progress.report, progress.say)
