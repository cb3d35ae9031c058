"""Executors: who does the work of a plan. Importing this imports none of them."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from liif_cli.engine.journal import state_folder
from liif_cli.engine.record import make_folder
from liif_cli.engine.results import BatchReport
from liif_cli.engine.work import WorkOrder, make_plan_file
from liif_cli.io import EXPORTERS, exporter_for, suffix_of
from liif_cli.io.place import ObjectPath
from liif_cli.plan.spec import RenderSpec
from liif_cli.registries import EXECUTORS as EXECUTORS


@dataclass(frozen=True)
class Machines:
    """How many workers there are, and where.

    Attributes:
        workers: processes that work on the plan; 0 is as many as there are cores, or as many as
            the scheduler has.
        scheduler: of Dask: "local", or an address as tcp://HOST:PORT or tls://HOST:PORT.
        deaths: how many workers may die, all in all, before that is an error.
    """

    workers: int = 0
    scheduler: str = "local"
    deaths: int = 16


Say = Callable[[str], None]
"""Told in a line what happens to workers."""


class Executor(Protocol):
    """Has a plan's work done by some workers, each of which does ``work`` of ``engine/work.py``.

    The orders are plain data. A worker that dies is started again: what it had in work is taken
    over by the next one.
    """

    def __call__(self, order: WorkOrder, machines: Machines, say: Say) -> Mapping[int, BatchReport]:
        """Do the work.

        Args:
            order: the plan; its slice is cut anew for each worker.
            machines: how many, and where.
            say: told what happens to workers.

        Returns:
            The report of each worker that came to its end, by its number.

        Raises:
            OutputError: more workers died than may.
            UsageError: a scheduler that cannot be reached, or an extra that is not installed.
        """
        ...


def upscale_by(
    executor: str,
    input: Path,
    output: Path,
    spec: RenderSpec,
    suffix: str,
    machines: Machines,
    say: Say,
) -> BatchReport:
    """Upscale an image or a folder by the workers of an executor.

    The plan and what workers note lie in the hidden folder of the outputs until all has ended;
    after an interruption they stay, and the same call resumes.

    Args:
        executor: name of one.
        input: an image or a folder.
        output: where the outputs go.
        spec: what is asked for.
        suffix: put behind the stem of every output's name.
        machines: how many workers, and where.
        say: told what happens to workers.

    Raises:
        UsageError: see ``make_plan_file``.
        LiifError: no worker could do anything.
    """
    suffixes = (one for name in EXPORTERS for one in exporter_for(name).suffixes)
    single = suffix_of(output.name, suffixes)
    folder = make_folder(output if single and not output.is_dir() else output / "any")
    at = folder.absolute() / "plan.jsonl"
    plan, left_out = make_plan_file(input.absolute(), output.absolute(), spec, suffix=suffix, at=at)
    # each request has a plan of its own name, beside which others may be in work
    at = at.with_name(f"plan-{plan.identity[:16]}.jsonl")
    plan.write(at)
    reports = EXECUTORS.load(executor)(WorkOrder(str(at)), machines, say)
    report = BatchReport.joined(list(reports.values()))
    if not report.interrupted:
        at.unlink(missing_ok=True)
        _remove(state_folder(at, plan.identity).parent)
    return dataclasses.replace(report, left_out=tuple(left_out))


def _remove(folder: Path) -> None:
    if isinstance(folder, ObjectPath):
        folder.remove_below()
    else:
        shutil.rmtree(folder, ignore_errors=True)
