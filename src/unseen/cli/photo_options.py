"""Options of commands that fit photos."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Photos = Annotated[
    Path,
    typer.Argument(
        help="A folder of photos, a video, a COLMAP project, a transforms.json (nerfstudio, Blender, instant-ngp)."
    ),
]
Out = Annotated[Path, typer.Option("-o", "--out", help="Folder for the results.")]
Images = Annotated[Path | None, typer.Option(help="Folder of the pictures, where it is not the usual one.")]
Masks = Annotated[Path | None, typer.Option(help="Folder of masks named like the pictures; white is used.")]
Solve = Annotated[bool, typer.Option("--solve", help="Find the cameras anew even where some are given.")]
Scale = Annotated[float | None, typer.Option(help="Scale of the photos, in (0, 1].")]
PhotoSide = Annotated[int, typer.Option(min=16, help="Without --scale: halve photos until they are no larger.")]
Holdout = Annotated[int, typer.Option(min=0, help="Hold out every so-many-th photo to judge by; 0: none.")]
HoldoutList = Annotated[Path | None, typer.Option(help="File that names the held-out photos instead.")]
Export = Annotated[str, typer.Option(help="Also write these: e.g. spz,sog,glb,splat,compressed.ply,html.")]
MemoryGb = Annotated[float, typer.Option(min=0, help="Memory for decoded photos; the others wait on disk.")]
