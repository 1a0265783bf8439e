"""`unseen info`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unseen.cli.console import guarded, show
from unseen.cli.options import Debug, Json


@guarded
def run(
    source: Annotated[Path, typer.Argument(help="Gaussians of any format, an avatar or track, or arrays (.npz).")],
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Say what a file holds: format, count, bounds, opacities and sizes, bytes per splat."""
    from unseen.jobs.info import lines_of, run_info

    result = run_info(source)
    show(result, json, lines_of(result))
