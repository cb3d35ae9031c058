"""Compiled code kept between runs, and loaded by llvmlite alone.

numba keeps what it compiled as well, but to read that it imports most of itself: 1.5 s in a command
that may run for three. An object file needs llvmlite's loader only, which takes a tenth of that.
"""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import binding

log = logging.getLogger(__name__)

_SHARED = [
    Path(__file__).with_name(name)
    for name in ("vectors.py", "winograd.py", "winograd_kernel.py", "amx.py", "amx_kernel.py")
]
"""What the kernels' sources are compiled with."""
_ROOT = Path(__file__).parents[2]
_MAGIC = b"liif machine code 1"
_lock = threading.Lock()

CACHE_LINE = 64
"""Bytes."""

_HARMLESS = ("llvm.", "memcpy", "memset", "memmove")
"""What object files may ask of the process that loads them: the compiler's own, and libc's."""


@dataclass(frozen=True)
class MachineCode:
    """An object file of one function."""

    symbol: str
    triple: str
    content: bytes

    def packed(self) -> bytes:
        """As a file that ``unpacked`` reads, with a digest."""
        head = [_MAGIC, self.symbol.encode(), self.triple.encode()]
        digest = hashlib.sha256(b"\n".join([*head, self.content])).hexdigest()
        return b"\n".join([*head, digest.encode(), self.content])

    @classmethod
    def unpacked(cls, packed: bytes) -> MachineCode:
        """What ``packed`` gave.

        Raises:
            ValueError: it is something else, or damaged.
        """
        magic, symbol, triple, _, content = packed.split(b"\n", 4)
        code = cls(symbol.decode(), triple.decode(), content)
        if magic != _MAGIC or code.packed() != packed:
            raise ValueError("damaged")
        return code


def function(source: Path, variant: str, compiled: Callable[[], Compiled], types: Any) -> Any:
    """A compiled function, from a file of an earlier run where there is one.

    Args:
        source: the Python file whose code it is: another text is compiled anew.
        variant: which of its functions.
        compiled: compiles it, which imports numba.
        types: the ctypes prototype.
    """
    with _lock:
        return types(_address(source, variant, compiled))


def kernel(module: str, variant: str, arguments: int) -> Callable[..., None]:
    """A kernel as a function of its arguments' addresses.

    Args:
        module: name of a module whose ``compiled(variant)`` compiles it, imported for that only.
        variant: see ``function``.
        arguments: their number.
    """
    address = function(
        _ROOT.joinpath(*module.split(".")).with_suffix(".py"),
        variant,
        lambda: import_module(module).compiled(variant),
        ctypes.CFUNCTYPE(ctypes.c_int32, *[ctypes.c_void_p] * (2 + arguments)),
    )

    def call(*addresses: int) -> None:
        # of numba's calling convention: where a result and an exception would go
        nothing = ctypes.c_void_p()
        address(ctypes.byref(nothing), ctypes.byref(nothing), *addresses)

    return call


def _address(source: Path, variant: str, compiled: Callable[[], Compiled]) -> int:
    name = f"{source.stem}.{variant}.{_key(source, variant)}.bin"
    for folder in _folders(source):
        try:
            return _load(MachineCode.unpacked((folder / name).read_bytes()))
        except FileNotFoundError:
            continue
        except (OSError, ValueError, RuntimeError) as error:
            log.info("%s: %s, and is compiled anew", folder / name, error)
    log.info("compiling %s for %s, which is done once", source.stem, variant)
    fresh = compiled()
    _loaded.append(fresh)
    strange = [symbol for symbol in fresh.asks_for if not symbol.startswith(_HARMLESS)]
    if strange:
        log.info("code of %s is not kept: it asks for %s", source.stem, ", ".join(strange))
        return fresh.address
    _keep(fresh.code, name, source)
    return fresh.address


@dataclass(frozen=True)
class Compiled:
    """What numba made of a function."""

    code: MachineCode
    address: int
    """Where it lies in this process."""
    asks_for: list[str]
    """Functions and variables of others that it names."""
    owner: object
    """What keeps it there."""


def _folders(source: Path) -> Iterator[Path]:
    """Where code is looked for and kept: what numba's users set, beside the source, the user's."""
    if set_by_user := os.environ.get("NUMBA_CACHE_DIR"):
        yield Path(set_by_user)
        return
    yield source.parent / "__pycache__"
    try:
        from platformdirs import user_cache_path
    except ImportError:
        return
    yield user_cache_path("liif", appauthor=False)


def _keep(code: MachineCode, name: str, source: Path) -> None:
    """Write the file where that is possible first; whole or not at all."""
    for folder in _folders(source):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            partial = folder / f".{name}.{os.getpid()}"
            partial.write_bytes(code.packed())
            os.replace(partial, folder / name)
        except OSError:
            continue
        return
    log.info("no folder where compiled code can be kept: it is compiled in every run")


def target() -> tuple[str, str]:
    """The processor that code is compiled for (numba's settings may name it), and its features."""
    name = os.environ.get("NUMBA_CPU_NAME") or _host_name()
    features = os.environ.get("NUMBA_CPU_FEATURES")
    return name, _host_features() if features is None else features


# asking the processor takes a virtual machine 40 us, and packing weights asks for each matrix
@cache
def _host_name() -> str:
    name: str = binding.get_host_cpu_name()
    return name


@cache
def _host_features() -> str:
    features: str = binding.get_host_cpu_features().flatten()
    return features


def registers() -> tuple[int, int]:
    """Numbers of float32 in this processor's vector registers, and how many registers it has."""
    features = target()[1].split(",")
    if "+avx512f" in features:
        return 16, 32
    if "+avx2" in features:
        return 8, 16
    return 4, 32 if "+neon" in features else 16


def aligned(count: int, kind: np.dtype[Any]) -> npt.NDArray[Any]:
    """Zeros that begin where a cache line does: vector registers are read from one line each."""
    extra = CACHE_LINE // kind.itemsize
    made = np.zeros(count + extra, kind)
    start = -made.ctypes.data % CACHE_LINE // kind.itemsize
    return made[start : start + count]


def _key(source: Path, variant: str) -> str:
    texts = (path.read_text("utf-8") for path in (source, *_SHARED))
    parts = (*texts, variant, *target(), version("numba"), version("llvmlite"))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


@cache
def _native() -> None:
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()


_loaded: list[object] = []
"""What owns code in this process, and lives as long."""


def _load(code: MachineCode) -> int:
    """Put the object file into this process: the function's address.

    Raises:
        RuntimeError: llvmlite cannot.
    """
    _native()
    module = binding.parse_assembly(f'target triple = "{code.triple}"')
    machine = binding.Target.from_triple(code.triple).create_target_machine(jit=True)
    engine = binding.create_mcjit_compiler(module, machine)
    engine.add_object_file(binding.ObjectFileRef.from_data(code.content))
    engine.finalize_object()
    address: int = engine.get_function_address(code.symbol)
    if not address:
        raise RuntimeError(f"has no function {code.symbol}")
    _loaded.append(engine)
    return address
