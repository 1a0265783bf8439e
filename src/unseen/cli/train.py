"""`unseen train`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from unseen.cli.console import guarded, reporting, show
from unseen.cli.options import Debug, Device, Json, Seed

if TYPE_CHECKING:
    from unseen.fit.distributed import Ranks
    from unseen.priors.training.recipe import Training
    from unseen.priors.training.run import Progress

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)

P = TypeVar("P")
Out = Annotated[Path, typer.Option("-o", "--out", help="Folder for checkpoints, log and model.")]
Start = Annotated[Path | None, typer.Option(help="Folder of a model to start from.")]
Triplets = Annotated[
    Path, typer.Argument(help="Folder of `unseen curate` or of several such, or a JSON list of pairs.")
]
FixerSize = Annotated[str, typer.Option(help="tiny, or varsr for the full size.")]
FixerStart = Annotated[Path | None, typer.Option(help="Model to start from: a folder, or gsvar:FILE[,FILE].")]


@app.callback()
def root() -> None:
    """Train a prior. Run it again to go on from its checkpoints; run it under torchrun to share batches.

    Leaves in OUT: checkpoints/, log.json, and model/, which takes the place of the small model's name.
    """


@app.command()
@guarded
def multiview(
    out: Out,
    config: Annotated[str, typer.Option(help="tiny, tiny-cameras, or sd21 for the full size.")] = "tiny",
    albums: Annotated[Path | None, typer.Option(help="Folder of albums to make or reuse. Default: OUT/albums.")] = None,
    given: Annotated[bool, typer.Option("--given", help="Train on the albums that are there; make none.")] = False,
    captures: Annotated[
        Path | None, typer.Option(help="Folder of tracked recordings with many cameras: train on these people.")
    ] = None,
    moments: Annotated[int, typer.Option(min=1, help="Moments of each recording.")] = 20,
    head_model: Annotated[
        str | None, typer.Option(help="Head model of the recordings, instead of the one they name.")
    ] = None,
    people: Annotated[int | None, typer.Option(min=1, help="How many invented people to train on.")] = None,
    start: Start = None,
    stages: Annotated[
        str, typer.Option(help="What to train, with commas between; the rest stays as it starts.")
    ] = "vae,unet,upsampler",
    unet_steps: Annotated[int | None, typer.Option(min=1, help="Steps of the U-Net, instead of the plan's.")] = None,
    device: Device = "auto",
    seed: Seed = 0,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Train the multi-view head prior; `unseen avatar --prior OUT/model` takes it."""
    from unseen.priors.multiview.training.recipe import PLANS, HeadTraining, train_heads

    plan = plan_named(config, PLANS)
    if people is not None:
        plan = replace(plan, people=people)
    plan = with_steps(plan, "unet", unet_steps)
    plan = without(plan, *left_out(stages, ("vae", "unet", "upsampler")))
    training = HeadTraining(
        out, plan, albums or out / "albums", given, start, seed, captures=captures, moments=moments,
        head_model=head_model,
    )  # fmt: skip
    run_recipe(train_heads, training, device, json)


@app.command()
@guarded
def world(
    out: Out,
    config: Annotated[str, typer.Option(help="tiny.")] = "tiny",
    places: Annotated[
        Path | None, typer.Option(help="Folder of filmed worlds to make or reuse. Default: OUT/places.")
    ] = None,
    given: Annotated[bool, typer.Option("--given", help="Train on the worlds that are there; film none.")] = False,
    worlds: Annotated[int | None, typer.Option(min=1, help="How many invented worlds to train on.")] = None,
    start: Start = None,
    device: Device = "auto",
    seed: Seed = 0,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Train a world model; `unseen world --model OUT/model` takes it."""
    from unseen.priors.training.recipe import Training
    from unseen.priors.world.training.recipe import PLANS, train_world

    plan = plan_named(config, PLANS)
    if worlds is not None:
        plan = replace(plan, places=worlds)
    run_recipe(train_world, Training(out, plan, places or out / "places", given, start, seed), device, json)


@app.command()
@guarded
def fixer(
    triplets: Triplets,
    out: Out,
    config: FixerSize = "tiny",
    start: FixerStart = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps of the transformer, instead of the plan's.")] = None,
    device: Device = "auto",
    seed: Seed = 0,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Train a fixer's VQ-VAE and transformer on triplets of `unseen curate`; `unseen train bridge` comes next."""
    from unseen.priors.fixer.training.recipe import PLANS, FixerTraining, train_fixer

    plan = plan_named(config, PLANS)
    if start is not None:
        plan = without(plan, "pictures", "codec")
    plan = without(with_steps(plan, "tokens", steps), "bridge")
    run_recipe(train_fixer, FixerTraining(out, plan, triplets, True, start, seed), device, json)


@app.command()
@guarded
def bridge(
    triplets: Triplets,
    out: Out,
    start: Annotated[Path, typer.Option(help="Model whose bridge to train: a folder, or gsvar:FILE[,FILE].")],
    config: FixerSize = "tiny",
    steps: Annotated[int | None, typer.Option(min=1, help="Steps, instead of the plan's.")] = None,
    perceptual: Annotated[Path | None, typer.Option(help="VGG-16's weights, to judge pictures by them too.")] = None,
    device: Device = "auto",
    seed: Seed = 0,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Train a fixer's bridge on what its transformer really decodes; `unseen repair --fixer OUT/model` takes it."""
    from unseen.priors.fixer.training.recipe import PLANS, FixerTraining, train_fixer

    plan = plan_named(config, PLANS)
    plan = without(plan, "pictures", "codec", "tokens")
    plan = with_steps(plan, "bridge", steps)
    run_recipe(train_fixer, FixerTraining(out, plan, triplets, True, start, seed, perceptual=perceptual), device, json)


def run_recipe(
    recipe: Callable[[Any, Ranks, Progress], object], training: Training[Any], device: str, json: bool
) -> None:
    """Train as asked, with the processes that torchrun has started."""
    from unseen.core.devices import resolve_device, seed_everything
    from unseen.fit.distributed import joined_ranks

    seed_everything(training.seed)
    training = replace(training, device=str(resolve_device(device)))
    with joined_ranks() as ranks, reporting(quiet=json or not ranks.first) as reporter:
        recipe(training, ranks, reporter.stage)
    model = training.out / "model"
    show({"model": str(model)}, json, [f"model in {model}"])


def left_out(asked: str, stages: Sequence[str]) -> list[str]:
    """The stages that are not among those asked for.

    Raises:
        InputError: an unknown one is asked for.
    """
    from unseen.core.errors import InputError

    names = [name.strip() for name in asked.split(",") if name.strip()]
    if unknown := [name for name in names if name not in stages]:
        raise InputError(f"no stage {', '.join(unknown)}: expected some of {', '.join(stages)}")
    return [name for name in stages if name not in names]


def without(plan: Any, *stages: str) -> Any:
    """A plan whose `stages` have no steps."""
    for stage in stages:
        plan = with_steps(plan, stage, 0)
    return plan


def with_steps(plan: Any, stage: str, steps: int | None) -> Any:
    """A plan whose stage has so many steps; its own where None is given."""
    return plan if steps is None else replace(plan, **{stage: replace(getattr(plan, stage), steps=steps)})


def plan_named(config: str, plans: Mapping[str, P]) -> P:
    """The plan of a configuration.

    Raises:
        InputError: there is no such configuration.
    """
    from unseen.core.errors import InputError

    if config not in plans:
        raise InputError(f"no configuration {config!r}: expected one of {', '.join(plans)}")
    return plans[config]
