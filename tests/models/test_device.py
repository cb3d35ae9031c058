"""Inputs on their way to a device, and CUDA's precision."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from liif_cli.models.device import upload, use_full_precision


def test_on_the_cpu_nothing_is_copied() -> None:
    array = np.arange(6.0)
    upload(array, torch.device("cpu"))[2] = 7
    assert array[2] == 7


def test_float32_is_computed_as_float32() -> None:
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    flags = [
        (cudnn, "allow_tf32"),
        (matmul, "allow_tf32"),
        (matmul, "allow_fp16_reduced_precision_reduction"),
        (matmul, "allow_bf16_reduced_precision_reduction"),
    ]
    before = [getattr(where, flag) for where, flag in flags]
    try:
        for where, flag in flags:
            setattr(where, flag, True)
        use_full_precision()
        assert not any(getattr(where, flag) for where, flag in flags)
    finally:
        for (where, flag), value in zip(flags, before, strict=True):
            setattr(where, flag, value)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("step", [1, 3])
def test_a_real_device_gets_the_array(step: int) -> None:
    arrays = [np.random.default_rng(seed).random(1000 * seed + 1)[::step] for seed in range(20)]
    there = [upload(array, torch.device("cuda")) for array in arrays]
    for array, tensor in zip(arrays, there, strict=True):
        np.testing.assert_array_equal(tensor.cpu().numpy(), array)
