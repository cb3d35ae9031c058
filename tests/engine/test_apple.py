"""Rendering on Apple's GPU, which a stand-in plays (``tests/standin.py``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch

from liif_cli.engine.batch import upscale_batch
from liif_cli.engine.machine import numerics_of, resolve_device, resolve_precision
from liif_cli.errors import UsageError
from liif_cli.geometry.size import SizeRequest
from liif_cli.models.loader import load_model, model_names
from liif_cli.plan.spec import RenderSpec
from tests.engine.test_every_image import smooth
from tests.standin import DEVICE, There, standing_in


def test_the_stand_in_refuses_what_the_device_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    with standing_in(monkeypatch), torch.inference_mode():
        there = torch.arange(3.0).to("standin")
        assert isinstance(there, There)
        assert there.device == DEVICE
        assert (there + 1).cpu().tolist() == [1, 2, 3]
        with pytest.raises(TypeError, match="float64"):
            torch.zeros(3, dtype=torch.float64, device="standin")
        with pytest.raises(TypeError, match="float64"):
            torch.zeros(3, dtype=torch.float64).to("standin")
        with pytest.raises(RuntimeError, match="same device"):
            there + torch.arange(3.0)
        with pytest.raises((TypeError, RuntimeError)):
            there.numpy()


def rendered(source: Path, device: str, **options: Any) -> np.ndarray:
    """An upscaled TIFF, through the whole engine."""
    target = source.with_name(f"{device}.tif")
    spec = RenderSpec(SizeRequest.from_scale("2.3"), device=device, **options)
    report = upscale_batch(source, target, spec, listen=lambda event: None)
    assert report.exit_code == 0, report.results
    return np.asarray(tifffile.imread(target))


@pytest.mark.parametrize("model", model_names())
def test_every_model_gives_there_what_it_gives_here(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tifffile.imwrite(tmp_path / "in.tif", smooth(3))
    here = rendered(tmp_path / "in.tif", "cpu", model=model, precision="fp32")
    with standing_in(monkeypatch):
        there = rendered(tmp_path / "in.tif", "mps", model=model)
    # added up in another order, so that halves may round the other way
    difference = np.abs(there.astype(int) - here)
    assert difference.max() <= 1
    assert difference.mean() < 1e-3


@pytest.mark.parametrize("dtype", ["uint16", "float32", "int32"])
@pytest.mark.parametrize("channels", [1, 4])
def test_every_kind_of_sample(
    channels: int, dtype: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"photometric": "rgb", "extrasamples": ["unassalpha"]}
    pixels = smooth(channels, dtype)
    tifffile.imwrite(tmp_path / "in.tif", pixels, **(options if channels == 4 else {}))
    asked: dict[str, Any] = {"model": "edsr-small-liif", "self_ensemble": True}
    here = rendered(tmp_path / "in.tif", "cpu", precision="fp32", **asked)
    with standing_in(monkeypatch):
        there = rendered(tmp_path / "in.tif", "mps", **asked)
    assert there.dtype == here.dtype == dtype
    full = 1.0 if dtype == "float32" else float(np.iinfo(dtype).max)
    np.testing.assert_allclose(there / full, here / full, rtol=0, atol=2e-5)


def test_nodata(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = smooth(1, "float32")
    pixels[10:20, 10:20] = -9999
    tifffile.imwrite(tmp_path / "in.tif", pixels, extratags=[(42113, "s", 0, "-9999", True)])
    asked: dict[str, Any] = {"model": "edsr-small-liif"}
    here = rendered(tmp_path / "in.tif", "cpu", precision="fp32", **asked)
    with standing_in(monkeypatch):
        there = rendered(tmp_path / "in.tif", "mps", **asked)
    assert (here == -9999).sum() > 400
    np.testing.assert_array_equal(there == -9999, here == -9999)


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_half_precision(precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tifffile.imwrite(tmp_path / "in.tif", smooth(3))
    model = "edsr-small-lmliif"
    here = rendered(tmp_path / "in.tif", "cpu", model=model, precision="fp32")
    with standing_in(monkeypatch):
        there = rendered(tmp_path / "in.tif", "mps", model=model, precision=precision)
    assert np.abs(there.astype(int) - here).max() <= 8


def test_it_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="no MPS device here"):
        resolve_device("mps")
    with pytest.raises(UsageError, match="one of 1 CPU devices"):
        resolve_device("cpu:1")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.mps, "get_name", lambda: "Apple M2")
    device = resolve_device("mps")
    assert device == torch.device("mps:0")
    assert resolve_device("auto").type == "cpu"
    with pytest.raises(UsageError, match="one of 1 MPS"):
        resolve_device("mps:1")
    model = load_model("edsr-small-liif", torch.device("cpu")).model
    precision = resolve_precision("auto", device, model)
    assert precision == "fp32"
    assert numerics_of(device, precision)["gpu"] == "Apple M2"
