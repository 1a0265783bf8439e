"""`unseen render`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unseen.cli.console import guarded, reporting, show
from unseen.cli.options import Debug, Json


@guarded
def run(
    source: Annotated[
        Path, typer.Argument(help="Gaussians (.ply, .spz, .sog, .glb, ...), or the folder of an avatar job.")
    ],
    out: Annotated[
        Path, typer.Option("-o", "--out", help="Video to write (.mp4), or picture (.png) of the first frame.")
    ],
    path: Annotated[
        str, typer.Option(help="Camera path: orbit, turntable, dolly, spiral, or a JSON file of cameras.")
    ] = "orbit",
    num_frames: Annotated[int, typer.Option("--frames", min=1, help="Number of frames.")] = 120,
    fps: Annotated[float, typer.Option(min=1, help="Frames per second.")] = 30,
    width: Annotated[int, typer.Option(min=16, help="Pixels.")] = 512,
    height: Annotated[int, typer.Option(min=16, help="Pixels.")] = 512,
    radius: Annotated[
        float | None, typer.Option(help="Distance to the centre in metres; fits the scene by default.")
    ] = None,
    elevation: Annotated[float, typer.Option(min=-89, max=89, help="Height of the path in degrees.")] = 0.0,
    fov: Annotated[float, typer.Option(min=1, max=170, help="Vertical field of view in degrees.")] = 30.0,
    background: Annotated[float, typer.Option(min=0, max=1, help="Grey level behind, 0 black to 1 white.")] = 1.0,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Render Gaussians along a camera path to a video."""
    from math import radians

    from unseen.jobs.render import PathRequest, run_render

    request = PathRequest(path, num_frames, width, height, radius, radians(elevation), radians(fov))
    with reporting(quiet=json) as reporter:
        result = run_render(source, out, request, fps, background, reporter)
    show(result, json, [f"{result['frames']} frames of {result['splats']} splats in {out}"])
