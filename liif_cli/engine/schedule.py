"""The order of a batch's work: images become jobs, and their ends become results.

An image that another process is at is passed over, and looked at again when all others are done: by
then it is finished, most often. Where its owner died, it is done here.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from liif_cli.engine.claims import InWork, Owner, claim_path, is_task_claim
from liif_cli.engine.events import EndedElsewhere, ImageFailed, ImageSkipped, PassedOver, PlanMade
from liif_cli.engine.pool import Job
from liif_cli.engine.record import OutputState, make_folder, output_state, remove_stale_work
from liif_cli.engine.results import ImageResult, one_line
from liif_cli.engine.run import ImageRun
from liif_cli.engine.timewindow import TimeWindow
from liif_cli.engine.unfinished import Unfinished, store_path, unpacked_path
from liif_cli.errors import Interrupted, printable
from liif_cli.io import open_source
from liif_cli.io.atomic import drop, output_errors
from liif_cli.io.discover import Pair
from liif_cli.io.place import is_object, location
from liif_cli.io.unpack import remove_unpacked
from liif_cli.plan.plan import RenderPlan

if TYPE_CHECKING:
    from liif_cli.engine.batch import Batch, Draft

log = logging.getLogger(__name__)

Settled = Callable[[Pair], "tuple[str, str] | None"]
"""What other processes made of an image: its status and its error."""

_PATIENCE, _PATIENCE_HERE = (1.0, 0.5), (10.0, 3.0)
"""For how long others' tasks are waited for, in seconds at least, and in own tasks: on this machine
others live and use its cores; another one may be dead, and would be waited for in vain."""
_POLLS = (0.05, 0.1, 0.2, 0.5, 1.0)
"""Seconds between two looks at what is in work elsewhere; the last one from then on."""


class Scheduler:
    """Turns a batch into jobs, and keeps the result of every image.

    Args:
        batch: whose images.
        stop: set when the work should end early.
        until: when to begin nothing new.
        settled: status and error of an image that other processes ended; None where they did not.
    """

    def __init__(
        self,
        batch: Batch,
        stop: threading.Event,
        until: TimeWindow,
        settled: Settled | None = None,
    ) -> None:
        self.batch, self.stop, self.until = batch, stop, until
        self._settled = settled or (lambda pair: None)
        self._shares: dict[Path, float] = {}
        self._before: dict[Path, float] = {}
        self._results: dict[Path, ImageResult] = {}
        self._passed: dict[Path, dict[Path, Owner]] = {}
        self._said: set[Path] = set()
        self._impatient: set[Path] = set()
        self._task_seconds = 0.0
        self._memory = 0
        self._running = 0
        self._changed = threading.Condition()

    def results(self, order: list[Pair] | None = None) -> list[ImageResult]:
        """Results in the order of the inputs; images that never ended count as interrupted."""
        return [
            self._results.get(pair.input) or ImageResult(pair.input, None, "interrupted")
            for pair in (order or self.batch.pairs)
        ]

    def seconds_left(self, seconds: float) -> float | None:
        """How long the rest will take, if an image takes as long as one of this run's ``seconds``.

        Images are counted with the share that is rendered. None where nothing was rendered.
        """
        done = sum(result.status == "done" for result in self._results.values())
        left = len(self.batch.pairs) - len(self._results) - sum(self._shares.values())
        work = done + sum(self._shares.values()) - sum(self._before.values())
        return seconds * left / work if work > 0 and left > 0 else None

    def jobs(self) -> Iterator[Job]:
        """Jobs of every image, one image after the other; last those that were passed over."""
        pairs = self.batch.pairs
        while pairs:
            for pair in pairs:
                if self.stop.is_set() or self.until.over:
                    return
                yield from self._image(pair)
            pairs = self._free()

    def _free(self) -> list[Pair]:
        """Images that were passed over and may be free by now; waits for the first one.

        Tasks that others are at are not waited for longer than a few of this process's own took:
        whoever has them may be slow, or dead on another machine. Then both do them.
        """
        polls, waited = iter(_POLLS), 0.0
        with self._changed:
            # whoever runs still may be passed over
            while self._running and not self.stop.is_set():
                self._changed.wait(0.5)
        while self._passed and not self.stop.is_set() and not self.until.over:
            seconds = next(polls, _POLLS[-1])
            self.stop.wait(seconds)
            waited += seconds
            claims = self.batch.claims
            slow = {path for path, owners in self._passed.items() if self._slow(owners, waited)}
            free = slow | {
                path
                for path, owners in self._passed.items()
                if not any(claims.owner(claim) for claim in owners)
            }
            if free:
                self._impatient |= slow
                for path in free:
                    del self._passed[path]
                return [pair for pair in self.batch.pairs if pair.input in free]
        return []

    def _slow(self, owners: Mapping[Path, Owner], waited: float) -> bool:
        """Whether the tasks that others are at have been waited for long enough."""
        here = any(owner.here for owner in owners.values())
        least, tasks = _PATIENCE_HERE if here else _PATIENCE
        longest = max(least, tasks * self._task_seconds)
        return waited > longest and all(map(is_task_claim, owners))

    def _image(self, pair: Pair) -> Iterator[Job]:
        """Jobs of one image."""
        if (ended := self._settled(pair)) is not None:
            status, error = ended
            self._results[pair.input] = ImageResult(pair.input, None, status, error=error or None)
            self.batch.listen(EndedElsewhere(pair.input, error))
            return
        try:
            draft = self.batch.draft(pair)
            state = self.batch.outputs.state(draft.plan)
            if draft.looked and state is OutputState.FINISHED:
                self._skip(draft.plan)
                return
            self._claim(draft)
        except InWork as error:
            self._pass(pair.input, error.owners)
            return
        except Exception as error:
            self._fail(pair.input, error)
            return
        self._admit(draft.plan)
        run: ImageRun | None = None
        done = 0
        try:
            run = self._run(draft, state)
            if run is not None:
                done = run.open(tidy=self.batch.outputs.untidy(run.output))
        except Exception as error:
            if run is not None:
                run.close()
            self._let_go(draft.plan)
            if isinstance(error, InWork):
                self._pass(pair.input, error.owners)
            else:
                self._fail(pair.input, error)
            return
        if run is None:
            self._let_go(draft.plan)
            self._skip(draft.plan)
            return
        self._before[pair.input] = done / run.plan.pixels
        self.batch.listen(PlanMade(run.plan, done))
        if pair.input not in self._said:
            self.batch.notices.of_dropped(draft.info, run.plan)
        yield from _ImageJobs(run, self).jobs()

    def _claim(self, draft: Draft) -> None:
        """Claim an image.

        Raises:
            InWork: another process has it.
            OutputError: its folder cannot be written.
            InputError: the process that had it died of it.
        """
        output = location(draft.plan.output)
        claim = claim_path(output)
        make_folder(output)
        with output_errors(output):
            owner = self.batch.claims.take(claim)
        if owner is not None:
            raise InWork({claim: owner})
        if claim in self.batch.claims.taken_over:
            self.batch.deaths.refresh()
            try:
                self.batch.deaths.check(draft.info, draft.plan.page)
            except BaseException:
                self.batch.claims.release(claim)
                raise

    def _run(self, draft: Draft, state: OutputState) -> ImageRun | None:
        """The run of an image, its input open; None where it is finished after all."""
        batch, plan, started = self.batch, draft.plan, time.monotonic()
        batch.deaths.begin(location(plan.input))
        source = open_source(location(plan.input), plan.view)
        try:
            if not draft.looked:
                plan, state = batch.outputs.look(plan, state, source)
            if state not in (OutputState.DAMAGED, OutputState.FINISHED):
                # somebody may have finished it before it was claimed
                state = output_state(location(plan.output), plan)
            if state is not OutputState.FINISHED:
                return ImageRun(
                    plan,
                    source,
                    batch.loaded.in_precision(plan.precision),
                    batch.listen,
                    self.stop,
                    batch.exact,
                    started,
                    batch.claims,
                    draft.replaces,
                    strict=batch.spec.strict,
                    patient=location(plan.input) not in self._impatient,
                )
        except BaseException:
            source.close()
            raise
        source.close()
        return None

    def _admit(self, plan: RenderPlan) -> None:
        """Wait until the image's memory fits beside those in flight."""
        extra = plan.projected_mem - self.batch.machine.base_bytes
        room = self.batch.machine.allowed_bytes - self.batch.machine.base_bytes
        with self._changed:
            while self._running and self._memory + extra > room and not self.stop.is_set():
                self._changed.wait(0.5)
            self._running += 1
            self._memory += extra

    def _release(self, plan: RenderPlan) -> None:
        with self._changed:
            self._running -= 1
            self._memory -= plan.projected_mem - self.batch.machine.base_bytes
            self._changed.notify_all()

    def _let_go(self, plan: RenderPlan) -> None:
        """Give up an image that was admitted and claimed."""
        self.batch.claims.release(claim_path(location(plan.output)))
        self._release(plan)

    def _pass(self, source: Path, owners: Mapping[Path, Owner]) -> None:
        """Look at an image again later."""
        self.batch.deaths.end(source)
        self._before.pop(source, None)
        self._passed[source] = dict(owners)
        named = [owner for owner in owners.values() if owner.pid]
        if source not in self._said and named:
            self._said.add(source)
            reason = f"in work by {printable(str(named[0]))}"
        else:
            reason = ""
        self.batch.listen(PassedOver(source, reason))

    def _skip(self, plan: RenderPlan) -> None:
        source, target = location(plan.input), location(plan.output)
        self._tidy(plan)
        self.batch.deaths.end(source)
        self._before.pop(source, None)
        self._results[source] = ImageResult(
            source, target, "skipped", plan.region.shape, cleanup=plan.cleanup, gray=plan.gray
        )
        self.batch.listen(ImageSkipped(source, target))

    def _tidy(self, plan: RenderPlan) -> None:
        """Remove what killed processes left beside a finished output."""
        output, claims = location(plan.output), self.batch.claims
        claim = claim_path(output)
        if not self.batch.outputs.untidy(output):
            return
        try:
            if claims.take(claim) is not None:
                return
            try:
                if claims.others(output):
                    return
                remove_stale_work(output)
                left = Unfinished.read(output)
                if is_object(output):
                    # a Zarr output is there itself, and is left alone
                    torn = store_path(output) != output and left is None
                else:
                    torn = left is None or left.path != store_path(output)
                # of other work it may be: that is its own command's to finish
                same = left is not None and left.half and left.fingerprint == plan.store_fingerprint
                if torn or same:
                    drop(store_path(output))
                    remove_unpacked(unpacked_path(output))
            finally:
                claims.release(claim)
        except OSError as error:
            log.debug("%s: cannot be tidied: %s", output, error)

    def _fail(self, source: Path, error: Exception) -> None:
        log.debug("%s failed", source, exc_info=error)
        self.batch.deaths.end(source)
        message = one_line(error)
        self._results[source] = ImageResult(source, None, "failed", error=message)
        self.batch.listen(ImageFailed(source, message))

    def ended(self, run: ImageRun) -> None:
        """Called by the last job of an image."""
        try:
            self._end(run)
        except Exception as error:
            # an image that never ended would be waited for
            self._fail(run.input, error)
        finally:
            self._release(run.plan)

    def _end(self, run: ImageRun) -> None:
        self._task_seconds = run.task_seconds or self._task_seconds
        if self.stop.is_set() or run.cut:
            self._shares[run.input] = run.share()
            run.close()
            # the process lives, so that this is not a death
            self.batch.deaths.end(run.input)
            if run.error is not None:
                self._fail(run.input, run.error)
        elif run.error is not None and not run.lost:
            run.close()
            self._fail(run.input, run.error)
        else:
            self._finish(run)

    def _finish(self, run: ImageRun) -> None:
        try:
            if run.elsewhere or run.lost:
                raise InWork(run.elsewhere)
            run.finish()
        except InWork as error:
            run.close()
            self._pass(run.input, error.owners)
        except Interrupted:
            run.close()
        except Exception as error:
            run.close()
            self._fail(run.input, error)
        else:
            self.batch.deaths.end(run.input)
            self._results[run.input] = ImageResult(
                run.input,
                run.output,
                "done",
                run.plan.region.shape,
                run.plan.pixels,
                time.monotonic() - run.started,
                cleanup=run.plan.cleanup,
                gray=run.plan.gray,
                rendered=run.rendered,
            )


