"""A plan's work in several processes of this machine, a core each."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from liif_cli.engine.executors import Machines, Say
from liif_cli.engine.machine import cores
from liif_cli.engine.results import BatchReport
from liif_cli.engine.work import WorkOrder, work
from liif_cli.errors import LiifError, OutputError, UsageError

ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
"""Variables that keep libraries from threads of their own in a worker of one core."""


@dataclass(frozen=True)
class Refusal:
    """Why a worker did not begin, as data: another try would end in the same way."""

    usage: bool
    what: str
    got: str
    expected: str
    cure: str

    @property
    def error(self) -> LiifError:
        """What to raise where the worker was asked for."""
        kind = UsageError if self.usage else OutputError
        return kind(self.what, got=self.got, expected=self.expected, cure=self.cure)


def answered(order: WorkOrder) -> BatchReport | Refusal:
    """A worker's part, wherever it runs: its report, or why there is none."""
    try:
        return work(order, lambda event: None)
    except LiifError as error:
        usage = isinstance(error, UsageError)
        return Refusal(usage, error.what, error.got, error.expected, error.cure)


def in_processes(order: WorkOrder, machines: Machines, say: Say) -> Mapping[int, BatchReport]:
    """See ``Executor``. An interrupt ends every worker as it ends ``liif upscale``."""
    count = machines.workers or cores()
    context = multiprocessing.get_context("spawn")
    waiting = list(range(count))
    running: dict[Connection, tuple[int, SpawnProcess]] = {}
    reports: dict[int, BatchReport] = {}
    deaths = 0
    try:
        while waiting or running:
            while waiting:
                number = waiting.pop()
                ours, theirs = context.Pipe()
                process = context.Process(
                    target=_child,
                    args=(dataclasses.replace(order, index=number, of=count), theirs),
                    name=f"liif-worker-{number}",
                )
                process.start()
                theirs.close()
                running[ours] = number, process
            for ready in wait(list(running)):
                assert isinstance(ready, Connection)
                number, process = running.pop(ready)
                try:
                    message = ready.recv()
                except EOFError:
                    message = None
                ready.close()
                process.join()
                if isinstance(message, BatchReport):
                    reports[number] = message
                elif isinstance(message, Refusal):
                    raise message.error
                else:
                    deaths += 1
                    how = process.exitcode or 0
                    name = signal.Signals(-how).name if how < 0 else f"exit code {how}"
                    if deaths > machines.deaths:
                        raise OutputError(
                            f"{deaths} workers died, the last one of {name}",
                            expected=f"{machines.deaths} at most",
                            cure="run the same command again; what is done stays done",
                        )
                    say(f"worker {number} died of {name}, and another one takes its place")
                    waiting.append(number)
    except BaseException:
        for _, process in running.values():
            process.terminate()
        for _, process in running.values():
            process.join()
        raise
    return reports


def _child(order: WorkOrder, answer: Connection) -> None:
    """What a worker process does; its last word is a report, or the error that kept it from one."""
    # the parent is told of an interrupt, and tells
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _interrupt)
    own_core(order)
    try:
        answer.send(answered(order))
    except KeyboardInterrupt:
        sys.exit(130)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def own_core(order: WorkOrder) -> None:
    """One thread of everything, and a core of its own where the system knows how."""
    for name in ONE_THREAD:
        os.environ[name] = "1"
    if hasattr(os, "sched_getaffinity"):
        mine = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {mine[order.index % len(mine)]})
