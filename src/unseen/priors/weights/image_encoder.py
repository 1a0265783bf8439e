"""The vision half of CLIP: its tensors in OpenCLIP's, transformers' and OxiGAF's layouts.

OpenCLIP stacks queries, keys and values in one matrix and multiplies by its projection from the other side. The network
that conditions ImageDream and IP-Adapter is ViT-H/14, trained by LAION on LAION-2B.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from unseen.core.errors import InputError
from unseen.priors.weights.links import TRANSPOSED, KeyMap, Link, layer, reshaped, same, stacked
from unseen.priors.weights.tensors import Shape

PREFIX = "vision_model."
_HEADS_BY_WIDTH = {768: 12, 1024: 16, 1280: 16, 1408: 16, 1664: 16}  # ViT-B, L, H, g, bigG; no tensor holds them
_PROJECTIONS = ("q_proj", "k_proj", "v_proj")


@dataclass(frozen=True)
class CLIPShape:
    """What decides the tensors of the vision transformer.

    Attributes:
        tokens: patches and the class token.
        projection_dim: width of the embedding shared with text; 0 where the projection is left out.
    """

    width: int
    layers: int
    hidden: int
    patch: int
    tokens: int
    projection_dim: int

    @property
    def heads(self) -> int:
        """Attention heads, by the published sizes; 64 wide for others."""
        return _HEADS_BY_WIDTH.get(self.width, max(1, self.width // 64))

    def config(self) -> dict[str, Any]:
        """The `config.json` transformers builds this network from, with LAION's activation (OpenAI's is quick_gelu)."""
        return {
            "architectures": ["CLIPVisionModelWithProjection" if self.projection_dim else "CLIPVisionModel"],
            "model_type": "clip_vision_model",
            "hidden_size": self.width,
            "intermediate_size": self.hidden,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "patch_size": self.patch,
            "image_size": self.patch * math.isqrt(self.tokens - 1),
            "projection_dim": self.projection_dim or self.width,
            "hidden_act": "gelu",
        }

    @classmethod
    def from_openclip(cls, shapes: Mapping[str, Shape]) -> CLIPShape:
        """Read off the tensors of OpenCLIP, without `visual.`; raises InputError if they are not there."""
        return cls._read(
            shapes, "conv1.weight", "positional_embedding", "transformer.resblocks.{}.mlp.c_fc.weight", "proj", 1
        )

    @classmethod
    def from_transformers(cls, shapes: Mapping[str, Shape]) -> CLIPShape:
        """Read off the tensors of transformers, with `vision_model.`; raises InputError if they are not there."""
        inner = f"{PREFIX}embeddings"
        return cls._read(
            shapes, f"{inner}.patch_embedding.weight", f"{inner}.position_embedding.weight",
            PREFIX + "encoder.layers.{}.mlp.fc1.weight", "visual_projection.weight", 0,
        )  # fmt: skip

    @classmethod
    def _read(
        cls, shapes: Mapping[str, Shape], patches: str, positions: str, mlp: str, projection: str, axis: int
    ) -> CLIPShape:
        layers = 0
        while mlp.format(layers) in shapes:
            layers += 1
        if not layers or len(shapes.get(patches, ())) != 4 or positions not in shapes:
            raise InputError(f"not a CLIP vision transformer: expected {patches}, {positions} and {mlp.format(0)}")
        width, _, patch, _ = shapes[patches]
        projected = shapes[projection][axis] if projection in shapes else 0
        return cls(width, layers, shapes[mlp.format(0)][0], patch, shapes[positions][0], projected)


def clip_map(shape: CLIPShape) -> KeyMap:
    """OpenCLIP (left, without `visual.`) to transformers' `CLIPVisionModelWithProjection` (right)."""
    return KeyMap((*_ends(shape), *(link for i in range(shape.layers) for link in _block(shape, i))))


def bare_clip_map(shape: CLIPShape) -> KeyMap:
    """OxiGAF (left), which leaves out `vision_model.`, to transformers (right)."""
    return KeyMap(tuple(same(name.removeprefix(PREFIX), name, size) for name, size in clip_map(shape).right.items()))


def old_oxigaf_clip_map(shape: CLIPShape) -> KeyMap:
    """OxiGAF up to 0.1.1 (left) to transformers (right): no prefix, a class token with two axes more."""
    token, axes = f"{PREFIX}embeddings.class_embedding", (1, 1, shape.width)
    links = [link for link in bare_clip_map(shape).links if link.right[0][0] != token]
    form = reshaped(axes, (shape.width,))
    return KeyMap((*links, Link(((token.removeprefix(PREFIX), axes),), ((token, (shape.width,)),), form)))


def _ends(shape: CLIPShape) -> Iterable[Link]:
    width, inner = shape.width, f"{PREFIX}embeddings"
    yield same("class_embedding", f"{inner}.class_embedding", (width,))
    yield same("conv1.weight", f"{inner}.patch_embedding.weight", (width, 3, shape.patch, shape.patch))
    yield same("positional_embedding", f"{inner}.position_embedding.weight", (shape.tokens, width))
    yield from layer("ln_pre", f"{PREFIX}pre_layrnorm", (width,))  # so spelled there
    yield from layer("ln_post", f"{PREFIX}post_layernorm", (width,))
    if shape.projection_dim:
        wide = shape.projection_dim
        yield Link((("proj", (width, wide)),), (("visual_projection.weight", (wide, width)),), TRANSPOSED)


def _block(shape: CLIPShape, i: int) -> Iterable[Link]:
    left, right, width = f"transformer.resblocks.{i}", f"{PREFIX}encoder.layers.{i}", shape.width
    for n in (1, 2):
        yield from layer(f"{left}.ln_{n}", f"{right}.layer_norm{n}", (width,))
    for part, one in (("weight", (width, width)), ("bias", (width,))):
        theirs = ((f"{left}.attn.in_proj_{part}", (3 * width, *one[1:])),)
        yield Link(theirs, tuple((f"{right}.self_attn.{name}.{part}", one) for name in _PROJECTIONS), stacked(3))
    yield from layer(f"{left}.attn.out_proj", f"{right}.self_attn.out_proj", (width, width))
    yield from layer(f"{left}.mlp.c_fc", f"{right}.mlp.fc1", (shape.hidden, width))
    yield from layer(f"{left}.mlp.c_proj", f"{right}.mlp.fc2", (width, shape.hidden))
