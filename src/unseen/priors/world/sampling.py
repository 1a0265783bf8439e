"""A few steps from noise to Gaussians: denoise all views, make Gaussians, render them, noise the renders less.

The paths of the flow are x = (1 - s) clean + s noise, s the noise level; the network gives the velocity noise - clean.
Between steps what is noised again are latents of the Gaussians' renders, so that views cannot drift apart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from unseen.core.errors import InputError
from unseen.core.gaussians import Gaussians
from unseen.priors.world.cameras import opencv
from unseen.priors.world.decoder import GaussianDecoder
from unseen.priors.world.transformer import WorldTransformer
from unseen.priors.world.vae import ImageCodec
from unseen.render import rasterization

SHIFT = 3.0
"""Levels are spent at high noise: s = SHIFT u / (1 + (SHIFT - 1) u) for u falling evenly from 1."""
TIMESTEPS = 1000
NEAR, FAR = 0.01, 1000.0
"""Depths of what is rendered, in the network's units."""

T = TypeVar("T", float, Tensor)
Draw = Callable[[tuple[int, ...]], Tensor]
"""Standard normal numbers of a shape."""
Render = Callable[[Gaussians], Tensor]
"""Pictures [N, H, W, 3] of Gaussians at the views' cameras, in [0, 1]."""
OnStep = Callable[[int, int, Tensor | None], None]
"""Told a step from 0, of how many, and the renders it made [N, H, W, 3]; None where it made none."""


@dataclass(frozen=True)
class Networks:
    """What samples worlds.

    Attributes:
        transformer, codec, decoder: the networks.
    """

    transformer: WorldTransformer
    codec: ImageCodec
    decoder: GaussianDecoder


@dataclass(frozen=True)
class Conditions:
    """What a world, or a batch of them, is asked to be.

    Attributes:
        cameras: in the network's frame, [B, N, 11].
        rays: their maps, [B, 6, N, h, w].
        image: latents of the picture at its view, zeros elsewhere, [B, C, N, h, w].
        text: [B, L, D].
    """

    cameras: Float[Tensor, "B N 11"]
    rays: Float[Tensor, "B 6 N h w"]
    image: Float[Tensor, "B C N h w"]
    text: Float[Tensor, "B L D"]


@dataclass(frozen=True)
class Feedback:
    """What a step tells the next.

    Attributes:
        features: of the transformer, [B, F, N, h, w].
        rendered: latents of the Gaussians' renders, [B, C, N, h, w].
    """

    features: Float[Tensor, "B F N h w"]
    rendered: Float[Tensor, "B C N h w"]

    @classmethod
    def none(cls, latents: Float[Tensor, "B C N h w"], features: int) -> Feedback:
        """Of the first step, for latents of this shape."""
        b, _, *rest = latents.shape
        return cls(latents.new_zeros(b, features, *rest), torch.zeros_like(latents))


@dataclass(frozen=True)
class Prediction:
    """What the transformer makes of noisy views.

    Attributes:
        clean: latents as they would be without noise, [B, C, N, h, w].
        velocity: noise minus clean, of the same shape.
        features: [B, F, N, h, w].
    """

    clean: Float[Tensor, "B C N h w"]
    velocity: Float[Tensor, "B C N h w"]
    features: Float[Tensor, "B F N h w"]


@dataclass(frozen=True)
class Views:
    """Gaussians rendered at cameras.

    Attributes:
        images: over white, [N, H, W, 3]; not clamped.
        depths: distances along the cameras' axes, expected where anything is seen, [N, H, W].
        alphas: [N, H, W].
    """

    images: Float[Tensor, "N H W 3"]
    depths: Float[Tensor, "N H W"]
    alphas: Float[Tensor, "N H W"]


