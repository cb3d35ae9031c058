"""What JPEG does to an image, as batched matrix products: the pixels that libjpeg would decode.

Baseline JPEG as libjpeg and libjpeg-turbo compute it by default: the colours of JFIF 1.02, the
"islow" DCT with its constants of 13 bits and its rounding after each pass, the tables of ITU-T
T.81, Annex K.1, scaled by libjpeg's quality, chroma halved by 2 x 2 means and raised by the "fancy"
triangle filter. Values are whole numbers in float32, and all sums that are rounded stay exact or
nearly so; entropy coding loses nothing and is left out.
"""

from __future__ import annotations

from functools import cache

import torch

MCU = 16
"""Side in pixels of what 4:2:0 codes together: 2 x 2 blocks of luma, one of each chroma."""

_LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMA = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8,) * 4,
)
_DCT_HALF = (
    (8192, 8192, 8192, 8192),
    (11363, 9633, 6437, 2260),
    (10703, 4433, -4433, -10703),
    (9633, -2259, -11362, -6436),
    (8192, -8192, -8192, 8192),
    (6437, -11362, 2261, 9633),
    (4433, -10704, 10704, -4433),
    (2260, -6436, 9633, -11363),
)
"""jfdctint.c's butterflies multiplied out: sqrt(8) times the DCT in units of 2^-13, the first four
columns; the others mirror them. jidctint.c's are its transpose, to the last unit."""
_BITS, _PASS1 = 13, 2
"""CONST_BITS, and PASS1_BITS: what the first pass keeps beyond whole numbers."""
_TO_YCC = ((19595, 38470, 7471), (-11059, -21709, 32768), (32768, -27439, -5329))
"""jccolor.c's constants in units of 2^-16."""
_YCC_BIAS = ((0.5,), (128.5 - 2**-16,), (128.5 - 2**-16,))
"""Halves of chroma are rounded down, so that pure blue and red stay below 256."""
_CHROMA_TO_RGB = ((0, 91881), (-22554, -46802), (116130, 0))
"""jdcolor.c's, likewise: what Cb and Cr add to R, G and B."""


def quantisation_tables(quality: torch.Tensor) -> torch.Tensor:
    """libjpeg's baseline tables of luma and chroma at ``quality`` (N,) in 1..100.

    Returns:
        (N, 2, 8, 8) float32, whole numbers in 1..255 (jpeg_quality_scaling in jcparam.c).
    """
    standard = _constant((_LUMA, _CHROMA), quality.device)
    quality = quality.to(torch.float32)
    percent = torch.where(quality < 50, torch.floor(5000 / quality), 200 - 2 * quality)
    return ((standard * percent[:, None, None, None] + 50) / 100).floor_().clamp_(1, 255)


