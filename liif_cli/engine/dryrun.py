"""A batch that is planned and not done: what each image would become, and what that would cost."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psutil

from liif_cli.engine.batch import Batch
from liif_cli.engine.events import Listener
from liif_cli.engine.record import OutputState
from liif_cli.engine.results import one_line
from liif_cli.io import open_source
from liif_cli.io.base import ImageInfo
from liif_cli.plan.plan import RenderPlan
from liif_cli.plan.spec import RenderSpec


@dataclass(frozen=True)
class PlannedImage:
    """One image of a dry run: a plan, or the reason why there is none.

    ``decoded``: planning had to, and a run that renders it would not have to do it again.
    """

    input: Path
    plan: RenderPlan | None = None
    info: ImageInfo | None = None
    error: str | None = None
    skipped: bool = False
    decoded: bool = False


@dataclass(frozen=True)
class PlannedBatch:
    """A dry run, and what it took.

    ``start`` is the seconds from the start of the process until everything was loaded, and
    ``seconds`` those of planning; ``workers`` are the threads of a batch, ``left_out`` files that
    look like images and are not read.
    """

    images: list[PlannedImage]
    start: float
    seconds: float
    workers: int
    left_out: tuple[Path, ...] = ()


def plan_batch(
    input: Path | Sequence[Path],
    output: Path,
    spec: RenderSpec,
    *,
    suffix: str = "",
    listen: Listener,
) -> PlannedBatch:
    """Plan a file or a folder without doing anything.

    Raises:
        LiifError: nothing could be started (see ``Batch``).
    """
    batch = Batch(input, output, spec, suffix=suffix, listen=listen, write=False)
    begun, start = time.monotonic(), time.time() - psutil.Process().create_time()
    batch.notices.of_sizes(batch.pairs, batch.opened)
    planned = []
    for pair in batch.pairs:
        try:
            draft = batch.draft(pair)
            plan, state = draft.plan, batch.outputs.state(draft.plan)
            if not draft.looked:
                with closing(open_source(pair.input, plan.view)) as source:
                    plan, state = batch.outputs.look(plan, state, source)
            skipped = state is OutputState.FINISHED
            if not skipped:
                batch.notices.of_dropped(draft.info, plan)
            planned.append(
                PlannedImage(
                    pair.input, plan, draft.info, skipped=skipped, decoded=not draft.looked
                )
            )
        except Exception as error:
            planned.append(PlannedImage(pair.input, error=one_line(error)))
    seconds = time.monotonic() - begun
    return PlannedBatch(planned, start, seconds, batch.machine.workers, tuple(batch.left_out))
