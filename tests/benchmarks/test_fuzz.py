"""Damaged files do no harm; the full run is ``python -m benchmarks.fuzz``."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import fuzz
from benchmarks.mutants import SEEDS, mutants, seeds
from liif_cli.geometry.window import Window
from liif_cli.io import SOURCES, open_source

COUNT = 2000


def test_every_format_that_is_read_is_damaged() -> None:
    assert set(SEEDS) == set(SOURCES)


@pytest.mark.parametrize("format", SEEDS)
def test_seeds_are_whole_and_mutants_are_not_the_same(tmp_path: Path, format: str) -> None:
    for name, files in seeds(format).items():
        fuzz.write(tmp_path / name, format, [("seed", files)])
        (path,) = (path for path in (tmp_path / name).iterdir() if path.name != fuzz.GOOD)
        source = open_source(path)
        source.read(Window.whole(source.info.height, source.info.width))
        source.close()
    made, again = (list(mutants(format, 40, seed=3)) for _ in range(2))
    assert made == again
    whole = list(seeds(format).values())
    assert sum(files in whole for _, files in made) < 10


@pytest.mark.slow
@pytest.mark.parametrize("format", SEEDS)
def test_damaged_files_beside_a_good_one(format: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = fuzz.fuzz(format, COUNT, seed=0)
    with capsys.disabled():
        print(f"\n{format}: {found}")
    assert found.files == COUNT
    assert found.clean, found
    # files that nothing is left of teach nothing
    assert found.done >= COUNT // 50
