"""`unseen serve`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unseen.cli.console import guarded
from unseen.cli.options import Debug

if TYPE_CHECKING:
    from unseen.serve.executor import Executor


@guarded
def run(
    host: Annotated[str, typer.Option(help="Address to listen on. Any but this machine's own needs a token.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on.")] = 7860,
    state: Annotated[Path, typer.Option(help="Folder of the jobs and their files.")] = Path("unseen-serve"),
    token: Annotated[
        list[str] | None,
        typer.Option(envvar="UNSEEN_TOKEN", help="Whoever asks must show it; several: each is a client of its own."),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Jobs that run at once.")] = 1,
    queued: Annotated[int, typer.Option(min=1, help="Jobs that wait, of all clients.")] = 100,
    per_client: Annotated[int, typer.Option(min=1, help="Jobs that wait, of one client.")] = 10,
    memory_gb: Annotated[
        float | None,
        typer.Option(min=0, help="Memory of one job; by default its share of this machine's. 0: no limit."),
    ] = None,
    hours: Annotated[float, typer.Option(min=0.01, help="Time of one job.")] = 6.0,
    keep_hours: Annotated[float, typer.Option(min=0.01, help="Results are removed so long after their end.")] = 24.0,
    disk_gb: Annotated[float, typer.Option(min=0.01, help="Of all jobs' files; then none are taken.")] = 50.0,
    upload_gb: Annotated[float, typer.Option(min=0.001, help="Of one submission.")] = 2.0,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="Another name by which this server is called, such as behind a proxy.")
    ] = None,
    allow_origin: Annotated[
        list[str] | None, typer.Option(help="A site, https://..., whose pages may use the API.")
    ] = None,
    executor: Annotated[
        str, typer.Option(help="Where jobs run: local, or the address of a Ray cluster, such as ray://head:10001.")
    ] = "local",
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Option of all jobs of a kind, such as world.model=FOLDER.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Serve the jobs to browsers and programs: a web page and an HTTP API; Ctrl-C ends it.

    Jobs that run then wait, and go on when the server is started again with the same folder.
    """
    from unseen.cli.kinds import all_kinds
    from unseen.core.errors import MissingDependencyError
    from unseen.serve.limits import Limits, share_of_memory

    try:
        from unseen.serve.http import serve
        from unseen.serve.server import Config
    except ImportError as error:
        raise MissingDependencyError(f"{error.name} is not installed: pip install 'unseen[serve]'") from error

    memory = share_of_memory(jobs) if memory_gb is None else int(memory_gb * 2**30)
    limits = Limits(
        jobs=jobs, queued=queued, queued_per_client=per_client, memory_bytes=memory, job_seconds=hours * 3600,
        keep_seconds=keep_hours * 3600, state_bytes=int(disk_gb * 2**30), upload_bytes=int(upload_gb * 2**30),
    )  # fmt: skip
    config = Config(
        state, all_kinds(set_ or ()), limits, tuple(token or ()), tuple(allow_host or ()), tuple(allow_origin or ())
    )
    serve(config, host, port, _executor(executor))


def _executor(name: str) -> Executor | None:
    """The cluster of an address; None: this machine."""
    if name == "local":
        return None
    from unseen.serve.cluster import ClusterExecutor

    return ClusterExecutor(name)
