"""The visual autoregressive transformer: from a render and photos to the tokens of the repaired picture.

VAR (Tian et al. 2024, arXiv 2404.02905), as VARSR uses it for pictures and GS-VAR for renders with a reference. Names
of weights are the published ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import gelu, layer_norm, silu

from unseen.core.errors import ShapeError
from unseen.priors.fixer.attention import Bounds, KeysValues, ViewAttention
from unseen.priors.fixer.config import FixerConfig
from unseen.priors.fixer.refiner import Refiner
from unseen.priors.fixer.rope import level_bounds, level_ids, level_sizes, rope_table

RENDER, REFERENCE = 0, 1
"""Kinds of views."""
EPSILON = 1e-6
FIRST_GAMMA, FIRST_MODULATION, FIRST_HEAD = 1e-4, 0.5, 0.02
"""Of an untrained network: its residual branches add almost nothing."""


Maps = Sequence[Float[Tensor, "B V L z"]]
"""Latents of views, as the quantiser averages them over the cells of each scale."""


class PrefixEncoder(nn.Module):
    """A picture as tokens: plain convolutions, halving it as often as the VQ-VAE does.

    Args:
        channels: at the picture's size and after each halving.
        width: of tokens.
    """

    def __init__(self, channels: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(3, channels[0], 3, padding=1)
        self.blocks = nn.ModuleList()
        for at, below in pairwise(channels):
            self.blocks.append(nn.Conv2d(at, at, 3, padding=1))
            self.blocks.append(nn.Conv2d(at, below, 3, stride=2, padding=1))
        self.conv_out = nn.Conv2d(channels[-1], width, 3, padding=1)

    def forward(self, images: Float[Tensor, "N 3 H W"]) -> Float[Tensor, "N D h w"]:
        """`images` in [-1, 1]."""
        x = silu(self.conv_in(images.to(self.conv_in.weight.dtype)))
        for block in self.blocks:
            x = silu(block(x))
        out: Tensor = self.conv_out(x)
        return out


class FeedForward(nn.Module):
    """Two layers with a GELU between.

    Args:
        width: of tokens.
        hidden: between the layers.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch D"]:
        """Token by token."""
        out: Tensor = self.fc2(gelu(self.fc1(x), approximate="tanh"))
        return out


class Block(nn.Module):
    """Attention and feed-forward, both modulated by the kind of view.

    Args:
        width: of tokens.
        heads: of attention.
        hidden: of the feed-forward layers.
    """

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.attn = ViewAttention(width, heads)
        self.ffn = FeedForward(width, hidden)
        self.ada_lin = nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width))

    def forward(
        self, x: Float[Tensor, "B V L D"], kinds: Float[Tensor, "B V D"], table: tuple[Tensor, Tensor], bounds: Bounds,
        joint: bool, kept: KeysValues | None,
    ) -> Float[Tensor, "B V L D"]:  # fmt: skip
        """`kinds`: embedded kinds of the views; the rest as in `ViewAttention`."""
        gamma1, gamma2, scale1, scale2, shift1, shift2 = self.ada_lin(kinds)[:, :, None].chunk(6, -1)
        x = x + gamma1 * self.attn(_normal(x) * (1 + scale1) + shift1, table, bounds, joint, kept)
        return x + gamma2 * self.ffn(_normal(x) * (1 + scale2) + shift2)


