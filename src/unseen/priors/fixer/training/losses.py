"""What the stages of the fixer's training minimise: pictures of the VQ-VAE, tokens of the transformer, the bridge."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, cross_entropy, interpolate, mse_loss

from unseen.core.errors import InputError
from unseen.priors.fixer.decoding import kinds_of
from unseen.priors.fixer.pipeline import FixerPipeline
from unseen.priors.fixer.quantizer import MultiScaleQuantizer, Tokens
from unseen.priors.fixer.refiner import TRAINING_STEPS, Draw
from unseen.priors.fixer.training.perceptual import Perceptual
from unseen.priors.fixer.transformer import Predicted
from unseen.priors.fixer.vqvae import BRIDGE, Decoded
from unseen.priors.training.losses import pictures_loss

COMMITMENT, QUANTIZING, REVIVING = 0.25, 1.0, 0.25
"""Weights: of the latents' distance from their tokens against the tokens' from the latents; of both; of entries nobody
took from the nearest they could be for."""
CONTINUOUS, FEWER = 0.3, 0.1
"""Shares of the pictures decoded from latents as they are, which refined tokens come near, and from fewer scales."""
UNBLENDED = 0.5
"""Weight of what the bridge makes before its picture is blended with the render."""
REFINING, REPEATS = 2.0, 4
"""Weight of the refiner's loss, and how often a step takes each token for it."""
WITHOUT = 0.2
"""Share of the batches without references."""


class Batch(Protocol):
    """Triplets, in [0, 1], all of the model's size: `TripletBatch` is one."""

    @property
    def renders(self) -> Float[Tensor, "N S S 3"]:
        """What is to be repaired."""

    @property
    def truths(self) -> Float[Tensor, "N S S 3"]:
        """What it should be."""

    @property
    def references(self) -> Float[Tensor, "N R S S 3"]:
        """Photos beside it, the best first."""

    @property
    def known(self) -> Bool[Tensor, "N R"]:
        """Which of them there are; the first ones."""


class Source(Protocol):
    """Where batches come from: `Triplets` is one."""

    def sample(self, count: int, generator: Generator) -> Batch:
        """So many triplets, drawn at random."""


class PicturesLoss:
    """Of the VQ-VAE without its codes: `pictures_loss`. Where codes come first, latents shrink toward them before they
    have learned to say anything. Its bridge, if it has one, learns beside it from the truth's latents and the renders'
    features, as if tokens were always right (see `BridgeLoss`).

    Args:
        model: whose VQ-VAE is trained.
        triplets: whose pictures it sees, of all kinds.
    """

    def __init__(self, model: FixerPipeline, triplets: Source) -> None:
        self.vqvae, self.triplets = model.vqvae, triplets

    def __call__(self, count: int, generator: Generator) -> Tensor:
        drawn = self.triplets.sample(count, generator)
        images = any_pictures(drawn, generator)
        decoded = self.vqvae.decode(self.vqvae.encode(_signed(images))).images
        loss = pictures_loss(_unsigned(decoded.float()).movedim(1, -1), images)
        if not self.vqvae.has_bridge:
            return loss
        truth = _signed(drawn.truths)
        mixed = self.vqvae.decode(self.vqvae.encode(truth), self.vqvae.features(_signed(drawn.renders)))
        return loss + mse_loss(mixed.images.float(), truth) + _before_blending(mixed, truth)


