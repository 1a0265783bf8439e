"""Options every command shares."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Seed = Annotated[int, typer.Option(help="Seed of everything random; the same command twice gives the same result.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout and nothing else.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Device = Annotated[str, typer.Option(help="Where to compute: auto, cpu, cuda or cuda:<n>.")]
Landmarks = Annotated[
    Path | None,
    typer.Option(
        help="MediaPipe landmarks of the video: .npz with landmarks_px [T, 478, 3] in pixels and image_size (H, W). "
        "Default: VIDEO's stem + .landmarks.npz when it lies beside it, else detected."
    ),
]
Alpha = Annotated[
    Path | None,
    typer.Option(
        help="Matte video, grey = alpha. Default: VIDEO's stem + .alpha.mp4 when it lies beside it, else detected."
    ),
]
HeadModelName = Annotated[
    str,
    typer.Option("--head-model", help="procedural (built in), flame (found by UNSEEN_FLAME_PATH), or a FLAME file."),
]
MaxSide = Annotated[int, typer.Option(min=64, max=2048, help="Shrink frames to at most this many pixels per side.")]
Focal = Annotated[
    float | None, typer.Option(help="Focal length in pixels of the shrunk frames; estimated if not given.")
]
Resume = Annotated[bool, typer.Option("--resume", help="Continue the interrupted run in the output folder.")]
