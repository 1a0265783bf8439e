"""What autoencoders of any prior are trained on."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool2d, mse_loss

from unseen.fit.losses import image_loss

PATCH_WEIGHT = 1.0
PATCH_PX = 8
SSIM_WEIGHT = 0.2
KL_WEIGHT = 1e-6
QUIET_LOG_VARIANCE = -6.0
OPPONENT = ((0.299, 0.587, 0.114), (2.0, -1.0, -1.0), (-1.0, -1.0, 2.0))
"""Luminance, and twice the distance of red and of blue from the others' mean."""


def pictures_loss(decoded: Float[Tensor, "N H W 3"], images: Float[Tensor, "N H W 3"]) -> Float[Tensor, ""]:
    """(1 - w) L1 + w (1 - SSIM), squared errors, and errors of the mean colour of every patch that a latent stands for.

    Without the patches' colours a small autoencoder learns light and shade long before it learns hues.
    """
    difference = image_loss(decoded.contiguous(), images.contiguous(), SSIM_WEIGHT) + mse_loss(decoded, images)
    return difference + PATCH_WEIGHT * _patch_colors(decoded - images).abs().mean()


def quiet_posterior(quant_conv: Any, channels: int) -> None:
    """Have an autoencoder's latents start with little noise, everywhere the same: where it starts with as much as the
    signal, a channel that carries little (hues do) is given up before it is learned.

    Args:
        quant_conv: last layer of the encoder: means, then logarithms of variances.
        channels: of the latents.
    """
    with torch.no_grad():
        quant_conv.weight[channels:] = 0
        quant_conv.bias[channels:] = QUIET_LOG_VARIANCE


def divergence(mean: Float[Tensor, "N *d"], log_variance: Float[Tensor, "N *d"]) -> Float[Tensor, ""]:
    """Of the latents' posteriors from a unit Gaussian: summed over a picture's latents, averaged over pictures."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).flatten(1).sum(1).mean()


def _patch_colors(images: Tensor) -> Tensor:
    """Mean luminance and, enlarged, mean chroma of patches, [N, 3, h, w]."""
    return avg_pool2d((images @ images.new_tensor(OPPONENT).T).permute(0, 3, 1, 2), PATCH_PX)