def noise_levels(steps: int) -> list[float]:
    """Levels of so many steps, from 1 down; four are 1, 0.9, 0.75, 0.5.

    Raises:
        InputError: no step, or more than the network was taught levels.
    """
    if not 1 <= steps <= TIMESTEPS:
        raise InputError(f"{steps} steps asked for, expected 1 to {TIMESTEPS}")
    even = [1 - (k * TIMESTEPS // steps) / TIMESTEPS for k in range(steps)]
    return [shifted(u) for u in even]


def shifted(even: T) -> T:
    """Noise levels of evenly spread numbers in (0, 1], more of them at high noise."""
    return SHIFT * even / (1 + (SHIFT - 1) * even)


def renoise(clean: Tensor, noise: Tensor, level: float | Tensor) -> Tensor:
    """Latents at a noise level; a tensor of levels must broadcast."""
    return (1 - level) * clean + level * noise


def predict(
    transformer: WorldTransformer, noisy: Float[Tensor, "B C N h w"], level: float | Float[Tensor, "B"],
    conditions: Conditions, feedback: Feedback,
) -> Prediction:  # fmt: skip
    """One call of the transformer, differentiable."""
    levels = torch.as_tensor(level, dtype=torch.float32, device=noisy.device).expand(len(noisy))
    velocity, features = transformer(
        noisy, conditions.rays, conditions.image, feedback.features, feedback.rendered, TIMESTEPS * levels,
        conditions.text,
    )  # fmt: skip
    velocity = velocity.float()
    return Prediction(noisy - levels[:, None, None, None, None] * velocity, velocity, features)


def gaussians_of(networks: Networks, prediction: Prediction, cameras: Float[Tensor, "B N 11"]) -> list[Gaussians]:
    """Gaussians of each world of a batch, in the network's frame, differentiable."""
    found = []
    for clean, features, views in zip(prediction.clean, prediction.features, cameras, strict=True):
        latents = networks.codec.denormalize(clean.transpose(0, 1))
        raw = networks.decoder(latents, features.transpose(0, 1))
        found.append(networks.decoder.gaussians(raw, views))
    return found


def render_views(
    gaussians: Gaussians, cameras: Float[Tensor, "N 11"], width: int, height: int, batch: int | None = None
) -> Views:
    """Gaussians seen from cameras, all in the network's frame, over white, differentiable.

    `batch`: cameras rendered at a time, all when None.
    """
    parts = [_rendered(gaussians, part, width, height) for part in cameras.split(batch or len(cameras))]
    return Views(*(torch.cat([getattr(p, name) for p in parts]) for name in ("images", "depths", "alphas")))


def _rendered(gaussians: Gaussians, cameras: Tensor, width: int, height: int) -> Views:
    viewmats, ks = opencv(cameras.to(gaussians.means), width, height)
    renders, alphas, _ = rasterization(
        gaussians.means, gaussians.quats, gaussians.scales, gaussians.opacities, gaussians.sh, viewmats, ks, width,
        height, near_plane=NEAR, far_plane=FAR, sh_degree=gaussians.sh_degree, render_mode="RGB+ED",
        backgrounds=gaussians.means.new_ones(len(cameras), 3),
    )  # fmt: skip
    return Views(renders[..., :3], renders[..., 3], alphas[..., 0])


def drawing(generator: Generator, device: torch.device | str) -> Draw:
    """Draws from a generator, on whichever device that is, brought to `device`."""

    def draw(shape: tuple[int, ...]) -> Tensor:
        return torch.randn(shape, generator=generator, device=generator.device).to(device)

    return draw


@torch.no_grad()
def sample(
    networks: Networks, conditions: Conditions, levels: list[float], draw: Draw, render: Render, *,
    feedback: bool = True, on_step: OnStep | None = None,
) -> Gaussians:  # fmt: skip
    """Gaussians of one world from noise.

    Args:
        networks: that make it.
        conditions: of one world (B = 1).
        levels: of noise, from 1 down, a step each.
        draw: everything random: noise of all views first, then, between steps, that of the renders' latents and noise.
        render: at the views' cameras.
        feedback: make Gaussians between steps and go on from their renders; else views are denoised as latents alone,
            and Gaussians are made at the end.
        on_step: a watcher.
    """
    x = draw(tuple(conditions.image.shape))
    nothing = told = Feedback.none(x, networks.transformer.features)
    for k, level in enumerate(levels):
        found = predict(networks.transformer, x, level, conditions, told)
        last = k + 1 == len(levels)
        images = None
        if feedback or last:
            gaussians = gaussians_of(networks, found, conditions.cameras)[0]
        if not last:
            clean, told = found.clean, nothing
            if feedback:
                images = render(gaussians).clamp(0, 1)
                clean = _encoded(networks.codec, images, draw)
                told = Feedback(found.features, clean)
            x = renoise(clean, draw(tuple(x.shape)), levels[k + 1])
        if on_step is not None:
            on_step(k, len(levels), images)
    return gaussians


def _encoded(codec: ImageCodec, images: Float[Tensor, "N H W 3"], draw: Draw) -> Float[Tensor, "1 C N h w"]:
    """Normalised latents of views, drawn from their posterior as in training."""
    n, height, width, _ = images.shape
    shape = (n, len(codec.latents_mean), height // codec.downsampling, width // codec.downsampling)
    return codec.encode(images, draw(shape)).transpose(0, 1)[None]


def composited(images: Float[Tensor, "N H W 3"], known: Views | None) -> Float[Tensor, "N H W 3"]:
    """Renders with those of what is known already over them wherever that covers more than half of a pixel."""
    if known is None:
        return images
    return torch.where(known.alphas[..., None] > 0.5, known.images.clamp(0, 1), images)