class _ImageJobs:
    """The jobs of one image; whichever ends last finishes the image."""

    def __init__(self, run: ImageRun, scheduler: Scheduler) -> None:
        self.run, self.scheduler = run, scheduler
        self._open = 1  # the generator itself, until it has handed out every task
        self._lock = threading.Lock()

    def jobs(self) -> Iterator[Job]:
        try:
            for task in self.run.tasks(self.scheduler.batch.part):
                if self.run.error is not None or self.scheduler.stop.is_set():
                    break
                if self._out_of_time():
                    break
                with self._lock:
                    self._open += 1

                def job(task=task) -> None:  # type: ignore[no-untyped-def]
                    try:
                        ended = self.run.error is not None or self.scheduler.stop.is_set()
                        if not ended and not self._out_of_time():
                            self.run.render(task)
                    except Exception as error:
                        self.run.error = self.run.error or error
                    finally:
                        self._close_one()

                yield job
        finally:
            self._close_one()

    def _out_of_time(self) -> bool:
        """Whether no task may begin any more; an image that nothing on the disk holds is ended."""
        if self.run.plan.via_store and self.scheduler.until.over:
            self.run.cut = True
        return self.run.cut

    def _close_one(self) -> None:
        with self._lock:
            self._open -= 1
            last = self._open == 0
        if last:
            self.scheduler.ended(self.run)
