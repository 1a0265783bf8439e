"""What a world model is made of, in the field's own configuration dictionaries."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from unseen.core.errors import InputError
from unseen.priors.architecture import Architecture


@dataclass(frozen=True)
class WorldConfig(Architecture):
    """One architecture, any size.

    Attributes:
        image_size: height and width it works at by default, pixels.
        views: made at once by default.
        transformer: arguments of diffusers' WanTransformer3DModel, its channels those of latents alone.
        vae: arguments of diffusers' AutoencoderKLWan.
        decoder: `z_dim`, `decoder_base_dim`, `dim_mult`, `num_res_blocks`, `temperal_downsample` of the decoder of
            Gaussians, as in AutoencoderKLWan; it ends at half the picture's height and width.
        text: `kind` "umt5", with arguments of transformers' UMT5Config, or "words", with `words`, `width`, `layers`,
            `heads`; and `length`, the most tokens of a prompt.
        features: channels of the features that the transformer hands to the decoder and to its next step.
        points: Gaussians per pixel of the decoder's output.
        sh_degree: of their colours.
    """

    image_size: tuple[int, int]
    views: int
    transformer: dict[str, Any]
    vae: dict[str, Any]
    decoder: dict[str, Any]
    text: dict[str, Any]
    features: int
    points: int = 2
    sh_degree: int = 2

    @property
    def latent_channels(self) -> int:
        """Of a view's latents."""
        return int(self.vae["z_dim"])

    @property
    def downsampling(self) -> int:
        """Side of a picture over that of its latents."""
        return downsampling(self.vae)

    @property
    def multiple(self) -> int:
        """What the sides of pictures must be divisible by: the transformer joins latents in patches."""
        return self.downsampling * int(self.transformer["patch_size"][1])

    def with_words(self, words: Iterable[str]) -> WorldConfig:
        """The same with another vocabulary."""
        return replace(self, text=self.text | {"words": tuple(words)})

    @classmethod
    def named(cls, name: str) -> WorldConfig:
        """`flashworld` or `tiny`.

        Raises:
            InputError: another name.
        """
        if name not in NAMED:
            raise InputError(f"no world configuration {name!r}: expected one of {', '.join(NAMED)}")
        return NAMED[name]()


def downsampling(vae: dict[str, Any]) -> int:
    """Side of a picture over that of its latents, from the arguments of an AutoencoderKLWan."""
    return int(2 ** (len(vae["dim_mult"]) - 1) * int(vae.get("patch_size") or 1))


def flashworld() -> WorldConfig:
    """The published size: Wan 2.2 TI2V 5B with FlashWorld's inputs and outputs."""
    decoder = {
        "decoder_base_dim": 256,
        "z_dim": 48,
        "dim_mult": (1, 2, 4, 4),
        "num_res_blocks": 2,
        "temperal_downsample": (False, True, True),
    }
    return WorldConfig(
        image_size=(480, 704),
        views=24,
        transformer=_transformer(48, 24, 128, 14336, 30, 4096, 256),
        vae=_vae(decoder, 160, _WAN22_MEAN, _WAN22_STD),
        decoder=decoder,
        text={
            "kind": "umt5",
            "length": 512,
            "vocab_size": 256384,
            "d_model": 4096,
            "d_kv": 64,
            "d_ff": 10240,
            "num_layers": 24,
            "num_heads": 64,
            "relative_attention_num_buckets": 32,
            "relative_attention_max_distance": 128,
            "dropout_rate": 0.1,
            "layer_norm_epsilon": 1e-6,
            "feed_forward_proj": "gated-gelu",
            "is_encoder_decoder": True,
            "tie_word_embeddings": False,
        },
        features=1024,
    )


def tiny() -> WorldConfig:
    """The one that comes with the package. Its vocabulary is filled in where it is trained."""
    channels = 16
    coder = {"z_dim": channels, "dim_mult": (1, 2, 2), "num_res_blocks": 1, "temperal_downsample": (False, False)}
    return WorldConfig(
        image_size=(96, 128),
        views=8,
        transformer=_transformer(channels, 8, 32, 1024, 7, 64, 128),
        vae=_vae(coder | {"decoder_base_dim": 32}, 32, (0.0,) * channels, (1.0,) * channels),
        decoder=coder | {"decoder_base_dim": 32},
        text={"kind": "words", "length": 32, "words": (), "width": 64, "layers": 2, "heads": 4},
        features=64,
    )


NAMED = {"flashworld": flashworld, "tiny": tiny}


def _transformer(
    latents: int, heads: int, head: int, hidden: int, layers: int, text: int, frequencies: int
) -> dict[str, Any]:
    return {
        "patch_size": (1, 2, 2),
        "num_attention_heads": heads,
        "attention_head_dim": head,
        "in_channels": latents,
        "out_channels": latents,
        "text_dim": text,
        "freq_dim": frequencies,
        "ffn_dim": hidden,
        "num_layers": layers,
        "cross_attn_norm": True,
        "qk_norm": "rms_norm_across_heads",
        "eps": 1e-6,
        "image_dim": None,
        "added_kv_proj_dim": None,
        "rope_max_seq_len": 1024,
        "pos_embed_seq_len": None,
    }


def _vae(decoder: dict[str, Any], base: int, mean: tuple[float, ...], std: tuple[float, ...]) -> dict[str, Any]:
    patch = 2
    return decoder | {
        "base_dim": base,
        "attn_scales": (),
        "dropout": 0.0,
        "is_residual": True,
        "in_channels": 3 * patch**2,
        "out_channels": 3 * patch**2,
        "patch_size": patch,
        "scale_factor_temporal": 2 ** sum(decoder["temperal_downsample"]),
        "scale_factor_spatial": patch * 2 ** (len(decoder["dim_mult"]) - 1),
        "latents_mean": mean,
        "latents_std": std,
    }


_WAN22_MEAN = (
    -0.2289, -0.0052, -0.1323, -0.2339, -0.2799, 0.0174, 0.1838, 0.1557, -0.1382, 0.0542, 0.2813, 0.0891,
    0.1570, -0.0098, 0.0375, -0.1825, -0.2246, -0.1207, -0.0698, 0.5109, 0.2665, -0.2108, -0.2158, 0.2502,
    -0.2055, -0.0322, 0.1109, 0.1567, -0.0729, 0.0899, -0.2799, -0.1230, -0.0313, -0.1649, 0.0117, 0.0723,
    -0.2839, -0.2083, -0.0520, 0.3748, 0.0152, 0.1957, 0.1433, -0.2944, 0.3573, -0.0548, -0.1681, -0.0667,
)  # fmt: skip
_WAN22_STD = (
    0.4765, 1.0364, 0.4514, 1.1677, 0.5313, 0.4990, 0.4818, 0.5013, 0.8158, 1.0344, 0.5894, 1.0901,
    0.6885, 0.6165, 0.8454, 0.4978, 0.5759, 0.3523, 0.7135, 0.6804, 0.5833, 1.4146, 0.8986, 0.5659,
    0.7069, 0.5338, 0.4889, 0.4917, 0.4069, 0.4999, 0.6866, 0.4093, 0.5709, 0.6065, 0.6415, 0.4944,
    0.5726, 1.2042, 0.5458, 1.6887, 0.3971, 1.0600, 0.3943, 0.5537, 0.5444, 0.4089, 0.7468, 0.7744,
)  # fmt: skip
"""Of the channels of Wan 2.2's latents, from vae/config.json of Wan-AI/Wan2.2-TI2V-5B-Diffusers."""
