"""Random models small enough for tests in seconds."""

from __future__ import annotations

from dataclasses import replace

import torch

from unseen.priors.fixer.config import FixerConfig
from unseen.priors.fixer.pipeline import FixerPipeline
from unseen.priors.multiview.config import MultiViewConfig, tiny
from unseen.priors.multiview.pipeline import MultiViewDiffusion
from unseen.priors.world import WorldConfig, WorldPipeline


def micro_config(
    cameras: bool = False, prediction: str = "v_prediction", concatenates: bool = False, restores: bool = False
) -> MultiViewConfig:
    """`tiny` with a tenth of its widths, images of 32 pixels, latents of 4; the reference concatenated and its colours
    restored only if asked for."""
    plain = tiny()
    unet = plain.unet | {
        "in_channels": 4 * (1 + (not cameras) + concatenates),
        "block_out_channels": (16, 16, 32),
        "attention_head_dim": (1, 2, 2),
        "cross_attention_dim": 16,
        "norm_num_groups": 8,
        "sample_size": 4,
    }
    if cameras:
        unet |= {
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
        concatenates_reference=concatenates,
        restores_colours=restores,
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


WORDS = ("a", "blue", "chair", "red", "room", "with")
"""What the text encoder of `small_world` knows."""


def small_world_config() -> WorldConfig:
    """`tiny` with a fraction of its widths: pictures of sides divisible by 16, two views or more."""
    plain = WorldConfig.named("tiny")
    transformer = plain.transformer | {
        "num_attention_heads": 2,
        "attention_head_dim": 16,
        "in_channels": 4,
        "out_channels": 4,
        "text_dim": 8,
        "freq_dim": 16,
        "ffn_dim": 48,
        "num_layers": 2,
    }
    return replace(
        plain,
        image_size=(32, 48),
        views=3,
        transformer=transformer,
        vae=plain.vae
        | {"z_dim": 4, "base_dim": 8, "decoder_base_dim": 8, "latents_mean": (0.1,) * 4, "latents_std": (0.5,) * 4},
        decoder=plain.decoder | {"z_dim": 4, "decoder_base_dim": 8},
        text=plain.text | {"words": WORDS, "width": 8, "layers": 1, "heads": 2, "length": 8},
        features=8,
    )


def small_world(seed: int = 0, pixels: bool = False) -> WorldPipeline:
    """A random world model of `small_world_config`; `pixels`: its autoencoder decodes too."""
    torch.manual_seed(seed)
    model = WorldPipeline.random(small_world_config(), pixels)
    for module in model.modules().values():
        module.eval().requires_grad_(False)
    return model


def small_fixer_config(bridge: bool = True) -> FixerConfig:
    """A fraction of the widths of `tiny`, the depths of `varsr`: pictures of 48 pixels as they are, three scales."""
    plain = FixerConfig.named("tiny")
    return replace(
        plain,
        image_size=48,
        patch_nums=(1, 2, 3),
        phi_map=(0, 1, 3),
        vqvae=plain.vqvae
        | {"ch": 4, "ch_mult": (1, 1, 2, 2, 4), "encoder_blocks": 2, "decoder_blocks": 3, "z": 4, "codebook": 24}
        | {"groups": 2, "bridge": bridge},
        transformer=plain.transformer | {"depth": 2, "width": 16, "heads": 2, "prefix": (2, 4, 4, 8, 8)},
        refiner=plain.refiner | {"width": 8, "depth": 1, "steps": 4},
        longest=0,
    )


def small_fixer(seed: int = 0, bridge: bool = True) -> FixerPipeline:
    """A random fixer of `small_fixer_config`, whose every part has an effect."""
    torch.manual_seed(seed)
    model = FixerPipeline.random(small_fixer_config(bridge))
    for module in model.modules().values():
        for name, p in module.named_parameters():
            if "scale_mul" not in name:
                p.data += 0.1 * torch.randn_like(p)
        module.eval().requires_grad_(False)
    return model
