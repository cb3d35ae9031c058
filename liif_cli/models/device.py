"""How networks and their inputs go to an accelerator."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch


def upload(array: np.ndarray[Any, Any], device: torch.device) -> torch.Tensor:
    """An array as a tensor on ``device``; on the CPU it shares the array's memory.

    An accelerator gets it from pinned memory: a copy from any other would wait for all the work
    that is queued there, and every tile brings its axes along.
    """
    host = torch.from_numpy(array)
    if device.type != "cuda":
        return host.to(device)
    # torch's allocator keeps the pinned copy until the stream has read it
    return host.contiguous().pin_memory().to(device, non_blocking=True)


def use_full_precision() -> None:
    """Make CUDA compute float32 as float32, and add up half precision in float32.

    torch lets convolutions use TF32, whose 11 bits are three digits short of the 1e-5 to which
    tiles equal the whole, and lets long half-precision sums be split and added in half precision.
    """
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
