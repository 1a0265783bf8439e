"""`unseen track`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unseen.cli.console import guarded, reporting, show
from unseen.cli.options import Alpha, Debug, Focal, HeadModelName, Json, Landmarks, MaxSide, Resume, Seed


@guarded
def run(
    video: Annotated[Path, typer.Argument(help="Video of one person's head.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the capture.")],
    landmarks: Landmarks = None,
    alpha: Alpha = None,
    head_model: HeadModelName = "procedural",
    max_side: MaxSide = 512,
    focal: Focal = None,
    resume: Resume = False,
    seed: Seed = 0,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Track a head video: poses, expressions, identity and camera.

    Leaves in OUT a capture in the VHAP/GaussianAvatars layout (transforms.json, images/, fg_masks/, flame_param/),
    track.safetensors, track.json (quality) and overlay.mp4 to look at.
    """
    from unseen.head.library import head_model as load_model
    from unseen.head.tracking import TrackConfig
    from unseen.io.atomic import make_folder
    from unseen.jobs.inputs import VideoInput, load_observations
    from unseen.jobs.track import export_capture, run_track

    observations = load_observations(VideoInput(video, landmarks, alpha, max_side))
    model = load_model(head_model)
    make_folder(out)
    with reporting(quiet=json) as reporter:
        tracked = run_track(observations, model, out, TrackConfig(focal_px=focal), seed, resume, reporter)
        export_capture(out, observations, tracked.track, model, reporter)
    summary = tracked.report.summary()
    lines = [
        f"landmark error {summary['landmark_error_percent_of_interocular']:.2f} % of the inter-ocular distance (worst "
        f"frame {summary['landmark_error_percent_worst_frame']:.2f} %), matte overlap {summary['matte_iou']:.3f}",
        f"capture in {out}; look at {out / 'overlay.mp4'}",
    ]
    show(summary, json, lines)
