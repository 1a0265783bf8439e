"""`unseen avatar`."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from unseen.cli.console import guarded, reporting, show
from unseen.cli.options import Alpha, Debug, Device, Focal, HeadModelName, Json, Landmarks, MaxSide, Resume, Seed


class Quality(str, Enum):
    """How much time to spend."""

    preview = "preview"
    default = "default"
    best = "best"


class PriorMethod(str, Enum):
    """How a prior teaches."""

    pseudo = "pseudo"
    sds = "sds"


ITERATIONS = {Quality.preview: 900, Quality.default: 4000, Quality.best: 15000}


@guarded
def run(
    video: Annotated[Path, typer.Argument(help="Video of one person's head.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the results.")],
    landmarks: Landmarks = None,
    alpha: Alpha = None,
    holdout: Annotated[
        str,
        typer.Option(help="Frames kept back to judge the result: none, every:N, or side (all but the 40 % frontal)."),
    ] = "none",
    quality: Annotated[Quality, typer.Option(help="Time to spend.")] = Quality.default,
    iterations: Annotated[int | None, typer.Option(min=1, help="Optimiser steps, instead of the quality's.")] = None,
    head_model: HeadModelName = "procedural",
    track_from: Annotated[
        Path | None, typer.Option(help="Folder of an earlier run with the same video: take its track over.")
    ] = None,
    max_side: MaxSide = 512,
    focal: Focal = None,
    prior: Annotated[
        str,
        typer.Option(
            help="What shows the fit the sides no frame shows: none, mirror, tiny, or the folder of a multi-view "
            "diffusion model."
        ),
    ] = "tiny",
    prior_method: Annotated[
        PriorMethod, typer.Option(hidden=True, help="pseudo: pictures as targets; sds: score distillation.")
    ] = PriorMethod.pseudo,
    frames: Annotated[bool, typer.Option("--frames", help="Also write one .ply per frame.")] = False,
    resume: Resume = False,
    device: Device = "auto",
    seed: Seed = 0,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Turn a head video into an animatable Gaussian avatar.

    Leaves in OUT: avatar.safetensors, avatar.ply, viewer.html, turntable.mp4, comparison.mp4, overlay.mp4, metrics.json
    and config.json.
    """
    from dataclasses import replace

    from unseen.fit.strategies.bound import DensifyConfig
    from unseen.head.tracking import TrackConfig
    from unseen.jobs.avatar import AvatarConfig, AvatarRequest, PriorConfig, run_avatar
    from unseen.jobs.inputs import VideoInput

    steps = iterations or ITERATIONS[quality]
    tracking = TrackConfig(focal_px=focal)
    if quality is Quality.preview:
        tracking = replace(tracking, landmark_steps=250, contour_steps=20, photometric_steps=40)
    fit = AvatarConfig(
        iterations=steps, densify=DensifyConfig(stop=int(0.8 * steps)), prior=PriorConfig(method=prior_method.value)
    )
    request = AvatarRequest(
        source=VideoInput(video, landmarks, alpha, max_side), out=out, head_model=head_model, holdout=holdout,
        track=tracking, track_from=track_from, fit=fit, prior=prior, frames=frames, device=device, seed=seed,
        resume=resume,
    )  # fmt: skip
    with reporting(quiet=json) as reporter:
        summary = run_avatar(request, reporter)
    show(summary, json, describe(summary, out))


def describe(summary: dict[str, Any], out: Path) -> list[str]:
    """The summary in words."""
    lines = [
        f"tracked: landmark error {summary['tracking']['landmark_error_percent_of_interocular']:.2f} % of the "
        f"inter-ocular distance, {summary['splats']} splats, {summary['seconds']['total']:.0f} s"
    ]
    for name in ("fitted", "held_out"):
        if part := summary[name]:
            matte, head = part["matte"], part["head"]
            lines.append(
                f"{name.replace('_', '-')} frames ({part['frames']}): matte {matte['psnr']:.2f} dB, SSIM "
                f"{matte['ssim']:.4f}; head {head['psnr']:.2f} dB, SSIM {head['ssim']:.4f}"
            )
            if summary["prior"] != "none":
                regions = ((r, part[r]) for r in ("observed", "unobserved"))
                told = [f"{r} {found['psnr']:.2f} dB" if found else f"nothing {r}" for r, found in regions]
                lines.append(f"  of the matte: {', '.join(told)}")
    if summary["prior"] != "none":
        spent = summary["seconds"]
        lines.append(f"prior {summary['prior']}: {spent['prior']:.0f} of the fit's {spent['fitting']:.0f} s")
    return [*lines, f"open {out / 'viewer.html'}, or: unseen view {out}"]
