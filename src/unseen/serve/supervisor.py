"""The process above a job's process: it ends the job when a limit is passed, or when the server is gone.

Started as `python -m unseen.serve.supervisor` with one line of JSON on stdin (see `Order`). Stdin then stays open: its
end means that nobody waits for the job any more, and the job is killed. What the job tells goes to stdout, line by
line. When the job has ended by itself or by a limit, `end.json` says how, written whole or not at all: a server that
was away reads there that a job is done, and does not do it again. Imports little: it starts in no time, in little
memory, and survives what its job does.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from unseen.jobs.progress import LineReporter

JOB_VARIABLE = "UNSEEN_JOB"
"""Environment variable of every process of a job: its id."""
TICK_S, MEMORY_S, DISK_S = 0.1, 0.5, 5.0
NICENESS = 5
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Order:
    """What to run.

    Attributes:
        job: its id.
        attempt: number of the attempt, for `end.json`.
        command: program and arguments.
        folder: the job's; what it writes outside of it is not counted.
        memory_bytes: of all its processes together; 0: no limit.
        seconds: of its life.
        folder_bytes: of its folder.
    """

    job: str
    attempt: int
    command: list[str]
    folder: str
    memory_bytes: int
    seconds: float
    folder_bytes: int


def main() -> None:
    """Run the job that stdin orders."""
    order = Order(**json.loads(sys.stdin.buffer.readline()))
    folder = Path(order.folder)
    began = time.monotonic()
    with (folder / "log.txt").open("wb") as log:
        child = start(order, log)
        reason, peak = watch(order, child, began)
    kill_group(child.pid)
    code = child.wait()
    if reason == "abandoned":
        return
    end = {
        "attempt": order.attempt, "code": code, "reason": reason, "error": last_line(folder / "log.txt"),
        "seconds": time.monotonic() - began, "peak_bytes": peak,
    }  # fmt: skip
    temporary = folder / ".end.json"
    with temporary.open("w") as file:
        json.dump(end, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, folder / "end.json")


def start(order: Order, log: Any) -> subprocess.Popen[bytes]:
    """The job's process, in a group of its own."""
    temporary = Path(order.folder) / "tmp"
    temporary.mkdir(exist_ok=True)
    listener = os.dup(sys.stdout.fileno())
    environment = os.environ | {
        JOB_VARIABLE: order.job, LineReporter.VARIABLE: str(listener), "TMPDIR": str(temporary),
        "PYTHONUNBUFFERED": "1",
    }  # fmt: skip
    parent = os.getpid()
    child = subprocess.Popen(
        order.command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log, cwd=order.folder,
        env=environment, pass_fds=[listener], start_new_session=True, preexec_fn=lambda: _as_a_job(parent),
    )  # fmt: skip
    os.close(listener)
    return child


def _as_a_job(parent: int) -> None:
    """In the child: it yields to the server, dies with its supervisor, and is the one the kernel kills for memory."""
    os.nice(NICENESS)
    os.umask(0o077)
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")


def watch(order: Order, child: subprocess.Popen[bytes], began: float) -> tuple[str | None, int]:
    """Wait until the job ends, has to end, or nobody waits for it: why, and the most memory it had."""
    peak, memory_due, disk_due = 0, 0.0, began + DISK_S
    ends = [os.pidfd_open(child.pid)] if hasattr(os, "pidfd_open") else []
    while child.poll() is None:
        heard = select.select([sys.stdin.fileno(), *ends], [], [], TICK_S)[0]
        if sys.stdin.fileno() in heard and not os.read(sys.stdin.fileno(), 1):
            return "abandoned", peak
        now = time.monotonic()
        if now - began > order.seconds:
            return "time", peak
        if now >= memory_due:
            peak, memory_due = max(peak, memory_of(child.pid)), now + MEMORY_S
            if order.memory_bytes and peak > order.memory_bytes:
                return "memory", peak
        if now >= disk_due:
            if bytes_below(order.folder) > order.folder_bytes:
                return "disk", peak
            disk_due = now + DISK_S
    return None, peak


def memory_of(pid: int) -> int:
    """Bytes that a process and its descendants hold."""
    total = 0
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        for member in [process, *process.children(recursive=True)]:
            with suppress(psutil.Error):
                total += member.memory_info().rss
    return total


def bytes_below(folder: str) -> int:
    """Of all files below a folder; what vanishes meanwhile does not count."""
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += os.lstat(os.path.join(path, name)).st_size
    return total


def last_line(path: Path) -> str:
    """The last line that says something, of a file that may be long."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 8192))
        lines = file.read().decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def kill_group(pid: int) -> None:
    """Kill all processes of a group."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def kill_job(job: str) -> int:
    """Kill every process of a job on this machine, by the environment they all inherit; returns how many there were."""
    killed = 0
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(JOB_VARIABLE) == job:
                process.kill()
                killed += 1
    return killed


def as_line(order: Order) -> bytes:
    """What `main` reads."""
    return json.dumps(asdict(order)).encode() + b"\n"


if __name__ == "__main__":
    main()