class CodecLoss:
    """Of the VQ-VAE without its bridge: `pictures_loss`; distances between latents and the tokens of every scale
    (VAR); and of entries that no token of the batch took from the nearest thing a token could have been: so codes that
    have died come back.

    Args:
        model: whose VQ-VAE is trained.
        triplets: whose pictures it sees, of all kinds.
    """

    def __init__(self, model: FixerPipeline, triplets: Source) -> None:
        self.vqvae, self.triplets = model.vqvae, triplets

    def __call__(self, count: int, generator: Generator) -> Tensor:
        images = any_pictures(self.triplets.sample(count, generator), generator)
        latents = self.vqvae.encode(_signed(images))
        with _exact(latents):
            latents = latents.float()
            quantize = self.vqvae.quantize
            tokens = self.vqvae.tokens(latents.detach())
            sums = list(quantize.sums(tokens.indices, (latents.shape[2], latents.shape[3])))
            near = torch.stack([mse_loss(s, latents.detach()) for s in sums]).mean()
            # coarse scales alone never come near: committed to them too, as VAR's are, few latents keep their details
            near = near + COMMITMENT * mse_loss(sums[-1].detach(), latents)
            revived = _revival(quantize, latents.detach(), [s.detach() for s in sums], tokens)
            shown = _shown(latents, sums, generator)
        decoded = self.vqvae.decode(shown).images
        pictures = pictures_loss(_unsigned(decoded.float()).movedim(1, -1), images)
        return pictures + QUANTIZING * near + REVIVING * revived


def any_pictures(drawn: Batch, generator: Generator) -> Float[Tensor, "N S S 3"]:
    """One picture of each triplet: a render, a truth or a reference."""
    kinds = torch.cat([drawn.renders[:, None], drawn.truths[:, None], drawn.references], 1)
    chance = torch.rand(len(kinds), generator=generator).to(kinds.device)
    chosen = (chance * (2 + drawn.known.sum(1))).long()
    return kinds[torch.arange(len(kinds), device=kinds.device), chosen]


@torch.no_grad()
def start_codes(model: FixerPipeline, triplets: Source, count: int, generator: Generator) -> None:
    """Give latents unit variance, the pictures they decode to staying the same; and have a new codebook start with what
    tokens have to stand for: rows of the latents of so many pictures, and of what coarser scales leave of them."""
    vqvae, quantize = model.vqvae, model.vqvae.quantize
    last: Any = vqvae.quant_conv
    latents = vqvae.encode(_signed(any_pictures(triplets.sample(count, generator), generator))).float()
    scale = latents.std()
    for values in (last.weight, last.bias, latents):
        values /= scale
    vqvae.post_quant_conv.weight *= scale
    rows, missing = [], latents
    for k in range(quantize.scales):
        found = quantize.next_input(k - 1, missing).flatten(0, 1)
        picked = torch.randint(len(found), (len(quantize.embedding.weight),), generator=generator)
        rows.append(found[picked.to(found.device)])
        wide = adaptive_avg_pool2d(missing, quantize.sizes(*latents.shape[2:])[k])
        missing = missing - interpolate(wide, latents.shape[2:], mode="bicubic")
    scales = torch.randint(len(rows), (len(rows[0]),), generator=generator)
    quantize.embedding.weight.copy_(torch.stack(rows)[scales, torch.arange(len(rows[0]))])


def _revival(
    quantize: MultiScaleQuantizer, latents: Tensor, sums: Sequence[Tensor], tokens: Tokens
) -> Float[Tensor, ""]:
    """Squared distance of the entries no token took from the nearest row that a token stands for."""
    entries = quantize.embedding.weight
    used = torch.zeros(len(entries), dtype=torch.bool, device=entries.device)
    used[torch.cat([found.flatten() for found in tokens.indices])] = True
    idle = entries[~used]
    if not len(idle):
        return entries.new_zeros(())
    before = [torch.zeros_like(latents), *sums[:-1]]
    rows = torch.cat([quantize.next_input(k - 1, latents - s).flatten(0, 1) for k, s in enumerate(before)])
    with torch.no_grad():
        nearest = quantize.distances(rows)[:, ~used].argmin(0)
    return mse_loss(idle, rows[nearest])


