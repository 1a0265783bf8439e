"""The recipe, top to bottom: the VQ-VAE without and with its codes, the transformer with its refiner, and last the
bridge."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Generator, nn

from unseen.core.errors import InputError
from unseen.fit.distributed import Ranks
from unseen.io.triplets import Split
from unseen.priors.fixer.config import FixerConfig
from unseen.priors.fixer.pipeline import FixerPipeline
from unseen.priors.fixer.training.losses import (
    BridgeLoss,
    CodecLoss,
    PicturesLoss,
    TokensLoss,
    bridge_of,
    start_codes,
    start_tokens,
)
from unseen.priors.fixer.training.perceptual import Perceptual
from unseen.priors.fixer.training.triplets import Triplets
from unseen.priors.fixer.training.validation import Validation
from unseen.priors.training.recipe import Recipe, Training
from unseen.priors.training.run import Progress, Watch
from unseen.priors.training.stage import StagePlan

CODEBOOK_PICTURES = 64
"""A new codebook starts with what these have."""


@dataclass(frozen=True)
class FixerPlan:
    """All settings of a training.

    Attributes:
        config: name of the architecture (`FixerConfig.named`).
        pictures: of the VQ-VAE without its codes.
        codec: of the VQ-VAE; its networks stay as they are with 0 steps, as those of every stage.
        tokens: of the transformer and its refiner (GS-VAR, stage 1).
        bridge: of the bridge (GS-VAR, stage 2).
        references: photos beside a render, at most.
        own, means, mistakes: of what the transformer learns (see `TokensLoss`).
        gram: weight of the distance of Gram matrices in the last stage, where VGG's weights are at hand.
        decibels: whether that stage judges logarithms of errors (see `BridgeLoss`).
        decoder: whether the decoder learns with its bridge.
        weights: precision the result is kept in, "float16" or "float32".
    """

    config: str
    pictures: StagePlan
    codec: StagePlan
    tokens: StagePlan
    bridge: StagePlan
    references: int = 2
    own: bool = False
    means: float = 0.0
    mistakes: float = 0.0
    gram: float = 0.0
    decibels: bool = False
    decoder: bool = False
    weights: str = "float16"


PLANS = {
    "tiny": FixerPlan(
        config="tiny",
        pictures=StagePlan(steps=1100, batch=8, rate=1e-3, warmup=50, ema=0.99, bf16=True),
        codec=StagePlan(steps=200, batch=8, rate=3e-4, warmup=20, ema=0.98, bf16=True),
        tokens=StagePlan(steps=1500, batch=8, rate=8e-4, warmup=60, ema=0.99, bf16=True),
        bridge=StagePlan(steps=900, batch=16, rate=1e-3, warmup=50, ema=0.99, bf16=True),
        means=5.0,
        mistakes=0.6,
        decibels=True,
        decoder=True,
    ),
    # GS-VAR: from VARSR's weights, whose VQ-VAE stays
    "varsr": FixerPlan(
        config="varsr",
        pictures=StagePlan(0, 16, 0.0),
        codec=StagePlan(0, 16, 0.0),
        tokens=StagePlan(
            steps=20_000, batch=16, rate=5e-5, warmup=500, weight_decay=0.05, ema=0.9999, clip=2.0, bf16=True
        ),
        bridge=StagePlan(
            steps=10_000, batch=4, rate=5e-5, warmup=500, weight_decay=0.05, ema=0.999, clip=2.0, bf16=True
        ),
        references=1,
        gram=0.5,
        weights="float32",
    ),
}


@dataclass(frozen=True)
class FixerTraining(Training[FixerPlan]):
    """One training; its samples are triplets as `unseen curate` leaves them, of which it makes none.

    Attributes:
        perceptual: file of VGG-16's weights that judge the last stage too (see `Perceptual.open`).

    It starts from random weights, a folder of `FixerPipeline`, or published files ("gsvar:FILE[,FILE]").
    """

    perceptual: Path | None = None


def train_fixer(training: FixerTraining, ranks: Ranks, progress: Progress) -> FixerPipeline:
    """Train, going on from whatever `training.out` holds of the same training; leaves the model in out/model.

    Held-out triplets, if there are any, are repaired now and then: numbers in log.json, pictures in out/looks.

    Raises:
        InputError: no triplets, checkpoints of another training, or a stage that what it starts from has no networks
            for.
        ResourceError: the machine refuses a write.
    """
    plan, recipe = training.plan, Recipe(training, ranks, progress)
    torch.manual_seed(training.seed)
    model = _start(training).to(recipe.device)
    triplets = _triplets(model, training, "train")
    looks = _looks(model, training, recipe)
    codec = {"vqvae": model.vqvae}
    recipe.stage("pictures", codec, PicturesLoss(model, triplets), plan.pictures)
    generator = Generator().manual_seed(training.seed)
    if plan.codec.steps:
        start_codes(model, triplets, CODEBOOK_PICTURES, generator)
    recipe.stage("codec", codec, CodecLoss(model, triplets), plan.codec)
    _freeze(model.vqvae)
    if training.start is None and model.transformer.beside is not None:
        start_tokens(model, generator)
    tokens = TokensLoss(model, triplets, own=plan.own, means=plan.means, mistakes=plan.mistakes)
    recipe.stage("tokens", {"transformer": model.transformer}, tokens, plan.tokens, looks)
    if plan.bridge.steps:
        judge = None if training.perceptual is None else Perceptual.open(training.perceptual).to(recipe.device)
        loss = BridgeLoss(model, triplets, perceptual=judge, gram=plan.gram, decibels=plan.decibels)
        recipe.stage("bridge", {"bridge": bridge_of(model, decoder=plan.decoder)}, loss, plan.bridge, looks)
    recipe.leave(model, len(triplets))
    return model


def _start(training: FixerTraining) -> FixerPipeline:
    """The model before its first step."""
    if training.start is not None:
        model = FixerPipeline.from_pretrained(training.start)
        return model.with_bridge() if training.plan.bridge.steps else model
    if not training.plan.codec.steps:
        raise InputError(
            f"the plan {training.plan.config!r} has no training of its VQ-VAE: name a model to start from (--start)"
        )
    model = FixerPipeline.random(FixerConfig.named(training.plan.config))
    model.vqvae.initialise()
    return model


def _looks(model: FixerPipeline, training: FixerTraining, recipe: Recipe) -> list[Watch]:
    """At held-out triplets, if there are any."""
    try:
        held_out = _triplets(model, training, "val")
    except InputError:
        return []
    return [Validation(model, held_out, training.out / "looks", recipe.log)]


def _triplets(model: FixerPipeline, training: FixerTraining, split: Split) -> Triplets:
    """Of a size the model works on."""
    return Triplets(
        [training.samples], model.config.image_size, references=training.plan.references, split=split,
        device=training.device, shrink=model.config.worked_on,
    )  # fmt: skip


def _freeze(module: nn.Module) -> None:
    module.eval().requires_grad_(False)
