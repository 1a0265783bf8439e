"""What the stages of the training minimise.

The paths of the flow are x = (1 - s) clean + s noise. A world model has two modes (FlashWorld, section 3.1): it
denoises views as latents, or makes Gaussians whose renders are the denoised views.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Generator, Tensor
from torch.nn.functional import mse_loss

from unseen.core.gaussians import Gaussians
from unseen.fit.losses import image_loss
from unseen.priors.training.losses import KL_WEIGHT, SSIM_WEIGHT, divergence, pictures_loss
from unseen.priors.world.decoder import GaussianDecoder
from unseen.priors.world.pipeline import WorldPipeline
from unseen.priors.world.sampling import (
    Conditions,
    Feedback,
    Prediction,
    noise_levels,
    predict,
    render_views,
    renoise,
    shifted,
)
from unseen.priors.world.training.batches import FilmedWorlds, Pick, Truth

STEPS = 4
"""Steps that the model is taught to make worlds in."""
ON_SCHEDULE, FED_BACK, FROM_RENDERS = 0.5, 0.7, 0.5
"""Shares of the samples at a level of the sampler's; of those below the highest that hear of a step before; and of
these that start from its renders instead of from the truth."""
OTHERS = 4
"""Views besides those made, that Gaussians are judged by."""
VIEWS_WEIGHT, DISTANCE_WEIGHT = 0.3, 0.2
LOWEST = 0.02
"""Noise level that is trained."""


class CodecLoss:
    """`pictures_loss` of what the autoencoder makes of its latents, and their divergence from a unit Gaussian.

    Args:
        model: whose codec has its decoder.
        worlds: to learn from.
    """

    def __init__(self, model: WorldPipeline, worlds: FilmedWorlds) -> None:
        self.codec, self.worlds = model.codec, worlds

    def __call__(self, count: int, generator: Generator) -> Tensor:
        images = self.worlds.singles(count, generator)
        mean, log_variance = self.codec.posterior(images)
        noise = torch.randn(mean.shape, generator=generator).to(mean)
        latents = mean + (0.5 * log_variance).exp() * noise
        decoded = self.codec.decode(self.codec.normalize(latents))
        return pictures_loss(decoded, images) + KL_WEIGHT * divergence(mean, log_variance)


class ViewsLoss:
    """Flow matching of views as latents: squared errors of the velocity, at levels drawn as the sampler spends them.

    Args:
        model: to train.
        worlds: with their latents.
    """

    def __init__(self, model: WorldPipeline, worlds: FilmedWorlds) -> None:
        self.model, self.worlds = model, worlds

    def __call__(self, count: int, generator: Generator) -> Tensor:
        picks = self.worlds.picks(count, 0, generator)
        conditions, clean = self.worlds.conditions(picks, self.model.text)
        noise = torch.randn(clean.shape, generator=generator).to(clean)
        levels = random_levels(count, generator).to(clean.device)
        noisy = renoise(clean, noise, levels[:, None, None, None, None])
        nothing = Feedback.none(clean, self.model.config.features)
        found = predict(self.model.transformer, noisy, levels, conditions, nothing)
        return mse_loss(found.velocity, noise - clean)


class WorldLoss:
    """Both modes at once, one world after another: the velocity as in `ViewsLoss`; the Gaussians by their renders at
    the views made and at others (L1 and SSIM), and by the distance of their points along each ray (ours: the truth is
    known here). Most samples hear of a step before, the model's own, as they will when they sample.

    Args:
        model: to train.
        worlds: with their latents.
    """

    def __init__(self, model: WorldPipeline, worlds: FilmedWorlds) -> None:
        self.model, self.worlds = model, worlds

    def __call__(self, count: int, generator: Generator) -> Tensor:
        picks = self.worlds.picks(count, OTHERS, generator)
        losses = [self._of(pick, generator) for pick in picks]
        return torch.stack(losses).mean()

    def _of(self, pick: Pick, generator: Generator) -> Tensor:
        model = self.model
        conditions, clean = self.worlds.conditions([pick], model.text)
        truth = self.worlds.truth(pick)
        level, start, told = self._step_before(conditions, clean, truth, generator)
        noise = torch.randn(clean.shape, generator=generator).to(clean)
        noisy = renoise(start, noise, level)
        found = predict(model.transformer, noisy, level, conditions, told)
        # from renders that are not quite true the way leads to the truth all the same, but its velocity has no bound
        views = mse_loss(found.clean, clean) / (level**2 if start is clean else 1.0)
        raw, gaussians = decoded(model, found, conditions.cameras[0])
        return VIEWS_WEIGHT * views + judged(model, raw, seen(gaussians, truth.cameras, truth), truth)

    @torch.no_grad()
    def _step_before(
        self, conditions: Conditions, clean: Tensor, truth: Truth, generator: Generator
    ) -> tuple[float, Tensor, Feedback]:
        """A level, the latents to be noised to it, and what a step before at a higher level has told."""
        chance = torch.rand(3, generator=generator).tolist()
        schedule = noise_levels(STEPS)
        at = int(torch.randint(STEPS, (1,), generator=generator))
        drawn = random_levels(2, generator).tolist()
        level, above = (schedule[at], schedule[max(at - 1, 0)]) if chance[0] < ON_SCHEDULE else sorted(drawn)
        nothing = Feedback.none(clean, self.model.config.features)
        if level == 1.0 or chance[1] >= FED_BACK:
            return level, clean, nothing
        noise = torch.randn(clean.shape, generator=generator).to(clean)
        before = predict(self.model.transformer, renoise(clean, noise, above), above, conditions, nothing)
        rendered = rendered_latents(self.model, before, truth)
        start = rendered if chance[2] < FROM_RENDERS else clean
        return level, start, Feedback(before.features.float(), rendered)


def random_levels(count: int, generator: Generator) -> Float[Tensor, "B"]:
    """Noise levels in (0, 1], spread as the sampler's are."""
    return shifted(1 - torch.rand(count, generator=generator)).clamp_min(LOWEST)