def _shown(latents: Tensor, sums: Sequence[Tensor], generator: Generator) -> Float[Tensor, "N z h w"]:
    """What is decoded of each picture: mostly all its tokens, sometimes fewer scales, sometimes the latents as they
    are. Gradients pass to the latents as if these had been decoded."""
    chance = torch.rand(len(latents), generator=generator)
    last = torch.full((len(latents),), len(sums) - 1)
    fewer = torch.randint(len(sums), (len(latents),), generator=generator)
    kept = torch.where(chance < CONTINUOUS + FEWER, fewer, last).to(latents.device)
    found = torch.stack(list(sums), 1)[torch.arange(len(latents), device=kept.device), kept]
    through = latents + (found - latents).detach()
    continuous = (chance < CONTINUOUS).to(latents.device)
    return torch.where(continuous[:, None, None, None], latents, through)


class TokensLoss:
    """Of the transformer, teacher-forced: cross-entropy of the truth's tokens, and twice the refiner's loss on what
    they leave out (GS-VAR, stage 1). The VQ-VAE is not trained.

    Args:
        model: whose transformer is trained.
        triplets: to learn from.
        without: share of the batches that have no references; the others have a random number of those at hand.
        own: references' tokens are learned too, each view counting as much.
    """

    def __init__(self, model: FixerPipeline, triplets: Source, *, without: float = WITHOUT, own: bool = False) -> None:
        self.model, self.triplets, self.without, self.own = model, triplets, without, own

    def __call__(self, count: int, generator: Generator) -> Tensor:
        drawn = self.triplets.sample(count, generator)
        references = some_references(drawn, self.without, generator)
        targets = torch.cat([drawn.truths[:, None], references], 1)
        tokens = self._tokens(targets)
        pictures = _signed(torch.cat([drawn.renders[:, None], references], 1))
        shape = pictures.shape[:2]
        side = self.model.config.latent_side
        with torch.no_grad(), _exact(pictures):
            inputs = self.model.vqvae.quantize.inputs(tokens.indices, (side, side)).unflatten(0, shape)
        found = self.model.transformer(pictures, inputs, kinds_of(shape[0], shape[1], pictures.device))
        judged = shape[1] if self.own else 1
        with _exact(pictures):
            return self._entropy(found, tokens, judged) + REFINING * self._refining(found, tokens, judged, generator)

    @torch.no_grad()
    def _tokens(self, images: Float[Tensor, "B V S S 3"]) -> Tokens:
        with _exact(images):
            return self.model.vqvae.tokens(self.model.vqvae.encode(_signed(images).flatten(0, 1)))

    def _entropy(self, found: Predicted, tokens: Tokens, views: int) -> Tensor:
        truth = torch.cat(tokens.indices, 1).unflatten(0, found.logits.shape[:2])[:, :views]
        return cross_entropy(found.logits[:, :views].float().flatten(0, 2), truth.flatten())

    def _refining(self, found: Predicted, tokens: Tokens, views: int, generator: Generator) -> Tensor:
        """The refiner is told what the transformer thinks and would choose; it learns what the latents have besides."""
        last = self.model.config.patch_nums[-1] ** 2
        hidden, logits = (t[:, :views, -last:] for t in (found.hidden, found.logits))
        entries = self.model.vqvae.quantize.embed(logits.argmax(-1)).detach()
        told = self.model.transformer.refiner_condition(hidden, entries)
        residual = tokens.residual.flatten(2).transpose(1, 2).unflatten(0, found.hidden.shape[:2])[:, :views]
        parts = [t.flatten(0, 2).repeat(REPEATS, 1) for t in (residual - entries, told)]
        steps = torch.randint(TRAINING_STEPS, (len(parts[0]),), generator=generator).to(told.device)
        noise = torch.randn(parts[0].shape, generator=generator).to(told.device)
        squared, bits = self.model.transformer.diffloss.losses(parts[0], parts[1], steps, noise)
        return (squared + bits).mean()


