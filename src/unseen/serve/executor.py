"""Where jobs run."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from unseen.serve.supervisor import Order, as_line, kill_job

Tell = Callable[[dict[str, Any]], None]
"""Is given what a job tells, as `unseen.jobs.progress.LineReporter` writes it."""
PATIENCE_S = 10.0
"""For a supervisor to kill its job."""
DRAIN_S = 1.0
"""For the last lines of a job that is over."""
_LONGEST_LINE = 1 << 20


class Executor(Protocol):
    """Runs jobs somewhere."""

    async def run(self, order: Order, tell: Tell) -> None:
        """Run a job until it ends. Cancelling the call ends the job first: when it returns or raises, no process of
        the job is left. How it ended then stands in the job's end.json; where nothing stands there, it died."""

    def kill_left(self, job: str) -> None:
        """End what an earlier server left running of a job."""


class LocalExecutor:
    """Runs jobs in processes of this machine."""

    async def run(self, order: Order, tell: Tell) -> None:
        """See `Executor`."""
        (Path(order.folder) / "end.json").unlink(missing_ok=True)
        supervisor = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "unseen.serve.supervisor", stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, start_new_session=True,
            limit=_LONGEST_LINE,
        )  # fmt: skip
        assert supervisor.stdin is not None and supervisor.stdout is not None
        try:
            supervisor.stdin.write(as_line(order))
            following = asyncio.create_task(follow(supervisor.stdout, tell))
            try:
                await supervisor.wait()
                await asyncio.wait([following], timeout=DRAIN_S)
            finally:
                following.cancel()
        finally:
            supervisor.stdin.close()
            await asyncio.shield(self._end(supervisor, order.job))

    def kill_left(self, job: str) -> None:
        """See `Executor`."""
        while kill_job(job):  # until none was there: a supervisor may have been starting its job
            pass

    async def _end(self, supervisor: asyncio.subprocess.Process, job: str) -> None:
        """Wait for the supervisor to kill its job; what it cannot, is killed here."""
        try:
            await asyncio.wait_for(supervisor.wait(), PATIENCE_S)
        except TimeoutError:
            supervisor.kill()
            await supervisor.wait()
        if supervisor.returncode != 0:
            await asyncio.to_thread(self.kill_left, job)


async def follow(stream: asyncio.StreamReader, tell: Tell) -> None:
    """Pass on what a job tells until it falls silent; what is no line of ours is passed over."""
    while True:
        try:
            line = await stream.readline()
        except ValueError:  # longer than any of ours
            continue
        if not line:
            return
        if (event := event_of(line)) is not None:
            tell(event)


def event_of(line: bytes) -> dict[str, Any] | None:
    """What a line tells, None where it is none of ours."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None
