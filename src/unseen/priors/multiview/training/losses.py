"""What each stage of the training minimises."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import avg_pool2d, mse_loss

from unseen.fit.losses import image_loss
from unseen.priors.multiview.pipeline import MultiViewDiffusion, as_images
from unseen.priors.multiview.training.pictures import Pictures

KL_WEIGHT = 1e-6
PATCH_WEIGHT = 1.0
QUIET_LOG_VARIANCE = -6.0
OPPONENT = ((0.299, 0.587, 0.114), (2.0, -1.0, -1.0), (-1.0, -1.0, 2.0))
"""Luminance, and twice the distance of red and of blue from the others' mean."""
SSIM_WEIGHT = 0.2
DROP = 0.1
"""Share of the samples whose reference is dropped, for guidance (GAF section 4.4)."""


class VaeLoss:
    """(1 - w) L1 + w (1 - SSIM) of the decoded pictures, squared errors, errors of the mean colour of every patch that
    a latent stands for, and the divergence of the latents from a unit Gaussian.

    Without the patches' colours a small autoencoder learns light and shade long before it learns hues.

    Args:
        vae: diffusers' AutoencoderKL.
        pictures: to learn from.
    """

    def __init__(self, vae: nn.Module, pictures: Pictures) -> None:
        self.vae, self.pictures = vae, pictures

    def __call__(self, count: int, generator: Generator) -> Tensor:
        images = self.pictures.singles(count, generator)
        pixels = (2 * images - 1).permute(0, 3, 1, 2)
        posterior = self.vae.encode(pixels).latent_dist  # type: ignore[operator]
        noise = torch.randn(posterior.mean.shape, generator=generator)
        latents = posterior.mean + posterior.std * noise
        decoded = as_images(self.vae.decode(latents).sample)  # type: ignore[operator]
        difference = image_loss(decoded.contiguous(), images.contiguous(), SSIM_WEIGHT) + mse_loss(decoded, images)
        difference = difference + PATCH_WEIGHT * _patch_colors(decoded - images).abs().mean()
        return difference + KL_WEIGHT * posterior.kl().mean()


def quiet_posterior(vae: Any) -> None:
    """Have an autoencoder's latents start with little noise, everywhere the same: where it starts with as much as the
    signal, a channel that carries little (hues do) is given up before it is learned."""
    channels = vae.config.latent_channels
    with torch.no_grad():
        vae.quant_conv.weight[channels:] = 0
        vae.quant_conv.bias[channels:] = QUIET_LOG_VARIANCE


def _patch_colors(images: Tensor) -> Tensor:
    """Mean luminance and, enlarged, mean chroma of 8 x 8 patches, [N, 3, h, w]."""
    return avg_pool2d((images @ images.new_tensor(OPPONENT).T).permute(0, 3, 1, 2), 8)


def latent_scale(model: MultiViewDiffusion, pictures: Pictures, samples: int = 64) -> float:
    """1 / standard deviation of the latents: what brings them to unit size."""
    images = pictures.singles(samples, Generator().manual_seed(0))
    return float(model.vae.config.scaling_factor / model.encode(images).std())


class DiffusionLoss:
    """Mean squared error of what the U-Net predicts at a uniformly drawn time (GAF section 4.1).

    Args:
        model: its U-Net, image encoder and resampler are trained; its autoencoder is not.
        pictures: to learn from.
        views: per sample.
    """

    def __init__(self, model: MultiViewDiffusion, pictures: Pictures, views: int) -> None:
        self.model, self.pictures, self.views = model, pictures, views
        model.vae.eval().requires_grad_(False)
        self.normals: Tensor | None = None
        if model.config.uses_normals:
            people = [pictures.normal_maps(who) for who in range(len(pictures))]
            self.normals = torch.stack([model.encode(p.flatten(0, 1)).unflatten(0, (2, -1)) for p in people])

    def __call__(self, count: int, generator: Generator) -> Tensor:
        model, batch = self.model, self.pictures.batch(count, self.views, generator)
        together = torch.cat([batch.images, batch.references], 1)
        latents = model.encode(together.flatten(0, 1)).float().unflatten(0, (count, -1))
        clean, references = latents[:, : self.views], latents[:, self.views :]
        who, view, flipped = batch.views
        normals = None if self.normals is None else self.normals[who, flipped, view]
        schedule = model.schedule
        times = torch.randint(schedule.length, (count,), generator=generator)
        noise = torch.randn(clean.shape, generator=generator).to(clean)
        signal = schedule.alphas[times].sqrt().float().to(clean)[:, None, None, None, None]
        sigma = (1 - schedule.alphas[times]).sqrt().float().to(clean)[:, None, None, None, None]
        kept = (torch.rand(count, generator=generator) >= DROP).to(clean)
        tokens = model.image_tokens(batch.references[:, 0]) * kept[:, None, None]
        cameras = batch.cameras.to(clean) if model.config.uses_cameras else None
        predicted = model.unet(
            signal * clean + sigma * noise, times.to(clean), tokens, normals=normals, cameras=cameras,
            references=references * kept[:, None, None, None, None],
        )  # fmt: skip
        target = noise if schedule.prediction == "epsilon" else signal * noise - sigma * clean
        return mse_loss(predicted.float(), target)


class UpsamplerLoss:
    """Errors of doubled latents, and of what they decode to.

    Args:
        model: its upsampler is trained, its autoencoder is not.
        pictures: to learn from.
    """

    def __init__(self, model: MultiViewDiffusion, pictures: Pictures) -> None:
        self.model, self.pictures = model, pictures
        model.vae.eval().requires_grad_(False)

    def __call__(self, count: int, generator: Generator) -> Tensor:
        small, large = self.pictures.pairs(count, generator)
        model, vae = self.model, self.model.vae
        start, target = model.encode(small), model.encode(large)
        doubled = model.upsampler(start)
        decoded = as_images(vae.decode(doubled / vae.config.scaling_factor).sample)
        return mse_loss(doubled.float(), target.float()) + image_loss(
            decoded.contiguous(), large.contiguous(), SSIM_WEIGHT
        )
