"""What would a thousand workers do? Planner's counts, a run's requests, and a simulation of time.

1. **Counts.** The planner plans one output of 300000x200000; its tasks, shards and windows are
   added up. A plan of a million images is written.
2. **Requests.** A small output is really rendered into a bucket in memory, with every request
   counted and put down to tasks, shards or the image. The counts of 1. are multiplied by these.
3. **Time.** A simulation has the policy of ``liif work`` (own slice first, then what is left at
   random, claims, no waiting for the slow) with render times around those measured here; some
   workers are stragglers and some die. Compared with slices that nobody else touches.

No machine of that size was at hand: 3. says what the policy does, not what a network would.

    python -m benchmarks.scale [--workers N] [--quick]
"""

from __future__ import annotations

import argparse
import heapq
import math
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from liif_cli.engine.batch import Batch, run_batch
from liif_cli.engine.cost import model_cost
from liif_cli.engine.machine import numerics_of
from liif_cli.geometry.axis import AxisMap
from liif_cli.geometry.grid import TileGrid
from liif_cli.geometry.size import SizeRequest
from liif_cli.io.place import location
from liif_cli.io.pyramid import level_shapes
from liif_cli.models.loader import DEFAULT_MODEL, load_model
from liif_cli.plan.cutting import TILE
from liif_cli.plan.plan import RenderPlan
from liif_cli.plan.planfile import PlanFile
from liif_cli.plan.planner import make_plan
from liif_cli.plan.spec import InputFacts, Machine, OutputFacts, RenderSpec

GIB = 2**30
LEASE = 90.0


def planned(size: str, shape: tuple[int, int], memory: int, format: str) -> RenderPlan:
    """The plan of one image of ``shape`` by a worker of ``memory`` bytes and one thread."""
    loaded = load_model(DEFAULT_MODEL, torch.device("cpu"))
    spec = RenderSpec(size=SizeRequest.from_size(size), model=DEFAULT_MODEL, max_memory=memory)
    out_shape = spec.size.output_shape(*shape)
    cost = model_cost(
        loaded.model,
        AxisMap(shape[0], out_shape[0]),
        AxisMap(shape[1], out_shape[1]),
        tile=TILE,
        sample_bytes=4,
    )
    source = InputFacts("in.tif", "tiff", (*shape, 3), "uint8", "0" * 64, decoded_bytes=32 * 2**20)
    output = OutputFacts(f"out.{format}", format, disk_free=10**15, remote=True)
    machine = Machine(workers=1, base_bytes=600 * 2**20, allowed_bytes=memory)
    return make_plan(
        spec, source, [output], cost, machine, model_digest=loaded.digest, precision="fp32"
    )


