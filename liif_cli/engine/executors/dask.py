"""A plan's work on the workers of a Dask cluster (extra ``dask``).

A Dask task is a worker's whole part: it does its slice, then whatever is still missing. A scheduler
is needed for no more than to start it, and to start it anew elsewhere when a worker dies.
"""

from __future__ import annotations

import contextlib
import dataclasses
import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from liif_cli.engine.executors import Machines, Say
from liif_cli.engine.executors.processes import ONE_THREAD, Refusal, answered
from liif_cli.engine.machine import cores
from liif_cli.engine.results import BatchReport
from liif_cli.engine.work import WorkOrder
from liif_cli.errors import OutputError, UsageError

LOCAL = "local"
_CONNECT_SECONDS = 20


def on_dask(order: WorkOrder, machines: Machines, say: Say) -> Mapping[int, BatchReport]:
    """See ``Executor``. A local cluster is started and ended; another one is left as it is."""
    try:
        import dask
        import distributed
    except ImportError as error:
        raise UsageError(
            "--executor dask", got="no distributed", cure="pip install 'liif-cli[dask]'"
        ) from error
    settings = {
        # a worker that dies does not prove that its task kills
        "distributed.scheduler.allowed-failures": machines.deaths,
        "distributed.nanny.pre-spawn-environ": dict.fromkeys(ONE_THREAD, "1"),
        # workers keep within the memory of their plan by themselves
        "distributed.worker.memory.target": False,
        "distributed.worker.memory.spill": False,
        "distributed.worker.memory.pause": False,
        "distributed.worker.memory.terminate": False,
        "distributed.worker.daemon": False,
    }
    with dask.config.set(settings), _client(machines, distributed) as client:
        count = machines.workers or len(client.scheduler_info(n_workers=-1)["workers"])
        if count < 1:
            raise UsageError(
                f"--scheduler {machines.scheduler}",
                got="a scheduler without workers",
                expected="one at least",
                cure="start workers, or name how many will come by --workers",
            )
        say(f"{count} workers by {client.scheduler.address}")
        orders = [dataclasses.replace(order, index=n, of=count) for n in range(count)]
        futures = client.map(answered, orders, pure=False, retries=machines.deaths)
        reports: dict[int, BatchReport] = {}
        problem: str = ""
        try:
            ended: Any = distributed.as_completed(  # type: ignore[no-untyped-call]
                futures, with_results=True, raise_errors=False
            )
            for future, report in ended:
                if isinstance(report, BatchReport):
                    reports[futures.index(future)] = report
                elif isinstance(report, Refusal):
                    raise report.error
                else:
                    problem = str(report[1] if isinstance(report, tuple) else report)
        finally:
            with contextlib.suppress(Exception):
                client.cancel(futures, force=True)
    if not reports:
        raise OutputError(
            "no worker came to its end",
            got=" ".join(problem.split()) or "nothing",
            cure="run the same command again; what is done stays done",
        )
    return reports


@contextlib.contextmanager
def _client(machines: Machines, distributed: Any) -> Iterator[Any]:
    if machines.scheduler == LOCAL:
        count = machines.workers or cores()
        with (
            distributed.LocalCluster(
                n_workers=count,
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                dashboard_address=None,
                memory_limit=None,
            ) as cluster,
            distributed.Client(cluster) as client,
        ):
            yield client
        return
    _check_address(machines.scheduler)
    try:
        client = distributed.Client(machines.scheduler, timeout=_CONNECT_SECONDS)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"--scheduler {machines.scheduler}",
            got=" ".join(str(error).split()) or type(error).__name__,
            expected="a Dask scheduler that answers",
            cure="check the address, and that it is running",
        ) from error
    with client:
        yield client


def _check_address(address: str) -> None:
    """Refuse what would send plans in the open, and what is not an address.

    Raises:
        UsageError: plain TCP beyond this machine (a scheduler unpickles whatever reaches it), or a
            password in the address.
    """
    parts = urlsplit(address)
    if parts.scheme not in ("tcp", "tls") or not parts.hostname or parts.port is None:
        raise UsageError(
            "--scheduler", got=repr(address), expected="local, tcp://HOST:PORT or tls://HOST:PORT"
        )
    if parts.username or parts.password:
        raise UsageError(
            "--scheduler", got="an address with a name or a password", cure="leave it out"
        )
    try:
        here = ipaddress.ip_address(parts.hostname).is_loopback
    except ValueError:
        here = parts.hostname == "localhost"
    if parts.scheme == "tcp" and not here:
        raise UsageError(
            "--scheduler",
            got=f"{address}, plain TCP to another machine",
            expected="tls://, since whoever reaches a Dask scheduler can run anything by it",
            cure="start the scheduler with TLS (see 'TLS/SSL' of Dask), or forward a port",
        )
