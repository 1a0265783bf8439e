"""`unseen view`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unseen.cli.console import guarded
from unseen.cli.options import Debug


@guarded
def run(
    source: Annotated[Path, typer.Argument(help="Folder of an avatar job, or Gaussians: .ply, .spz, .sog, .glb, ...")],
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines in.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8080,
    debug: Debug = False,
) -> None:
    """Show an avatar or Gaussians in the browser; Ctrl-C ends it."""
    from unseen.viewer.live import serve

    serve(source, host, port)
