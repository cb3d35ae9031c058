"""Finished tiles from an accelerator to the host, while the next ones are computed.

A tile becomes samples on the device, so that only they cross the bus. A stream of its own copies
them to pinned memory, and they go to their place when that copy is done, by which time the next
tiles are queued. Nothing else waits for the device: whether colours are finite is found out there,
and looked at when the samples have arrived.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from liif_cli.engine.samples import denormalised, not_finite, scaled, to_pixels
from liif_cli.io.base import Pixels
from liif_cli.plan.memory import TILES_IN_FLIGHT

WIRE_DTYPES = {"uint8": torch.uint8, "uint16": torch.int16, "float32": torch.float32}
"""What samples are on the device. uint16, which torch hardly knows, goes as int16, less 32,768."""
NORMALISED = torch.float32
"""What samples of all other types are: normalised, since only the host knows those types."""
HALF_RANGE = 1 << 15


class Event(Protocol):
    """Something that will have happened."""

    def synchronize(self) -> None:
        """Wait for it, without the interpreter's lock."""
        ...


class HostCopies(Protocol):
    """Copies from a device to the host that run beside its other work."""

    def buffer(self, size: int) -> torch.Tensor:
        """Host memory (size,), uint8, that copies can go to."""
        ...

    def start(self, *pairs: tuple[torch.Tensor, torch.Tensor]) -> Event:
        """Copy (source, target) pairs once what was queued before is computed.

        Sources and targets must be kept until the event has passed.
        """
        ...


class CudaCopies:
    """Copies on a stream of their own, into pinned memory.

    Args:
        device: a CUDA device.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def buffer(self, size: int) -> torch.Tensor:
        """Pinned memory, which torch keeps and hands out again."""
        return torch.empty(size, dtype=torch.uint8, pin_memory=True)

    def start(self, *pairs: tuple[torch.Tensor, torch.Tensor]) -> Event:
        """See ``HostCopies``."""
        self._stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._stream):
            for source, target in pairs:
                target.copy_(source, non_blocking=True)
        # blocking: who waits for it sleeps, and leaves the core to the codecs
        event = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        event.record(self._stream)
        return event


@dataclass(frozen=True)
class _OnItsWay:
    """A tile whose copy has begun; ``source`` keeps the device's memory until it is done."""

    event: Event
    buffer: torch.Tensor
    size: int
    source: tuple[torch.Tensor, torch.Tensor]
    target: Pixels
    values: tuple[float, float] | None

    def put(self) -> None:
        """Put the samples, which have arrived, in their place.

        Raises:
            RenderError: a colour was NaN or infinite.
        """
        if not self.buffer[self.size]:
            raise not_finite("colours")
        wire = WIRE_DTYPES.get(self.target.dtype.name, NORMALISED)
        # one channel goes into three where those are equal
        shape = (*self.target.shape[:2], -1)
        samples = self.buffer[: self.size].view(wire).numpy().reshape(shape)
        if self.target.dtype == np.uint16:
            # back by 32,768, which is the highest bit of a number modulo 65,536
            np.bitwise_xor(samples.view(np.uint16), np.uint16(HALF_RANGE), out=self.target)
        elif self.target.dtype.name in WIRE_DTYPES:
            self.target[...] = samples
        else:
            self.target[...] = denormalised(samples, self.target.dtype, self.values)


class TileRing:
    """Up to ``in_flight`` tiles on their way to the host, put in their places in order.

    Belongs to one thread.

    Args:
        copies: what carries them.
        in_flight: buffers, each as large as the largest tile it has held.
    """

    def __init__(self, copies: HostCopies, in_flight: int = TILES_IN_FLIGHT) -> None:
        self._copies = copies
        self._free = [torch.empty(0, dtype=torch.uint8) for _ in range(in_flight)]
        self._waiting: deque[_OnItsWay] = deque()
        self.placed = 0

    def put(
        self,
        colours: torch.Tensor,
        target: Pixels,
        channels: int,
        values: tuple[float, float] | None,
    ) -> None:
        """Send normalised colours (h, w, 3) on their way; see ``samples.to_pixels``.

        Waits for the oldest tile where all buffers are taken.

        Args:
            colours: on the device; overwritten.
            target: (h, w, 1 or 3) of any sample type, filled when the tile is placed.
            channels: 1 or 3; 1 fills all of the target's.
            values: of black and white; None is the range of the sample type.

        Raises:
            RenderError: a colour of the oldest tile was NaN or infinite.
        """
        finite = torch.isfinite(colours.sum(dtype=torch.float32)).view(torch.uint8)
        samples = to_wire(scaled(colours, channels, target.dtype, values), target.dtype)
        if not self._free:
            self.place()
        buffer, size = self._free.pop(), samples.nbytes
        if len(buffer) <= size:
            buffer = self._copies.buffer(size + 1)
        flat = samples.reshape(-1)
        event = self._copies.start((flat, buffer[:size].view(flat.dtype)), (finite, buffer[size]))
        self._waiting.append(_OnItsWay(event, buffer, size, (flat, finite), target, values))

    def place(self) -> bool:
        """Wait for the oldest tile and put it in its place; False where there is none.

        Raises:
            RenderError: one of its colours was NaN or infinite.
        """
        if not self._waiting:
            return False
        tile = self._waiting.popleft()
        tile.event.synchronize()
        self._free.append(tile.buffer)
        tile.put()
        self.placed += 1
        return True

    def close(self) -> None:
        """Wait for what is on its way, and drop it."""
        while self._waiting:
            self._waiting[0].event.synchronize()
            self._waiting.popleft()


class Direct:
    """Puts pixels in their place at once, as on the CPU (see ``TileRing``)."""

    placed = 0

    def put(
        self,
        colours: torch.Tensor,
        target: Pixels,
        channels: int,
        values: tuple[float, float] | None,
    ) -> None:
        """Fill ``target`` (h, w, 1 or 3) with the pixels of normalised colours (h, w, 3).

        One channel, gray, fills all of the target's.
        """
        target[...] = to_pixels(colours, channels, target.dtype, values)
        self.placed += 1

    def place(self) -> bool:
        """False: no tile is on its way."""
        return False

    def close(self) -> None:
        """Nothing to wait for."""


Delivery = Direct | TileRing


def delivery(device: torch.device) -> Delivery:
    """How tiles come from ``device``."""
    return TileRing(CudaCopies(device)) if device.type == "cuda" else Direct()


def to_wire(samples: torch.Tensor, dtype: np.dtype[Any]) -> torch.Tensor:
    """Float samples, overwritten, in the type in which they cross the bus; half to even."""
    if dtype.name not in ("uint8", "uint16"):
        return samples
    samples.round_()
    if dtype == np.uint16:
        samples.sub_(HALF_RANGE)
    return samples.to(WIRE_DTYPES[dtype.name])
