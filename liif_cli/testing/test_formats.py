"""Every output format: what is written is read back, by liif where it reads the format."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from liif_cli.errors import OutputError
from liif_cli.geometry.window import Window
from liif_cli.io import exporter_for, image_suffixes, open_source, suffix_of
from liif_cli.io.abilities import ABILITIES
from liif_cli.io.base import DTYPES, ArrayPixels, OutputInfo
from liif_cli.registries import EXPORTERS

SIZES = [(1, 1), (1, 17), (23, 1), (40, 61)]


def installed(name: str) -> bool:
    """Whether the library that a format needs is there."""
    library = getattr(exporter_for(name), "needs", "")
    return not library or importlib.util.find_spec(library) is not None


HERE = [name for name in EXPORTERS if installed(name)]


def smooth(height: int, width: int, channels: int, dtype: str) -> npt.NDArray[Any]:
    """A picture without noise, which codecs that lose change little."""
    rows, cols = np.mgrid[0:height, 0:width] / 64.0
    planes = [0.5 + 0.4 * np.sin(rows + cols / 2 + k) for k in range(channels)]
    values = np.stack(planes, axis=2)
    kind = np.dtype(dtype)
    if kind.kind == "f":
        floats: npt.NDArray[Any] = values.astype(kind)
        return floats
    whole: npt.NDArray[Any] = np.rint(values * np.iinfo(kind).max).astype(kind)
    return whole


@pytest.mark.parametrize("name", HERE)
def test_a_format_says_what_it_is(name: str) -> None:
    exporter = exporter_for(name)
    assert exporter.name == name
    assert exporter.suffixes
    assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in exporter.suffixes)
    assert set(exporter.dtypes) <= set(DTYPES)
    assert exporter.carries <= set(ABILITIES)
    assert exporter.memory >= 0
    assert exporter.disk > 0
    assert isinstance(exporter.streams, bool)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", HERE)
def test_what_is_written_is_read(
    name: str, channels: int, size: tuple[int, int], tmp_path: Path
) -> None:
    exporter = exporter_for(name)
    for dtype in exporter.dtypes:
        path = tmp_path / dtype / f"out{exporter.suffixes[0]}"
        path.parent.mkdir()
        pixels = smooth(*size, channels, dtype)
        exporter.export(ArrayPixels(pixels), path, OutputInfo())
        assert path.exists()
        if not suffix_of(path.name, image_suffixes()):
            pytest.skip(f"{name} is only written")
        source = open_source(path)
        written = source.read(Window.whole(*size)).astype(np.float64)
        source.close()
        assert written.shape[:2] == size
        # formats that lose, or know no gray, come near
        most = 1.0 if np.dtype(dtype).kind == "f" else float(np.iinfo(dtype).max)
        assert np.abs(written.mean(axis=2) - pixels.mean(axis=2)).mean() < 0.03 * most


@pytest.mark.parametrize("name", HERE)
def test_what_cannot_be_held_is_refused_before_any_work(name: str, tmp_path: Path) -> None:
    exporter = exporter_for(name)
    path = tmp_path / f"out{exporter.suffixes[0]}"
    for dtype in set(DTYPES) - set(exporter.dtypes):
        with pytest.raises(OutputError):
            exporter.export(ArrayPixels(smooth(4, 4, 3, dtype)), path, OutputInfo())
        assert not path.exists()
