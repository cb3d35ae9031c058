"""Jobs on threads of this process, with a bounded number of them in flight.

Each thread runs torch single-threaded: whole tasks side by side use the cores better than one task
spread over them, and codecs do not fight a second pool.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import torch

Job = Callable[[], None]


class JobThreads:
    """Runs jobs on ``workers`` threads; at most one more than that waits.

    Args:
        workers: threads.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def run(self, jobs: Iterator[Job], stop: threading.Event) -> None:
        """Run every job; ``jobs`` is drawn from as threads become free, one more of them waits.

        Jobs report their own errors. When the calling thread is interrupted, ``stop`` is set,
        running jobs are waited for, and the interrupt goes on.
        """
        torch.set_num_threads(1)
        slots = threading.Semaphore(self.workers + 1)

        def run_one(job: Job) -> None:
            try:
                job()
            finally:
                slots.release()

        with ThreadPoolExecutor(
            self.workers,
            thread_name_prefix="liif",
            initializer=torch.set_num_threads,
            initargs=(1,),
        ) as pool:
            try:
                while not stop.is_set():
                    slots.acquire()
                    job = next(jobs, None)
                    if job is None:
                        slots.release()
                        break
                    pool.submit(run_one, job)
                # the last jobs and their exports must hear of an interrupt as well; a semaphore,
                # as an interrupted join of a thread takes it for ended
                for _ in range(self.workers + 1):
                    slots.acquire()
            except BaseException:
                stop.set()
                raise
