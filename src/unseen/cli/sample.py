"""`unseen sample`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unseen.cli.console import guarded, reporting, show
from unseen.cli.options import Debug, Json, Seed


@guarded
def run(
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the video and its companions.")],
    frames: Annotated[int, typer.Option(min=2, help="Number of frames, at 25 per second.")] = 120,
    size: Annotated[int, typer.Option(min=64, max=1024, help="Pixels per side.")] = 384,
    seed: Seed = 0,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Write a synthetic head video with exact landmarks, matte and truth.

    Every seed is another person in another motion: video.mp4, video.landmarks.npz, video.alpha.mp4 and truth.npz.
    """
    from unseen.core.camera import Camera
    from unseen.io.atomic import make_folder
    from unseen.synthetic import Lighting, Motion, SyntheticSubject, render_video, write_clip

    folder = make_folder(out)
    camera = Camera.look_at((0.0, -0.01, 1.05), (0.0, -0.032, 0.0), size, size, focal_px=2.55 * size)
    with reporting(quiet=json) as reporter:
        clip = render_video(
            SyntheticSubject.sample(seed), Motion.sample(seed, frames), camera, Lighting.sample(seed),
            progress=lambda k: reporter.stage("filming", k, frames),
        )  # fmt: skip
    write_clip(folder, clip)
    show({"out": str(out), "frames": frames}, json, [f"{frames} frames in {out / 'video.mp4'}"])
