"""The main job where calls of POSIX are missing, as they are on macOS and Windows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
# what other systems lack is taken away before anything is imported
WITHOUT = """
import collections, os, shutil, signal, sys
statvfs = os.statvfs
def disk_usage(path):
    found = statvfs(path)
    return collections.namedtuple('usage', 'free')(found.f_bavail * found.f_frsize)
shutil.disk_usage = disk_usage
sys.modules["fcntl"] = None
for name in ("statvfs", "pwrite", "pread", "sched_getaffinity", "sched_setaffinity", "getuid",
             "O_DIRECTORY", "ST_RDONLY", "fork"):
    if hasattr(os, name):
        delattr(os, name)
if sys.argv[1] != "no-links":
    del signal.SIGHUP
if sys.argv[1] != "no-hangup":
    import errno
    def link(*args, **options):
        raise OSError(errno.EPERM, "no links")
    os.link = link
fsync = os.fsync
def strict(handle):
    import fcntl_kept as kept
    if not kept.fcntl(handle, kept.F_GETFL) & (os.O_WRONLY | os.O_RDWR):
        import stat
        assert stat.S_ISDIR(os.fstat(handle).st_mode), "a file that is open for reading alone"
    fsync(handle)
os.fsync = strict
import json
from liif_cli.cli import main
for words in json.loads(sys.argv[2]):
    sys.argv = ["liif", "upscale", *words, "--model", "bicubic"]
    try:
        main()
    except SystemExit as ended:
        assert not ended.code, words
"""


@pytest.mark.parametrize(
    "lacking",
    ["neither", *(pytest.param(one, marks=pytest.mark.slow) for one in ("no-hangup", "no-links"))],
)
def test_the_main_job(tmp_path: Path, lacking: str) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    for name in ("a.png", "b.jpg", "c.tif"):
        pixels = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "in" / name)
    # fcntl under another name, to look at how a file was opened
    (tmp_path / "fcntl_kept.py").write_text(
        "import importlib.machinery, importlib.util\n"
        "spec = importlib.machinery.PathFinder.find_spec('fcntl')\n"
        "module = importlib.util.module_from_spec(spec)\nspec.loader.exec_module(module)\n"
        "fcntl, F_GETFL = module.fcntl, module.F_GETFL\n"
    )
    environment = {"PYTHONPATH": f"{ROOT}:{tmp_path}", "PATH": "/usr/bin", "HOME": str(tmp_path)}
    commands = [
        ["in", "out", "--scale", "2"],
        ["in", "out", "--scale", "2"],
        ["in/c.tif", "poster.zarr", "--size", "1500x1000", "--max-memory", "1GiB"],
        ["in/a.png", "poster.tif", "--size", "1500x1000"],
        ["in/a.png", "poster.dzi", "--size", "600x400"],
    ]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WITHOUT, lacking, json.dumps(commands)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("skipped, finished before") == 3
    assert done.stderr.count("Traceback") == 0
    assert sorted(path.name for path in (tmp_path / "out").glob("*.*g")) == ["a.png", "b.jpg"]
    hidden = [path.name for path in tmp_path.rglob(".*") if path.name != ".liif"]
    assert not [name for name in hidden if "partial" in name or "reading" in name], hidden
