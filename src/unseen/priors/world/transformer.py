"""The video transformer that denoises all views at once and keeps features of them for the decoder."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

RAY_CHANNELS = 6


class WorldTransformer(nn.Module):
    """Wan's transformer, its first layer widened by rays, a condition and what the step before made of the views, its
    last by features (FlashWorld; 1174 and 1072 channels in the published size). A view is a frame.

    Args:
        config: arguments of diffusers' WanTransformer3DModel, with channels of latents alone.
        features: channels of the features.

    Attributes:
        model: diffusers' network, whose names of weights are the published ones.
    """

    FLOAT32 = r"time_embedder|scale_shift_table|norm2|rope\."
    """Weights that lower precisions would harm."""

    def __init__(self, config: dict[str, Any], features: int) -> None:
        from diffusers import WanTransformer3DModel

        super().__init__()
        self.latents, self.features = int(config["in_channels"]), features
        widened = {
            "in_channels": 3 * self.latents + RAY_CHANNELS + features,
            "out_channels": self.latents + features,
        }
        self.model = WanTransformer3DModel(**(config | widened))
        self.chunk_attention(None)

    def chunk_attention(self, queries: int | None) -> None:
        """Attend so many queries at a time, all when None: same result, less memory where no fused kernel runs."""
        self.model.set_attn_processor(QueryChunks(queries))

    def forward(
        self, latents: Float[Tensor, "B C N h w"], rays: Float[Tensor, "B 6 N h w"],
        condition: Float[Tensor, "B C N h w"], features: Float[Tensor, "B F N h w"],
        rendered: Float[Tensor, "B C N h w"], timestep: Float[Tensor, "B"], text: Float[Tensor, "B L D"],
    ) -> tuple[Float[Tensor, "B C N h w"], Float[Tensor, "B F N h w"]]:  # fmt: skip
        """Velocity (noise minus clean latents) and features.

        Args:
            latents: noisy.
            rays: see `ray_map`.
            condition: latents of the picture at its view, zeros elsewhere.
            features, rendered: of the step before: its features, and latents of the renders of its Gaussians; zeros at
                the first.
            timestep: 1000 times the noise level.
            text: rows past a prompt's end are zero.
        """
        dtype = self.model.patch_embedding.weight.dtype
        joined = torch.cat([latents, rays, condition, features, rendered], 1).to(dtype)
        out = self.model(joined, timestep, text.to(dtype), return_dict=False)[0]
        velocity, features = out.split([self.latents, self.features], 1)
        return velocity, features


class QueryChunks:
    """Attention of Wan's transformer with some queries at a time.

    Args:
        queries: at a time; all when None.
    """

    def __init__(self, queries: int | None) -> None:
        self.queries = queries

    def __call__(
        self, attn: Any, hidden_states: Float[Tensor, "B S D"], encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None, rotary_emb: tuple[Tensor, Tensor] | None = None,
    ) -> Float[Tensor, "B S D"]:  # fmt: skip
        """`rotary_emb` is given for attention between views, `encoder_hidden_states` for that to the text."""
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query = attn.norm_q(attn.to_q(hidden_states)).unflatten(2, (attn.heads, -1))
        key = attn.norm_k(attn.to_k(context)).unflatten(2, (attn.heads, -1))
        value = attn.to_v(context).unflatten(2, (attn.heads, -1))
        if rotary_emb is not None:
            query, key = (_turned(x, *rotary_emb) for x in (query, key))
        query, key, value = (x.transpose(1, 2) for x in (query, key, value))
        chunks = query.split(self.queries or query.shape[2], dim=2)
        mixed = [scaled_dot_product_attention(part, key, value, attn_mask=attention_mask) for part in chunks]
        joined = torch.cat(mixed, 2) if len(mixed) > 1 else mixed[0]
        out: Tensor = attn.to_out[0](joined.transpose(1, 2).flatten(2).to(hidden_states.dtype))
        return out


def _turned(x: Float[Tensor, "B S H D"], cos: Tensor, sin: Tensor) -> Float[Tensor, "B S H D"]:
    """Rotary position embedding of neighbouring pairs; computed in the tables' precision."""
    a, b = x.unflatten(-1, (-1, 2)).unbind(-1)
    c, s = cos[..., 0::2], sin[..., 1::2]
    return torch.stack([a * c - b * s, a * s + b * c], -1).flatten(-2).to(x.dtype)
