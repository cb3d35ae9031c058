"""Commands in processes of their own that begin with torch imported.

Importing it takes longer than what most of these commands do. A server that has imported it forks
them, so that they cost what they do. Tests of the start, of memory, and of what is imported when
want processes of Python's own.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    ["torch", "tifffile", "zarr", "liif_cli.engine.batch", "liif_cli.engine.work", "liif_cli.cli"]
)


def _run(
    words: Sequence[str],
    environment: Mapping[str, str],
    folder: str,
    outputs: tuple[str, str],
    constants: Mapping[str, object],
) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    for number, name in enumerate(outputs, 1):
        with open(name, "ab") as file:
            os.dup2(file.fileno(), number)
    sys.argv = ["liif", *words]
    for name, value in constants.items():
        module, _, constant = name.rpartition(".")
        setattr(import_module(module), constant, value)
    from liif_cli.cli import main

    main()


class Forked:
    """A command that runs, much as a ``subprocess.Popen`` whose output and errors are kept.

    Args:
        words: behind ``liif``.
        environment: all of it; None for this process's.
        constants: of modules ("liif_cli.engine.claims.LEASE") that have another value there.
    """

    def __init__(
        self,
        words: Sequence[object],
        environment: Mapping[str, str] | None = None,
        constants: Mapping[str, object] | None = None,
    ) -> None:
        self._said: tuple[bytes, bytes] | None = None
        self._folder = tempfile.TemporaryDirectory()
        outputs = tuple(os.path.join(self._folder.name, name) for name in ("stdout", "stderr"))
        environment = dict(os.environ if environment is None else environment)
        given = (tuple(map(str, words)), environment, os.getcwd(), outputs, constants or {})
        self._process = _FORKS.Process(target=_run, args=given, daemon=True)
        self._process.start()
        self.pid = self._process.pid
        assert self.pid is not None

    @property
    def returncode(self) -> int | None:
        """The exit status; minus the signal that ended it; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """``returncode``."""
        return self.returncode

    def send_signal(self, number: int) -> None:
        """As ``Popen.send_signal``."""
        if self.returncode is None:
            assert self.pid is not None
            os.kill(self.pid, number)

    def kill(self) -> None:
        """As ``Popen.kill``."""
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float | None = None) -> tuple[bytes, bytes]:
        """Wait for its end; (stdout, stderr).

        Raises:
            TimeoutError: it runs longer, in seconds.
        """
        self._process.join(timeout)
        if self.returncode is None:
            raise TimeoutError(f"{self.pid} still runs after {timeout} s")
        if self._said is None:
            files = (Path(self._folder.name, name) for name in ("stdout", "stderr"))
            # one that was killed at once may have made none
            stdout, stderr = (file.read_bytes() if file.exists() else b"" for file in files)
            self._said = stdout, stderr
            self._folder.cleanup()
        return self._said


def ended(
    words: Sequence[object], environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run a command to its end, as ``subprocess.run`` does."""
    process = Forked(words, environment)
    stdout, stderr = process.communicate(timeout=300)
    assert process.returncode is not None
    return subprocess.CompletedProcess(list(words), process.returncode, stdout, stderr)
