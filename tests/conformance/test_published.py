"""Our fp32 output is the published code's within 1e-5, whole and in tiles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from liif_cli.models import checkpoint
from liif_cli.testing.rendering import render, well_defined
from tests.conformance.published import (
    CASES,
    GOLDEN,
    formula_image,
    formula_weights,
    golden_rgb,
    write_checkpoint,
)

TOLERANCE = 1e-5
TILES = {"whole": None, "tiles": (13, 17), "rows": (7, 1000), "pixels of columns": (1000, 31)}


@pytest.mark.parametrize("tile_shape", TILES.values(), ids=TILES)
@pytest.mark.parametrize("name", CASES)
def test_output_is_the_published_one(
    name: str, tile_shape: tuple[int, int] | None, tmp_path: Path
) -> None:
    case = CASES[name]
    in_shape, out_shape = tuple(case["lr_shape"]), tuple(case["hr_shape"])
    model = checkpoint.load(write_checkpoint(name, tmp_path)).build()
    pixels = torch.from_numpy(formula_image(*in_shape)).permute(2, 0, 1)[None]
    ours = render(model, (pixels / 255 - 0.5) / 0.5, out_shape, tile_shape).numpy()
    mask = well_defined(in_shape, out_shape)
    assert mask.mean() > 0.95
    assert np.abs(ours - golden_rgb(name))[mask].max() <= TOLERANCE


@pytest.mark.parametrize("name", [path.stem for path in sorted(GOLDEN.glob("*.pth"))])
def test_golden_checkpoint_holds_the_formula(name: str) -> None:
    """The formula's code here is that of the golden files."""
    saved = torch.load(GOLDEN / f"{name}.pth", weights_only=True)["model"]["sd"]
    weights = formula_weights(CASES[name])
    assert saved.keys() == weights.keys()
    for key, value in saved.items():
        torch.testing.assert_close(value, weights[key], rtol=0, atol=0)
