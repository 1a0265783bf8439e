"""The recipe, top to bottom: albums, autoencoder, U-Net with its image encoder, latent upsampler."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from unseen.fit.distributed import Ranks
from unseen.io.arrays import array_files
from unseen.priors.loading import is_model
from unseen.priors.multiview.config import MultiViewConfig
from unseen.priors.multiview.pipeline import KIND, MultiViewDiffusion
from unseen.priors.multiview.starting import start_from
from unseen.priors.multiview.training.albums import HELD_OUT_FROM, render_albums
from unseen.priors.multiview.training.losses import (
    DiffusionLoss,
    UpsamplerLoss,
    VaeLoss,
)
from unseen.priors.multiview.training.pictures import Pictures
from unseen.priors.multiview.training.recorded import record_albums
from unseen.priors.multiview.training.whitening import whiten
from unseen.priors.multiview.upsampling import ConvUpsampler
from unseen.priors.training.losses import quiet_posterior
from unseen.priors.training.recipe import Recipe, Training, given_samples, invented_seeds
from unseen.priors.training.run import Progress
from unseen.priors.training.stage import StagePlan


@dataclass(frozen=True)
class HeadPlan:
    """All settings of a training.

    Attributes:
        config: name of the architecture (`MultiViewConfig.named`).
        people: invented people to train on.
        views: per person and step.
        vae, unet, upsampler: the stages; a stage of 0 steps is left out, its networks stay as they are.
        upsampler_channels, upsampler_blocks: size of the small latent upsampler.
        weights: precision the result is kept in, "float16" or "float32".
    """

    config: str
    vae: StagePlan
    unet: StagePlan
    upsampler: StagePlan
    people: int = 400
    views: int = 4
    upsampler_channels: int = 48
    upsampler_blocks: int = 5
    weights: str = "float16"


_TINY = HeadPlan(
    config="tiny",
    vae=StagePlan(steps=1200, batch=16, rate=1.5e-3, warmup=50, ema=0.99, bf16=True),
    unet=StagePlan(steps=1500, batch=8, rate=6e-4, warmup=100, ema=0.998, bf16=True),
    upsampler=StagePlan(steps=300, batch=8, rate=1e-3, warmup=30, ema=0.98, bf16=True),
)
PLANS = {
    "tiny": _TINY,
    "tiny-cameras": replace(_TINY, config="tiny-cameras"),
    # GAF section 4.4: 20,000 steps of 64 samples at 1e-4 from ImageDream's weights, whose autoencoder stays
    "sd21": HeadPlan(
        config="sd21",
        vae=StagePlan(0, 64, 0.0),
        unet=StagePlan(steps=20_000, batch=64, rate=1e-4, warmup=500, ema=0.9999, bf16=True),
        upsampler=StagePlan(0, 64, 0.0),
    ),
}


@dataclass(frozen=True)
class HeadTraining(Training[HeadPlan]):
    """One training; its samples are albums, those invented are of invented people.

    Attributes:
        captures: make the albums of these recordings instead of invented people (see `record_albums`).
        moments: albums per recording.
        head_model: of the recordings, None for the one they name.

    It may start from a folder of `MultiViewDiffusion`, or from a checkpoint of Stable Diffusion 2.1, MVDream or
    ImageDream (see `start_from`).
    """

    captures: Path | None = None
    moments: int = 20
    head_model: str | None = None


def train_heads(training: HeadTraining, ranks: Ranks, progress: Progress) -> MultiViewDiffusion:
    """Train, going on from whatever `training.out` holds of the same training; leaves the model in out/model.

    Raises:
        InputError: no albums, or checkpoints of another training.
        ResourceError: the machine refuses a write.
    """
    plan, recipe = training.plan, Recipe(training, ranks, progress)
    paths = _albums(training, ranks, progress)
    torch.manual_seed(training.seed)
    model = _start(training)
    upsampler = ConvUpsampler(channels=plan.upsampler_channels, blocks=plan.upsampler_blocks)
    if plan.upsampler.steps:
        model.upsampler = upsampler
    model.to(recipe.device)
    pictures = Pictures(paths, model.image_size)
    recipe.stage("vae", {"vae": model.vae}, VaeLoss(model.vae, pictures), plan.vae)
    if plan.vae.steps:
        whiten(model, pictures)
    trained = {"unet": model.unet, "image_encoder": model.image_encoder, "resampler": model.resampler}
    recipe.stage("unet", trained, DiffusionLoss(model, pictures, plan.views), plan.unet)
    recipe.stage("upsampler", {"upsampler": upsampler}, UpsamplerLoss(model, pictures), plan.upsampler)
    recipe.leave(model, len(paths))
    return model


def _start(training: HeadTraining) -> MultiViewDiffusion:
    """The model before its first step."""
    if training.start is not None and is_model(training.start, KIND):
        return MultiViewDiffusion.from_pretrained(training.start)
    model = MultiViewDiffusion.random(MultiViewConfig.named(training.plan.config))
    if training.start is not None:
        start_from(model, training.start)
    else:
        quiet_posterior(model.vae.quant_conv, model.vae.config.latent_channels)
    return model


def _albums(training: HeadTraining, ranks: Ranks, progress: Progress) -> list[Path]:
    if training.given:
        return given_samples(training.samples, "albums")
    size = 2 * MultiViewConfig.named(training.plan.config).image_size
    if training.captures is not None:
        if ranks.first:
            watch = partial(progress, "albums")
            record_albums(training.captures, training.samples, size, training.moments, training.head_model, watch)
        ranks.wait()
        return array_files(training.samples)
    seeds = invented_seeds(training.plan.people, HELD_OUT_FROM, "people")
    if ranks.first:
        render_albums(training.samples, seeds, size, training.workers, lambda k, n: progress("albums", k, n))
    ranks.wait()
    return [training.samples / f"{seed:06d}.npz" for seed in seeds]
