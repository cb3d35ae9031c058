"""EDSR without upsampler and mean shift (Lim et al. 2017, arXiv 1707.02921), as LIIF uses it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache, partial
from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn import functional as F

from liif_cli.models.bands import (
    BAND_BYTES,
    PRIMITIVE_BYTES,
    BandConv,
    Collected,
    Rows,
    bands,
    in_bands,
)
from liif_cli.models.base import Published
from liif_cli.models.blocks import MLP, ResBlock, conv3x3, lowered
from liif_cli.models.device import compiled_for, with_numba

TOLD = 32
"""Length of the code that is made of the level of loss."""


def _arguments(defaults: Mapping[str, Any], published: Mapping[str, Any]) -> dict[str, Any]:
    return {name: published.get(name, value) for name, value in defaults.items()}


class EDSR(nn.Module):
    """Residual encoder: (N, 3, h, w) in [-1, 1] -> (N, n_feats, h, w).

    Args:
        n_resblocks: residual blocks; 16 for EDSR-baseline, 32 for EDSR.
        n_feats: channels; 64 for EDSR-baseline, 256 for EDSR.
        res_scale: factor of each residual; 1 for EDSR-baseline, 0.1 for EDSR.
        cleanup: tell the blocks how lossy the image is, as a number; not in the paper. A small MLP
            makes a code of it, and each block scales and shifts its channels by that code.
    """

    published: ClassVar[Published] = {
        "edsr-baseline": partial(_arguments, {"n_resblocks": 16, "n_feats": 64, "res_scale": 1.0}),
        "edsr": partial(_arguments, {"n_resblocks": 32, "n_feats": 256, "res_scale": 0.1}),
    }

    def __init__(
        self,
        n_resblocks: int = 16,
        n_feats: int = 64,
        res_scale: float = 1.0,
        cleanup: bool = False,
    ) -> None:
        super().__init__()
        self.head = nn.Sequential(conv3x3(3, n_feats))
        told = TOLD if cleanup else 0
        blocks: list[nn.Module] = [ResBlock(n_feats, res_scale, told) for _ in range(n_resblocks)]
        self.body = nn.Sequential(*blocks, conv3x3(n_feats, n_feats))
        self.channels = n_feats
        self.radius = 2 * n_resblocks + 2
        self.res_scale = res_scale
        self.takes_cleanup = cleanup
        self.products = 0
        if cleanup:
            self.told = MLP(1, TOLD, [TOLD])

    def forward(self, image: torch.Tensor, cleanup: torch.Tensor | None = None) -> torch.Tensor:
        """Feat of images; ``cleanup`` (N,) in [0, 100] is how lossy each is, None is 0."""
        lower = self._dtype
        told = self.takes_cleanup
        compiled = None if told or torch.is_grad_enabled() else self._compiled()
        if compiled is not None:
            shallow = self.head(image).contiguous(memory_format=torch.channels_last)
            added: torch.Tensor = compiled.add_body(
                shallow, list(self._convs())[1:], self.res_scale
            )
            return lowered(added, lower)
        if not told and in_bands(image, self.channels, lower):
            return self._in_bands(image)
        shallow = self.head(image)
        code: torch.Tensor | None = None
        if told:
            code = self._code(image.new_zeros(len(image)) if cleanup is None else cleanup)
        *blocks, last = self.body.children()
        feat = shallow
        for block in blocks:
            feat = block(feat, code)
        feat = shallow + last(lowered(feat, lower))
        return lowered(feat, lower)

    @property
    def _dtype(self) -> torch.dtype:
        """That of the blocks, and of feat."""
        return next(self.body.parameters()).dtype

    @property
    def in_float32(self) -> tuple[nn.Module, ...]:
        """The first layer, whose result every block adds to: rounded, it costs what it carries.

        Of bfloat16 on a CPU; sums are in float32 then, and convolutions in bfloat16.
        """
        return (self.head,)

    def _compiled(self) -> Any:
        """Compiled code for the layers behind the first, None where torch runs them.

        It goes through them depth first as well, with half of the multiplications, or with matrix
        instructions.
        """
        return compiled_for(compiled_body(), matrix_body, self.products, self._layers())

    def _layers(self) -> tuple[int, torch.dtype, torch.device]:
        """Channels, type and device of the body."""
        weight = next(self.body.parameters())
        return self.channels, weight.dtype, weight.device

    @property
    def has_matrix_code(self) -> bool:
        """Whether matrix instructions run the layers behind the first in "bf16x3"."""
        return compiled_body() is not None and bool(matrix_body(3).takes(*self._layers()))

    def _in_bands(self, image: torch.Tensor) -> torch.Tensor:
        """Feat of large images, depth first; see ``models.bands``."""
        feat = Collected(image, self.channels, self._dtype)
        head, *blocks, last = (BandConv(image, conv) for conv in self._convs())
        pairs = [
            (first, second, Rows(image, self.channels, 2))
            for first, second in zip(blocks[::2], blocks[1::2], strict=True)
        ]
        waiting = Rows(image, self.channels, self.radius)
        for band, end in bands(image, self.channels):
            shallow = rows = head.push(band, end)
            for first, second, skip in pairs:
                residual = second.push(F.relu_(first.push(rows, end)), end)
                rows = skip.add_to(residual, rows, self.res_scale)
            feat.push(waiting.add_to(last.push(rows, end), shallow))
        return feat.whole

    def _convs(self) -> Iterator[nn.Conv2d]:
        """Its convolutions from the first to the last."""
        return (layer for layer in self.modules() if isinstance(layer, nn.Conv2d))

    def told_encoder(self, cleanup: float) -> EDSR:
        """The plain encoder for images of that level: what is told is folded into the weights.

        Scales and shifts of a convolution's result are another weight and bias, so that an encoder
        that is told something costs no more than one that is not.
        """
        with torch.device("meta"):
            plain = EDSR(len(self.body) - 1, self.channels, self.res_scale)
        state = {key: value for key, value in self.state_dict().items() if "told." not in key}
        with torch.no_grad():
            code = self._code(self.told.linears[0].weight.new_full((1,), cleanup))
            for number, block in enumerate(self.body.children()):
                if not isinstance(block, ResBlock):
                    continue  # the last convolution
                scale, shift, last_scale, last_shift = block.modulation(code)
                for layer, factor, offset in ((0, scale, shift), (2, last_scale, last_shift)):
                    key = f"body.{number}.body.{layer}"
                    weight = state[f"{key}.weight"]
                    state[f"{key}.weight"] = weight * factor[0, :, None, None, None]
                    state[f"{key}.bias"] = state[f"{key}.bias"] * factor[0] + offset[0]
        plain.load_state_dict(state, assign=True)
        plain.products = self.products
        placed: EDSR = plain.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return placed.eval().requires_grad_(False)

    def _code(self, cleanup: torch.Tensor) -> torch.Tensor:
        """Code (N, TOLD) of levels (N,) in [0, 100]."""
        return F.relu(self.told(cleanup[:, None].to(self.told.linears[0].weight.dtype) / 100))

    def bytes_per_pixel(self) -> int:
        """Peak bytes of float32 activations per LR pixel: shallow, a block's input, two inside."""
        return 4 * 4 * self.channels

    @property
    def bands_only(self) -> bool:
        """Whether small images go in bands as well."""
        return self._compiled() is not None

    def bands_bytes(self) -> tuple[int, int]:
        """Bytes in bands of rows: of the rows kept, per column of a float32 run; of the bands.

        Each convolution keeps two rows of its input, a block two of its own input, and the first
        layer's result waits for the last one. A convolution in work has its input once more with
        the rows kept before, its result, and what that is added to. oneDNN keeps two heights of
        each, those of the first and the last band. Compiled code has its rows in one piece.
        """
        blocks = len(self.body) - 1
        if (compiled := self._compiled()) is not None:
            bytes_: tuple[int, int] = compiled.space_bytes(self.channels, 2 * blocks + 1)
            return bytes_
        convs = 2 * blocks + 2
        rows = 2 * convs + 2 * blocks + self.radius
        return 4 * self.channels * rows, 5 * BAND_BYTES + 2 * convs * PRIMITIVE_BYTES


@cache
def compiled_body() -> Any:
    """The module of the body's compiled kernel, or None where numba is not installed."""
    return with_numba(
        "liif_cli.models.encoders.edsr_compiled", "edsr encodes with torch, at half the speed"
    )


def matrix_body(products: int) -> Any:
    """The body by matrix instructions, with that many products for one of float32."""
    from liif_cli.models.encoders.edsr_amx import Body

    return Body(products)
