"""`unseen multiview`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unseen.cli.console import guarded, reporting, show
from unseen.cli.options import Alpha, Debug, Device, HeadModelName, Json, Landmarks, MaxSide, Seed


@guarded
def run(
    picture: Annotated[Path, typer.Argument(help="A picture of one head, or a video.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the views.")],
    frame: Annotated[int, typer.Option(min=0, help="Which frame of a video.")] = 0,
    landmarks: Landmarks = None,
    alpha: Alpha = None,
    model: Annotated[
        str, typer.Option(help="tiny (comes with unseen), a folder, or a repository on the hub.")
    ] = "tiny",
    views: Annotated[int, typer.Option(min=1, max=24, help="How many, evenly spread round the head.")] = 8,
    pitch: Annotated[float, typer.Option(min=-60, max=60, help="From how many degrees above they look.")] = 0.0,
    steps: Annotated[int, typer.Option(min=1, max=1000, help="Denoising steps.")] = 25,
    guidance: Annotated[float, typer.Option(min=1.0, max=20.0, help="Classifier-free guidance; 1 for none.")] = 2.0,
    warp: Annotated[
        bool, typer.Option(help="Keep what the picture shows of each view, warped by the tracked head.")
    ] = True,
    dtype: Annotated[str, typer.Option(help="Precision: fp32, bf16 or fp16.")] = "fp32",
    attention: Annotated[
        str | None, typer.Option(help="Also draw what layers attend to whose name matches, such as mid_block.")
    ] = None,
    head_model: HeadModelName = "procedural",
    max_side: MaxSide = 512,
    device: Device = "auto",
    seed: Seed = 0,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Imagine a head from all sides, from one picture of it.

    Leaves in OUT: view_00.png and so on, strip.png, denoising.png, views.mp4 and views.json.
    """
    from unseen.jobs.inputs import VideoInput
    from unseen.jobs.multiview import MultiViewRequest, run_multiview

    request = MultiViewRequest(
        source=VideoInput(picture, landmarks, alpha, max_side), out=out, frame=frame, model=model,
        head_model=head_model, views=views, pitch_deg=pitch, steps=steps, guidance=guidance, warp=warp,
        dtype=dtype, attention=attention, debug=debug, device=device, seed=seed,
    )  # fmt: skip
    with reporting(quiet=json) as reporter:
        summary = run_multiview(request, reporter)
    lines = [
        f"{summary['views']} views of {summary['size']} pixels in {summary['seconds']:.0f} s",
        f"open {out}/strip.png",
    ]
    show(summary, json, lines)
