"""What a multi-view model is made of, in the field's own configuration dictionaries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from unseen.core.errors import InputError
from unseen.priors.architecture import Architecture

LATENT_CHANNELS = 4


@dataclass(frozen=True)
class MultiViewConfig(Architecture):
    """One architecture, any size.

    Attributes:
        image_size: side of the images the model works on, pixels.
        unet: arguments of diffusers' UNet2DConditionModel; its input has the latent's channels, as many of the normals
            where those steer the view, and as many of the reference where that is concatenated; its class embedding
            is that of the camera when it has one.
        vae: arguments of diffusers' AutoencoderKL, `scaling_factor` included.
        image_encoder: arguments of transformers' CLIPVisionConfig.
        resampler: arguments of diffusers' IPAdapterPlusImageProjection.
        scheduler: arguments of diffusers' DDIMScheduler: the noise schedule, and what the network predicts.
        image_mean, image_std: normalisation before the image encoder.
        concatenates_reference: whether every view's input has the first reference's latents beside its own, as in
            Zero-1-to-3; GAF's has not.
        restores_colours: whether views are given back the colours that the autoencoder loses of the references (see
            `LostColours`); for small autoencoders.
    """

    image_size: int
    unet: dict[str, Any]
    vae: dict[str, Any]
    image_encoder: dict[str, Any]
    resampler: dict[str, Any]
    scheduler: dict[str, Any]
    image_mean: tuple[float, float, float] = (0.48145466, 0.4578275, 0.40821073)
    image_std: tuple[float, float, float] = (0.26862954, 0.26130258, 0.27577711)
    concatenates_reference: bool = False
    restores_colours: bool = False

    @property
    def uses_normals(self) -> bool:
        """Whether normal maps steer the views."""
        own = self.unet["in_channels"] - LATENT_CHANNELS * self.concatenates_reference
        return bool(own == 2 * LATENT_CHANNELS)

    @property
    def uses_cameras(self) -> bool:
        """Whether 4 x 4 camera poses steer the views (MVDream)."""
        return self.unet.get("class_embed_type") == "projection"

    @classmethod
    def named(cls, name: str) -> MultiViewConfig:
        """`tiny` or `sd21`, or `tiny-cameras`: steered by camera poses instead of normals.

        Raises:
            InputError: another name.
        """
        if name not in NAMED:
            raise InputError(f"no multi-view configuration {name!r}: expected one of {', '.join(NAMED)}")
        return NAMED[name]()


def sd21() -> MultiViewConfig:
    """GAF's: Stable Diffusion 2.1 as ImageDream changed it, normals concatenated, no camera embedding."""
    return MultiViewConfig(
        image_size=256,
        unet={
            "in_channels": 8,
            "out_channels": 4,
            "sample_size": 32,
            "block_out_channels": (320, 640, 1280, 1280),
            "down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
            "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
            "layers_per_block": 2,
            "cross_attention_dim": 1024,
            "attention_head_dim": (5, 10, 20, 20),  # numbers of heads, for all their name
            "use_linear_projection": True,
        },
        vae=_vae((128, 256, 512, 512), 2, 32, 0.18215),
        image_encoder={
            "hidden_size": 1280,
            "intermediate_size": 5120,
            "num_hidden_layers": 32,
            "num_attention_heads": 16,
            "patch_size": 14,
            "image_size": 224,
            "hidden_act": "gelu",
            "projection_dim": 1024,
        },
        resampler=_resampler(1280, 1024, 1024, 4, 64, 12, 16),
        scheduler=_schedule("epsilon", False),
    )


def tiny() -> MultiViewConfig:
    """The one that comes with the package. By attention alone it does not learn, in its short training, whose hair and
    clothes to show: the reference is concatenated as well."""
    return MultiViewConfig(
        image_size=128,
        concatenates_reference=True,
        restores_colours=True,
        unet={
            "in_channels": 12,
            "out_channels": 4,
            "sample_size": 16,
            "block_out_channels": (64, 128, 192),
            "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            "layers_per_block": 1,
            "cross_attention_dim": 128,
            "attention_head_dim": (2, 4, 6),
            "use_linear_projection": True,
        },
        vae=_vae((16, 32, 64, 128), 1, 8, 1.0),
        image_encoder={
            "hidden_size": 128,
            "intermediate_size": 384,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "patch_size": 16,
            "image_size": 128,
            "hidden_act": "gelu",
            "projection_dim": 128,
        },
        resampler=_resampler(128, 128, 128, 1, 32, 4, 16),
        scheduler=_schedule("v_prediction", True),
    )


def tiny_cameras() -> MultiViewConfig:
    """`tiny`, steered by camera poses: what GAF's tables 3 and 4 compare normals with."""
    plain = tiny()
    unet = plain.unet | {
        "in_channels": plain.unet["in_channels"] - LATENT_CHANNELS,
        "class_embed_type": "projection",
        "projection_class_embeddings_input_dim": 16,
    }
    return MultiViewConfig(**(vars(plain) | {"unet": unet}))


NAMED = {"tiny": tiny, "tiny-cameras": tiny_cameras, "sd21": sd21}


def _vae(channels: tuple[int, ...], layers: int, groups: int, scale: float) -> dict[str, Any]:
    return {
        "in_channels": 3,
        "out_channels": 3,
        "latent_channels": LATENT_CHANNELS,
        "block_out_channels": channels,
        "down_block_types": ("DownEncoderBlock2D",) * len(channels),
        "up_block_types": ("UpDecoderBlock2D",) * len(channels),
        "layers_per_block": layers,
        "norm_num_groups": groups,
        "scaling_factor": scale,
    }


def _resampler(embed: int, output: int, hidden: int, depth: int, head: int, heads: int, queries: int) -> dict[str, Any]:
    return {
        "embed_dims": embed,
        "output_dims": output,
        "hidden_dims": hidden,
        "depth": depth,
        "dim_head": head,
        "heads": heads,
        "num_queries": queries,
        "ffn_ratio": 4,
    }


def _schedule(prediction: str, zero_terminal: bool) -> dict[str, Any]:
    """Stable Diffusion's, or with a last step that is noise alone (Lin et al. 2024)."""
    return {
        "num_train_timesteps": 1000,
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "clip_sample": False,
        "set_alpha_to_one": False,
        "steps_offset": 1,
        "prediction_type": prediction,
        "rescale_betas_zero_snr": zero_terminal,
        "timestep_spacing": "trailing" if zero_terminal else "leading",
    }
