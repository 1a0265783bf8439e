"""`unseen convert`."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from unseen.cli.console import guarded, show
from unseen.cli.options import Debug, Json


class Up(str, Enum):
    """The vertical axis of a file."""

    y = "y"
    minus_y = "-y"


@guarded
def run(
    source: Annotated[Path, typer.Argument(help="Gaussians to read: .ply, .splat or .spz.")],
    target: Annotated[Path, typer.Argument(help="File to write: .ply, .splat or .spz (version 3).")],
    up: Annotated[
        Up, typer.Option(help="Which way is up in .ply and .splat: -y as scenes from photos have it, y as avatars do.")
    ] = Up.minus_y,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Convert Gaussians between .ply, .splat and .spz.

    A .spz is always y up; --up says how the other side of the conversion stands.
    """
    from unseen.io.scene import load_gaussians, save_gaussians
    from unseen.io.spz import Axes, load_spz, save_spz

    axes: Axes = "RDF" if up is Up.minus_y else "RUB"
    splats = load_spz(source, axes=axes) if source.suffix.lower() == ".spz" else load_gaussians(source)
    if target.suffix.lower() == ".spz":
        save_spz(target, splats, axes=axes)
    else:
        save_gaussians(target, splats)
    size = target.stat().st_size
    result = {"splats": len(splats), "sh_degree": splats.sh_degree, "bytes": size}
    show(result, json, [f"{len(splats)} splats, SH degree {splats.sh_degree}, {size / 1e6:.1f} MB in {target}"])
