"""Options of ``liif train``. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from liif_cli.errors import UsageError
from liif_cli.ui import options, types

F = TypeVar("F", bound=Callable[..., Any])


def recipe_options(command: F) -> F:
    """What to train and for how long."""
    return _apply(
        command,
        click.option(
            "--preset",
            required=True,
            metavar="NAME",
            help="Network and recipe to start from: edsr-small-lmliif, edsr-baseline-liif, "
            "rdn-liif and more, with suffixes such as -no-cell, -x2, -sizes, -paper, -real "
            "(docs/training.md). An unknown name lists them.",
        ),
        click.option(
            "--set",
            "assignments",
            multiple=True,
            type=types.AssignmentType(),
            help="Replace a value of the recipe or of the network, for instance lr=1e-3 or "
            "n_resblocks=16. An unknown name lists them. May be repeated.",
        ),
        click.option(
            "--iterations",
            metavar="N",
            type=click.IntRange(min=1),
            help="The same as --set iterations=N.",
        ),
        click.option(
            "--time",
            "budget",
            type=types.DurationType(),
            help="Train for this long (90s, 25m, 1h30m), validation and saving included: the "
            "schedule follows the clock. Not with --iterations.",
        ),
        click.option(
            "--init",
            metavar="NAME|PATH",
            help="Start from the weights of a model. The network may have more residual blocks "
            "or channels, and with another decoder the encoder alone is taken.",
        ),
    )


def file_options(command: F) -> F:
    """What to read, and what to write and keep."""
    return _apply(
        command,
        click.option(
            "--data",
            required=True,
            metavar="DIR",
            type=click.Path(path_type=Path),
            help="Folder of photos to train on.",
        ),
        click.option(
            "--out",
            required=True,
            metavar="FILE",
            type=click.Path(dir_okay=False, path_type=Path),
            help="Weights file to write (.safetensors). State, log and curves lie beside it: "
            "FILE.state.pt, FILE.log.csv, FILE.curves.png.",
        ),
        click.option(
            "--val",
            metavar="LIST.txt",
            type=click.Path(dir_okay=False, path_type=Path),
            help="Text file, one file name of DIR per line: held out of training, used for the "
            "PSNR.",
        ),
        click.option(
            "--resume/--no-resume",
            default=True,
            show_default=True,
            help="Resume from FILE.state.pt where it is there.",
        ),
        options.overwrite_option,
        click.option(
            "--checkpoint-every",
            type=types.DurationType(),
            default="1m",
            show_default=True,
            help="Time between saves of the state.",
        ),
    )


def recipe_values(
    assignments: tuple[tuple[str, str], ...], iterations: int | None, budget: float | None
) -> dict[str, str]:
    """Values to replace, as texts by name; the last of a name counts.

    Raises:
        UsageError: both ``iterations`` and ``budget``.
    """
    if iterations is not None and budget is not None:
        raise UsageError(
            "length of the training", got="both --iterations and --time", expected="one of them"
        )
    values = dict(assignments)
    if iterations is not None:
        # wins over a preset that counts passes or seconds
        values |= {"iterations": str(iterations), "epochs": "0", "time": "0"}
    if budget is not None:
        values["time"] = str(budget)
    return values


def _apply(command: F, *decorators: Callable[[Any], Any]) -> F:
    """Options in the order in which the help lists them."""
    for decorator in reversed(decorators):
        command = decorator(command)
    return command
