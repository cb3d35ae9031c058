"""Executors: who runs the jobs. Importing this imports none of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Protocol

from liif_cli.registry import Registry

Job = Callable[[], None]

EXECUTORS = Registry("executor", {"threads": "liif_cli.engine.executors.threads:ThreadExecutor"})


class Executor(Protocol):
    """Runs jobs with a bounded number of them in flight. Made with the number of workers."""

    def run(self, jobs: Iterator[Job], stop: threading.Event) -> None:
        """Run every job; ``jobs`` is drawn from as workers become free.

        Jobs report their own errors. When the calling thread is interrupted, ``stop`` is set,
        running jobs are waited for, and the interrupt goes on.
        """
        ...
