"""The recipe, top to bottom: albums, autoencoder, U-Net with its image encoder, latent upsampler."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

import unseen
from unseen.core.errors import InputError
from unseen.fit.distributed import Ranks
from unseen.io.atomic import make_folder, write_json
from unseen.priors.loading import is_model
from unseen.priors.multiview.config import MultiViewConfig
from unseen.priors.multiview.pipeline import KIND, MultiViewDiffusion
from unseen.priors.multiview.starting import start_from
from unseen.priors.multiview.training.albums import HELD_OUT_FROM, render_albums
from unseen.priors.multiview.training.losses import (
    DiffusionLoss,
    UpsamplerLoss,
    VaeLoss,
    latent_scale,
)
from unseen.priors.multiview.training.pictures import Pictures
from unseen.priors.multiview.training.recorded import record_albums
from unseen.priors.multiview.upsampling import ConvUpsampler
from unseen.priors.training.losses import quiet_posterior
from unseen.priors.training.run import Progress, TrainLog, run_stage
from unseen.priors.training.stage import Stage, StagePlan


@dataclass(frozen=True)
class TrainPlan:
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


_TINY = TrainPlan(
    config="tiny",
    vae=StagePlan(steps=1200, batch=16, rate=1.5e-3, warmup=50, ema=0.99, bf16=True),
    unet=StagePlan(steps=1500, batch=8, rate=6e-4, warmup=100, ema=0.998, bf16=True),
    upsampler=StagePlan(steps=300, batch=8, rate=1e-3, warmup=30, ema=0.98, bf16=True),
)
PLANS = {
    "tiny": _TINY,
    "tiny-cameras": replace(_TINY, config="tiny-cameras"),
    # GAF section 4.4: 20,000 steps of 64 samples at 1e-4 from ImageDream's weights, whose autoencoder stays
    "sd21": TrainPlan(
        config="sd21",
        vae=StagePlan(0, 64, 0.0),
        unet=StagePlan(steps=20_000, batch=64, rate=1e-4, warmup=500, ema=0.9999, bf16=True),
        upsampler=StagePlan(0, 64, 0.0),
    ),
}


@dataclass(frozen=True)
class TrainRequest:
    """One training.

    Attributes:
        out: folder of checkpoints, log and the model.
        plan: settings.
        albums: folder of albums; those of invented people that it lacks are made, unless `given`.
        given: train on the albums found in `albums` and make none.
        captures: make the albums of these recordings instead of invented people (see `record_albums`).
        moments: albums per recording.
        head_model: of the recordings, None for the one they name.
        start: what to start from, None for random weights: a folder of `MultiViewDiffusion`, or a checkpoint of Stable
            Diffusion 2.1, MVDream or ImageDream (see `start_from`).
        seed: of everything random.
        device: where to compute.
        workers: processes that render albums.
    """

    out: Path
    plan: TrainPlan
    albums: Path
    given: bool = False
    captures: Path | None = None
    moments: int = 20
    head_model: str | None = None
    start: Path | None = None
    seed: int = 0
    device: str = "cpu"
    workers: int = 2


def run_training(request: TrainRequest, ranks: Ranks, progress: Progress) -> MultiViewDiffusion:
    """Train, going on from whatever `request.out` holds of the same training; leaves the model in out/model.

    Raises:
        InputError: no albums, or checkpoints of another training.
        ResourceError: the machine refuses a write.
    """
    plan, device = request.plan, torch.device(request.device)
    make_folder(request.out)
    paths = _albums(request, ranks, progress)
    torch.manual_seed(request.seed)
    model = _start(request)
    upsampler = ConvUpsampler(channels=plan.upsampler_channels, blocks=plan.upsampler_blocks)
    if plan.upsampler.steps:
        model.upsampler = upsampler
    model.to(device)
    pictures = Pictures(paths, model.image_size)
    log = TrainLog(request.out / "log.json", ranks)

    def run(name: str, modules: dict[str, nn.Module], loss: Any, stage: StagePlan) -> None:
        made = Stage(name, modules, loss, stage, request.seed, device, ranks)
        run_stage(made, request.out / "checkpoints", log, progress)

    if plan.vae.steps:
        run("vae", {"vae": model.vae}, VaeLoss(model.vae, pictures), plan.vae)
        scale = latent_scale(model, pictures)
        model.config = replace(model.config, vae=model.config.vae | {"scaling_factor": scale})
        model.vae.register_to_config(scaling_factor=scale)
    if plan.unet.steps:
        trained = {"unet": model.unet, "image_encoder": model.image_encoder, "resampler": model.resampler}
        run("unet", trained, DiffusionLoss(model, pictures, plan.views), plan.unet)
    if plan.upsampler.steps:
        run("upsampler", {"upsampler": upsampler}, UpsamplerLoss(model, pictures), plan.upsampler)
    if ranks.first:
        model.save_pretrained(request.out / "model", getattr(torch, plan.weights))
        recipe = {"unseen": unseen.__version__, "seed": request.seed, "albums": len(paths), "plan": asdict(plan)}
        before = None if request.start is None else request.start / "recipe.json"
        if before is not None and before.is_file():
            recipe["started_from"] = json.loads(before.read_text())
        write_json(request.out / "model" / "recipe.json", recipe)
        write_json(request.out / "model" / "log.json", log.entries)
    ranks.wait()
    return model


def _start(request: TrainRequest) -> MultiViewDiffusion:
    """The model before its first step."""
    if request.start is not None and is_model(request.start, KIND):
        return MultiViewDiffusion.from_pretrained(request.start)
    model = MultiViewDiffusion.random(MultiViewConfig.named(request.plan.config))
    if request.start is not None:
        start_from(model, request.start)
    else:
        quiet_posterior(model.vae.quant_conv, model.vae.config.latent_channels)
    return model


def _albums(request: TrainRequest, ranks: Ranks, progress: Progress) -> list[Path]:
    if request.given:
        paths = sorted(request.albums.glob("*.npz"))
        if not paths:
            raise InputError(f"no albums (*.npz) in {request.albums}")
        return paths
    size = 2 * MultiViewConfig.named(request.plan.config).image_size
    if request.captures is not None:
        if ranks.first:
            watch = partial(progress, "albums")
            record_albums(request.captures, request.albums, size, request.moments, request.head_model, watch)
        ranks.wait()
        return sorted(request.albums.glob("*.npz"))
    if request.plan.people > HELD_OUT_FROM:
        raise InputError(f"{request.plan.people} people asked for, expected at most {HELD_OUT_FROM}: the others judge")
    seeds = range(request.plan.people)
    if ranks.first:
        render_albums(request.albums, seeds, size, request.workers, lambda k, n: progress("albums", k, n))
    ranks.wait()
    return [request.albums / f"{seed:06d}.npz" for seed in seeds]
