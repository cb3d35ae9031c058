"""What a plan says that a run takes, against what it takes: as a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile

from liif_cli.engine import heap
from liif_cli.models import checkpoint
from liif_cli.models.model import Model, ModelSpec, Part

ROOT = Path(__file__).parents[2]
MIB = 2**20

RUN = """
import json, sys
from pathlib import Path
from liif_cli.engine.batch import upscale_batch
from liif_cli.engine.events import PlanMade
from liif_cli.geometry.size import SizeRequest
from liif_cli.plan.layout import LayoutRequest
from liif_cli.plan.spec import RenderSpec

input, output, model, scale, workers, memory = sys.argv[1:]
parts = []
layouts = LayoutRequest.layout
def kept(*given):
    found = layouts(*given)
    parts.append(found.memory)
    return found
LayoutRequest.layout = kept
spec = RenderSpec(
    size=SizeRequest.from_scale(scale), model=model, jobs=int(workers),
    max_memory=int(memory) or None,
)
report = upscale_batch(Path(input), Path(output), spec, listen=lambda event: None)
assert len(report.results) == 1 and report.results[0].error is None, report
# getrusage would count what the parent had when it began this process
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
peak = int(status["VmHWM"].split()[0]) * 1024
print(json.dumps({"peak": peak, "parts": parts[-1]}))
"""

MODELS: dict[str, ModelSpec | str] = {
    "shipped": "edsr-small-lmliif-real",
    "edsr-baseline-liif": ModelSpec(
        encoder=Part("edsr", {"n_resblocks": 16, "n_feats": 64, "res_scale": 1.0}),
        decoder=Part("liif", {"hidden": [256, 256, 256, 256]}),
    ),
    "edsr-baseline-metasr": ModelSpec(
        encoder=Part("edsr", {"n_resblocks": 16, "n_feats": 64, "res_scale": 1.0}),
        decoder=Part("metasr", {}),
    ),
    "rdn-lmliif": ModelSpec(
        encoder=Part("rdn", {"channels": 64, "config": "B", "kernel_size": 3}),
        decoder=Part("lmliif", {}),
    ),
    "bicubic": "bicubic",
}


def measured(folder: Path, model: str, source: Path, output: str, *words: Any) -> dict[str, Any]:
    """Bytes of the process at most, and the plan's parts."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(source), str(folder / output), model, *map(str, words)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


def noise(path: Path, shape: tuple[int, ...], dtype: str) -> Path:
    pixels = np.random.default_rng(1).integers(0, 255, shape, np.uint8)
    if dtype == "uint8":
        imagecodecs.imwrite(path, pixels)
    else:
        scale = 257 if dtype == "uint16" else 1 / 255
        tifffile.imwrite(path, (pixels.astype(np.float64) * scale).astype(dtype), photometric="rgb")
    return path


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the peak")
@pytest.mark.parametrize(
    ("model", "side", "scale", "workers", "dtype", "output"),
    [
        ("shipped", (1200, 1600), "2", 2, "uint8", "o.png"),
        ("shipped", (1200, 1600), "2", 1, "uint8", "o.tif"),
        ("shipped", (900, 1200), "4", 2, "uint16", "o.zarr"),
        ("shipped", (300, 400), "12", 2, "float32", "o.tif"),
        ("edsr-baseline-liif", (300, 400), "2", 2, "uint8", "o.png"),
        ("edsr-baseline-metasr", (800, 900), "3", 2, "uint8", "o.png"),
        ("rdn-lmliif", (200, 260), "3", 2, "uint8", "o.png"),
        ("bicubic", (1500, 2000), "4", 2, "uint8", "o.tif"),
    ],
)
def test_a_run_takes_what_its_plan_says(
    model: str,
    side: tuple[int, int],
    scale: str,
    workers: int,
    dtype: str,
    output: str,
    tmp_path: Path,
) -> None:
    spec = MODELS[model]
    if isinstance(spec, ModelSpec):
        name = str(tmp_path / "model.safetensors")
        checkpoint.save(Model(spec), {}, Path(name))
    else:
        name = spec
    suffix = "png" if dtype == "uint8" else "tif"
    source = noise(tmp_path / f"in.{suffix}", (*side, 3), dtype)
    found = measured(tmp_path, name, source, output, scale, workers, 0)
    parts = found["parts"]
    base = parts.pop("process and model")
    used, planned = found["peak"] - base, sum(parts.values())
    taken = {part: count // MIB for part, count in parts.items()}
    print(f"{model} {side} x{scale} {dtype} {output}: {used / MIB:.0f} of {planned / MIB:.0f} MiB")
    print(f"{base / MIB:.0f} MiB before, {taken}")
    assert 0.4 <= used / planned <= 1.0


@pytest.mark.skipif(sys.platform != "linux", reason="asks glibc")
def test_free_memory_is_handed_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the process grew only: the call takes milliseconds."""
    calls: list[int] = []
    rss = [100 * MIB]
    process = type("Process", (), {"memory_info": lambda self: type("", (), {"rss": rss[0]})})
    monkeypatch.setattr(heap.psutil, "Process", process)
    monkeypatch.setattr(heap, "_trim", lambda: calls.append)
    monkeypatch.setattr(heap, "_after", 100 * MIB)
    heap.give_back()
    assert calls == []
    rss[0] += heap.GROWTH + 1
    heap.give_back()
    heap.give_back()
    assert calls == [0]


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap.sys, "platform", "darwin")
    assert heap._trim.__wrapped__() is None
    monkeypatch.setattr(heap, "_trim", lambda: None)
    heap.give_back()
