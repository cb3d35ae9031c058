"""A plan file's work, done by any number of processes that share the folders of it.

There is no coordinator: a worker does the images of its own slice first and then whatever is still
missing, from a random one on. Claims (``engine/claims.py``) keep two workers from doing the same,
shards that are there are done, and what a dead worker held is taken over.
"""

from __future__ import annotations

import dataclasses
import os
import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from liif_cli.engine.batch import ALWAYS, Batch, run_batch
from liif_cli.engine.events import Event, Listener
from liif_cli.engine.journal import Journal, Known, begun, state_folder
from liif_cli.engine.machine import numerics_of, resolve_device, resolve_precision
from liif_cli.engine.results import BatchReport
from liif_cli.engine.run import Slice
from liif_cli.engine.timewindow import TimeWindow
from liif_cli.engine.unfinished import store_path
from liif_cli.errors import OutputError, UsageError
from liif_cli.io.discover import Pair, discover, matching, named_pairs
from liif_cli.io.place import is_object, location
from liif_cli.io.tilestore import TileStore
from liif_cli.models.loader import load_model
from liif_cli.plan.planfile import PlanFile
from liif_cli.plan.spec import RenderSpec

TRIES = 2
"""How often an image may fail before it is set aside."""


@dataclass(frozen=True)
class WorkOrder:
    """What one worker is to do: plain data, which can travel.

    Attributes:
        plan: path of the plan file, absolute.
        index, of: the slice that it does first, from 0.
        tries: how often an image may fail, all workers together.
        mixed: whether other numerics than the plan's are allowed.
        again: try once more what is set aside.
    """

    plan: str
    index: int = 0
    of: int = 1
    tries: int = TRIES
    mixed: bool = False
    again: bool = False


def make_plan_file(
    input: Path, output: Path, spec: RenderSpec, *, suffix: str, at: Path
) -> tuple[PlanFile, list[Path]]:
    """A plan of an image or a folder; nothing of it is opened but what says nothing by its name.

    Args:
        input: an image, or a folder.
        output: where the outputs go.
        spec: what is asked for.
        suffix: put behind the stem of every output's name.
        at: where the plan file will lie.

    Returns:
        The plan, and files that look like images and are not read.

    Raises:
        UsageError: see ``discover``; or an unknown model or device.
        CheckpointError: weights that cannot be used.
    """
    left_out: list[Path] = []
    pairs = discover(
        input,
        output,
        suffix=suffix,
        format=spec.format,
        name=spec.name,
        keep_extension=spec.keep_extension,
        left_out=left_out,
    )
    folder = input.is_dir() and pairs[0].input != input
    # the names of the plan are those that are left
    pairs = matching(pairs, spec.include, spec.exclude)
    spec = dataclasses.replace(spec, include=(), exclude=())
    device = resolve_device(spec.device)
    # "auto" is what all machines that may work on it have
    precision = resolve_precision(spec.precision, device)
    spec = dataclasses.replace(spec, precision=precision)
    loaded = load_model(spec.model, device, via=spec.via)
    plan = PlanFile(
        input=_relative(input, at),
        output=_relative(output, at),
        spec=spec,
        suffix=suffix,
        model_digest=loaded.digest,
        numerics=numerics_of(device, precision),
        names=tuple(pair.relative.as_posix() for pair in pairs if pair.error is None)
        if folder
        else (),
    )
    return plan, left_out


def _relative(path: Path, plan: Path) -> str:
    """As given where absolute, else from the plan's folder on."""
    if path.is_absolute():
        return str(path)
    if is_object(plan):
        raise UsageError(
            "PLAN",
            got=f"{plan}, and {path} on this machine",
            expected="inputs and outputs in a bucket as well, or absolute paths",
        )
    return os.path.relpath(path, plan.absolute().parent)


def work(order: WorkOrder, listen: Listener, until: TimeWindow = ALWAYS) -> BatchReport:
    """Do a plan's work until none is left, or time is up.

    Args:
        order: which plan, and where to begin.
        listen: told of everything; called by one thread at a time.
        until: when to begin nothing new.

    Returns:
        What became of all of the plan's images; those that other workers finished are "skipped".

    Raises:
        UsageError: the plan cannot be read, or this machine would not give what it promises.
        LiifError: nothing could be started.
    """
    path = location(order.plan)
    plan = PlanFile.read(path)
    root, output = plan.place(path, plan.input), plan.place(path, plan.output)
    pairs = _pairs(plan, root, output)
    journal = Journal(path, plan.identity, root)
    known = Known(journal.folder)
    known.refresh(now=True)

    def heard(event: Event) -> None:
        journal.listen(event)
        listen(event)

    try:
        _check(order, plan)
        batch = Batch(
            root, output, plan.spec, suffix=plan.suffix, listen=heard, pairs=_ordered(pairs, order)
        )
        _check_model(plan, batch)
        batch.part = Slice(order.index / order.of, 1 / order.of)
        if order.again:
            for name, entry in list(known.entries.items()):
                if entry.failures:
                    journal.note(root / name, "again")
            known.refresh(now=True)
        lock = threading.Lock()

        def settled(pair: Pair) -> tuple[str, str] | None:
            """Status and error of an image that other workers ended."""
            with lock:
                known.refresh()
                name = journal.name(pair.input)
                entry = known.entries.get(name)
                if entry is None:
                    return None
                if known.is_done(name):
                    return "skipped", ""
                if entry.failures >= order.tries:
                    return "failed", f"{entry.error} (set aside after {entry.failures} tries)"
                return None

        return run_batch(batch, until, settled=settled, order=pairs)
    finally:
        journal.close()


