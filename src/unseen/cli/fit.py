"""`unseen fit`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from unseen.cli.console import guarded, reporting, show
from unseen.cli.options import Debug, Device, Json, Resume, Seed
from unseen.cli.photo_options import (
    Export,
    Holdout,
    HoldoutList,
    Images,
    Masks,
    MemoryGb,
    Out,
    Photos,
    PhotoSide,
    Scale,
    Solve,
)


class Quality(str, Enum):
    """How much time to spend."""

    preview = "preview"
    default = "default"
    best = "best"


class Strategy(str, Enum):
    """How splats are added and removed."""

    default = "default"
    mcmc = "mcmc"


class Compensation(str, Enum):
    """What is fitted per photo besides the scene."""

    none = "none"
    exposure = "exposure"
    bilateral = "bilateral"


STEPS = {Quality.preview: 2000, Quality.default: 7000, Quality.best: 30000}
MAX_SPLATS = {Quality.preview: 60_000, Quality.default: 150_000, Quality.best: 1_000_000}


@guarded
def run(
    photos: Photos,
    out: Out,
    quality: Annotated[Quality, typer.Option(help="Time to spend.")] = Quality.default,
    steps: Annotated[int | None, typer.Option(min=1, help="Optimiser steps, instead of the quality's.")] = None,
    strategy: Annotated[
        Strategy, typer.Option(help="How splats are added and removed: by gradients, or as MCMC samples.")
    ] = Strategy.default,
    max_splats: Annotated[int | None, typer.Option(min=100, help="At most so many splats.")] = None,
    images: Images = None,
    masks: Masks = None,
    solve: Solve = False,
    camera_model: Annotated[str, typer.Option(help="COLMAP's lens model to solve for.")] = "OPENCV",
    frames: Annotated[int, typer.Option(min=3, help="Of a video: use at most so many frames.")] = 200,
    scale: Scale = None,
    max_side: PhotoSide = 1600,
    holdout: Holdout = 8,
    holdout_list: HoldoutList = None,
    sh_degree: Annotated[int, typer.Option(min=0, max=3, help="Bands of view-dependent colour.")] = 3,
    init: Annotated[
        str, typer.Option(help="Start from the photos' points, or from random ones: points, random.")
    ] = "points",
    random_background: Annotated[
        bool, typer.Option("--random-background", help="Another background each step.")
    ] = False,
    antialiased: Annotated[bool, typer.Option("--antialiased", help="Mip-Splatting's opacities.")] = False,
    absgrad: Annotated[bool, typer.Option("--absgrad", help="Densify by absolute gradients (AbsGS).")] = False,
    selective: Annotated[bool, typer.Option("--selective", help="Leave alone the splats a step does not see.")] = False,
    compensation: Annotated[
        Compensation, typer.Option(help="Fit what each camera did to colours: none, exposure, bilateral.")
    ] = Compensation.none,
    depth_weight: Annotated[
        float, typer.Option(min=0, help="Weight of the photos' depth, where they have some.")
    ] = 0.0,
    batch: Annotated[int, typer.Option(min=1, help="Photos per step (per process).")] = 1,
    export: Export = "html",
    memory_gb: MemoryGb = 2.0,
    viewer: Annotated[bool, typer.Option("--viewer", help="Watch the fit in the browser.")] = False,
    port: Annotated[int, typer.Option(help="Of the viewer.")] = 8080,
    tensorboard: Annotated[bool, typer.Option(help="Write curves for TensorBoard.")] = True,
    config: Annotated[
        Path | None, typer.Option(help='JSON with settings, as config.json\'s "fit"; options win.')
    ] = None,
    resume: Resume = False,
    device: Device = "auto",
    seed: Seed = 0,
    json: Json = False,
    debug: Debug = False,
    context: typer.Context = None,  # type: ignore[assignment]
) -> None:
    """Turn photos into a scene of 3D Gaussians.

    Leaves in OUT: scene.ply, viewer.html and other exports, metrics.json, config.json, split.json, world.json, and
    cameras/ when they had to be found. Under torchrun several processes share the work.
    """
    from unseen.jobs.fit import FitRequest, run_fit
    from unseen.jobs.fit.exports import parse_formats
    from unseen.jobs.fit.settings import fit_settings
    from unseen.jobs.fit.sources import PhotoSource

    chosen = {
        "steps": steps or STEPS[quality], "strategy": strategy.value, "max_splats": max_splats or MAX_SPLATS[quality],
        "init": init, "sh_degree": sh_degree, "random_background": random_background, "antialiased": antialiased,
        "absgrad": absgrad, "selective": selective, "compensation": compensation.value, "depth_weight": depth_weight,
        "batch": batch,
    }  # fmt: skip
    given = {name for name in chosen if _written(context, name)}
    if _written(context, "quality"):
        given |= {"steps", "max_splats"}
    request = FitRequest(
        source=PhotoSource(photos, images, masks, solve, camera_model, frames), out=out,
        fit=fit_settings(config, chosen, given), scale=scale, max_side=max_side, holdout=holdout,
        holdout_list=holdout_list, formats=parse_formats(export), memory=int(memory_gb * 2**30),
        tensorboard=tensorboard, device=device, seed=seed, resume=resume,
    )  # fmt: skip
    with reporting(quiet=json) as reporter, _watching(viewer, port, reporter) as watchers:
        summary = run_fit(request, reporter, watchers)
    if summary:
        show(summary, json, describe(summary, out))


def _written(context: typer.Context, name: str) -> bool:
    """Whether somebody wrote this option on the command line."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


@contextmanager
def _watching(viewer: bool, port: int, reporter: Any) -> Iterator[list[Any]]:
    """What looks on while the fit runs: the live viewer, if it is wanted."""
    if not viewer:
        yield []
        return
    from unseen.viewer.fitting import FitViewer

    live = FitViewer(port)
    reporter.note(f"watch at http://localhost:{port}")
    try:
        yield [live]
    finally:
        live.stop()


def describe(summary: dict[str, Any], out: Path) -> list[str]:
    """The summary in words."""
    lines = [
        f"{summary['splats']} splats from {summary['fitted_photos']} photos in {summary['seconds']['total']:.0f} s"
    ]
    if (held := summary["held_out"])["photos"]:
        lines.append(f"held-out photos ({held['photos']}): {held['psnr']:.2f} dB, SSIM {held['ssim']:.4f}")
    return [*lines, f"open {out / 'viewer.html'}, or: unseen view {out / 'scene.ply'}"]
