"""How networks and their inputs go to an accelerator."""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

log = logging.getLogger(__name__)

PRECISION_DTYPES = {
    "fp32": torch.float32,
    "bf16x3": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}
PRODUCTS = {"bf16x3": 3, "bf16": 1}
"""Products of bfloat16 for one of float32, where a precision uses matrix instructions for them."""

_CPUINFO = Path("/proc/cpuinfo")
_BF16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}


def upload(
    array: np.ndarray[Any, Any], device: torch.device, dtype: torch.dtype | None = None
) -> torch.Tensor:
    """An array as a tensor on ``device``; on the CPU it shares the array's memory.

    CUDA gets it from pinned memory: a copy from any other would wait for all the work that is
    queued there, and every tile brings its axes along.

    Args:
        array: of any type that torch has.
        device: where it goes.
        dtype: of the result, the array's where None. Converted on the host, since not every device
            has float64.
    """
    host = torch.from_numpy(array).to(dtype=dtype)
    if device.type != "cuda":
        return host.to(device)
    # torch's allocator keeps the pinned copy until the stream has read it
    return host.contiguous().pin_memory().to(device, non_blocking=True)


def with_numba(module: str, without: str) -> Any:
    """A module that has a compiled kernel, or None where numba is not installed.

    Args:
        module: its name.
        without: what happens where it is not, for the log.
    """
    try:
        # imported to compile only, which takes a second that most runs save
        if find_spec("numba") is None:
            raise ImportError("no module named numba")
        return import_module(module)
    except ImportError as error:
        log.info("numba is not there (%s): %s", error, without)
        return None


def compiled_for(
    vector: Any, matrix: Callable[[int], Any], products: int, layers: tuple[Any, ...]
) -> Any:
    """The compiled code that runs some layers, None where torch does.

    Args:
        vector: that of vector instructions, None where numba is not installed.
        matrix: that of matrix instructions, by the number of products for one of float32.
        products: that number; 0 takes vector instructions.
        layers: what its ``takes`` is asked: channels, widths, type and device.
    """
    if vector is None:
        return None
    kinds = [matrix(products), vector] if products else [vector]
    return next((kind for kind in kinds if kind.takes(*layers)), None)


def use_full_precision() -> None:
    """Make CUDA compute float32 as float32, and add up half precision in float32.

    torch lets convolutions use TF32, whose 11 bits are three digits short of the 1e-5 to which
    tiles equal the whole, and lets long half-precision sums be split and added in half precision.
    """
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False


def device_name(device: torch.device) -> str:
    """What an accelerator is sold as, "NVIDIA H100" or "Apple M2"."""
    if device.type == "mps":
        return torch.backends.mps.get_name()
    return torch.cuda.get_device_name(device)


def synchronise(device: torch.device) -> None:
    """Wait for all work that an accelerator was given; a CPU does it at once."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def has_bf16(device: torch.device) -> bool:
    """Whether the device has instructions for bfloat16, without which it only costs time."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu":
        return False
    if not _CPUINFO.exists():
        return False
    lines = _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    # "flags" on x86, "Features" on ARM; the same for every core
    flags = next((line for line in lines if line.lower().startswith(("flags", "features"))), "")
    return bool(_BF16_FLAGS & set(flags.split()))


def matrix_code_here() -> bool:
    """Whether kernels of matrix instructions run here: numba is installed and the CPU has AMX."""
    if find_spec("numba") is None:
        return False
    from liif_cli.models import amx

    return amx.available()
