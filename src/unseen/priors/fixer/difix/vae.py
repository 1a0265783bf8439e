"""Difix's autoencoder: Stable Diffusion's, whose decoder is handed the encoder's features (Parmar et al. 2024)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

SKIPS = "decoder.skip_conv_"
"""Beginning of the names of what Stable Diffusion's autoencoder does not have."""
_START = 1e-5


class SkipVAE(nn.Module):
    """Latents of pictures and pictures of latents. Weights are named as in diffusers' AutoencoderKL; those of
    `decoder.skip_conv_1` and on are among them.

    Args:
        config: arguments of AutoencoderKL.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        from diffusers import AutoencoderKL

        super().__init__()
        model: Any = AutoencoderKL(**config)
        self.encoder, self.decoder = model.encoder, model.decoder
        self.quant_conv, self.post_quant_conv = model.quant_conv, model.post_quant_conv
        self.scaling = float(model.config.scaling_factor)
        widths = list(config["block_out_channels"])
        # what enters each level of the encoder, from coarse to fine, and each of the decoder's
        given = [widths[0], *widths[:-1]][::-1]
        taken = [widths[-1], *widths[:0:-1]]
        for k, (wide, width) in enumerate(zip(given, taken, strict=True)):
            skip = nn.Conv2d(wide, width, 1, bias=False)
            nn.init.constant_(skip.weight, _START)
            self.decoder.add_module(f"skip_conv_{k + 1}", skip)

    def skips(self) -> list[Any]:
        """Layers that hand the encoder's features on, from coarse to fine."""
        return [self.decoder.get_submodule(f"skip_conv_{k + 1}") for k in range(len(self.decoder.up_blocks))]

    @property
    def dtype(self) -> torch.dtype:
        """What it computes in."""
        dtype: torch.dtype = self.encoder.conv_in.weight.dtype
        return dtype

    def encode(self, pictures: Float[Tensor, "N 3 H W"]) -> tuple[Float[Tensor, "N 4 h w"], list[Tensor]]:
        """Scaled latents (means, nothing random) of pictures in [-1, 1], and the features that entered each level of
        the encoder, from fine to coarse."""
        x = self.encoder.conv_in(pictures)
        entered = []
        for block in self.encoder.down_blocks:
            entered.append(x)
            x = block(x)
        x = self.encoder.conv_act(self.encoder.conv_norm_out(self.encoder.mid_block(x)))
        mean, _ = self.quant_conv(self.encoder.conv_out(x)).chunk(2, 1)
        return mean * self.scaling, entered

    def decode(self, latents: Float[Tensor, "N 4 h w"], entered: Sequence[Tensor]) -> Float[Tensor, "N 3 H W"]:
        """Pictures, about [-1, 1], of scaled latents and of what `encode` found of the pictures before."""
        x = self.decoder.mid_block(self.decoder.conv_in(self.post_quant_conv(latents / self.scaling)))
        for block, skip, features in zip(self.decoder.up_blocks, self.skips(), reversed(entered), strict=True):
            x = block(x + skip(features))
        result: Tensor = self.decoder.conv_out(self.decoder.conv_act(self.decoder.conv_norm_out(x)))
        return result
