"""A plan's work in this process, as ``liif upscale`` does it: one worker, a thread per core."""

from __future__ import annotations

from collections.abc import Mapping

from liif_cli.engine.executors import Machines, Say
from liif_cli.engine.results import BatchReport
from liif_cli.engine.work import WorkOrder, work


def in_this_process(order: WorkOrder, machines: Machines, say: Say) -> Mapping[int, BatchReport]:
    """See ``Executor``; the order's own slice is kept, and ``machines`` changes nothing."""
    return {order.index: work(order, lambda event: None)}