class ModulatedNorm(nn.Module):
    """Normalisation before the head, modulated by the kind of view.

    Args:
        width: of tokens.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.ada_lin = nn.Sequential(nn.SiLU(), nn.Linear(width, 2 * width))

    def forward(self, x: Float[Tensor, "B V L D"], kinds: Float[Tensor, "B V D"]) -> Float[Tensor, "B V L D"]:
        """`kinds`: embedded kinds of the views."""
        scale, shift = self.ada_lin(kinds)[:, :, None].chunk(2, -1)
        return _normal(x) * (1 + scale) + shift


@dataclass(frozen=True)
class Predicted:
    """What the transformer says of every token, of all scales, of all views.

    Attributes:
        logits: of the codebook's entries.
        hidden: of the last block: what the refiner is told.
    """

    logits: Float[Tensor, "B V T K"]
    hidden: Float[Tensor, "B V T D"]


class FixerTransformer(nn.Module):
    """Predicts the tokens of views, scale by scale, from what they look like and from coarser scales of all views.

    Args:
        config: of the fixer.

    Attributes:
        joint: whether views see each other, by block.
        beside: embeds latents of the views' own pictures, one scale's cells beside that scale's tokens, where the
            configuration has it so (ours); None: tokens know of a picture only what attention finds in its prefix.
    """

    FLOAT32 = r"^head|^decoder_norm|^diffloss|scale_mul"
    """Weights that lower precisions would harm."""
    lvl_1L: Tensor
    cos: Tensor
    sin: Tensor

    def __init__(self, config: FixerConfig) -> None:
        super().__init__()
        sizes, width, sides = config.transformer, int(config.transformer["width"]), config.patch_nums
        self.config, self.bounds = config, level_bounds(sides)
        self.joint = [True] * int(sizes["depth"])
        self.pos_start = nn.Parameter(torch.empty(1, config.prefix_tokens + 1, width))
        self.register_buffer("lvl_1L", level_ids(sides)[None])
        self.con_embedding = PrefixEncoder(sizes["prefix"], width)
        self.word_embed = nn.Linear(config.vqvae["z"], width)
        self.beside = nn.Linear(config.vqvae["z"], width, bias=False) if sizes["latents"] else None
        self.class_emb = nn.Embedding(sizes["classes"], width)
        self.lvl_embed = nn.Embedding(len(sides), width)
        hidden = int(width * sizes["mlp_ratio"])
        self.blocks: Any = nn.ModuleList(Block(width, sizes["heads"], hidden) for _ in self.joint)
        self.head_nm = ModulatedNorm(width)
        self.head = nn.Linear(width, config.vqvae["codebook"])
        self.decoder_norm = nn.LayerNorm(width, eps=EPSILON)
        self.diffloss = Refiner(config.vqvae["z"], width, config.refiner)
        cos, sin = rope_table(sides, width // int(sizes["heads"]))
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def forward(
        self, pictures: Float[Tensor, "B V 3 H W"], inputs: Float[Tensor, "B V T-1 z"], kinds: Int[Tensor, "B V"],
        seen: Maps = (),
    ) -> Predicted:  # fmt: skip
        """Teacher-forced: all scales at once.

        Args:
            pictures: renders and references, in [-1, 1].
            inputs: what the quantiser gives for scales 2 to K once the coarser ones are known.
            kinds: RENDER or REFERENCE.
            seen: latents of the pictures, where tokens see them.

        Raises:
            ShapeError: pictures of another size than the configuration's.
        """
        x = torch.cat([self.start(pictures, kinds, seen), self.embedded(inputs, 1, seen)], 2)
        hidden = self.run(x, kinds, self.bounds)[:, :, self.config.prefix_tokens :]
        return Predicted(self.logits(hidden, kinds), hidden)

    def start(
        self, pictures: Float[Tensor, "B V 3 H W"], kinds: Int[Tensor, "B V"], seen: Maps = ()
    ) -> Float[Tensor, "B V P+1 D"]:
        """Tokens of level 0: prefixes and start tokens."""
        side = self.config.image_size
        if pictures.shape[2:] != (3, side, side):
            raise ShapeError(f"pictures of shape {tuple(pictures.shape)}: expected [batch, views, 3, {side}, {side}]")
        prefix = self.con_embedding(pictures.flatten(0, 1)).flatten(2).transpose(1, 2)
        tokens = torch.cat([prefix.unflatten(0, pictures.shape[:2]), self.class_emb(kinds)[:, :, None]], 2)
        tokens = tokens + self.pos_start + self.lvl_embed.weight[0]
        return tokens + self._beside([seen[-1], seen[0]]) if self.beside is not None else tokens

    def embedded(self, inputs: Float[Tensor, "B V N z"], level: int, seen: Maps = ()) -> Float[Tensor, "B V N D"]:
        """Tokens of a level, or of all levels from one on, from the quantiser's inputs; `seen` are all scales' maps."""
        begin = self.bounds[level][0]
        levels = self.lvl_1L[0, begin : begin + inputs.shape[2]]
        tokens: Tensor = self.word_embed(inputs.to(self.word_embed.weight.dtype)) + self.lvl_embed(levels)
        return tokens + self._beside(seen[level:])[:, :, : inputs.shape[2]] if self.beside is not None else tokens

    def _beside(self, seen: Maps) -> Float[Tensor, "B V N D"]:
        assert self.beside is not None
        embedded: Tensor = self.beside(torch.cat(list(seen), 2).to(self.beside.weight.dtype))
        return embedded

    def run(
        self, x: Float[Tensor, "B V L D"], kinds: Int[Tensor, "B V"], bounds: Bounds,
        kept: list[KeysValues] | None = None,
    ) -> Float[Tensor, "B V L D"]:  # fmt: skip
        """All blocks, over all levels at once, or over one level that follows those `kept`."""
        embedded = self.class_emb(kinds)
        first, last = bounds[0][0], bounds[-1][1]
        table = (self.cos[first:last], self.sin[first:last])
        for k, (block, joint) in enumerate(zip(self.blocks, self.joint, strict=True)):
            x = block(x, embedded, table, bounds, joint, None if kept is None else kept[k])
        return x

    def logits(self, hidden: Float[Tensor, "B V T D"], kinds: Int[Tensor, "B V"]) -> Float[Tensor, "B V T K"]:
        """Of the codebook's entries; float32."""
        with torch.autocast(hidden.device.type, enabled=False):
            kinds_embedded = self.class_emb(kinds).float()
            found: Tensor = self.head(self.head_nm(hidden.float(), kinds_embedded))
        return found

    def refiner_condition(
        self, hidden: Float[Tensor, "*batch D"], chosen: Float[Tensor, "*batch z"]
    ) -> Float[Tensor, "*batch D"]:
        """What the refiner is told of a token of the last scale: what the transformer thinks, and the entry chosen."""
        with torch.autocast(hidden.device.type, enabled=False):
            said = self.word_embed(chosen.to(self.word_embed.weight.dtype)).float()
            found: Tensor = self.decoder_norm(hidden.float() + said)
        return found

    def room(self, views: int) -> list[KeysValues]:
        """Empty keys and values of every block, for decoding."""
        return [KeysValues(views * sum(level_sizes(self.config.patch_nums))) for _ in self.blocks]

    @torch.no_grad()
    def initialise(self) -> None:
        """Random weights to train from."""
        width = int(self.config.transformer["width"])
        std = math.sqrt(1 / width / 3)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.trunc_normal_(module.weight, std=std)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
        nn.init.trunc_normal_(self.pos_start, std=std)
        for block in self.blocks:
            for last in (block.attn.proj, block.ffn.fc2):
                last.weight /= math.sqrt(2 * len(self.blocks))
            block.ada_lin[1].weight[: 2 * width] *= FIRST_GAMMA
            block.ada_lin[1].weight[2 * width :] *= FIRST_MODULATION
        modulation: Any = self.head_nm.ada_lin[1]
        modulation.weight *= FIRST_MODULATION
        self.head.weight *= FIRST_HEAD
        self.diffloss.initialise()


def _normal(x: Tensor) -> Tensor:
    """Mean 0, variance 1, token by token."""
    return layer_norm(x, x.shape[-1:], eps=EPSILON)
