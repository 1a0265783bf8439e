"""The recipe, top to bottom: worlds, autoencoder, views by flow matching, worlds by their renders, distillation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Generator, nn

from unseen.core.errors import InputError
from unseen.fit.distributed import Ranks
from unseen.priors.training.losses import quiet_posterior
from unseen.priors.training.recipe import Recipe, Training, given_samples, invented_seeds
from unseen.priors.training.run import Progress
from unseen.priors.training.stage import StagePlan
from unseen.priors.world.config import WorldConfig
from unseen.priors.world.pipeline import WorldPipeline
from unseen.priors.world.training.batches import FilmedWorlds
from unseen.priors.world.training.distillation import PROMPTED, DistillationLoss
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
        few=StagePlan(steps=450, batch=1, rate=2e-4, warmup=20, ema=0.99, bf16=True),
        fake=StagePlan(steps=180, batch=1, rate=2e-4, warmup=20, ema=0.98, bf16=True),
        places=1600,
    )
}


def train_world(training: Training[WorldPlan], ranks: Ranks, progress: Progress) -> WorldPipeline:
    """Train on filmed worlds, going on from whatever `training.out` holds of the same training; leaves the model in
    out/model.

    Raises:
        InputError: no worlds, checkpoints of another training, or a plan for the autoencoder of a model to start from.
        ResourceError: the machine refuses a write.
    """
    plan, recipe = training.plan, Recipe(training, ranks, progress)
    paths = _filmed(training, ranks, progress)
    torch.manual_seed(training.seed)
    model = _start(training).to(recipe.device)
    worlds = FilmedWorlds(paths, model.config, recipe.device)

    def parts(*names: str) -> dict[str, nn.Module]:
        return {name: getattr(model, name) for name in names}

    recipe.stage("codec", parts("codec"), CodecLoss(model, worlds), plan.codec)
    if plan.codec.steps:
        _measure_latents(model, worlds)
        _start_decoder(model)
    worlds.encode(model.codec)
    recipe.stage("views", parts("transformer", "text"), ViewsLoss(model, worlds), plan.views)
    made = parts("transformer", "text", "decoder")
    recipe.stage("worlds", made, WorldLoss(model, worlds), plan.worlds)
    if plan.few.steps:
        updates = max(1, round(plan.fake.steps / (PROMPTED * plan.few.steps)))
        recipe.stage("few", made, DistillationLoss(model, worlds, plan.fake, updates, training.seed), plan.few)
    recipe.leave(model, len(paths))
    return model


def _start(training: Training[WorldPlan]) -> WorldPipeline:
    """The model before its first step."""
    if training.start is not None:
        if training.plan.codec.steps:
            raise InputError(
                f"the autoencoder of {training.start} cannot be trained on: models are kept without what makes "
                "pictures of latents; plan 0 steps for it"
            )
        return WorldPipeline.from_pretrained(training.start)
    model = WorldPipeline.random(WorldConfig.named(training.plan.config).with_words(vocabulary()), pixels=True)
    quiet_posterior(model.codec.quant_conv, model.config.latent_channels)
    return model


def _filmed(training: Training[WorldPlan], ranks: Ranks, progress: Progress) -> list[Path]:
    if training.given:
        return given_samples(training.samples, "filmed worlds")
    seeds = invented_seeds(training.plan.places, HELD_OUT_FROM, "worlds")
    if ranks.first:
        height, width = WorldConfig.named(training.plan.config).image_size
        watch = partial(progress, "worlds filmed")
        render_worlds(training.samples, seeds, watch, size=(width, height), workers=training.workers)
    ranks.wait()
    return [training.samples / f"{seed:06d}.npz" for seed in seeds]


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