class BridgeLoss:
    """Of the bridge alone, on what the transformer really decodes: squared errors of the pictures, and where VGG's
    weights are at hand their distance as it sees them, and that of its Gram matrices (GS-VAR, stage 2). The pictures
    before the last blend are judged too (ours): else a blend that gives back the render is soon found, and nothing
    beyond it.

    Args:
        model: whose bridge is trained (see `bridge_of`).
        triplets: to learn from.
        perceptual: judges pictures by VGG's features, if at hand.
        gram: weight of the distance of Gram matrices, 0 for none; Difix has 0.5.
        without: as in `TokensLoss`.
    """

    def __init__(
        self, model: FixerPipeline, triplets: Source, *, perceptual: Perceptual | None = None, gram: float = 0.0,
        without: float = WITHOUT,
    ) -> None:  # fmt: skip
        self.model, self.triplets, self.without = model, triplets, without
        self.perceptual, self.gram = perceptual, gram

    def __call__(self, count: int, generator: Generator) -> Tensor:
        drawn = self.triplets.sample(count, generator)
        references = some_references(drawn, self.without, generator)
        pictures = _signed(torch.cat([drawn.renders[:, None], references], 1))
        fhat, seen = self._decoded(pictures, generator)
        decoded = self.model.vqvae.decode(fhat, seen)
        truth = _signed(drawn.truths)
        return self._distance(decoded.images.float(), truth) + _before_blending(decoded, truth)

    def _distance(self, images: Tensor, truth: Tensor) -> Tensor:
        loss = mse_loss(images, truth)
        if self.perceptual is not None:
            loss = loss + self.perceptual.distance(images, truth)
            if self.gram:
                loss = loss + self.gram * self.perceptual.gram_distance(images, truth)
        return loss

    @torch.no_grad()
    def _decoded(self, pictures: Tensor, generator: Generator) -> tuple[Tensor, list[Tensor]]:
        """Latents as they come in use, and what the bridge sees of the renders."""
        found = self.model.tokens(pictures, generator)
        with _exact(pictures):
            fhat = self.model.refined(found.fhat[:, 0], found.condition[:, 0], drawing(generator))
        return fhat, self.model.vqvae.features(pictures[:, 0])


def _before_blending(decoded: Decoded, truth: Tensor) -> Tensor:
    """Of the pictures before their last blend with the renders."""
    return UNBLENDED * mse_loss(decoded.unblended.float(), truth)


def bridge_of(model: FixerPipeline) -> nn.ModuleDict:
    """The layers of a model's bridge, to train; all else of the model is frozen.

    Raises:
        InputError: it has none.
    """
    layers = {name: layer for name, layer in model.vqvae.decoder.named_children() if BRIDGE in name}
    if not layers:
        raise InputError("this fixer's VQ-VAE has no bridge: there is nothing to train in the second stage")
    for module in model.modules().values():
        module.requires_grad_(False).eval()
    return nn.ModuleDict(layers)


def some_references(drawn: Batch, without: float, generator: Generator) -> Float[Tensor, "N R S S 3"]:
    """Of a batch: none, with a chance of `without`, or a random number of the first ones that all triplets have."""
    there = int(drawn.known.sum(1).min()) if drawn.known.numel() else 0
    chance, which = torch.rand(2, generator=generator).tolist()
    return drawn.references[:, : 0 if chance < without else min(there, 1 + int(which * there))]


def drawing(generator: Generator) -> Draw:
    """Noise from a generator on the CPU."""
    return lambda shape: torch.randn(shape, generator=generator)


def used_entries(indices: Sequence[Int[Tensor, "N L"]]) -> int:
    """How many entries of the codebook tokens take."""
    return len(torch.cat([found.flatten() for found in indices]).unique())


def _signed(images: Float[Tensor, "*batch S S 3"]) -> Float[Tensor, "*batch 3 S S"]:
    """[0, 1] to [-1, 1], channels first."""
    return images.movedim(-1, -3) * 2 - 1


def _unsigned(images: Tensor) -> Tensor:
    return images / 2 + 0.5


def _exact(like: Tensor) -> AbstractContextManager[None]:
    """Without autocast: tokens and the refiner are computed in float32."""
    context: AbstractContextManager[None] = torch.autocast(like.device.type, enabled=False)
    return context
