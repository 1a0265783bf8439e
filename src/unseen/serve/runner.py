"""What makes jobs run: it starts them in turn, follows them, and takes up again what a dead server left."""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from unseen.serve.executor import Executor
from unseen.serve.folders import Folders
from unseen.serve.kinds import Kind
from unseen.serve.limits import Limits
from unseen.serve.messages import without_paths
from unseen.serve.signals import Signals
from unseen.serve.store import Job, State, Store
from unseen.serve.supervisor import Order, bytes_below

LOG = logging.getLogger("unseen.serve.runner")
LOOK_S = 2.0
"""Seconds between two looks at a running job's files."""
SWEEP_S = 30.0
"""Seconds between two looks for jobs whose time is over."""
SESSION_S = 30 * 24 * 3600.0
REASONS = {
    "memory": "stopped: it needed more memory than a job may have here",
    "time": "stopped: it took longer than a job may here",
    "disk": "stopped: its files grew larger than a job's may here",
}


class Runner:
    """Runs waiting jobs, as many at once as the limits allow.

    Args:
        store, folders: of the jobs.
        kinds: what jobs there are, by name.
        limits: of the jobs.
        executor: runs them.
        signals: told of everything that happens.

    Attributes:
        alive: whether jobs are run now.
    """

    def __init__(
        self, store: Store, folders: Folders, kinds: Mapping[str, Kind], limits: Limits, executor: Executor,
        signals: Signals,
    ) -> None:  # fmt: skip
        self.store, self.folders, self.kinds, self.limits = store, folders, kinds, limits
        self.executor, self.signals = executor, signals
        self.running: dict[str, asyncio.Task[None]] = {}
        self._awake = asyncio.Event()
        self._stopping = False
        self.alive = False

    def wake(self) -> None:
        """There may be something to start."""
        self._awake.set()

    async def run(self) -> None:
        """Run until cancelled; jobs that run then wait again, and go on when a server is there again."""
        self.recover()
        self.alive = True
        sweeping = asyncio.create_task(self._sweep())
        try:
            while True:
                self._awake.clear()
                self._start_some()
                await self._awake.wait()
        finally:
            self._stopping, self.alive = True, False
            sweeping.cancel()
            await self._stop_all()

    async def stop(self, job_id: str) -> None:
        """End a job's work; returns when none of its processes is left."""
        if (task := self.running.get(job_id)) is not None:
            task.cancel()
            await asyncio.wait([task])

    def recover(self) -> None:
        """Settle what a server that died left: its running jobs, and folders of jobs that were not yet or no longer."""
        for job in self.store.jobs_in(State.RUNNING):
            self.executor.kill_left(job.id)
            self._settle(job, job.attempts)
        for stray in self.folders.remove_strays(self.store.ids()):
            LOG.info("removed a folder without a job", extra={"job": stray})

    def sweep(self) -> None:
        """Forget jobs whose time is over, with their files."""
        for job_id in self.store.expired(time.time()):
            if self.store.remove(job_id):
                self.folders.remove(job_id)
                self.signals.notify(job_id)
        self.store.drop_sessions(time.time() - SESSION_S)

    def _start_some(self) -> None:
        while len(self.running) < self.limits.jobs and (job := self.store.next_job()) is not None:
            attempt = self.store.begin(job.id)
            if attempt is None:
                return
            self.signals.notify(job.id)
            task = asyncio.create_task(self._run(job, attempt))
            self.running[job.id] = task
            task.add_done_callback(partial(self._done, job.id))

    def _done(self, job_id: str, task: asyncio.Task[None]) -> None:
        """A task is over, and if it was cancelled, maybe before its first line."""
        self.running.pop(job_id, None)
        if task.cancelled() and self._stopping:
            self.store.requeue(job_id, forgiven=True, message="waits for the server to come back")
        elif task.cancelled():
            self.store.end(job_id, State.RUNNING, State.CANCELLED, "", self.limits.keep_seconds)
        self.signals.notify(job_id)
        self.wake()

    async def _run(self, job: Job, attempt: int) -> None:
        """One attempt."""
        LOG.info("begun", extra={"job": job.id, "kind": job.kind, "attempt": attempt})
        looking = asyncio.create_task(self._look(job))
        try:
            await self.executor.run(self._order(job, attempt), lambda event: self._told(job.id, event))
        except Exception as error:
            LOG.exception("could not be run", extra={"job": job.id})
            self._end(job, State.FAILED, f"the server could not run it: {type(error).__name__}")
        else:
            self._settle(job, attempt)
        finally:
            looking.cancel()

    def _order(self, job: Job, attempt: int) -> Order:
        folder = self.folders.job(job.id)
        command = self.kinds[job.kind].command(self.folders.inputs(job.id), job.settings, self.folders.outputs(job.id))
        limits = self.limits
        return Order(
            job.id, attempt, command, str(folder), limits.memory_bytes, limits.job_seconds, limits.job_bytes
        )  # fmt: skip

    def _settle(self, job: Job, attempt: int) -> None:
        """What becomes of a job whose attempt is over."""
        shutil.rmtree(self.folders.job(job.id) / "tmp", ignore_errors=True)
        end = self.folders.end_of(job.id)
        self.store.record_files(job.id, *self._found(job))
        if end is None or end.get("attempt") != attempt or (end["reason"] is None and end["code"] < 0):
            self._died(job, attempt)
        elif end["reason"] is not None:
            self._end(job, State.FAILED, REASONS[end["reason"]])
        elif end["code"] == 0:
            self._end(job, State.COMPLETED, "")
        else:
            said = str(end["error"]).removeprefix("error: ")
            self._end(job, State.FAILED, self._said(said) or f"ended with exit code {end['code']}")

    def _died(self, job: Job, attempt: int) -> None:
        if attempt >= self.limits.attempts:
            self._end(job, State.FAILED, f"its process died {attempt} times, perhaps for want of memory")
            return
        LOG.warning("died, waits to be taken up again", extra={"job": job.id, "attempt": attempt})
        self.store.requeue(job.id, forgiven=False, message="its process died: it waits to be taken up again")
        self.signals.notify(job.id)

    def _end(self, job: Job, state: State, message: str) -> None:
        if self.store.end(job.id, State.RUNNING, state, message, self.limits.keep_seconds):
            LOG.info("ended", extra={"job": job.id, "kind": job.kind, "state": state.value})
        self.signals.notify(job.id)

    def _told(self, job_id: str, event: Mapping[str, Any]) -> None:
        """What the job tells."""
        if isinstance(stage := event.get("stage"), str):
            with suppress(KeyError, TypeError, ValueError):
                self.store.record_progress(job_id, self._said(stage), int(event["done"]), int(event["total"]))
        elif isinstance(note := event.get("note"), str):
            self.store.record_note(job_id, self._said(note))
        self.signals.notify(job_id)

    def _said(self, text: str) -> str:
        return without_paths(text.replace(f"{self.folders.state}/", "/jobs/"))

    async def _look(self, job: Job) -> None:
        """Look for new results while the job runs."""
        while True:
            await asyncio.sleep(LOOK_S)
            if self.store.record_files(job.id, *await asyncio.to_thread(self._found, job)):
                self.signals.notify(job.id)

    def _found(self, job: Job) -> tuple[list[dict[str, Any]], str | None, int]:
        """Results, the one to show, and the bytes of all that is in a job's folder."""
        kind = self.kinds.get(job.kind)
        names = sorted((n, size) for n, size in self.folders.output_names(job.id) if kind and kind.shows(n))
        files = [{"name": name, "bytes": size} for name, size in names]
        preview = kind.preview([name for name, _ in names]) if kind else None
        return files, preview, bytes_below(str(self.folders.job(job.id)))

    async def _sweep(self) -> None:
        while True:
            self.sweep()
            await asyncio.sleep(SWEEP_S)

    async def _stop_all(self) -> None:
        tasks = list(self.running.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
