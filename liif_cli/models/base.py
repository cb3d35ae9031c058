"""Contracts of encoders and decoders.

The encoder runs once a read window; the decoder prepares what it can on the LR grid and then
answers for any output pixels. Rows and columns of the output are separable, so no coordinate tensor
of the output's size exists anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch

from liif_cli.geometry.axis import AxisMap, AxisSlice
from liif_cli.models.members import MembersKind, TrainMembers

Latent = Any
"""What a decoder keeps of a read window between ``prepare`` and ``query``."""

Published = Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]]
"""An architecture's names in the files that its authors publish, each with the function that turns
their arguments into those of our class. It raises KeyError, TypeError or ValueError for arguments
that it does not know. An encoder or decoder that has such files names them as ``published``."""


class Encoder(Protocol):
    """Normalised image (N, 3, h, w) in [-1, 1] -> feat (N, channels, h, w)."""

    radius: int
    """Receptive-field radius in LR pixels: feat at i depends on pixels i - radius .. i + radius."""
    channels: int
    """Channels of feat."""
    takes_cleanup: bool
    """Whether it can be told how lossy an image is; not needed where it cannot. It then takes
    ``cleanup`` (N,) in [0, 100] as a second argument, and ``told_encoder(cleanup)`` gives the
    encoder for images of one level."""

    def __call__(self, image: torch.Tensor) -> torch.Tensor: ...

    def bytes_per_pixel(self) -> int:
        """Peak bytes of activations an LR pixel of a float32 run.

        An encoder that takes large windows in bands on a CPU (``models.bands``) also has
        ``bands_bytes() -> (int, int)``: bytes of the rows kept, per column, and of the bands; and
        ``bands_only`` where small ones go in bands too.
        """
        ...


class Decoder(Protocol):
    """Answers colours at output pixels from feat. Keeps no state of an image on the module."""

    exact_tiling: bool
    """False when a pixel depends on the tile it is rendered in; the planner refuses such ones."""

    def radius(self, axis: AxisMap) -> int:
        """Codes that an output pixel needs on either side of the LR pixel that holds it."""
        ...

    def prepare(self, image: torch.Tensor, feat: torch.Tensor, cell: tuple[float, float]) -> Latent:
        """Dense work on the LR grid, once per window.

        Args:
            image: (1, 3, h, w), normalised to [-1, 1].
            feat: (1, C, h, w) of the same window.
            cell: (y, x) width of an output pixel in half LR pixels: 2 / scale.
        """
        ...

    def query(self, latent: Latent, rows: AxisSlice, cols: AxisSlice) -> torch.Tensor:
        """Normalised colours (len(rows), len(cols), 3), float32.

        ``rows`` and ``cols`` count codes from the top left of the window given to ``prepare``.
        """
        ...

    def latent_bytes_per_code(self, scale: tuple[float, float]) -> int:
        """Bytes of the latent (and of making it) an LR pixel of the window, at (y, x) scale."""
        ...

    def query_bytes(self, height: int, width: int, scale: tuple[float, float]) -> int:
        """Peak bytes of a query of height x width output pixels, its result included."""
        ...

    def macs(self, scale: tuple[float, float]) -> tuple[int, int]:
        """Multiply-adds (an LR pixel in ``prepare``, an output pixel in ``query``)."""
        ...


class TrainableDecoder(Protocol):
    """A decoder that can be trained: it also answers scattered pixels, with gradients.

    ``members`` says which codes it asks for a pixel, and ``skip`` what of the image is added to
    what the network says: "bilinear", "nearest", or None.
    """

    members: MembersKind
    skip: str | None

    def sample(
        self,
        image: torch.Tensor,
        feat: torch.Tensor,
        members: TrainMembers,
        cell: torch.Tensor,
    ) -> torch.Tensor:
        """Normalised colours (N, Q, 3), float32, equal to those of ``query``.

        Args:
            image: (N, 3, h, w), normalised.
            feat: (N, C, h, w).
            members: codes, relative coordinates and weights of Q pixels of each image.
            cell: (N, 2) as (y, x), 2 / scale of each image.
        """
        ...