def _pairs(plan: PlanFile, root: Path, output: Path) -> list[Pair]:
    spec = plan.spec
    if not plan.names:
        return discover(
            root,
            output,
            suffix=plan.suffix,
            format=spec.format,
            name=spec.name,
            keep_extension=spec.keep_extension,
        )
    return named_pairs(
        root,
        output,
        plan.names,
        suffix=plan.suffix,
        format=spec.format,
        name=spec.name,
        keep_extension=spec.keep_extension,
    )


def _ordered(pairs: Sequence[Pair], order: WorkOrder) -> list[Pair]:
    """The own slice first, then the others' from a random one on."""
    own = list(pairs[order.index :: order.of])
    rest = [pair for number, pair in enumerate(pairs) if number % order.of != order.index]
    start = random.randrange(len(rest)) if rest else 0
    return [*own, *rest[start:], *rest[:start]]


def _check(order: WorkOrder, plan: PlanFile) -> None:
    """Refuse a machine that would not give what the plan promises.

    Raises:
        UsageError: other numerics, or less memory than a worker is to have.
    """
    device = resolve_device(plan.spec.device)
    precision = resolve_precision(plan.spec.precision, device)
    here = numerics_of(device, precision)
    other = {
        name: (value, here.get(name, "none"))
        for name, value in plan.numerics.items()
        if here.get(name) != value
    }
    if other and not order.mixed:
        said = ", ".join(f"{name} {mine}" for name, (_, mine) in other.items())
        wanted = ", ".join(f"{name} {theirs}" for name, (theirs, _) in other.items())
        raise UsageError(
            "this machine's results may differ from other workers'",
            got=said,
            expected=wanted,
            cure="use equal machines and versions, or give --mixed",
        )
    total = psutil.virtual_memory().total
    if plan.spec.max_memory is not None and plan.spec.max_memory > total:
        raise UsageError(
            "memory of this machine",
            got=f"{total:,} bytes",
            expected=f"{plan.spec.max_memory:,}, which the plan gives to each worker",
            cure="make the plan with a smaller --max-memory",
        )


def _check_model(plan: PlanFile, batch: Batch) -> None:
    if batch.loaded.digest != plan.model_digest:
        batch.claims.close()
        batch.deaths.close()
        raise UsageError(
            f"--model {plan.spec.model}",
            got=f"weights {batch.loaded.digest[:12]}",
            expected=f"{plan.model_digest[:12]}, those that the plan was made with",
            cure="install the same version, or copy the same file, on every machine",
        )


@dataclass(frozen=True)
class PlanStatus:
    """How far a plan is. Counts are of images.

    ``share`` has names of images in work and the part that is rendered, where that can be told.
    ``seconds_left`` is None where nothing was finished yet.
    """

    images: int
    done: int
    failed: dict[str, str]
    in_work: dict[str, float | None]
    pixels: int
    seconds_left: float | None

    @property
    def left(self) -> int:
        """Images that are neither done nor set aside."""
        return self.images - self.done - len(self.failed)


def plan_status(path: Path, tries: int = TRIES) -> PlanStatus:
    """How far the work on a plan is, by what its workers wrote and by what lies on the disk.

    Raises:
        UsageError: the plan cannot be read.
    """
    plan = PlanFile.read(path)
    known = Known(state_folder(path, plan.identity))
    known.refresh(now=True)
    names = plan.names or (plan.place(path, plan.input).name,)
    done = [name for name in names if known.is_done(name, look=False)]
    failed = {
        name: known.entries[name].error
        for name in names
        if name in known.entries
        and known.entries[name].failures >= tries
        and not known.is_done(name, look=False)
    }
    in_work: dict[str, float | None] = {}
    for name, entry in begun(known):
        share = None
        store = store_path(location(entry.output))
        if store.exists():
            try:
                opened = TileStore.open(store)
                share = 1 - sum(1 for _ in opened.base.missing()) / len(opened.grid)
            except (OutputError, OSError):
                # its worker is about to give it its name
                share = None
        in_work[name] = share
    ended = [known.entries[name] for name in done if known.entries[name].begun]
    left = len(names) - len(done) - len(failed)
    seconds = None
    if ended and left:
        span = max(entry.ended for entry in ended) - min(entry.begun for entry in ended)
        seconds = max(0.0, span) / len(ended) * left
    return PlanStatus(
        len(names), len(done), failed, in_work, sum(entry.pixels for entry in ended), seconds
    )
