"""Random models small enough for tests in seconds."""

from __future__ import annotations

from dataclasses import replace

import torch

from unseen.priors.multiview.config import MultiViewConfig, tiny
from unseen.priors.multiview.pipeline import MultiViewDiffusion


def micro_config(cameras: bool = False, prediction: str = "v_prediction") -> MultiViewConfig:
    """`tiny` with a tenth of its widths, images of 32 pixels, latents of 4."""
    plain = tiny()
    unet = plain.unet | {
        "block_out_channels": (16, 16, 32),
        "attention_head_dim": (1, 2, 2),
        "cross_attention_dim": 16,
        "norm_num_groups": 8,
        "sample_size": 4,
    }
    if cameras:
        unet |= {
            "in_channels": 4,
            "class_embed_type": "projection",
            "projection_class_embeddings_input_dim": 16,
        }
    encoder = plain.image_encoder | {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "patch_size": 8,
        "image_size": 32,
    }
    resampler = plain.resampler | {
        "embed_dims": 16,
        "output_dims": 16,
        "hidden_dims": 16,
        "dim_head": 8,
        "heads": 2,
        "num_queries": 4,
    }
    return replace(
        plain,
        image_size=32,
        unet=unet,
        vae=plain.vae | {"block_out_channels": (8, 8, 8, 16), "norm_num_groups": 4},
        image_encoder=encoder,
        resampler=resampler,
        scheduler=plain.scheduler | {"prediction_type": prediction},
    )


def micro_model(seed: int = 0, **kwargs: object) -> MultiViewDiffusion:
    """A random model of `micro_config`."""
    torch.manual_seed(seed)
    model = MultiViewDiffusion.random(micro_config(**kwargs))  # type: ignore[arg-type]
    for module in model.modules().values():
        module.eval().requires_grad_(False)
    return model
