"""What executors make of workers that end, fail, refuse and die, without any process."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from liif_cli.engine.executors import EXECUTORS, Machines, dask, processes, threads
from liif_cli.engine.executors.processes import Refusal, answered
from liif_cli.engine.results import BatchReport
from liif_cli.engine.work import WorkOrder
from liif_cli.errors import LiifError, OutputError, UsageError

ORDER = WorkOrder("/p.jsonl", tries=7, mixed=True)
REFUSAL = Refusal(True, "--model m", "weights a", "weights b", "copy them")
CURE = "run the same command again; what is done stays done"


def report(number: int) -> BatchReport:
    return BatchReport([], float(number))


# --- one worker


def test_threads_do_the_order_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(threads, "work", lambda order, listen: seen.append(order) or report(3))
    order = WorkOrder("/p.jsonl", 2, 5)
    assert EXECUTORS.load("threads")(order, Machines(), print) == {2: report(3)}
    assert seen == [order]


@pytest.mark.parametrize("kind", [UsageError, OutputError])
def test_a_refusal_travels_as_data(kind: type[LiifError], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(order: WorkOrder, listen: Callable[[object], None]) -> BatchReport:
        assert order == ORDER
        listen(object())
        raise kind("a", got="b", expected="c", cure="d")

    monkeypatch.setattr(processes, "work", refuse)
    answer = answered(ORDER)
    assert answer == Refusal(kind is UsageError, "a", "b", "c", "d")
    assert isinstance(answer, Refusal)
    assert type(answer.error) is kind
    assert str(answer.error) == str(kind("a", got="b", expected="c", cure="d"))
    monkeypatch.setattr(processes, "work", lambda order, listen: report(1))
    assert answered(ORDER) == report(1)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs cores that can be chosen")
def test_a_worker_has_one_thread_and_a_core(monkeypatch: pytest.MonkeyPatch) -> None:
    set_to: list[tuple[int, set[int]]] = []
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {7, 3, 5} if pid == 0 else set())
    monkeypatch.setattr(os, "sched_setaffinity", lambda pid, cores: set_to.append((pid, cores)))
    names = ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"]
    for name in names:
        monkeypatch.setenv(name, "9")
    for index in range(4):
        processes.own_core(WorkOrder("/p.jsonl", index, 4))
    assert set_to == [(0, {3}), (0, {5}), (0, {7}), (0, {3})]
    assert [os.environ[name] for name in names] == ["1"] * 4
    monkeypatch.delattr(os, "sched_getaffinity")
    processes.own_core(ORDER)
    assert len(set_to) == 4


@pytest.mark.parametrize("answer", [report(1), REFUSAL])
def test_a_child_answers(answer: object, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[object] = []
    handlers: dict[int, object] = {}
    cores: list[WorkOrder] = []
    monkeypatch.setattr(processes.signal, "signal", handlers.__setitem__)
    monkeypatch.setattr(processes, "own_core", cores.append)
    monkeypatch.setattr(processes, "answered", lambda order: answer)
    processes._child(ORDER, SimpleNamespace(send=sent.append))  # type: ignore[arg-type]
    assert sent == [answer]
    assert cores == [ORDER]
    assert handlers[signal.SIGINT] == signal.SIG_IGN
    terminate = handlers[signal.SIGTERM]
    assert callable(terminate)
    with pytest.raises(KeyboardInterrupt):
        terminate(signal.SIGTERM, None)

    def interrupted(order: WorkOrder) -> BatchReport:
        raise KeyboardInterrupt

    monkeypatch.setattr(processes, "answered", interrupted)
    with pytest.raises(SystemExit) as ended:
        processes._child(ORDER, SimpleNamespace(send=sent.append))  # type: ignore[arg-type]
    assert ended.value.code == 130


# --- processes


class Context:
    """Processes that only seem to be: each says or does what ``lives`` has for its number.

    A life is what it sends, or the exit code with which it dies; None never ends by itself.
    """

    def __init__(self, lives: dict[int, list[object]]) -> None:
        self.lives = lives
        self.orders: list[WorkOrder] = []
        self.names: list[str] = []
        self.terminated: list[int] = []
        self.joined: list[int] = []
        self.kept: list[int] = []

    def Pipe(self) -> tuple[Any, Any]:  # noqa: N802 (multiprocessing's name)
        import multiprocessing

        return multiprocessing.Pipe()

    def Process(self, target: Any, args: Any, name: str) -> Any:  # noqa: N802
        assert target is processes._child
        order, answer = args
        self.orders.append(order)
        self.names.append(name)
        life = self.lives[order.index].pop(0)
        process = SimpleNamespace(exitcode=None)

        def start() -> None:
            if isinstance(life, int):
                process.exitcode = life
            elif life is None:
                self.kept.append(os.dup(answer.fileno()))
            else:
                answer.send(life)

        process.start = start
        process.join = lambda: self.joined.append(order.index)
        process.terminate = lambda: self.terminated.append(order.index)
        return process


def in_processes(
    lives: dict[int, list[object]], monkeypatch: pytest.MonkeyPatch, **machines: Any
) -> tuple[Any, Context, list[str]]:
    context, said = Context(lives), []
    methods: list[str | None] = []
    monkeypatch.setattr(
        processes.multiprocessing,
        "get_context",
        lambda method=None: methods.append(method) or context,
    )
    try:
        reports = processes.in_processes(ORDER, Machines(**machines), said.append)
    except LiifError as error:
        reports = error
    for descriptor in context.kept:
        os.close(descriptor)
    # a fork would copy torch's threads, and locks that they hold
    assert methods == ["spawn"]
    return reports, context, said


def test_every_worker_has_a_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    lives: dict[int, list[object]] = {number: [report(number)] for number in range(3)}
    reports, context, said = in_processes(lives, monkeypatch, workers=3)
    assert reports == {number: report(number) for number in range(3)}
    assert sorted(context.orders, key=lambda order: order.index) == [
        WorkOrder("/p.jsonl", number, 3, tries=7, mixed=True) for number in range(3)
    ]
    assert sorted(context.names) == [f"liif-worker-{number}" for number in range(3)]
    assert sorted(context.joined) == [0, 1, 2]
    assert (said, context.terminated) == ([], [])


def test_there_are_as_many_workers_as_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "cores", lambda: 2)
    reports, _, _ = in_processes({0: [report(0)], 1: [report(1)]}, monkeypatch)
    assert reports.keys() == {0, 1}


def test_a_worker_that_dies_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    lives: dict[int, list[object]] = {0: [report(0)], 1: [-9, 3, -11, 0, report(1)]}
    reports, context, said = in_processes(lives, monkeypatch, workers=2, deaths=4)
    assert reports == {0: report(0), 1: report(1)}
    assert said == [
        f"worker 1 died of {how}, and another one takes its place"
        for how in ("SIGKILL", "exit code 3", "SIGSEGV", "exit code 0")
    ]
    assert [order.index for order in context.orders].count(1) == 5


def test_too_many_deaths_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    lives: dict[int, list[object]] = {0: [None], 1: [-9, -9, -6, report(1)]}
    error, context, said = in_processes(lives, monkeypatch, workers=2, deaths=2)
    assert isinstance(error, OutputError)
    assert str(error) == f"3 workers died, the last one of SIGABRT: expected 2 at most; {CURE}"
    assert len(said) == 2
    # the one that was still at work is ended, and waited for
    assert context.terminated == [0]
    assert context.joined[-1] == 0


def test_a_refusal_ends_all(monkeypatch: pytest.MonkeyPatch) -> None:
    lives: dict[int, list[object]] = {0: [None], 1: [REFUSAL]}
    error, context, said = in_processes(lives, monkeypatch, workers=2)
    assert str(error) == "--model m: got weights a, expected weights b; copy them"
    assert type(error) is UsageError
    assert (said, context.terminated) == ([], [0])


# --- Dask


class Cluster:
    """``distributed`` as far as it is used: a client whose tasks have ended already."""

    def __init__(self, answers: list[object], workers: int = 0) -> None:
        self.answers, self.workers = answers, workers
        self.settings: dict[str, Any] = {}
        self.local: list[dict[str, Any]] = []
        self.connected: list[tuple[Any, ...]] = []
        self.mapped: list[Any] = []
        self.cancelled: list[Any] = []
        self.closed = 0
        self.refusal: Exception | None = None

    def installed(self, monkeypatch: pytest.MonkeyPatch) -> Cluster:
        dask_module: Any = ModuleType("dask")

        @contextmanager
        def set_(values: dict[str, Any]) -> Iterator[None]:
            self.settings = values
            yield

        dask_module.config = SimpleNamespace(set=set_)
        module: Any = ModuleType("distributed")
        module.LocalCluster, module.Client = self._cluster, self._client
        module.as_completed = self._completed
        monkeypatch.setitem(sys.modules, "dask", dask_module)
        monkeypatch.setitem(sys.modules, "distributed", module)
        return self

    @contextmanager
    def _cluster(self, **options: Any) -> Iterator[str]:
        self.local.append(options)
        yield "local cluster"

    def _client(self, *args: Any, **options: Any) -> Any:
        self.connected.append((*args, options))
        if self.refusal is not None:
            raise self.refusal
        return self

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *error: object) -> None:
        self.closed += 1

    @property
    def scheduler(self) -> Any:
        return SimpleNamespace(address="tls://there:1")

    def scheduler_info(self, n_workers: int = 5) -> dict[str, Any]:
        assert n_workers == -1, "all of them, not only the first five"
        return {"workers": dict.fromkeys(range(self.workers))}

    def map(self, function: Any, orders: list[WorkOrder], **options: Any) -> list[Future[Any]]:
        self.mapped.append((function, orders, options))
        self.futures: list[Future[Any]] = [Future() for _ in orders]
        return self.futures

    def _completed(self, futures: Any, **options: Any) -> Iterator[tuple[Any, Any]]:
        assert options == {"with_results": True, "raise_errors": False}
        # the last one ends first
        yield from reversed(list(zip(futures, self.answers, strict=True)))

    def cancel(self, futures: Any, force: bool) -> None:
        self.cancelled.append((futures, force))
        raise OSError("the scheduler is gone")


SCHEDULER = "tls://there:1"


def on_dask(cluster: Cluster, **machines: Any) -> tuple[Any, list[str]]:
    said: list[str] = []
    try:
        return dask.on_dask(ORDER, Machines(**machines), said.append), said
    except LiifError as error:
        return error, said


def test_tasks_of_a_local_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster([report(0), report(1)], workers=2).installed(monkeypatch)
    reports, said = on_dask(cluster, workers=2, deaths=5)
    assert reports == {0: report(0), 1: report(1)}
    assert said == ["2 workers by tls://there:1"]
    assert cluster.local == [
        {
            "n_workers": 2,
            "threads_per_worker": 1,
            "processes": True,
            "host": "127.0.0.1",
            "dashboard_address": None,
            "memory_limit": None,
        }
    ]
    assert cluster.connected == [("local cluster", {})]
    orders = [WorkOrder("/p.jsonl", number, 2, tries=7, mixed=True) for number in range(2)]
    assert cluster.mapped == [(answered, orders, {"pure": False, "retries": 5})]
    assert cluster.cancelled == [(cluster.futures, True)]
    assert cluster.settings == {
        "distributed.scheduler.allowed-failures": 5,
        "distributed.nanny.pre-spawn-environ": dict.fromkeys(processes.ONE_THREAD, "1"),
        "distributed.worker.memory.target": False,
        "distributed.worker.memory.spill": False,
        "distributed.worker.memory.pause": False,
        "distributed.worker.memory.terminate": False,
        "distributed.worker.daemon": False,
    }
    assert cluster.closed == 1


def test_the_settings_are_known_to_dask() -> None:
    real = pytest.importorskip("dask")
    pytest.importorskip("distributed")
    for name in (
        "scheduler.allowed-failures",
        "nanny.pre-spawn-environ",
        *(f"worker.memory.{part}" for part in ("target", "spill", "pause", "terminate")),
        "worker.daemon",
    ):
        assert real.config.get(f"distributed.{name}", "unknown") != "unknown", name


def test_a_local_cluster_has_a_worker_per_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask, "cores", lambda: 3)
    cluster = Cluster([report(n) for n in range(3)], workers=3).installed(monkeypatch)
    reports, _ = on_dask(cluster)
    assert len(reports) == cluster.local[0]["n_workers"] == 3


def test_a_scheduler_decides_how_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster([report(n) for n in range(4)], workers=4).installed(monkeypatch)
    reports, said = on_dask(cluster, scheduler=SCHEDULER)
    assert len(reports) == 4
    assert said == ["4 workers by tls://there:1"]
    assert cluster.connected == [(SCHEDULER, {"timeout": 20})]
    assert (cluster.local, cluster.closed) == ([], 1)


def test_a_scheduler_without_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    error, _ = on_dask(Cluster([], workers=0).installed(monkeypatch), scheduler=SCHEDULER)
    assert type(error) is UsageError
    assert str(error) == (
        f"--scheduler {SCHEDULER}: got a scheduler without workers, expected one at least; "
        "start workers, or name how many will come by --workers"
    )
    cluster = Cluster([report(0)], workers=0).installed(monkeypatch)
    assert on_dask(cluster, scheduler=SCHEDULER, workers=1)[0] == {0: report(0)}
    cluster = Cluster([report(0)], workers=1).installed(monkeypatch)
    assert on_dask(cluster, scheduler=SCHEDULER)[0] == {0: report(0)}


def test_tasks_that_fail_are_no_matter_while_one_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [(RuntimeError, RuntimeError("x"), None), report(1)]
    cluster = Cluster(answers, workers=2).installed(monkeypatch)
    assert on_dask(cluster, scheduler=SCHEDULER)[0] == {1: report(1)}


@pytest.mark.parametrize(
    ("answer", "got"),
    [
        ((RuntimeError, RuntimeError("killed\n  four times"), None), "killed four times"),
        (RuntimeError("lost"), "lost"),
        ("", "nothing"),
    ],
)
def test_no_worker_came_to_its_end(
    answer: object, got: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster([answer], workers=1).installed(monkeypatch)
    error, _ = on_dask(cluster, scheduler=SCHEDULER)
    assert type(error) is OutputError
    assert str(error) == f"no worker came to its end: got {got}; {CURE}"


def test_a_refusal_of_a_task_ends_all(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster([report(0), REFUSAL], workers=2).installed(monkeypatch)
    error, _ = on_dask(cluster, scheduler=SCHEDULER)
    assert str(error) == str(REFUSAL.error)
    assert cluster.cancelled == [(cluster.futures, True)]


@pytest.mark.parametrize(
    ("refusal", "got"),
    [
        (OSError("timed\n out"), "timed out"),
        (ValueError("no such address"), "no such address"),
        (OSError(), "OSError"),
    ],
)
def test_a_scheduler_that_is_not_there(
    refusal: Exception, got: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster([]).installed(monkeypatch)
    cluster.refusal = refusal
    error, _ = on_dask(cluster, scheduler=SCHEDULER)
    assert type(error) is UsageError
    assert str(error) == (
        f"--scheduler {SCHEDULER}: got {got}, expected a Dask scheduler that answers; "
        "check the address, and that it is running"
    )


def test_dask_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UsageError) as error:
        dask.on_dask(ORDER, Machines(), print)
    assert str(error.value) == "--executor dask: got no distributed; pip install 'liif-cli[dask]'"


FORM = "local, tcp://HOST:PORT or tls://HOST:PORT"
NAMED = "--scheduler: got an address with a name or a password; leave it out"


@pytest.mark.parametrize(
    ("address", "message"),
    [
        *(
            (address, f"--scheduler: got {address!r}, expected {FORM}")
            for address in ("there:1", "http://there:1", "tls://:1", "tls://there", "tcp:1", "")
        ),
        ("tls://me:secret@there:1", NAMED),
        ("tls://me@there:1", NAMED),
        ("tls://:secret@there:1", NAMED),
        *(
            (
                address,
                f"--scheduler: got {address}, plain TCP to another machine, expected tls://, since "
                "whoever reaches a Dask scheduler can run anything by it; start the scheduler with "
                "TLS (see 'TLS/SSL' of Dask), or forward a port",
            )
            for address in ("tcp://10.0.0.1:8786", "tcp://there:1", "tcp://localhost.there:1")
        ),
    ],
)
def test_an_address_that_is_refused(address: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        dask._check_address(address)
    assert str(error.value) == message


@pytest.mark.parametrize(
    "address",
    [
        *("tls://there:1", "tls://10.0.0.1:8786", "tcp://127.0.0.1:1", "tcp://127.3.2.1:1"),
        *("tcp://[::1]:1", "tcp://localhost:8786"),
    ],
)
def test_an_address_that_is_taken(address: str) -> None:
    dask._check_address(address)
