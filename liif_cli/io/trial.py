"""Reading an input in a process of its own, which may die of it.

python -m liif_cli.io.trial FILE [PAGE]
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import cast

from liif_cli.io.base import ImageInfo
from liif_cli.io.place import location
from liif_cli.io.unpack import BandSource

_ROOT = Path(__file__).parents[2]
_LEAST_SECONDS, _PIXELS_PER_SECOND = 60.0, 1e6
# how a process ends that somebody stopped
_STOPPED = {
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
}


def death_of(info: ImageInfo, page: int | None) -> str:
    """Read all of an image in a child process, and say how that died: "SIGSEGV"; "" if it did not.

    An image that is damaged and says so is none that kills. One that takes a minute, and a second a
    megapixel more, counts as one that never ends.

    Args:
        info: of the image.
        page: as ``open_source`` takes it.
    """
    seconds = _LEAST_SECONDS + info.height * info.width / _PIXELS_PER_SECOND
    # the child imports what this process runs, wherever that was imported from
    paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "liif_cli.io.trial", str(info.path), str(page or 1)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # an interrupt is for this process, which ends the child
            start_new_session=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"no end after {seconds:.0f} s"
    if ended.returncode >= 0 or -ended.returncode in _STOPPED:
        return ""
    try:
        return signal.Signals(-ended.returncode).name
    except ValueError:
        return f"signal {-ended.returncode}"


def read_all(path: Path, page: int) -> None:
    """Decode every pixel of an image, keeping none.

    Raises:
        InputError: it is damaged.
    """
    from liif_cli.io import open_source
    from liif_cli.io.gray import large_windows

    source = open_source(path, page)
    if source.info.unpack_bytes is not None:
        for _ in cast(BandSource, source).bands():
            pass
    else:
        for window in large_windows(source.info):
            source.read(window)


if __name__ == "__main__":
    # where memory runs out, this process shall be the one that goes
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    read_all(location(sys.argv[1]), int(sys.argv[2]))
