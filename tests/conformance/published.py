"""Weights and images of the golden cases, by formula (see tests/golden/README.md)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

GOLDEN = Path(__file__).parents[1] / "golden"
CASES: dict[str, dict[str, Any]] = json.loads((GOLDEN / "cases.json").read_text())


def formula_weights(case: dict[str, Any]) -> dict[str, torch.Tensor]:
    """The state dict of a case: a hash of key number and element number, scaled by fan-in."""
    layers = {int(key.split(".")[2]) for key in case["keys"] if key.startswith("imnet.layers.")}
    last = f"imnet.layers.{max(layers)}."
    state = {}
    for number, key in enumerate(sorted(case["keys"]), start=1):
        shape = case["keys"][key]
        element = np.arange(1, np.prod(shape) + 1, dtype=np.float64)
        hashed = np.sin(element * 12.9898 + number * 78.233) * 43758.5453
        value = (hashed - np.floor(hashed)) * 2 - 1
        if key.endswith("bias"):
            value *= 0.1
        else:
            value *= 0.8 * np.sqrt(3 / np.prod(shape[1:]))
        if key.startswith(last):
            value *= case["last_layer_gain"]
        state[key] = torch.from_numpy(value.reshape(shape).astype(np.float32))
    return state


def formula_image(height: int, width: int) -> npt.NDArray[np.uint8]:
    """(height, width, 3): waves, rings and a checkerboard."""
    y, x = np.mgrid[:height, :width].astype(np.float64)
    red = 0.5 + 0.5 * np.sin(0.37 * x + 0.11 * y) * np.cos(0.23 * y)
    green = 0.5 + 0.5 * np.sin(0.004 * (x - width / 2) ** 2 + 0.006 * (y - height / 2) ** 2)
    blue = 0.8 * ((x // 5 + y // 7) % 2) + 0.1
    return np.round(255 * np.stack([red, green, blue], axis=-1)).astype(np.uint8)


def golden_rgb(name: str) -> npt.NDArray[np.float32]:
    """The published code's output of a case."""
    rgb: npt.NDArray[np.float32] = np.load(GOLDEN / f"{name}.npz")["rgb"]
    return rgb


def write_checkpoint(name: str, folder: Path) -> Path:
    """The checkpoint of a case: the golden file, or one like it with the formula's weights."""
    if (GOLDEN / f"{name}.pth").exists():
        return GOLDEN / f"{name}.pth"
    case = CASES[name]
    path = folder / f"{name}.pth"
    torch.save({"model": {**case["spec"], "sd": formula_weights(case)}, "epoch": 1}, path)
    return path
