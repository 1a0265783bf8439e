"""What each stage of the training minimises."""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import mse_loss

from unseen.fit.losses import image_loss
from unseen.priors.multiview.pipeline import MultiViewDiffusion, as_images
from unseen.priors.multiview.training.pictures import Pictures
from unseen.priors.training.losses import KL_WEIGHT, SSIM_WEIGHT, pictures_loss

DROP = 0.1
"""Share of the samples whose reference is dropped, for guidance (GAF section 4.4)."""


class VaeLoss:
    """`pictures_loss` of what is decoded, and the divergence of the latents from a unit Gaussian.

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
        return pictures_loss(decoded, images) + KL_WEIGHT * posterior.kl().mean()


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
