"""What an output takes of the disk, in bytes, and whether that is there."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from liif_cli.geometry.window import Window
from liif_cli.plan.layout import Layout
from liif_cli.plan.memory import refuse
from liif_cli.plan.plan import RenderPlan
from liif_cli.plan.spec import InputFacts, OutputFacts

DISK_SLACK = 64 << 20
"""Bytes to keep free beside what an output needs, at most."""
_CURE_REMOTE = "free disk space, or set TMPDIR to a folder on another disk"


def disk_slack(needed: int) -> int:
    """Bytes to keep free beside what an output needs: as many again, 64 MiB at most."""
    return min(DISK_SLACK, needed)


def batch_disk(plans: Iterable[RenderPlan]) -> int:
    """Bytes at most on the disk when all of these are done, with slack for one of them at a time.

    Stores count as if none was removed before the others are done.
    """
    needs = [plan.projected_disk for plan in plans]
    slacks = [_slack_of(need) for need in needs]
    return sum(needs) - sum(slacks) + max(slacks, default=0)


def _slack_of(projected: int) -> int:
    """The part of a projected need that is slack."""
    return min(DISK_SLACK, projected // 2)


def needed_disk(layout: Layout, output: OutputFacts, region: Window, source: InputFacts) -> int:
    """Bytes at most on the output's disk, uncompressed: the store, and what is made of it.

    Raises:
        PlanError: there are fewer.
    """
    raw = region.pixels * source.shape[2] * np.dtype(source.dtype).itemsize
    # a store becomes a Zarr output as it is, but for a part that begins inside a shard
    aligned = region.row_off % layout.shard == region.col_off % layout.shard == 0
    copied = 0 if aligned or output.format != "zarr" else 1
    parts = {"store": raw} if layout.via_store and not output.remote else {}
    # a store in a bucket, and its levels, take nothing of this machine's disk
    if not (output.remote and layout.via_store and output.format == "zarr"):
        parts[f"{output.format} and its levels"] = int(raw * (copied + output.disk))
    if layout.unpack:
        parts["unpacked input"] = math.prod(source.shape) * np.dtype(source.dtype).itemsize
    return fitting_disk(parts, output)


def fitting_disk(parts: dict[str, int], output: OutputFacts) -> int:
    """Bytes that an output takes of its disk, slack included.

    Args:
        parts: what takes how many bytes of it.
        output: the output.

    Raises:
        PlanError: there are fewer.
    """
    parts = {**parts, "slack": disk_slack(sum(parts.values()))}
    needed = sum(parts.values())
    # what a stopped run left is part of the need, and taken from the disk already
    free = output.disk_free + output.disk_held
    if needed > free:
        raise refuse(
            f"disk space for {output.path}",
            needed,
            free,
            parts,
            _CURE_REMOTE if output.remote else "free disk space or give an OUTPUT on another disk",
        )
    return needed
