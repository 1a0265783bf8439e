"""Attention of the multi-view U-Net, as processors of diffusers' `Attention`.

Self-attention is dense over all frames and pixels (MVDream, ImageDream, GAF figure 3). Cross-attention has two branches
with one query, over text and over image tokens (IP-adapter): A(q, k, v) + weight * A(q, to_k_ip, to_v_ip).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from unseen.core.errors import InputError

Recorder = Callable[[str, Tensor, Tensor], None]
"""Told a layer's name, queries [N, H, L, D] and keys [N, H, M, D]."""


class KeyValueCache(dict[int, tuple[Tensor, Tensor]]):
    """Keys and values of what stays the same from step to step, by layer."""


def _heads(x: Float[Tensor, "N L C"], heads: int) -> Float[Tensor, "N H L D"]:
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def _attend(q: Tensor, k: Tensor, v: Tensor, slices: int | None) -> Float[Tensor, "N L C"]:
    """Softmax attention, over `slices` heads at a time when given."""
    if slices is None:
        out = scaled_dot_product_attention(q, k, v)
    else:
        parts = zip(*(t.split(slices, dim=1) for t in (q, k, v)), strict=True)
        out = torch.cat([scaled_dot_product_attention(*part) for part in parts], 1)
    return out.transpose(1, 2).flatten(2)


class FrameAttention:
    """Self-attention over the pixels of all frames of a sample.

    Args:
        name: of the layer, for recorders.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.recorder: Recorder | None = None
        self.slice_size: int | None = None

    def __call__(
        self,
        attn: Any,
        hidden_states: Float[Tensor, "BF L C"],
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        num_frames: int = 1,
        num_image_tokens: int = 0,
        cache: KeyValueCache | None = None,
    ) -> Float[Tensor, "BF L C"]:
        x = hidden_states.unflatten(0, (-1, num_frames)).flatten(1, 2)
        q, k, v = (_heads(project(x), attn.heads) for project in (attn.to_q, attn.to_k, attn.to_v))
        if self.recorder is not None:
            self.recorder(self.name, q, k)
        out = attn.to_out[1](attn.to_out[0](_attend(q, k, v, self.slice_size)))
        result: Tensor = out.unflatten(1, (num_frames, -1)).flatten(0, 1)
        return result


class ImageTokenAttention(nn.Module):
    """Cross-attention to text tokens and, decoupled, to image tokens, which stand last in the context. The context is
    one per sample: all its frames share keys and values, and, given a cache, all steps.

    Args:
        name: of the layer, for recorders.
        context_dim, inner_dim: widths of tokens and of keys.
        weight: of the image branch.
    """

    def __init__(self, name: str, context_dim: int, inner_dim: int, weight: float = 1.0) -> None:
        super().__init__()
        self.name, self.weight = name, weight
        self.recorder: Recorder | None = None
        self.slice_size: int | None = None
        # lists of one, as diffusers' IP-adapter names them
        self.to_k_ip = nn.ModuleList([nn.Linear(context_dim, inner_dim, bias=False)])
        self.to_v_ip = nn.ModuleList([nn.Linear(context_dim, inner_dim, bias=False)])

    def __call__(
        self,
        attn: Any,
        hidden_states: Float[Tensor, "BF L C"],
        encoder_hidden_states: Float[Tensor, "B T D"],
        attention_mask: Tensor | None = None,
        num_frames: int = 1,
        num_image_tokens: int = 0,
        cache: KeyValueCache | None = None,
    ) -> Float[Tensor, "BF L C"]:
        # queries of all frames of a sample stand in one row: the keys are theirs in common
        x = hidden_states.unflatten(0, (-1, num_frames)).flatten(1, 2)
        q = _heads(attn.to_q(x), attn.heads)
        split = encoder_hidden_states.shape[1] - num_image_tokens
        text, image = encoder_hidden_states[:, :split], encoder_hidden_states[:, split:]
        total = torch.zeros_like(x) if not split else self._branch(q, text, attn.to_k, attn.to_v, attn.heads, 0, cache)
        if num_image_tokens and self.weight:
            total = total + self.weight * self._branch(q, image, self.to_k_ip[0], self.to_v_ip[0], attn.heads, 1, cache)
        out = attn.to_out[1](attn.to_out[0](total))
        result: Tensor = out.unflatten(1, (num_frames, -1)).flatten(0, 1)
        return result

    def _branch(
        self, q: Tensor, tokens: Tensor, to_k: nn.Module, to_v: nn.Module, heads: int, which: int,
        cache: KeyValueCache | None,
    ) -> Float[Tensor, "B FL C"]:  # fmt: skip
        key = 2 * id(self) + which
        if cache is not None and key in cache:
            k, v = cache[key]
        else:
            k, v = _heads(to_k(tokens), heads), _heads(to_v(tokens), heads)
            if cache is not None:
                cache[key] = k, v
        if self.recorder is not None:
            self.recorder(f"{self.name}.{('text', 'image')[which]}", q, k)
        return _attend(q, k, v, self.slice_size)


def slice_attention(network: nn.Module, heads: int | None) -> int:
    """Let every attention of `network` work on so many heads at a time, or on all again with None. Worth it where
    torch has no fused kernel and keeps all scores: those of one slice take `heads` x queries x keys.

    Diffusers' own processors take slices of one head, whatever `heads`.

    Returns:
        Number of attention layers told.

    Raises:
        InputError: fewer heads than one.
    """
    if heads is not None and heads < 1:
        raise InputError(f"attention in slices of {heads} heads asked for, expected at least 1")
    told = 0
    for layer in network.modules():
        processor: Any = getattr(layer, "processor", None)
        if isinstance(processor, (FrameAttention, ImageTokenAttention)):
            processor.slice_size = heads
        elif hasattr(layer, "sliceable_head_dim"):  # diffusers' Attention, not the networks that hold it
            cast(Any, layer).set_attention_slice(None if heads is None else 1)
        else:
            continue
        told += 1
    return told
