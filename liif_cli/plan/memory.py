"""What a render keeps in memory, in bytes, from shapes alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

from liif_cli.errors import PlanError
from liif_cli.plan.spec import ModelCost

MIB = 1 << 20
GIB = 1 << 30
RESERVE = 80 * MIB
"""Allocator slack, thread stacks, codecs and their scratch, beside what is counted."""
HEAP = 1.25
"""What the heap takes for what a network has in use of it: blocks of many sizes come and go."""
HEAP_OF_BANDS = 1.5
"""The same where torch goes through an encoder in bands, each of which is a block of its own. Of a
12-megapixel photo, whose tasks have 155 to 184 MiB in use, it takes 214 to 299 MiB."""
STREAM_BYTES = 64 * MIB
"""What an exporter that streams holds at once."""
LEVELS_BYTES = 64 * MIB
"""What making the reduced levels of pixels in memory takes, in all threads, while they are written:
8000x6000 to TIFF by two threads took 288 to 313 MiB, of which 305 were counted without this."""
DEFAULT_CAP = 4 * GIB
TILES_IN_FLIGHT = 2
"""Tiles of a task on an accelerator that are on their way to the host."""


def format_bytes(size: float) -> str:
    """A size for people: "1.4 GiB"."""
    for unit in ("B", "KiB", "MiB"):
        if abs(size) < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def default_allowed(free_bytes: int) -> int:
    """Half of the free memory, 4 GiB at most."""
    return min(free_bytes // 2, DEFAULT_CAP)


@dataclass(frozen=True)
class TaskShape:
    """A task's output (height, width) and the largest LR window read for it."""

    output: tuple[int, int]
    window: tuple[int, int]

    @classmethod
    def of(
        cls,
        output: tuple[int, int],
        in_shape: tuple[int, int],
        out_shape: tuple[int, int],
        radius: tuple[int, int],
    ) -> TaskShape:
        """The window of a task of that output, halo included, cut to the image."""
        sides = [
            min(n_in, math.ceil(side * n_in / n_out) + 1 + 2 * reach)
            for side, n_in, n_out, reach in zip(output, in_shape, out_shape, radius, strict=True)
        ]
        return cls(output, (sides[0], sides[1]))

    def halo_share(self, cost: ModelCost, in_shape: tuple[int, int]) -> float:
        """Share of a task's multiply-adds that encodes pixels which other tasks encode as well."""
        read = self.window[0] * self.window[1]
        own = math.prod(
            min(n_in, max(1, side - 2 * reach)) if side < n_in else n_in
            for side, n_in, reach in zip(self.window, in_shape, cost.radius, strict=True)
        )
        pixels = self.output[0] * self.output[1]
        total = read * cost.encode_macs + pixels * cost.query_macs
        return (read - own) * cost.encode_macs / total if total else 0.0

    def macs(self, cost: ModelCost) -> float:
        """Its multiply-adds, those included that other tasks make as well."""
        encoded = self.window[0] * self.window[1] * cost.encode_macs
        return encoded + self.output[0] * self.output[1] * cost.query_macs

    def peak_bytes(
        self,
        cost: ModelCost,
        *,
        collected: int,
        sample_bytes: int,
        ensemble: bool,
        passes: int = 1,
        alpha: bool = False,
    ) -> int:
        """Peak bytes of one task: window, encoding, latent, a tile's query, and its buffers.

        ``collected`` pixels of the output, of ``sample_bytes`` each, are held before they are
        handed on, copies included. Of several ``passes`` one network is kept at a time, and all
        of the task's output is collected.
        """
        window = self.window[0] * self.window[1]
        network = cost.network_bytes(*self.window)
        held = collected * sample_bytes
        if passes > 1:
            held += self.output[0] * self.output[1] * sample_bytes
        # colour and weight in float32, filled and summed, while it is bled
        bled = 96 if alpha else 0
        averaged = 3 * 4 * self.output[0] * self.output[1] if ensemble else 0
        at_work = max(network, window * bled) + cost.query_bytes
        heap = HEAP_OF_BANDS if cost.column_bytes and not cost.bands_only else HEAP
        return int(window * (2 * sample_bytes + 24) + heap * at_work + held + averaged)

    def pinned_bytes(self, tile: int, channels: int, itemsize: int) -> int:
        """Pinned host memory of a task on an accelerator: tiles on their way, and the window.

        ``tile`` is the side of a query; pixels have ``channels`` of ``itemsize`` bytes. torch
        takes powers of two, and keeps them for the tasks that follow.
        """
        shown = min(channels, 3)
        of_tile = tile * tile * shown * itemsize + 1
        of_window = 4 * shown * self.window[0] * self.window[1]
        return TILES_IN_FLIGHT * _power_of_two(of_tile) + _power_of_two(of_window)


def _power_of_two(size: int) -> int:
    """The smallest one that is not below ``size``."""
    return 1 << max(0, size - 1).bit_length()


def refuse(what: str, needed: int, allowed: int, parts: dict[str, int], cure: str) -> PlanError:
    """The error of a plan that does not fit, with its arithmetic."""
    sums = " + ".join(f"{name} {format_bytes(size)}" for name, size in parts.items())
    return PlanError(
        what,
        got=f"{format_bytes(needed)} needed ({sums})",
        expected=f"at most {format_bytes(allowed)}",
        cure=cure,
    )
