"""`unseen convert`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unseen.cli.console import guarded, show
from unseen.cli.options import Debug, Json


@guarded
def run(
    source: Annotated[Path, typer.Argument(help="Gaussians to read: .ply, .splat or .spz.")],
    target: Annotated[Path, typer.Argument(help="File to write: .ply, .splat or .spz (version 3).")],
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Convert Gaussians between .ply, .splat and .spz."""
    from unseen.io.scene import load_gaussians, save_gaussians

    splats = load_gaussians(source)
    save_gaussians(target, splats)
    size = target.stat().st_size
    result = {"splats": len(splats), "sh_degree": splats.sh_degree, "bytes": size}
    show(result, json, [f"{len(splats)} splats, SH degree {splats.sh_degree}, {size / 1e6:.1f} MB in {target}"])