@contextmanager
def counted(counts: Counter[str], sizes: Counter[str]) -> Iterator[None]:
    """Counts obstore's calls by what they are about: "task put", "shard head", ..."""
    import obstore

    kept: dict[str, Callable[..., Any]] = {}

    def wrapped(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counting(store: Any, path: Any = "", *args: Any, **options: Any) -> Any:
            key = str(path)
            kind = "task" if ".claim" in key and key.split(".")[-2].isdecimal() else "image"
            kind = "shard" if "/c/" in key else "input" if key.startswith("in") else kind
            counts[f"{kind} {name}"] += 1
            if name == "put" and args:
                sizes[f"{kind} put"] += len(args[0])
            return call(store, path, *args, **options)

        return counting

    for name in ("put", "get", "get_range", "head", "list", "list_with_delimiter", "delete"):
        kept[name] = getattr(obstore, name)
        setattr(obstore, name, wrapped(name, kept[name]))
    try:
        yield
    finally:
        for name, call in kept.items():
            setattr(obstore, name, call)


def measured(side: int) -> tuple[dict[str, float], float, RenderPlan]:
    """Requests per task, shard and image of a run into memory, and seconds per task."""
    import tifffile

    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "in.tif")
        small = rng.integers(0, 256, (side // 8, side // 8, 3), dtype=np.uint8)
        tifffile.imwrite(file, small, tile=(256, 256), photometric="rgb", compression="zlib")
        root = location("memory://scale")
        (root / "in.tif").put(file)  # type: ignore[attr-defined]
    spec = RenderSpec(size=SizeRequest.from_scale("8"), model=DEFAULT_MODEL, max_memory=GIB, jobs=1)
    plans: list[RenderPlan] = []
    counts: Counter[str] = Counter()
    sizes: Counter[str] = Counter()

    def listen(event: Any) -> None:
        if hasattr(event, "plan"):
            plans.append(event.plan)

    with counted(counts, sizes):
        batch = Batch(root / "in.tif", root / "out.zarr", spec, suffix="", listen=listen)
        started = time.monotonic()
        report = run_batch(batch)
        seconds = time.monotonic() - started
    assert report.exit_code == 0, report
    (plan,) = plans
    tasks, shards = len(list(plan.tasks())), shards_of(plan)
    per = {"task": tasks, "shard": shards, "image": 1, "input": tasks}
    found = {name: count / per[name.split()[0]] for name, count in counts.items()}
    return found, seconds / tasks, plan


def shards_of(plan: RenderPlan) -> int:
    """Shards of all levels."""
    found = 0
    for number, (height, width) in enumerate(level_shapes(*plan.region.shape)):
        side = plan.shard if number == 0 else max(plan.chunk, plan.shard // 2)
        found += len(TileGrid(height, width, side, side))
    return found


class Simulation:
    """Workers with the policy of ``liif work`` on the tasks of one image, or on images.

    Args:
        tasks: how many.
        workers: how many.
        seconds: of a task, in the mean; times are lognormal around it.
        sharing: others' tasks are done as well; without, each does its slice and no more.
        patience: seconds after which a task that another one has is done all the same.
        look: seconds of a look at what is left.
    """

    def __init__(
        self,
        tasks: int,
        workers: int,
        seconds: float,
        *,
        sharing: bool,
        patience: float,
        look: float = 0.5,
        seed: int = 0,
    ) -> None:
        self.rng = random.Random(seed)
        self.tasks, self.workers, self.seconds = tasks, workers, seconds
        self.sharing, self.patience, self.look = sharing, patience, look

    def run(self) -> dict[str, float]:
        """Makespan, idle and wasted share of the workers' time, tasks that are left."""
        rng, count = self.rng, self.workers
        slow = [rng.choice((3.0, 5.0)) if rng.random() < 0.02 else 1.0 for _ in range(count)]
        ideal = self.tasks * self.seconds / count
        dies = [rng.uniform(0, ideal) if rng.random() < 0.05 else math.inf for _ in range(count)]
        self.done = np.zeros(self.tasks, bool)
        self.claimed = np.full(self.tasks, -math.inf)
        self.owner = np.full(self.tasks, -1)
        self.own = [
            list(range(w * self.tasks // count, (w + 1) * self.tasks // count))[::-1]
            for w in range(count)
        ]
        self.rest: list[list[int]] = [[] for _ in range(count)]
        self.since: list[float | None] = [None] * count
        busy = wasted = finished = 0.0
        # (time, order, worker, task that it ends or -1, how long it took)
        events = [(0.0, worker, worker, -1, 0.0) for worker in range(count)]
        order, left = count, self.tasks
        while events:
            now, _, worker, task, took = heapq.heappop(events)
            if now > dies[worker]:
                busy += max(0.0, dies[worker] - (now - took))
                continue
            if task >= 0:
                if self.done[task]:
                    wasted += took
                else:
                    busy += took
                    left, finished = left - 1, now
                    self.done[task] = True
                if self.owner[task] == worker:
                    self.claimed[task], self.owner[task] = -math.inf, -1
            if not left:
                break
            order += 1
            picked, later = self._pick(worker, now)
            if picked is None:
                if self.sharing:
                    heapq.heappush(events, (now + 1.0, order, worker, -1, 0.0))
                continue
            if not self._taken(picked, now):
                self.claimed[picked], self.owner[picked] = now, worker
            took = self.seconds * slow[worker] * rng.lognormvariate(-0.02, 0.2)
            heapq.heappush(events, (now + later + took, order, worker, picked, took))
        # what is in work when the last task ends
        for now, _, worker, task, took in events:
            if task >= 0:
                wasted += max(0.0, min(finished, dies[worker]) - (now - took))
        alive = sum(min(dies[worker], finished) for worker in range(count))
        return {
            "seconds": finished,
            "idle": max(0.0, 1 - (busy + wasted) / alive),
            "wasted": wasted / alive,
            "left": left,
        }

    def _taken(self, task: int, now: float) -> bool:
        return bool(now - self.claimed[task] <= LEASE)

    def _pick(self, worker: int, now: float) -> tuple[int | None, float]:
        """A task to begin, and the seconds that finding it took."""
        own, rest = self.own[worker], self.rest[worker]
        for source in (own, rest):
            while source:
                task = source.pop()
                if not self.done[task] and not self._taken(task, now):
                    self.since[worker] = None
                    return task, 0.0
        if not self.sharing:
            return None, 0.0
        missing = np.flatnonzero(~self.done)
        free = missing[now - self.claimed[missing] > LEASE]
        if len(free):
            self.since[worker] = None
            rest += self.rng.sample(free.tolist(), min(8, len(free)))
            return rest.pop(), self.look
        since = self.since[worker]
        if since is None:
            self.since[worker] = now
        elif now - since >= self.patience:
            return int(self.rng.choice(missing.tolist())), self.look
        return None, self.look


def show(name: str, facts: dict[str, float], sharing: str) -> None:
    """One line of a simulation."""
    print(
        f"  {name:<34} {sharing:<18} {facts['seconds']:8.0f} s, idle {facts['idle']:5.1%}, "
        f"done twice {facts['wasted']:5.1%}, left {facts['left']:.0f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=1000)
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    found, task_seconds, small = measured(2048 if args.quick else 6144)
    print(f"requests of a run into memory, {small.region.shape[1]}x{small.region.shape[0]}:")
    for name, value in sorted(found.items()):
        print(f"  {name:<28} {value:7.2f} per {name.split()[0].replace('input', 'task')}")
    per_pixel = task_seconds / max(1, small.pixels / len(list(small.tasks())))
    tasks_of: dict[int, int] = {}
    for memory in (2, 8):
        plan = planned("300000x200000", (40000, 60000), memory * GIB, "zarr")
        tasks = list(plan.tasks())
        tasks_of[memory] = len(tasks)
        shards = shards_of(plan)
        read = sum(task.read.pixels for task in tasks) / (40000 * 60000)
        requests = sum(
            value * {"task": len(tasks), "input": len(tasks), "shard": shards, "image": 1}[kind]
            for name, value in found.items()
            for kind in [name.split()[0]]
        )
        print(
            f"60 Gpx, {memory} GiB per worker: {len(tasks):,} tasks, {shards:,} shards, "
            f"input read {read:.2f} times, {requests:,.0f} requests, "
            f"{plan.pixels * 3 * 4 / 3 / 1e9:.0f} GB before compression, "
            f"{plan.pixels * per_pixel / 3600:.1f} core-hours at the speed measured here"
        )
    started = time.monotonic()
    names = tuple(f"2026/{number // 1000:04}/{number:07}.jpg" for number in range(1_000_000))
    spec = RenderSpec(size=SizeRequest(scale=(Fraction(2), Fraction(2))), model=DEFAULT_MODEL)
    plan_file = PlanFile(
        "s3://in", "s3://out", spec, "", "0" * 64, numerics_of(torch.device("cpu"), "fp32"), names
    )
    with tempfile.TemporaryDirectory() as folder:
        plan_file.write(Path(folder, "p.jsonl"))
        size = Path(folder, "p.jsonl").stat().st_size
    print(
        f"a million images: a plan of {size / 1e6:.0f} MB, written in "
        f"{time.monotonic() - started:.0f} s"
    )
    mean = 8e6 * per_pixel
    print(f"simulated, {args.workers:,} workers, 2 % three to five times slower, 5 % die:")
    cases = [
        ("60 Gpx, tasks of 2 GiB", tasks_of[2], 60e9 * per_pixel / tasks_of[2]),
        ("60 Gpx, tasks of 8 GiB", tasks_of[8], 60e9 * per_pixel / tasks_of[8]),
        ("100,000 images of 2 Mpx", 100_000, mean),
    ]
    for name, tasks, seconds in cases:
        for sharing in (True, False):
            # a whole image that another worker has is left to it for as long as its lease
            patience = LEASE if "images" in name else max(1.0, 0.5 * seconds)
            simulation = Simulation(
                tasks, args.workers, seconds, sharing=sharing, patience=patience
            )
            show(name, simulation.run(), "shared" if sharing else "slices alone")


if __name__ == "__main__":
    main()
