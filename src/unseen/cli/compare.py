"""`unseen compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unseen.cli.console import guarded, reporting, show
from unseen.cli.options import Debug, Json


@guarded
def run(
    avatars: Annotated[list[Path], typer.Argument(help="Folders of avatar jobs, or their avatar.safetensors.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Picture (.png, .jpg) or video (.mp4).")],
    name: Annotated[list[str] | None, typer.Option("--name", help="Name to show, once per avatar.")] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show avatars beside each other from all around, as a picture or a turning video."""
    from unseen.jobs.compare import run_compare

    with reporting(quiet=json) as reporter:
        result = run_compare(avatars, name or [], out, reporter)
    show(result, json, [f"{len(result['avatars'])} avatars in {result['out']}"])
