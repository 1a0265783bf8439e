"""What Difix is made of, in diffusers' configuration dictionaries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class DifixConfig:
    """One architecture, any size.

    Attributes:
        unet: arguments of diffusers' UNet2DConditionModel.
        vae: arguments of diffusers' AutoencoderKL, `scaling_factor` included.
        scheduler: arguments of diffusers' DDIMScheduler: the noise schedule, and what the network predicts.
        tokens: of the prompt.
        timestep: whose noise the render is taken to have.
        references: whether photos are looked at.
        largest: side of pictures that are worked on in one piece, pixels; larger ones are tiled.
        overlap: of tiles, pixels.
    """

    unet: dict[str, Any]
    vae: dict[str, Any]
    scheduler: dict[str, Any]
    tokens: int = 77
    timestep: int = 199
    references: bool = True
    largest: int = 1024
    overlap: int = 128

    @property
    def downsampling(self) -> int:
        """Side of a picture over that of its latents."""
        return int(2 ** (len(self.vae["block_out_channels"]) - 1))

    @property
    def multiple(self) -> int:
        """What sides are made divisible by, so that the U-Net can halve its latents."""
        return self.downsampling * int(2 ** (len(self.unet["block_out_channels"]) - 1))


def sd_turbo() -> DifixConfig:
    """The published size: SD-Turbo, which has the networks of Stable Diffusion 2.1."""
    return DifixConfig(
        unet={
            "in_channels": 4,
            "out_channels": 4,
            "sample_size": 64,
            "block_out_channels": (320, 640, 1280, 1280),
            "down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
            "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
            "layers_per_block": 2,
            "cross_attention_dim": 1024,
            "attention_head_dim": (5, 10, 20, 20),  # numbers of heads, for all their name
            "use_linear_projection": True,
        },
        vae={
            "in_channels": 3,
            "out_channels": 3,
            "latent_channels": 4,
            "block_out_channels": (128, 256, 512, 512),
            "down_block_types": ("DownEncoderBlock2D",) * 4,
            "up_block_types": ("UpDecoderBlock2D",) * 4,
            "layers_per_block": 2,
            "norm_num_groups": 32,
            "scaling_factor": 0.18215,
        },
        scheduler={
            "num_train_timesteps": 1000,
            "beta_start": 0.00085,
            "beta_end": 0.012,
            "beta_schedule": "scaled_linear",
            "clip_sample": False,
            "set_alpha_to_one": False,
            "steps_offset": 1,
            "prediction_type": "epsilon",
            "timestep_spacing": "trailing",
        },
    )
