"""Executors: who does the work of a plan. Importing this imports none of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from liif_cli.engine.results import BatchReport
from liif_cli.engine.work import WorkOrder
from liif_cli.registry import Registry

EXECUTORS = Registry(
    "executor",
    {
        "threads": "liif_cli.engine.executors.threads:in_this_process",
        "processes": "liif_cli.engine.executors.processes:in_processes",
        "dask": "liif_cli.engine.executors.dask:on_dask",
    },
)


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
