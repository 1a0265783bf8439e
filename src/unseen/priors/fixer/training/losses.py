"""What the stages of the fixer's training minimise: pictures of the VQ-VAE, tokens of the transformer, the bridge."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
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
EVEN = 3e-4
"""Squared error of pictures in [-1, 1] below which a smaller one hardly counts, where logarithms are judged."""
LEVELS, SAID = 5.0, 0.3
"""Of `start_tokens`: length of the levels' embeddings, beside which latents are small, and of the head's entries."""


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
        found = quantize.rows(k, missing).flatten(0, 1)
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
    rows = torch.cat([quantize.rows(k, latents - s).flatten(0, 1) for k, s in enumerate(before)])
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

    Ours: entries' means are to come near what each token stands for; and the tokens before may be wrong, those of a
    picture between truth and render, while what is to be learned still leads to the truth (as the self-correction of
    Infinity, Han et al. 2024, arXiv 2412.04431).

    Args:
        model: whose transformer is trained.
        triplets: to learn from.
        without: share of the batches that have no references; the others have a random number of those at hand.
        own: references' tokens are learned too, each view counting as much.
        means: weight of the squared distances of the means, each scale counting as much.
        mistakes: share of the renders whose coarser tokens are wrong.
    """

    def __init__(
        self, model: FixerPipeline, triplets: Source, *, without: float = WITHOUT, own: bool = False,
        means: float = 0.0, mistakes: float = 0.0,
    ) -> None:  # fmt: skip
        self.model, self.triplets, self.without, self.own = model, triplets, without, own
        self.means, self.mistakes = means, mistakes

    def __call__(self, count: int, generator: Generator) -> Tensor:
        drawn = self.triplets.sample(count, generator)
        references = some_references(drawn, self.without, generator)
        pictures = _signed(torch.cat([drawn.renders[:, None], references], 1))
        shape = pictures.shape[:2]
        with torch.no_grad(), _exact(pictures):
            truths = self._encoded(torch.cat([drawn.truths[:, None], references], 1))
            beside, seen = self.model.transformer.beside is not None, truths
            if beside or self.mistakes:
                seen = torch.cat([self._encoded(drawn.renders[:, None]), truths[:, 1:]], 1)
            lesson = Lesson.of(self.model.vqvae.quantize, truths, self._followed(truths, seen, generator))
            maps = self.model.vqvae.quantize.maps(seen) if beside else ()
        found = self.model.transformer(pictures, lesson.inputs, kinds_of(shape[0], shape[1], pictures.device), maps)
        judged = shape[1] if self.own else 1
        with _exact(pictures):
            loss = _entropy(found, lesson, judged) + REFINING * self._refining(found, lesson, judged, generator)
            return loss + self.means * self._mean_errors(found, lesson, judged) if self.means else loss

    def _encoded(self, images: Float[Tensor, "B V S S 3"]) -> Float[Tensor, "B V z h w"]:
        return self.model.vqvae.encode(_signed(images).flatten(0, 1)).float().unflatten(0, images.shape[:2])

    def _followed(self, truths: Tensor, seen: Tensor, generator: Generator) -> Float[Tensor, "B V z h w"]:
        """The latents whose tokens the transformer is given."""
        if not self.mistakes:
            return truths
        wrong, far = torch.rand(2, len(truths), generator=generator).to(truths.device)
        return torch.lerp(truths, seen, (far * (wrong < self.mistakes))[:, None, None, None, None])

    def _mean_errors(self, found: Predicted, lesson: Lesson, views: int) -> Tensor:
        means = self.model.vqvae.quantize.expected(found.logits[:, :views])
        squared = (means - torch.cat(lesson.goals, 2)[:, :views]).square()
        scales = squared.split([goal.shape[2] for goal in lesson.goals], 2)
        return torch.stack([scale.mean() for scale in scales]).sum()

    def _refining(self, found: Predicted, lesson: Lesson, views: int, generator: Generator) -> Tensor:
        """The refiner is told what the transformer thinks and would choose; it learns what the latents have besides."""
        last = self.model.config.patch_nums[-1] ** 2
        hidden, logits = (t[:, :views, -last:] for t in (found.hidden, found.logits))
        entries = self.model.vqvae.quantize.embed(logits.argmax(-1)).detach()
        told = self.model.transformer.refiner_condition(hidden, entries)
        parts = [t.flatten(0, 2).repeat(REPEATS, 1) for t in (lesson.goals[-1][:, :views] - entries, told)]
        steps = torch.randint(TRAINING_STEPS, (len(parts[0]),), generator=generator).to(told.device)
        noise = torch.randn(parts[0].shape, generator=generator).to(told.device)
        squared, bits = self.model.transformer.diffloss.losses(parts[0], parts[1], steps, noise)
        return (squared + bits).mean()


