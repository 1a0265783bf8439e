"""Tiny random networks of the kinds the multi-view prior is made of."""

import dataclasses

import torch

from unseen.priors.multiview.config import MultiViewConfig


def little(name="tiny"):
    """A multi-view configuration of the kind `name` that computes in milliseconds; images of 32 pixels."""
    config = MultiViewConfig.named(name)
    unet = config.unet | {
        "block_out_channels": (32, 32, 64), "cross_attention_dim": 16, "attention_head_dim": (2, 2, 4),
    }  # fmt: skip
    encoder = config.image_encoder | {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
    return dataclasses.replace(
        config,
        image_size=32,
        unet=unet,
        vae=config.vae | {"block_out_channels": (8, 8, 16, 16)},
        image_encoder=encoder | {"image_size": 32},
        resampler=config.resampler | {"embed_dims": 16, "output_dims": 16, "hidden_dims": 16},
    )


def tiny_unet(seed=0):
    """U-Net with attention in two of its blocks: latents [N, 4, h, w], text states [N, T, 32]."""
    from diffusers import UNet2DConditionModel

    torch.manual_seed(seed)
    return UNet2DConditionModel(
        block_out_channels=(32, 64), layers_per_block=1, cross_attention_dim=32, attention_head_dim=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        norm_num_groups=8,
    ).eval()  # fmt: skip


def tiny_vae(seed=0):
    """Autoencoder whose latents have half the side of its images."""
    from diffusers import AutoencoderKL

    torch.manual_seed(seed)
    return AutoencoderKL(
        block_out_channels=(16, 32), down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2, norm_num_groups=8, sample_size=16,
    ).eval()  # fmt: skip


def unet_inputs(n=2, side=16, seed=0):
    """Latents, a timestep, text states."""
    g = torch.Generator().manual_seed(seed)
    return torch.randn(n, 4, side, side, generator=g), torch.tensor(701), torch.randn(n, 7, 32, generator=g)
