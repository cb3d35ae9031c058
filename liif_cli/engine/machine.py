"""What this machine has: cores, memory, accelerator."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import psutil
import torch

from liif_cli import __version__
from liif_cli.errors import UsageError
from liif_cli.models.device import PRODUCTS, device_name, matrix_code_here
from liif_cli.models.model import Model
from liif_cli.plan.memory import default_allowed
from liif_cli.plan.spec import Machine, RenderSpec

ACCELERATOR_WORKERS = 2
"""On an accelerator one thread computes while another reads and compresses."""

_COUNTS: dict[str, Callable[[], int]] = {
    "cpu": lambda: 1,
    "cuda": lambda: torch.cuda.device_count(),
    "mps": lambda: int(torch.backends.mps.is_available()),
}
"""How many devices there are, by their type."""


def resolve_device(name: str) -> torch.device:
    """The device of "auto", "cpu", "cuda", "cuda:N" or "mps" (Apple's GPU, which auto leaves out).

    Raises:
        UsageError: there is no such device.
    """
    if name == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(f"{name}:0" if name in ("cuda", "mps") else name)
    except RuntimeError:
        device = None
    if device is None or device.type not in _COUNTS:
        raise UsageError("--device", got=repr(name), expected="auto, cpu, cuda, cuda:N or mps")
    count = _COUNTS[device.type]()
    if (device.index or 0) >= count:
        kind = device.type.upper()
        raise UsageError(
            "--device",
            got=name,
            expected=f"one of {count} {kind} devices"
            if count
            else f"cpu: there is no {kind} device here",
            cure="use --device auto",
        )
    return device


AUTOMATIC = ("fp32", "bf16x3")
"""Precisions that "auto" takes on a CPU: results differ by one 8-bit level, of few samples."""


def resolve_precision(
    name: str, device: torch.device, model: Model | None = None, dtype: str = "uint8"
) -> str:
    """The precision behind "auto".

    On CUDA fp16. Elsewhere fp32, or, for images of 8 bits where a CPU's matrix instructions make
    ``model`` quicker, bf16x3; without a model fp32, which all machines have.
    """
    if name != "auto":
        return name
    if device.type == "cuda":
        return "fp16"
    on_cpu = device.type == "cpu"
    quicker = on_cpu and model is not None and dtype == "uint8" and model.has_matrix_code
    return "bf16x3" if quicker else "fp32"


def other_automatic(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether two identities of an output differ in nothing but the precision that "auto" took.

    What another machine made, or began, is not made anew for the instructions of this one.

    Args:
        before: of what is there.
        now: of the plan, in one of ``AUTOMATIC``; whether the input is gray does not matter.
    """
    precisions = {before.get("precision"), now.get("precision")}
    rest = (before.keys() | now.keys()) - {"precision", "gray"}
    return precisions == set(AUTOMATIC) and all(before.get(key) == now.get(key) for key in rest)


def numerics_of(device: torch.device, precision: str) -> dict[str, str]:
    """What decides the bytes of a result beside the plan: equal ones give equal results.

    Processors with fused multiply-adds give equal bytes, as was measured for AVX2 and AVX-512; one
    without them differs in one 8-bit sample of a million, by one level.
    """
    capability = torch.backends.cpu.get_cpu_capability()
    numerics = {
        "device": device.type,
        "precision": precision,
        "liif": __version__,
        "torch": torch.__version__.split("+")[0],
        "numba": _version("numba"),
        "cpu": "plain" if capability in ("DEFAULT", "NO AVX") else "fma",
    }
    if device.type == "cpu" and precision in PRODUCTS and matrix_code_here():
        numerics["cpu"] = "amx"
    if device.type != "cpu":
        numerics["gpu"] = device_name(device)
    return numerics


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def cores() -> int:
    """CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def measure_machine(spec: RenderSpec, device: torch.device) -> Machine:
    """Cores, the process's present memory, and what it may take.

    Called with the model loaded, so that imports and weights count.
    """
    allowed = spec.max_memory or default_allowed(psutil.virtual_memory().available)
    return Machine(
        workers=spec.jobs or (cores() if device.type == "cpu" else ACCELERATOR_WORKERS),
        base_bytes=psutil.Process().memory_info().rss,
        allowed_bytes=allowed,
        device=str(device),
    )
