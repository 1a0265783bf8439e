"""Attention of views to each other, causal in the levels of their tokens.

The reference mixing block of GS-VAR is this attention over render and reference joined: a token of level k of any view
sees all tokens of levels up to k of all views, so any number of references takes part without further weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear, normalize, scaled_dot_product_attention

from unseen.priors.fixer.rope import turned

LARGEST_SCALE = 100.0
FIRST_SCALE = 4.0
Bounds = Sequence[tuple[int, int]]


class KeysValues:
    """Keys and values of the levels decoded so far, of all views of one block, in room that is taken once.

    Args:
        room: tokens of all views, over all levels.
    """

    def __init__(self, room: int) -> None:
        self.room, self.length = room, 0
        self._kept: Tensor | None = None

    def joined(
        self, k: Float[Tensor, "B H N D"], v: Float[Tensor, "B H N D"]
    ) -> tuple[Float[Tensor, "B H M D"], Float[Tensor, "B H M D"]]:
        """Keep those of a level, and return all that are kept."""
        if self._kept is None:
            self._kept = k.new_empty(2, *k.shape[:2], self.room, k.shape[-1])
        end = self.length + k.shape[2]
        self._kept[0, :, :, self.length : end] = k
        self._kept[1, :, :, self.length : end] = v
        self.length = end
        return self._kept[0, :, :, :end], self._kept[1, :, :, :end]


class ViewAttention(nn.Module):
    """Self-attention with normalised queries and keys. Names of weights are the published ones.

    Args:
        width: of tokens.
        heads: of attention.
    """

    zero_k_bias: Tensor

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.scale_mul_1H11 = nn.Parameter(torch.full((1, heads, 1, 1), math.log(FIRST_SCALE)))
        self.mat_qkv = nn.Linear(width, 3 * width, bias=False)
        self.q_bias, self.v_bias = (nn.Parameter(torch.zeros(width)) for _ in range(2))
        self.register_buffer("zero_k_bias", torch.zeros(width))
        self.proj = nn.Linear(width, width)

    def forward(
        self, x: Float[Tensor, "B V L D"], table: tuple[Tensor, Tensor], bounds: Bounds, joint: bool = True,
        kept: KeysValues | None = None,
    ) -> Float[Tensor, "B V L D"]:  # fmt: skip
        """Args:
        x: tokens of the views.
        table: cosines and sines of those tokens.
        bounds: of the levels among them.
        joint: views see each other; else each sees itself alone.
        kept: of levels before, which these tokens see too; theirs are added. One level at a time.
        """
        bias = torch.cat([self.q_bias, self.zero_k_bias, self.v_bias])
        qkv = linear(x, self.mat_qkv.weight, bias.to(self.mat_qkv.weight.dtype))
        q, k, v = qkv.unflatten(-1, (3, self.heads, -1)).permute(3, 0, 4, 1, 2, 5)  # each B H V L D
        scale = self.scale_mul_1H11.float().clamp_max(math.log(LARGEST_SCALE)).exp()[:, :, None]
        q = turned(normalize(q.float(), dim=-1) * scale, *table).to(v.dtype)
        k = turned(normalize(k.float(), dim=-1), *table).to(v.dtype)
        if not joint:
            q, k, v = (t.transpose(1, 2).flatten(0, 1)[:, :, None] for t in (q, k, v))  # views as a batch
        mixed = _attended(q, k, v, bounds) if kept is None else _continued(q, k, v, kept)
        if not joint:
            mixed = mixed[:, :, 0].unflatten(0, x.shape[:2]).transpose(1, 2)
        out: Tensor = self.proj(mixed.permute(0, 2, 3, 1, 4).flatten(3))
        return out


def _continued(q: Tensor, k: Tensor, v: Tensor, kept: KeysValues) -> Float[Tensor, "B H V L D"]:
    """Attention of one level to itself and to those kept."""
    views = q.shape[2]
    keys, values = kept.joined(k.flatten(2, 3), v.flatten(2, 3))
    return scaled_dot_product_attention(q.flatten(2, 3), keys, values, scale=1.0).unflatten(2, (views, -1))


def _attended(
    q: Float[Tensor, "B H V L D"], k: Float[Tensor, "B H V L D"], v: Float[Tensor, "B H V L D"], bounds: Bounds
) -> Float[Tensor, "B H V L D"]:
    """Block-causal attention over all levels at once: levels one after the other, each without a mask."""
    views = q.shape[2]
    keys, values = (torch.cat([t[:, :, :, a:b].flatten(2, 3) for a, b in bounds], 2) for t in (k, v))
    out = []
    for a, b in bounds:
        seen = views * b
        level = q[:, :, :, a:b].flatten(2, 3)
        mixed = scaled_dot_product_attention(level, keys[:, :, :seen], values[:, :, :seen], scale=1.0)
        out.append(mixed.unflatten(2, (views, -1)))
    return torch.cat(out, 3)
