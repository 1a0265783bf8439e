"""`unseen train`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from unseen.cli.console import guarded, reporting, show
from unseen.cli.options import Debug, Device, Json, Seed

PRIORS = ("multiview",)


@guarded
def run(
    prior: Annotated[str, typer.Argument(help="What to train: multiview.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for checkpoints, log and model.")],
    config: Annotated[str, typer.Option(help="tiny, tiny-cameras, or sd21 for the full size.")] = "tiny",
    albums: Annotated[Path | None, typer.Option(help="Folder of albums to make or reuse. Default: OUT/albums.")] = None,
    given: Annotated[bool, typer.Option("--given", help="Train on the albums that are there; make none.")] = False,
    people: Annotated[int | None, typer.Option(min=1, help="How many invented people to train on.")] = None,
    start: Annotated[Path | None, typer.Option(help="Folder of a model to start from.")] = None,
    unet_steps: Annotated[int | None, typer.Option(min=0, help="Steps of the U-Net, instead of the plan's.")] = None,
    device: Device = "auto",
    seed: Seed = 0,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Train a prior. Run it again to go on from its checkpoints; run it under torchrun to share batches.

    Leaves in OUT: checkpoints/, log.json, and model/, which `--prior OUT/model` takes.
    """
    from unseen.core.devices import resolve_device
    from unseen.core.errors import InputError
    from unseen.fit.distributed import joined_ranks
    from unseen.priors.multiview.training.recipe import PLANS, TrainRequest, run_training

    if prior not in PRIORS:
        raise InputError(f"no prior {prior!r} to train: expected {', '.join(PRIORS)}")
    if config not in PLANS:
        raise InputError(f"no configuration {config!r}: expected one of {', '.join(PLANS)}")
    plan = PLANS[config]
    if people is not None:
        plan = replace(plan, people=people)
    if unet_steps is not None:
        plan = replace(plan, unet=replace(plan.unet, steps=unet_steps))
    request = TrainRequest(
        out=out, plan=plan, albums=albums or out / "albums", given=given, start=start, seed=seed,
        device=str(resolve_device(device)),
    )  # fmt: skip
    with joined_ranks() as ranks, reporting(quiet=json or not ranks.first) as reporter:
        run_training(request, ranks, reporter.stage)
    show({"model": str(out / "model")}, json, [f"model in {out / 'model'}"])
