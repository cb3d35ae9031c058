"""A stand-in for a device like Apple's GPU: tensors that seem to be there, computed on the CPU.

It refuses what the real one refuses: float64, operations of tensors on two devices, and reading a
tensor as an array before it was copied to the host. It cannot tell how fast the real one is, how it
rounds, and which operations it lacks.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch.utils import backend_registration
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from liif_cli.engine import batch, machine

backend_registration._setup_privateuseone_for_python_backend("standin")
DEVICE = torch.device("standin:0")
_LIBRARY = torch.library.Library("aten", "IMPL")
COPIES = {"aten::_to_copy", "aten::copy_", "aten::to"}


class There(torch.Tensor):
    """A tensor on the stand-in; ``inner`` is the one on the CPU that it stands for."""

    inner: torch.Tensor

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> There:
        if inner.dtype == torch.float64:
            raise TypeError("the device has no float64")
        # views of a tensor made in inference mode could not be made by torch outside of it
        with torch.inference_mode(False):
            made = torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
                cls,
                inner.shape,
                strides=inner.stride(),
                storage_offset=inner.storage_offset(),
                dtype=inner.dtype,
                device=DEVICE,
            )
        made.inner = inner
        return made  # type: ignore[no-any-return]

    def __tensor_flatten__(self) -> tuple[list[str], None]:
        """Told so, ``Module.to`` swaps parameters as a whole, ``inner`` included."""
        return ["inner"], None

    @staticmethod
    def __tensor_unflatten__(inner: Any, context: None, size: Any, stride: Any) -> There:
        return There(inner["inner"])

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed(func, args, kwargs or {})


class Everywhere(TorchDispatchMode):
    """Sends what names the device to the stand-in, as ``torch.zeros(3, device="standin")``."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed(func, args, kwargs or {})


def _computed(func: Any, args: Any, kwargs: Any) -> Any:
    """An operation on the CPU's tensors; its results are on the device where its inputs are."""
    leaves = tree_leaves((args, kwargs))
    tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
    there = [tensor for tensor in tensors if isinstance(tensor, There)]
    name = func.name().split(".")[0]
    if name == "aten::_has_compatible_shallow_copy_type":
        return not there
    here = [tensor for tensor in tensors if not isinstance(tensor, There)]
    if there and name not in COPIES and any(tensor.dim() for tensor in here):
        raise RuntimeError(f"{name}: Expected all tensors to be on the same device")
    asked = next((leaf for leaf in leaves if isinstance(leaf, torch.device)), None)
    inner_args, inner_kwargs = tree_map(_inner, (args, kwargs))
    result = func(*inner_args, **inner_kwargs)
    on_device = bool(there) if asked is None else asked.type == DEVICE.type
    if name == "aten::copy_":
        on_device = isinstance(args[0], There)

    def outer(leaf: Any) -> Any:
        if not isinstance(leaf, torch.Tensor) or not on_device:
            return leaf
        # what was changed in place is the same tensor
        same = [tensor for tensor in there if tensor.inner is leaf]
        return same[0] if same else There(leaf)

    return tree_map(outer, result)


def _inner(leaf: Any) -> Any:
    if isinstance(leaf, There):
        return leaf.inner
    return torch.device("cpu") if isinstance(leaf, torch.device) else leaf


def _empty_strided(size: Any, stride: Any, *, dtype: Any = None, **where: Any) -> torch.Tensor:
    return There(torch.empty_strided(size, stride, dtype=dtype))


def _copy_from(
    source: torch.Tensor, target: torch.Tensor, non_blocking: bool = False
) -> torch.Tensor:
    return _inner(target).copy_(_inner(source))


# what torch asks the device itself for, past all modes: new_tensor
_LIBRARY.impl("empty_strided", _empty_strided, "PrivateUse1")
_LIBRARY.impl("_copy_from", _copy_from, "PrivateUse1")


@contextmanager
def standing_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """``--device mps`` means the stand-in, in this thread and all that it starts."""
    run = threading.Thread.run

    def inside(thread: threading.Thread) -> None:
        with Everywhere():
            run(thread)

    with monkeypatch.context() as patch, Everywhere():
        patch.setattr(batch, "resolve_device", lambda name: DEVICE)
        patch.setattr(machine, "device_name", lambda device: "Stand-in")
        patch.setattr(threading.Thread, "run", inside)
        yield
