"""The recipe, top to bottom: worlds, autoencoder, views by flow matching, worlds by their renders, distillation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Generator, Tensor, nn

import unseen
from unseen.core.errors import InputError
from unseen.fit.distributed import Ranks
from unseen.io.atomic import make_folder, write_json
from unseen.priors.training.losses import quiet_posterior
from unseen.priors.training.run import Progress, TrainLog, run_stage
from unseen.priors.training.stage import Stage, StagePlan
from unseen.priors.world.config import WorldConfig
from unseen.priors.world.pipeline import WorldPipeline
from unseen.priors.world.training.batches import FilmedWorlds
from unseen.priors.world.training.distillation import DistillationLoss
from unseen.priors.world.training.losses import CodecLoss, ViewsLoss, WorldLoss
from unseen.synthetic.worlds import HELD_OUT_FROM, render_worlds, vocabulary

MEASURED = 256
"""Pictures that the latents' mean and spread are measured on."""


@dataclass(frozen=True)
class WorldPlan:
    """All settings of a training.

    Attributes:
        config: name of the architecture (`WorldConfig.named`).
        codec, views, worlds, few: the stages; one of 0 steps is left out, its networks stay as they are.
        fake: of the score of what the student makes, within the last stage; its steps are shared out evenly.
        places: invented worlds to train on.
        weights: precision the result is kept in, "float16" or "float32".
    """

    config: str
    codec: StagePlan
    views: StagePlan
    worlds: StagePlan
    few: StagePlan
    fake: StagePlan
    places: int
    weights: str = "float16"


PLANS = {
    "tiny": WorldPlan(
        config="tiny",
        codec=StagePlan(steps=1500, batch=16, rate=1.5e-3, warmup=50, ema=0.99, bf16=True),
        views=StagePlan(steps=1000, batch=8, rate=8e-4, warmup=100, ema=0.998, bf16=True),
        worlds=StagePlan(steps=2500, batch=1, rate=4e-4, warmup=100, ema=0.998, bf16=True),
        few=StagePlan(steps=300, batch=1, rate=1e-4, warmup=20, ema=0.98, bf16=True),
        fake=StagePlan(steps=600, batch=1, rate=2e-4, warmup=20, ema=0.98, bf16=True),
        places=1600,
    )
}


@dataclass(frozen=True)
class WorldTraining:
    """One training.

    Attributes:
        out: folder of checkpoints, log and the model.
        plan: settings.
        places: folder of filmed worlds; those it lacks are filmed, unless `given`.
        given: train on the worlds found there and film none.
        start: folder of a model to start from, None for random weights.
        seed: of everything random.
        device: where to compute.
        workers: processes that film.
    """

    out: Path
    plan: WorldPlan
    places: Path
    given: bool = False
    start: Path | None = None
    seed: int = 0
    device: str = "cpu"
    workers: int = 2


def train_world(request: WorldTraining, ranks: Ranks, progress: Progress) -> WorldPipeline:
    """Train, going on from whatever `request.out` holds of the same training; leaves the model in out/model.

    Raises:
        InputError: no worlds, checkpoints of another training, or a plan for the autoencoder of a model to start from.
        ResourceError: the machine refuses a write.
    """
    plan, device = request.plan, torch.device(request.device)
    make_folder(request.out)
    paths = _filmed(request, ranks, progress)
    torch.manual_seed(request.seed)
    model = _start(request).to(device)
    worlds = FilmedWorlds(paths, model.config, device)
    log = TrainLog(request.out / "log.json", ranks)

    def run(name: str, modules: Sequence[str], loss: Callable[[int, Generator], Tensor], stage: StagePlan) -> None:
        if stage.steps:
            parts: Mapping[str, nn.Module] = {part: getattr(model, part) for part in modules}
            made = Stage(name, parts, loss, stage, request.seed, device, ranks)
            run_stage(made, request.out / "checkpoints", log, progress)

    run("codec", ["codec"], CodecLoss(model, worlds), plan.codec)
    if plan.codec.steps:
        _measure_latents(model, worlds)
        _start_decoder(model)
    worlds.encode(model.codec)
    run("views", ["transformer", "text"], ViewsLoss(model, worlds), plan.views)
    run("worlds", ["transformer", "text", "decoder"], WorldLoss(model, worlds), plan.worlds)
    if plan.few.steps:
        loss = DistillationLoss(model, worlds, plan.fake, max(1, plan.fake.steps // plan.few.steps), request.seed)
        run("few", ["transformer", "text", "decoder"], loss, plan.few)
    if ranks.first:
        model.save_pretrained(request.out / "model", getattr(torch, plan.weights))
        recipe = {"unseen": unseen.__version__, "seed": request.seed, "worlds": len(paths), "plan": asdict(plan)}
        write_json(request.out / "model" / "recipe.json", recipe)
        write_json(request.out / "model" / "log.json", log.entries)
    ranks.wait()
    return model


def _start(request: WorldTraining) -> WorldPipeline:
    """The model before its first step."""
    if request.start is not None:
        if request.plan.codec.steps:
            raise InputError(
                f"the autoencoder of {request.start} cannot be trained on: models are kept without what makes pictures "
                "of latents; plan 0 steps for it"
            )
        return WorldPipeline.from_pretrained(request.start)
    model = WorldPipeline.random(WorldConfig.named(request.plan.config).with_words(vocabulary()), pixels=True)
    quiet_posterior(model.codec.quant_conv, model.config.latent_channels)
    return model


def _filmed(request: WorldTraining, ranks: Ranks, progress: Progress) -> list[Path]:
    if request.given:
        paths = sorted(request.places.glob("*.npz"))
        if not paths:
            raise InputError(f"no filmed worlds (*.npz) in {request.places}")
        return paths
    if request.plan.places > HELD_OUT_FROM:
        raise InputError(f"{request.plan.places} worlds asked for, expected at most {HELD_OUT_FROM}: the others judge")
    seeds = range(request.plan.places)
    if ranks.first:
        height, width = WorldConfig.named(request.plan.config).image_size
        watch = partial(progress, "worlds filmed")
        render_worlds(request.places, seeds, watch, size=(width, height), workers=request.workers)
    ranks.wait()
    return [request.places / f"{seed:06d}.npz" for seed in seeds]


def _measure_latents(model: WorldPipeline, worlds: FilmedWorlds) -> None:
    """Set what latents are normalised by, in the codec and in the configuration that is kept."""
    with torch.no_grad():
        latents, _ = model.codec.posterior(worlds.singles(MEASURED, Generator().manual_seed(0)))
    mean, std = latents.mean((0, 2, 3)), latents.std((0, 2, 3))
    model.codec.latents_mean.copy_(mean)
    model.codec.latents_std.copy_(std)
    statistics = {"latents_mean": tuple(mean.tolist()), "latents_std": tuple(std.tolist())}
    model.config = replace(model.config, vae=model.config.vae | statistics)


def _start_decoder(model: WorldPipeline) -> None:
    """Have the decoder of Gaussians start as that of pictures, but for its head (FlashWorld, section 3.1)."""
    weights = {k: v for k, v in model.codec.decoder.state_dict().items() if not k.startswith("conv_out.")}
    model.decoder.decoder.load_state_dict(weights)
    model.decoder.post_quant_conv.load_state_dict(model.codec.post_quant_conv.state_dict())
