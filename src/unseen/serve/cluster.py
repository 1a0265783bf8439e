"""Where jobs run: on the machines of a Ray cluster.

Every machine has unseen installed and sees the server's folder under the same path; Python and Ray are of the same
versions everywhere. Beside each job, on its machine, lives an actor (`Keeper`): when it dies, with its machine or with
the server, the job's supervisor ends the job.
"""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from unseen.core.errors import MissingDependencyError, ResourceError
from unseen.serve.executor import PATIENCE_S, Tell, event_of
from unseen.serve.supervisor import Order, as_line

LOG = logging.getLogger("unseen.serve.cluster")
NAMESPACE = "unseen"
ASK_S = 0.5
"""Seconds between two questions for what a job has told."""
WAIT_NOTE_S = 5.0
"""Seconds without a machine after which the job's owner is told so."""
TAKEN_S = 60.0
"""For what an earlier server left of a job to be gone."""
THREADS = 64
"""That wait for answers of the cluster: jobs beyond are asked after less often."""
PYTHON = "PYTHON"
"""Stands for each machine's own Python in a command."""


T = TypeVar("T")


class Keeper:
    """Runs one job on the machine it is on, and keeps what the job tells until it is asked. An actor of Ray's, several
    of whose methods run at once."""

    def __init__(self) -> None:
        self._lines: list[bytes] = []
        self._supervisor: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def here(self) -> None:
        """Returns once there is a machine for it."""

    def run(self, order: Order) -> None:
        """Run a job until it ends."""
        command = [sys.executable if part == PYTHON else part for part in order.command]
        if self._stopped:
            return
        self._supervisor = subprocess.Popen(
            [sys.executable, "-m", "unseen.serve.supervisor"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        assert self._supervisor.stdin is not None and self._supervisor.stdout is not None
        self._supervisor.stdin.write(as_line(replace(order, command=command)))
        self._supervisor.stdin.flush()
        for line in self._supervisor.stdout:
            self._lines.append(line)
        self._supervisor.wait()

    def told(self) -> list[bytes]:
        """What the job told since this was asked last."""
        count = len(self._lines)
        lines, self._lines[:count] = self._lines[:count], []
        return lines

    def stop(self) -> None:
        """End the job; returns when none of its processes is left."""
        self._stopped = True
        if self._supervisor is not None and self._supervisor.stdin is not None:
            with suppress(OSError):
                self._supervisor.stdin.close()
            self._supervisor.wait(PATIENCE_S)


class ClusterExecutor:
    """Runs jobs on a Ray cluster: each on a machine of its own, or with a GPU of its own where there are GPUs.

    A job whose machine is lost has died as a job whose process died: it is begun again elsewhere.

    Args:
        address: of the cluster: ray://HOST:PORT for one that this machine is not part of, HOST:PORT or "auto" for one
            that it is part of.

    Raises:
        MissingDependencyError: Ray is not installed.
        ResourceError: no cluster there, or none with Python and Ray of these versions.
    """

    def __init__(self, address: str) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            import ray
        except ImportError as error:
            raise MissingDependencyError("ray is not installed: pip install 'unseen[ray]'") from error
        self._ray: Any = ray
        try:
            ray.init(address, namespace=NAMESPACE, log_to_driver=False, logging_level=logging.ERROR)
        except Exception as error:  # whatever Ray says of it
            raise ResourceError(f"no Ray cluster at {address}: {error}") from error
        self._keeper = ray.remote(Keeper)
        self._threads = ThreadPoolExecutor(THREADS, "unseen-cluster")

    async def run(self, order: Order, tell: Tell) -> None:
        """See `Executor`."""
        (Path(order.folder) / "end.json").unlink(missing_ok=True)
        command = [PYTHON if part == sys.executable else part for part in order.command]
        keeper = await self._placed(order.job, tell)
        try:
            await self._kept(keeper, replace(order, command=command), tell)
        except self._ray.exceptions.RayActorError:
            LOG.warning("lost its machine", extra={"job": order.job})
        finally:
            await asyncio.shield(self._aside(self._end, keeper))

    def kill_left(self, job: str) -> None:
        """See `Executor`. Ray ends the actors of a server that is gone; this waits for it."""
        end = time.monotonic() + TAKEN_S
        while time.monotonic() < end and (left := self._left(job)) is not None:
            self._end(left)

    async def _placed(self, job: str, tell: Tell) -> Any:
        """An actor with a machine. It is named after the job: there is one at a time, whichever server asks."""
        while True:
            await self._aside(self.kill_left, job)
            keeper = await self._aside(self._new_keeper, job)
            try:
                here = keeper.here.remote()
                if not await self._ready(here, WAIT_NOTE_S):
                    tell({"note": "waits for a machine of the cluster"})
                while not await self._ready(here, ASK_S):
                    pass
                await self._aside(self._ray.get, here)
                return keeper
            except self._ray.exceptions.RayActorError:  # a machine that was lost before the job began
                continue
            except BaseException:
                await asyncio.shield(self._aside(self._end, keeper))
                raise

    async def _kept(self, keeper: Any, order: Order, tell: Tell) -> None:
        running = keeper.run.remote(order)
        over = False
        while not over:
            over = await self._ready(running, ASK_S)
            for line in await self._aside(self._ray.get, keeper.told.remote()):
                if (event := event_of(line)) is not None:
                    tell(event)
        await self._aside(self._ray.get, running)

    async def _ready(self, reference: Any, seconds: float) -> bool:
        """Whether there is an answer, or becomes one."""
        found, _ = await self._aside(lambda: self._ray.wait([reference], timeout=seconds))
        return bool(found)

    def _aside(self, call: Callable[..., T], *args: Any) -> asyncio.Future[T]:
        """Call in a thread: futures of Ray's own cannot be cancelled, and nothing else of it may block the server."""
        return asyncio.get_running_loop().run_in_executor(self._threads, call, *args)

    def _new_keeper(self, job: str) -> Any:
        cpus, gpus = self._share()
        options = {"name": job, "num_cpus": cpus, "num_gpus": gpus, "max_concurrency": 4, "max_restarts": 0}
        return self._keeper.options(**options).remote()

    def _share(self) -> tuple[float, int]:
        """CPUs and GPUs of a job: all of the smallest machine's, or those that go with one GPU."""
        machines = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        with_gpus = [found for found in machines if found.get("GPU", 0) >= 1]
        shares = [found["CPU"] / found["GPU"] for found in with_gpus] or [
            found["CPU"] for found in machines if found.get("CPU", 0) >= 1
        ]
        return float(max(1, int(min(shares, default=1)))), 1 if with_gpus else 0

    def _left(self, job: str) -> Any:
        try:
            return self._ray.get_actor(job, namespace=NAMESPACE)
        except ValueError:
            return None

    def _end(self, keeper: Any) -> None:
        """End a job with its actor; nothing, where its machine is gone."""
        with suppress(Exception):
            self._ray.get(keeper.stop.remote(), timeout=PATIENCE_S)
        with suppress(Exception):
            self._ray.kill(keeper)
        time.sleep(0.1)
