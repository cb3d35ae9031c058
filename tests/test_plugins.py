"""Other packages add formats, decoders and executors by entry points, and cannot do harm by it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]

FORMAT = '''
import numpy as np
from liif_cli.geometry.window import Window
from liif_cli.io.base import Exporter
from liif_cli.io.limits import check_limit


class NpyExporter(Exporter):
    name = "npy"
    suffixes = (".npy",)
    dtypes = ("uint8", "uint16")
    max_side = None
    streams = False
    channels = None

    def export(self, pixels, path, info):
        check_limit(self, pixels, path, info.alpha)
        with path.open("wb") as file:
            np.save(file, pixels.read(Window.whole(pixels.height, pixels.width)))


class Mine(NpyExporter):
    """Takes the name of a format that is there."""
'''

DECODER = '''
from liif_cli.models.decoders.nearest import Nearest


class Own(Nearest):
    """A decoder of another package."""
'''

POINTS = """
[liif.formats]
npy = own.format:NpyExporter
png = own.format:Mine
broken = own.gone:Nothing

[liif.decoders]
own = own.decoder:Own

[liif.executors]
own = own.executor:run
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """An installed package, as pip leaves it."""
    site = tmp_path / "site"
    (site / "own").mkdir(parents=True)
    (site / "own" / "__init__.py").write_text("")
    (site / "own" / "format.py").write_text(FORMAT)
    (site / "own" / "decoder.py").write_text(DECODER)
    (site / "own" / "executor.py").write_text(
        "from liif_cli.engine.executors.threads import in_this_process as run\n"
    )
    facts = site / "liif_own-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: liif-own\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(POINTS)
    Image.fromarray(np.arange(300, dtype=np.uint8).reshape(10, 10, 3)).save(tmp_path / "a.png")
    return tmp_path


def run(package: Path, *words: object) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(package / "site"), str(ROOT)])
    return subprocess.run(
        [sys.executable, *map(str, words)],
        env={**os.environ, "PYTHONPATH": path},
        cwd=package,
        capture_output=True,
        text=True,
        timeout=300,
    )


def liif(package: Path, *words: object) -> subprocess.CompletedProcess[str]:
    return run(package, "-m", "liif_cli", *words)


def test_a_format_and_an_executor_of_another_package(package: Path) -> None:
    words = ["-s", 2, "-m", "nearest", "-f", "npy", "-v", "--executor", "own"]
    done = liif(package, "upscale", "a.png", "out/", *words)
    assert done.returncode == 0, done.stderr
    pixels = np.load(package / "out" / "a.npy")
    small = np.asarray(Image.open(package / "a.png"))
    np.testing.assert_array_equal(pixels, small.repeat(2, axis=0).repeat(2, axis=1))
    # what cannot be imported is left out and said, and what liif has is not replaced
    assert "'broken' of liif-own is left out: No module named 'own.gone'" in done.stderr
    assert "'png' of liif-own is left out: there is one of that name" in done.stderr


def test_its_suffix_is_known_and_no_other_is_taken(package: Path) -> None:
    code = (
        "import sys; from liif_cli.cli import main\n"
        "for name in ('c.npy', 'b.png'):\n"
        "    sys.argv = f'liif upscale a.png {name} -s 3 -m nearest -q'.split()\n"
        "    try: main()\n"
        "    except SystemExit as ended: assert not ended.code, name\n"
    )
    done = run(package, "-c", code)
    assert done.returncode == 0, done.stderr
    assert np.load(package / "c.npy").shape == (30, 30, 3)
    assert Image.open(package / "b.png").size == (30, 30)


def test_an_unknown_name_is_refused_as_before(package: Path) -> None:
    done = liif(package, "upscale", "a.png", "out/", "-s", 2, "-f", "nothing")
    assert done.returncode == 2
    assert "nothing" in done.stderr


def test_the_shipped_suites_run_over_it(package: Path) -> None:
    done = run(
        package,
        *("-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull),
        *("--pyargs", "liif_cli.testing", "-k", "npy or (own and radius)"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


def test_names_of_liif_itself_look_for_nothing() -> None:
    """Looking for entry points takes as long as the help."""
    code = (
        "import sys; from liif_cli.registries import DECODERS, EXPORTERS;"
        "from liif_cli.plan.spec import FORMATS; EXPORTERS['png']; DECODERS['liif'];"
        "assert 'importlib.metadata' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)
