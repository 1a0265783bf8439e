"""An autoencoder's latents brought to mean 0 and covariance 1, within its own weights.

One factor for all channels leaves what carries little (hues do) far below the noise of the diffusion: who learns to
denoise them never learns the colours.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from unseen.priors.multiview.pipeline import MultiViewDiffusion
from unseen.priors.multiview.training.pictures import Pictures

LEAST = 1e-4
"""Variance below which a direction is not enlarged any further."""


def whitening(latents: Float[Tensor, "N C h w"]) -> tuple[Float[Tensor, "C"], Float[Tensor, "C C"]]:
    """Mean of the latents' entries, and the symmetric matrix that brings their covariance to 1 (ZCA)."""
    entries = latents.double().transpose(0, 1).flatten(1)
    values, axes = torch.linalg.eigh(torch.cov(entries))
    return entries.mean(1).float(), (axes @ torch.diag(values.clamp_min(LEAST).rsqrt()) @ axes.T).float()


@torch.no_grad()
def whiten(model: MultiViewDiffusion, pictures: Pictures, samples: int = 256) -> tuple[Tensor, Tensor]:
    """Change the last layer of the model's encoder and the first of its decoder: latents of pictures become white.

    What it decodes of a picture stays the same; its scaling factor becomes 1. Networks that were trained on its latents
    before have to be told: returns their mean [C] and the matrix [C, C] that stands between old and new ones.
    """
    vae: Any = model.vae
    mean, matrix = whitening(model.encode(pictures.singles(samples, Generator().manual_seed(0))).float())
    scale, count = float(vae.config.scaling_factor), len(mean)
    out, into = vae.quant_conv, vae.post_quant_conv
    turned = torch.einsum("ij,jkyx->ikyx", matrix, out.weight[:count])
    out.weight[:count], out.bias[:count] = scale * turned, matrix @ (scale * out.bias[:count] - mean)
    into.bias += into.weight[:, :, 0, 0] @ mean / scale
    into.weight.copy_(torch.einsum("ijyx,jk->ikyx", into.weight, torch.linalg.inv(matrix) / scale))
    model.config = replace(model.config, vae=model.config.vae | {"scaling_factor": 1.0})
    vae.register_to_config(scaling_factor=1.0)
    return mean, matrix