def seen(gaussians: Gaussians, cameras: Float[Tensor, "N 11"], truth: Truth) -> Float[Tensor, "N H W 3"]:
    """Renders of a world, of the size of its true pictures."""
    height, width = truth.images.shape[1:3]
    return render_views(gaussians, cameras, width, height).images


def judged(model: WorldPipeline, raw: Tensor, renders: Float[Tensor, "N H W 3"], truth: Truth) -> Tensor:
    """Loss of the Gaussians of one world by their distances, with `raw` as `decoded` gives it, and by their renders at
    all cameras of the truth."""
    pictures = image_loss(renders.contiguous(), truth.images, SSIM_WEIGHT) + mse_loss(renders, truth.images)
    distance = log_distances(model.decoder, raw) - truth.distances[:, None].log()
    return pictures + DISTANCE_WEIGHT * distance.abs().clamp(max=2).mean()


def decoded(model: WorldPipeline, found: Prediction, cameras: Float[Tensor, "N 11"]) -> tuple[Tensor, Gaussians]:
    """What the decoder's head gives for one world, and its Gaussians."""
    latents = model.codec.denormalize(found.clean[0].transpose(0, 1))
    raw = model.decoder(latents, found.features[0].transpose(0, 1))
    return raw, model.decoder.gaussians(raw, cameras)


def log_distances(decoder: GaussianDecoder, raw: Float[Tensor, "N P D h w"]) -> Float[Tensor, "N P h w"]:
    """Logarithms of the distances of the points along their rays."""
    depth: Tensor = decoder.gs_head.split(raw.movedim(2, -1))[2][..., 0]
    return depth


def rendered_latents(model: WorldPipeline, found: Prediction, truth: Truth) -> Float[Tensor, "1 C N h w"]:
    """Normalised latents of the renders of one world's Gaussians at the views made, differentiable."""
    cameras = truth.cameras[: len(truth.distances)]
    return encoded(model, seen(decoded(model, found, cameras)[1], cameras, truth))


def encoded(model: WorldPipeline, images: Float[Tensor, "N H W 3"]) -> Float[Tensor, "1 C N h w"]:
    """Normalised latents of views of one world, differentiable."""
    return model.codec.encode(images.clamp(0, 1)).transpose(0, 1)[None]


def chain(
    model: WorldPipeline, conditions: Conditions, truth: Truth, generator: Generator
) -> Iterator[tuple[Prediction, Tensor, Float[Tensor, "V H W 3"]]]:
    """All steps of the sampler from pure noise, the renders of each noised again for the next: what the transformer
    finds, what the decoder's head gives, and renders at all cameras of the truth. Gradients do not cross from step to
    step."""
    made, levels = len(truth.distances), noise_levels(STEPS)
    x = torch.randn(conditions.image.shape, generator=generator).to(conditions.image)
    told = Feedback.none(x, model.config.features)
    for k in range(STEPS):
        found = predict(model.transformer, x, levels[k], conditions, told)
        raw, gaussians = decoded(model, found, truth.cameras[:made])
        renders = seen(gaussians, truth.cameras, truth)
        yield found, raw, renders
        if k + 1 < STEPS:
            with torch.no_grad():
                rendered = encoded(model, renders[:made])
            told = Feedback(found.features.detach().float(), rendered)
            x = renoise(rendered, torch.randn(x.shape, generator=generator).to(x), levels[k + 1])
