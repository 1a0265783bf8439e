"""`unseen repair`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from unseen.cli.console import guarded, reporting, show
from unseen.cli.fixers import FixerName, fixer_of
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


@guarded
def run(
    photos: Photos,
    out: Out,
    fixer: FixerName = "tiny",
    steps: Annotated[int, typer.Option(min=10, help="Optimiser steps of the fit.")] = 3000,
    max_splats: Annotated[int, typer.Option(min=100, help="At most so many splats.")] = 100_000,
    rounds: Annotated[int, typer.Option(min=1, help="How often new views are made and fixed.")] = 4,
    views: Annotated[int, typer.Option(min=1, help="New views per round.")] = 12,
    references: Annotated[int, typer.Option(min=0, help="Photos the fixer is shown beside each, at most.")] = 3,
    angle: Annotated[float, typer.Option(help="How far views of the last round leave the photos', in degrees.")] = 60.0,
    weight: Annotated[float, typer.Option(help="Of a fixed view against a photo, 0 to 1.")] = 0.5,
    path: Annotated[
        Path | None,
        typer.Option(help="JSON file of cameras to go toward, in the photos' world; else where they leave most open."),
    ] = None,
    images: Images = None,
    masks: Masks = None,
    solve: Solve = False,
    scale: Scale = None,
    max_side: PhotoSide = 960,
    holdout: Holdout = 0,
    holdout_list: HoldoutList = None,
    keep: Annotated[
        int, typer.Option(min=0, help="Fit every so-many-th photo only, and judge by the others; 0: all.")
    ] = 0,
    judged: Annotated[int, typer.Option(min=0, help="Judge by so many of the held-out photos; 0: all.")] = 0,
    video: Annotated[bool, typer.Option(help="Write before_after.mp4, and both sides of it alone.")] = True,
    export: Export = "html",
    memory_gb: MemoryGb = 2.0,
    resume: Resume = False,
    device: Device = "auto",
    seed: Seed = 0,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Turn photos too few for a plain fit into a scene that holds up between and beside them.

    Leaves in OUT: scene.ply, raw.ply (the plain fit), before_after.mp4 and .jpg, viewer.html and other exports,
    metrics.json, config.json, split.json, world.json.
    """
    from unseen.fit.config import FitConfig
    from unseen.jobs.fit import FitRequest
    from unseen.jobs.fit.exports import parse_formats
    from unseen.jobs.fit.sources import PhotoSource
    from unseen.jobs.repair.config import FINAL_RATE, RepairConfig
    from unseen.jobs.repair.job import RepairRequest, run_repair

    config = RepairConfig(rounds=rounds, views=views, references=references, angle_deg=angle, weight=weight)
    base = FitRequest(
        source=PhotoSource(photos, images, masks, solve), out=out,
        fit=FitConfig(steps=steps, max_splats=max_splats, final_rate=FINAL_RATE), scale=scale, max_side=max_side,
        holdout=holdout, holdout_list=holdout_list, formats=parse_formats(export), memory=int(memory_gb * 2**30),
        tensorboard=False, device=device, seed=seed, resume=resume,
    )  # fmt: skip
    request = RepairRequest(base, config, fixer, keep=keep, judged=judged, path=path, video=video)
    with reporting(quiet=json) as reporter:
        summary = run_repair(request, lambda: fixer_of(fixer, device), reporter)
    show(summary, json, describe(summary, out))


def describe(summary: dict[str, Any], out: Path) -> list[str]:
    """The summary in words."""
    from unseen.jobs.repair.outputs import table

    lines = [
        f"{summary['splats']} splats from {summary['fitted_photos']} photos in {summary['seconds']['total']:.0f} s"
    ]
    for k, done in enumerate(summary["rounds"], 1):
        reasons = "".join(f", {n} rejected: {reason}" for reason, n in done["rejected"].items())
        back = ", taken back: photos were shown worse than before" if done.get("taken_back") else ""
        lines.append(f"round {k}: {done['kept']} of {done['made']} views kept{reasons}{back}")
    if summary["held_out"]["photos"]:
        lines += [f"held-out photos ({summary['held_out']['photos']}):", *table(summary["columns"])]
    else:
        lines.append("no photo was held out: --holdout 8 gives figures")
    shown = [str(out / name) for name in ("viewer.html", "before_after.mp4", "scene.ply") if (out / name).is_file()]
    return [*lines, f"open {' or '.join(shown)}"]
