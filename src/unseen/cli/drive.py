"""`unseen drive`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unseen.cli.console import guarded, reporting, show
from unseen.cli.options import Alpha, Debug, Json, Landmarks, Seed


@guarded
def run(
    avatar: Annotated[Path, typer.Argument(help="Folder of an avatar job, or its avatar.safetensors.")],
    motion: Annotated[
        Path, typer.Option("--with", help="Motion: a video, a tracked folder, or a parameter sequence (.json, .npz).")
    ],
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Video. Default: AVATAR/driven.mp4.")] = None,
    landmarks: Landmarks = None,
    alpha: Alpha = None,
    seed: Seed = 0,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Move an avatar with another video's or track's motion."""
    from unseen.jobs.drive import DriveRequest, run_drive

    target = out or (avatar if avatar.is_dir() else avatar.parent) / "driven.mp4"
    request = DriveRequest(avatar, motion, target, landmarks, alpha, seed)
    with reporting(quiet=json) as reporter:
        result = run_drive(request, reporter)
    show(result, json, [f"{result['frames']} frames in {result['video']}"])