@dataclass(frozen=True)
class Lesson:
    """What the transformer is given and what it is to say of it.

    Attributes:
        inputs: for all scales but the first.
        indices: right tokens of each scale.
        goals: what they stand for: what is missing of the latents, averaged over the scale's cells.
    """

    inputs: Float[Tensor, "B V M z"]
    indices: list[Int[Tensor, "B V L"]]
    goals: list[Float[Tensor, "B V L z"]]

    @classmethod
    def of(
        cls, quantize: MultiScaleQuantizer, latents: Float[Tensor, "B V z h w"], followed: Float[Tensor, "B V z h w"]
    ) -> Lesson:
        """Of latents, where tokens taken so far are those of the latents `followed`."""
        views, truth, other = latents.shape[:2], latents.flatten(0, 1), followed.flatten(0, 1)
        size = (truth.shape[2], truth.shape[3])
        taken = quantize.tokens(other).indices
        before = [torch.zeros_like(truth), *quantize.sums(taken[:-1], size)]
        goals = [quantize.rows(k, truth - fhat).unflatten(0, views) for k, fhat in enumerate(before)]
        indices = [quantize.nearest(goal) for goal in goals]
        return cls(quantize.inputs(taken, size).unflatten(0, views), indices, goals)


def _entropy(found: Predicted, lesson: Lesson, views: int) -> Tensor:
    truth = torch.cat(lesson.indices, 2)[:, :views]
    return cross_entropy(found.logits[:, :views].float().flatten(0, 2), truth.flatten())


@torch.no_grad()
def start_tokens(model: FixerPipeline, generator: Generator) -> None:
    """Have an untrained transformer whose tokens see latents say at first what is missing of those: latents, what is
    there of them, and the codebook's entries begin along the same few directions, levels across them, and blocks with
    their branches open. It learns where renders are wrong, not what pictures are."""
    network, entries = model.transformer, model.vqvae.quantize.embedding.weight
    assert network.beside is not None
    width, channels = network.beside.weight.shape
    levels = len(network.lvl_embed.weight)
    drawn = torch.randn(width, min(width, channels + levels), generator=generator)
    axes = torch.linalg.qr(drawn)[0].to(entries)
    latents, across = axes[:, :channels], axes[:, channels:]
    network.beside.weight.copy_(latents)
    network.word_embed.weight.copy_(-latents)
    network.lvl_embed.weight[: across.shape[1]] += LEVELS * across.T
    network.head.weight.copy_(SAID * entries @ latents.T)
    for block in network.blocks:
        block.ada_lin[1].bias[: 2 * width] = 1


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
        decibels: logarithms of each picture's squared error are judged, not the errors themselves (ours): so good
            renders count as much as bad ones, and nothing is lost on them.
    """

    def __init__(
        self, model: FixerPipeline, triplets: Source, *, perceptual: Perceptual | None = None, gram: float = 0.0,
        without: float = WITHOUT, decibels: bool = False,
    ) -> None:  # fmt: skip
        self.model, self.triplets, self.without = model, triplets, without
        self.perceptual, self.gram, self.decibels = perceptual, gram, decibels

    def __call__(self, count: int, generator: Generator) -> Tensor:
        drawn = self.triplets.sample(count, generator)
        references = some_references(drawn, self.without, generator)
        pictures = _signed(torch.cat([drawn.renders[:, None], references], 1))
        fhat, seen = self._decoded(pictures, generator)
        decoded = self.model.vqvae.decode(fhat, seen)
        truth = _signed(drawn.truths)
        if self.decibels:
            loss = _log_errors(decoded.images, truth) + UNBLENDED * _log_errors(decoded.unblended, truth)
        else:
            loss = mse_loss(decoded.images.float(), truth) + _before_blending(decoded, truth)
        return loss + self._seen(decoded.images.float(), truth)

    def _seen(self, images: Tensor, truth: Tensor) -> Tensor:
        """Distance as VGG sees it, if it is at hand."""
        if self.perceptual is None:
            return images.new_zeros(())
        distance = self.perceptual.distance(images, truth)
        return distance + self.gram * self.perceptual.gram_distance(images, truth) if self.gram else distance

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


def _log_errors(images: Float[Tensor, "N 3 S S"], truth: Float[Tensor, "N 3 S S"]) -> Tensor:
    """Logarithms of the pictures' squared errors, a tenth of them."""
    return 0.1 * ((images.float() - truth).square().flatten(1).mean(1) + EVEN).log().mean()


def bridge_of(model: FixerPipeline, *, decoder: bool = False) -> nn.ModuleDict:
    """The layers of a model's bridge, to train; all else of the model is frozen.

    Args:
        model: whose they are.
        decoder: those of the decoder too; what it makes without the bridge is not kept.

    Raises:
        InputError: it has none.
    """
    network = model.vqvae.decoder
    layers = {name: layer for name, layer in network.named_children() if decoder or BRIDGE in name}
    if not model.vqvae.has_bridge:
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
