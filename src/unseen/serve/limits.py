"""How much of the machine the server gives to those who ask."""

from __future__ import annotations

from dataclasses import dataclass

from unseen.core.errors import InputError
from unseen.jobs.world.picture import MAX_PIXELS


@dataclass(frozen=True)
class Limits:
    """What is refused, stopped or thrown away."""

    jobs: int = 1
    """Jobs that run at once."""
    queued: int = 100
    """Jobs that wait, of all clients; more are refused for now."""
    queued_per_client: int = 10
    """Jobs that wait, of one client."""
    kept_per_client: int = 200
    """Jobs of one client that the server remembers, finished ones included."""
    upload_bytes: int = 2 << 30
    """Of one submission, all files together."""
    text_bytes: int = 64 << 20
    """Of a JSON document, with a picture inside."""
    files: int = 1000
    """Of one submission."""
    pixels: int = MAX_PIXELS
    """Of one picture."""
    uploads_per_client: int = 4
    """Submissions of one client that come in at once."""
    idle_seconds: float = 20.0
    """Without a byte of a request that has begun."""
    upload_rate: int = 4096
    """Bytes per second that an upload must reach on average, after `idle_seconds`."""
    streams_per_client: int = 20
    """Event streams that one client holds open."""
    state_bytes: int = 50 << 30
    """Of all jobs' files; beyond it, submissions are refused."""
    job_bytes: int = 10 << 30
    """Of one job's files; beyond it, the job is stopped."""
    memory_bytes: int = 0
    """Of one job's processes; beyond it, the job is stopped. 0: no limit."""
    job_seconds: float = 6 * 3600.0
    """Of one job's attempt; beyond it, the job is stopped."""
    attempts: int = 3
    """Times that a job is begun whose process, or server, died."""
    keep_seconds: float = 24 * 3600.0
    """After its end, a job and its files are kept so long."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            least = 0 if name == "memory_bytes" else 1
            if not value >= least:
                raise InputError(f"the limit {name} is {value}: expected at least {least}")


def share_of_memory(jobs: int) -> int:
    """Bytes of this machine's memory for each of so many jobs, with a fifth left for everything else."""
    import psutil

    return int(0.8 * psutil.virtual_memory().total / jobs)
