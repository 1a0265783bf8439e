"""The resampler that turns CLIP's tokens into a few: its tensors in ImageDream's and in diffusers' layout.

IP-Adapter plus (arXiv 2308.06721): `image_embed` of ImageDream, `IPAdapterPlusImageProjection` of diffusers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from unseen.core.errors import InputError
from unseen.priors.weights.links import KeyMap, Link, layer, same, stacked
from unseen.priors.weights.tensors import Shape

_HEAD_WIDTH = 64


@dataclass(frozen=True)
class ResamplerShape:
    """What decides the resampler's tensors.

    Attributes:
        embed_dim: width of the tokens that come in.
        output_dim: width of those that go out.
        width: width inside.
        inner: width of all attention heads together.
        queries: tokens that go out.
        hidden: width of the feed-forward layers.
    """

    embed_dim: int
    output_dim: int
    width: int
    inner: int
    queries: int
    depth: int
    hidden: int

    def config(self) -> dict[str, Any]:
        """The arguments diffusers builds this network from, with heads 64 wide as published."""
        return {
            "_class_name": "IPAdapterPlusImageProjection",
            "embed_dims": self.embed_dim,
            "output_dims": self.output_dim,
            "hidden_dims": self.width,
            "depth": self.depth,
            "dim_head": min(_HEAD_WIDTH, self.inner),
            "heads": max(1, self.inner // _HEAD_WIDTH),
            "num_queries": self.queries,
            "ffn_ratio": self.hidden / self.width,
        }

    @classmethod
    def from_ldm(cls, shapes: Mapping[str, Shape]) -> ResamplerShape:
        """Read off the tensors of ImageDream, without `image_embed.`; raises InputError if they are not there."""
        return cls._read(shapes, "layers.{}.0.to_q.weight", "layers.0.1.1.weight")

    @classmethod
    def from_diffusers(cls, shapes: Mapping[str, Shape]) -> ResamplerShape:
        """Read off the tensors of diffusers; raises InputError if they are not there."""
        return cls._read(shapes, "layers.{}.attn.to_q.weight", "layers.0.ff.1.net.0.proj.weight")

    @classmethod
    def _read(cls, shapes: Mapping[str, Shape], queries: str, hidden: str) -> ResamplerShape:
        depth = 0
        while queries.format(depth) in shapes:
            depth += 1
        needed = ("latents", "proj_in.weight", "proj_out.weight", hidden)
        if not depth or any(name not in shapes for name in needed):
            raise InputError(f"not a resampler of image tokens: expected {', '.join(needed)} and {queries.format(0)}")
        width, embed_dim = shapes["proj_in.weight"]
        return cls(
            embed_dim, shapes["proj_out.weight"][0], width, shapes[queries.format(0)][0], shapes["latents"][1], depth,
            shapes[hidden][0],
        )  # fmt: skip


def resampler_map(shape: ResamplerShape) -> KeyMap:
    """ImageDream (left, without `image_embed.`) to diffusers' `IPAdapterPlusImageProjection` (right)."""
    return KeyMap((*_ends(shape), *(link for i in range(shape.depth) for link in _block(shape, i))))


def _ends(shape: ResamplerShape) -> Iterable[Link]:
    yield same("latents", "latents", (1, shape.queries, shape.width))
    yield from layer("proj_in", "proj_in", (shape.width, shape.embed_dim))
    yield from layer("proj_out", "proj_out", (shape.output_dim, shape.width))
    yield from layer("norm_out", "norm_out", (shape.output_dim,))


def _block(shape: ResamplerShape, i: int) -> Iterable[Link]:
    left, right, width, inner = f"layers.{i}", f"layers.{i}", shape.width, shape.inner
    yield from layer(f"{left}.0.norm1", f"{right}.ln0", (width,))
    yield from layer(f"{left}.0.norm2", f"{right}.ln1", (width,))
    yield same(f"{left}.0.to_q.weight", f"{right}.attn.to_q.weight", (inner, width))
    keys = tuple((f"{right}.attn.{name}.weight", (inner, width)) for name in ("to_k", "to_v"))
    yield Link(((f"{left}.0.to_kv.weight", (2 * inner, width)),), keys, stacked(2))
    yield same(f"{left}.0.to_out.weight", f"{right}.attn.to_out.0.weight", (width, inner))
    yield from layer(f"{left}.1.0", f"{right}.ff.0", (width,))
    yield same(f"{left}.1.1.weight", f"{right}.ff.1.net.0.proj.weight", (shape.hidden, width))
    yield same(f"{left}.1.3.weight", f"{right}.ff.1.net.2.weight", (width, shape.hidden))
