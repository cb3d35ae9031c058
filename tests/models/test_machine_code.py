"""Machine code is kept between runs, loaded without numba, and made anew where it is damaged."""

from __future__ import annotations

import ctypes
import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("numba")

from liif_cli.models import machine_code
from liif_cli.models.decoders import lmliif_compiled
from liif_cli.models.machine_code import Compiled, MachineCode

CODE = MachineCode("f", "x86_64-unknown-linux-gnu", b"\x7fELF\nand\nlines")
PROTOTYPE = ctypes.CFUNCTYPE(None)

RENDERS = """
import hashlib, sys, torch
from liif_cli.models.decoders.lmliif import LMLIIF
from liif_cli.models.encoders.edsr import EDSR
from tests.models.test_lmliif import answers
torch.manual_seed(0)
decoder = LMLIIF(32).eval().requires_grad_(False)
with torch.no_grad():
    feat = EDSR(1, 32).eval()(torch.rand(1, 3, 7, 9))
colours = answers(decoder, feat, (17, 40))
print(hashlib.sha256(colours.numpy().tobytes()).hexdigest(), "numba" in sys.modules)
"""


def rendered(folder: Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", RENDERS],
        env={**os.environ, "NUMBA_CACHE_DIR": str(folder)},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def test_a_second_run_does_without_numba_and_gives_the_same_bits(tmp_path: Path) -> None:
    first, compiles = rendered(tmp_path)
    # each is kept, so that it needs nothing of numba's
    kept = sorted(path.name.split(".")[0] for path in tmp_path.iterdir())
    assert kept == ["edsr_kernel", "latent_kernel", "lmliif_kernel"]
    second, again = rendered(tmp_path)
    assert (compiles, again) == ("True", "False")
    assert first == second


@pytest.mark.slow
def test_a_file_that_a_full_disk_cut_short_is_compiled_anew(tmp_path: Path) -> None:
    first, _ = rendered(tmp_path)
    for kept in tmp_path.iterdir():
        kept.write_bytes(kept.read_bytes()[:-100])
    assert rendered(tmp_path) == [first, "True"]
    assert rendered(tmp_path) == [first, "False"]


def test_packing_returns_what_was_packed() -> None:
    assert MachineCode.unpacked(CODE.packed()) == CODE


@pytest.mark.parametrize(
    "change", [lambda b: b[:-1], lambda b: b + b"x", lambda b: b"", bytes.upper]
)
def test_what_is_damaged_is_not_run(change: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of any kind
        MachineCode.unpacked(change(CODE.packed()))  # type: ignore[operator]


def made(asks_for: list[str]) -> Compiled:
    address = ctypes.cast(PROTOTYPE(lambda: None), ctypes.c_void_p).value
    return Compiled(CODE, address or 0, asks_for, None)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "kernel.py"
    path.write_text("one")
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "kept"))
    return tmp_path / "kept"


def test_code_that_needs_numba_when_it_runs_is_not_kept(source: Path, folder: Path) -> None:
    machine_code.function(source, "a", lambda: made(["memset", "NRT_Allocate"]), PROTOTYPE)
    assert not folder.exists()
    machine_code.function(source, "a", lambda: made(["memset", "llvm.fma.f32"]), PROTOTYPE)
    (kept,) = folder.iterdir()
    assert MachineCode.unpacked(kept.read_bytes()) == CODE


@pytest.mark.parametrize("what", ["source", "variant", "processor", "features", "numba"])
def test_other_code_has_another_name(
    what: str, source: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variant = "a"
    machine_code.function(source, variant, lambda: made([]), PROTOTYPE)
    if what == "source":
        source.write_text("two")
    elif what == "variant":
        variant = "b"
    elif what == "numba":
        monkeypatch.setattr(machine_code, "version", lambda package: "0.0")
    else:
        name = "NUMBA_CPU_NAME" if what == "processor" else "NUMBA_CPU_FEATURES"
        monkeypatch.setenv(name, "other")
    machine_code.function(source, variant, lambda: made([]), PROTOTYPE)
    assert len(list(folder.iterdir())) == 2


def test_a_folder_that_cannot_be_written_is_passed_over(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setattr("platformdirs.user_cache_path", lambda *a, **k: tmp_path / "user")
    # a file where a folder should be refuses everybody, root as well
    (tmp_path / "__pycache__").write_text("")
    machine_code.function(source, "a", lambda: made([]), PROTOTYPE)
    assert len(list((tmp_path / "user").iterdir())) == 1
    (tmp_path / "user").rename(tmp_path / "gone")
    (tmp_path / "user").write_text("")
    with caplog.at_level("INFO", logger="liif_cli"):
        machine_code.function(source, "a", lambda: made([]), PROTOTYPE)
    assert "compiled in every run" in caplog.text


@pytest.mark.slow
def test_the_kernel_asks_for_nothing_of_numba() -> None:
    from liif_cli.models.decoders import lmliif_kernel

    for kind in ("float32", "float64"):
        asks_for = lmliif_kernel.compiled(kind).asks_for
        assert [name for name in asks_for if not name.startswith(machine_code._HARMLESS)] == []


def test_constants_of_both_modules_agree() -> None:
    from liif_cli.models.decoders import lmliif_kernel

    assert lmliif_compiled.BLOCK == lmliif_kernel.BLOCK


def test_arrays_of_another_type_are_refused() -> None:
    import numpy as np

    parts = [
        np.zeros(s, np.float32) for s in [(16, 4), (16, 2), 16, (0, 16, 16), (0, 16), (3, 16), 3]
    ]
    weights = lmliif_compiled.tables(parts)
    assert dataclasses.asdict(weights)["depth"] == 1
    none = np.zeros((1, 1, 36), np.float64)
    with pytest.raises(ValueError, match="expected contiguous float32"):
        lmliif_compiled.add_colours(none, weights, None, None, none)  # type: ignore[arg-type]