def recompress(
    image: torch.Tensor, quality: torch.Tensor, halved: torch.Tensor, offset: torch.Tensor
) -> torch.Tensor:
    """``image`` as it comes back from a JPEG.

    The image is a window of a larger picture of which nothing is known: the grid of blocks lies
    anywhere, and the blocks that the border cuts are filled by repeating the border.

    Args:
        image: (N, 3, h, w), whole numbers in [0, 255].
        quality: (N,) whole numbers in 1..100, or 0 to leave that image as it is.
        halved: (N,) bool, 4:2:0 instead of 4:4:4.
        offset: (N, 2) whole numbers in [0, MCU): rows and columns of the first MCU above and left
            of the image.

    Returns:
        The same shape, whole numbers in [0, 255].
    """
    height, width = image.shape[2:]
    device = image.device
    rows, cols = (-(-(length + MCU - 1) // MCU) * MCU for length in (height, width))
    top, left = offset.unbind(1)
    inner_row = torch.arange(rows, device=device).sub(top[:, None]).clamp_(0, height - 1)
    inner_col = torch.arange(cols, device=device).sub(left[:, None]).clamp_(0, width - 1)
    ycc = _to_ycc(_gather(image, inner_row, inner_col))
    tables = quantisation_tables(quality.clamp(min=1))
    luma = _code(ycc[:, :1], tables[:, :1])
    whole = _code(ycc[:, 1:], tables[:, 1:])
    half = _raise(_code(_halve(ycc[:, 1:]), tables[:, 1:]))
    rgb = _to_rgb(luma, torch.where(halved[:, None, None, None], half, whole))
    outer_row = torch.arange(height, device=device).add(top[:, None])
    outer_col = torch.arange(width, device=device).add(left[:, None])
    kept = _gather(rgb, outer_row, outer_col)
    return torch.where((quality > 0)[:, None, None, None], kept, image)


def _gather(image: torch.Tensor, row: torch.Tensor, col: torch.Tensor) -> torch.Tensor:
    """(N, C, R, K): rows (N, R) and columns (N, K) of (N, C, h, w)."""
    index = (row[:, :, None] * image.shape[3] + col[:, None, :]).flatten(1)
    taken = image.flatten(2).gather(2, index[:, None].expand(-1, image.shape[1], -1))
    return taken.view(*image.shape[:2], row.shape[1], col.shape[1])


def _to_ycc(rgb: torch.Tensor) -> torch.Tensor:
    matrix = _constant(_TO_YCC, rgb.device) / 65536
    return (matrix @ rgb.flatten(2)).add_(_constant(_YCC_BIAS, rgb.device)).floor_().view_as(rgb)


def _to_rgb(luma: torch.Tensor, chroma: torch.Tensor) -> torch.Tensor:
    """(N, 1, h, w) and (N, 2, h, w) -> (N, 3, h, w)."""
    matrix = _constant(_CHROMA_TO_RGB, luma.device) / 65536
    colour = (matrix @ (chroma - 128).flatten(2)).add_(0.5).floor_()
    return colour.view(len(luma), 3, *luma.shape[2:]).add_(luma).clamp_(0, 255)


def _code(planes: torch.Tensor, tables: torch.Tensor) -> torch.Tensor:
    """(N, C, h, w) through DCT and quantisation by (N, 1 or C, 8, 8), and back."""
    high, wide = planes.shape[2:]
    rows, cols = _dct(high, planes.device), _dct(wide, planes.device)
    # libjpeg: rows of the image first, then columns; the other way round when decoding
    first = ((planes - 128) @ (cols.t() / 2 ** (_BITS - _PASS1))).add_(0.5).floor_()
    coefs = ((rows / 2 ** (_BITS + _PASS1)) @ first).add_(0.5).floor_()
    table = tables[:, :, None, :, None, :]
    blocks = coefs.view(*coefs.shape[:2], high // 8, 8, wide // 8, 8)
    # 8 times the coefficients; halves are rounded away from zero
    levels = (blocks + blocks.sign() * (4 * table)).div_(8 * table).trunc_()
    back = levels.mul_(table).view_as(coefs)
    first = ((rows.t() / 2 ** (_BITS - _PASS1)) @ back).add_(0.5).floor_()
    result: torch.Tensor = first @ (cols / 2 ** (_BITS + _PASS1 + 3))
    return result.add_(128.5).floor_().clamp_(0, 255)


def _halve(planes: torch.Tensor) -> torch.Tensor:
    """Means of 2 x 2 pixels; jcsample.c rounds halves down and up in turns along a row."""
    high, wide = planes.shape[2:]
    rows, cols = _pairs(high, planes.device), _pairs(wide, planes.device)
    bias = torch.arange(wide // 2, device=planes.device).remainder(2).add(1)
    return (rows @ planes @ cols.t()).add_(bias).mul_(0.25).floor_()


def _raise(planes: torch.Tensor) -> torch.Tensor:
    """Twice as large by the triangle filter; jdsample.c rounds halves up and down in turns."""
    high, wide = planes.shape[2:]
    rows, cols = _triangle(high, planes.device), _triangle(wide, planes.device)
    bias = 8 - torch.arange(2 * wide, device=planes.device).remainder(2)
    return (rows @ planes @ cols.t()).add_(bias).mul_(1 / 16).floor_()


@cache
def _constant(
    values: tuple[tuple[float, ...] | tuple[tuple[float, ...], ...], ...], device: torch.device
) -> torch.Tensor:
    """Made once: a copy to an accelerator waits for it."""
    return torch.tensor(values, dtype=torch.float32).to(device)


@cache
def _dct(length: int, device: torch.device) -> torch.Tensor:
    """(length, length): the matrix of 8 samples along the diagonal."""
    half = torch.tensor(_DCT_HALF, dtype=torch.float32)
    sign = torch.tensor([1.0, -1.0]).repeat(4)[:, None]
    return torch.kron(torch.eye(length // 8), torch.cat([half, half.flip(1) * sign], 1)).to(device)


@cache
def _pairs(length: int, device: torch.device) -> torch.Tensor:
    """(length / 2, length): sums of two neighbours."""
    return torch.eye(length // 2).repeat_interleave(2, 1).to(device)


@cache
def _triangle(length: int, device: torch.device) -> torch.Tensor:
    """(2 length, length): three parts of the nearer sample and one of the next, which at the border
    is itself."""
    near = torch.arange(length).repeat_interleave(2)
    far = (near + torch.tensor([-1, 1]).repeat(length)).clamp(0, length - 1)
    one = torch.eye(length)
    return (3 * one[near] + one[far]).to(device)
