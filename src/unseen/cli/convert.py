"""`unseen convert`."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from unseen.cli.console import guarded, show
from unseen.cli.options import Debug, Json

_ENDINGS = ".ply, .compressed.ply, .splat, .spz, .sog, a folder's meta.json, .glb, .gltf"


class Up(str, Enum):
    """The vertical axis of a file."""

    y = "y"
    minus_y = "-y"


@guarded
def run(
    source: Annotated[Path, typer.Argument(help=f"Gaussians to read: {_ENDINGS} or .ksplat.")],
    target: Annotated[Path, typer.Argument(help=f"File to write: {_ENDINGS}, or .html for a page that shows them.")],
    up: Annotated[
        Up,
        typer.Option(
            help="Which way is up in formats that do not say (.ply, .splat, .sog, .ksplat): -y as scenes from photos "
            "have it, y as avatars do."
        ),
    ] = Up.minus_y,
    sh_degree: Annotated[
        int | None, typer.Option(min=0, max=3, help="Keep view-dependent colour up to this degree; all by default.")
    ] = None,
    max_splats: Annotated[
        int | None, typer.Option(min=1, help="Keep at most this many splats: the largest and most opaque.")
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Convert Gaussians between file formats; the names decide which.

    .spz, .glb and .gltf are always y up; --up says how the other side of the conversion stands.
    """
    from unseen.io.axes import Axes
    from unseen.jobs.convert import ConvertRequest, run_convert

    axes: Axes = "RDF" if up is Up.minus_y else "RUB"
    result = run_convert(ConvertRequest(source, target, axes, sh_degree, max_splats))
    line = f"{result['splats']} splats, SH degree {result['sh_degree']}, {result['bytes'] / 1e6:.1f} MB in {target}"
    left_out = result["splats_left_out"]
    show(result, json, [line, *([f"{left_out} splats left out"] if left_out else [])])
