"""The U-Net of Stable Diffusion 1 and 2, MVDream and ImageDream: its tensors in the LDM and the diffusers layout.

LDM numbers its blocks in one row (`input_blocks.n.m`, `middle_block.m`, `output_blocks.n.m`), diffusers by level
(`down_blocks.l.resnets.j`); both lists follow from the widths, the layers per level and the levels with attention.
Multi-view attention reuses the layers of the single-view network (MVDream, arXiv 2308.16512; ImageDream, arXiv
2312.02201): only the camera embedding and the keys and values of the image tokens are new.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from unseen.core.errors import InputError
from unseen.priors.weights.links import KeyMap, Link, layer, same
from unseen.priors.weights.tensors import Shape

_HEAD_WIDTH = 64  # of Stable Diffusion 2, which has linear projections; Stable Diffusion 1 has 8 heads and convolutions
_HEADS_1 = 8


@dataclass(frozen=True)
class _Landmarks:
    """Names of the tensors that tell a layout's sizes."""

    first: str
    last: str
    camera: str
    image_keys: str


_LDM = _Landmarks("input_blocks.0.0.weight", "out.2.weight", "camera_embed.0.weight", "attn2.to_k_ip.weight")
_DIFFUSERS = _Landmarks(
    "conv_in.weight", "conv_out.weight", "class_embedding.linear_1.weight", "attn2.processor.to_k_ip.0.weight"
)


@dataclass(frozen=True)
class UNetShape:
    """What decides the tensors of the U-Net.

    Attributes:
        block_out_channels: width of each level, finest first.
        layers_per_block: residual blocks of a level on the way down; one more on the way up.
        attention: which levels attend; the middle always does.
        cross_attention_dim: width of the text (or image) tokens.
        linear_projection: the transformers' outer projections are linear layers, not 1 x 1 convolutions.
        camera_dim: numbers of a camera that are embedded and added to the time; 0 for none.
        image_tokens: cross-attention has separate keys and values for image tokens.
    """

    in_channels: int
    out_channels: int
    block_out_channels: tuple[int, ...]
    layers_per_block: int
    attention: tuple[bool, ...]
    cross_attention_dim: int
    linear_projection: bool
    camera_dim: int = 0
    image_tokens: bool = False

    @property
    def heads(self) -> tuple[int, ...]:
        """Attention heads of each level, by the release the projections tell: no tensor holds them."""
        return tuple(max(1, c // _HEAD_WIDTH) if self.linear_projection else _HEADS_1 for c in self.block_out_channels)

    def config(self) -> dict[str, Any]:
        """The `config.json` diffusers builds this network from. `image_tokens` are no part of it: diffusers adds their
        layers as attention processors."""
        down = ["CrossAttnDownBlock2D" if attends else "DownBlock2D" for attends in self.attention]
        up = ["CrossAttnUpBlock2D" if attends else "UpBlock2D" for attends in reversed(self.attention)]
        camera = {"class_embed_type": "projection", "projection_class_embeddings_input_dim": self.camera_dim}
        return {
            "_class_name": "UNet2DConditionModel",
            "in_channels": self.in_channels,
            "out_channels": self.out_channels,
            "block_out_channels": list(self.block_out_channels),
            "layers_per_block": self.layers_per_block,
            "down_block_types": down,
            "up_block_types": up,
            "attention_head_dim": list(self.heads),  # diffusers' name for the number of heads
            "cross_attention_dim": self.cross_attention_dim,
            "use_linear_projection": self.linear_projection,
            **(camera if self.camera_dim else {}),
        }

    @classmethod
    def from_ldm(cls, shapes: Mapping[str, Shape]) -> UNetShape:
        """Read off the tensors of the LDM layout, without `model.diffusion_model.`.

        Raises:
            InputError: a tensor it is read from is not there.
        """
        widths: list[int] = []
        attention: list[bool] = []
        layers, n, fresh = 0, 1, True
        while f"input_blocks.{n}.0.in_layers.2.weight" in shapes or f"input_blocks.{n}.0.op.weight" in shapes:
            if step := f"input_blocks.{n}.0.op.weight" in shapes:
                fresh = True
            elif fresh:
                widths.append(shapes[f"input_blocks.{n}.0.in_layers.2.weight"][0])
                attention.append(f"input_blocks.{n}.1.norm.weight" in shapes)
                fresh = False
            layers += len(widths) == 1 and not step
            n += 1
        return cls._assembled(shapes, _LDM, widths, attention, layers)

    @classmethod
    def from_diffusers(cls, shapes: Mapping[str, Shape]) -> UNetShape:
        """Read off the tensors of the diffusers layout.

        Raises:
            InputError: a tensor it is read from is not there.
        """
        widths: list[int] = []
        attention: list[bool] = []
        layers = 0
        while (name := f"down_blocks.{len(widths)}.resnets.0.conv1.weight") in shapes:
            attention.append(f"down_blocks.{len(widths)}.attentions.0.norm.weight" in shapes)
            widths.append(shapes[name][0])
        while f"down_blocks.0.resnets.{layers}.conv1.weight" in shapes:
            layers += 1
        return cls._assembled(shapes, _DIFFUSERS, widths, attention, layers)

    @classmethod
    def _assembled(
        cls, shapes: Mapping[str, Shape], names: _Landmarks, widths: list[int], attention: list[bool], layers: int
    ) -> UNetShape:
        keys = [shape for name, shape in shapes.items() if name.endswith("attn2.to_k.weight")]
        projections = [len(shape) for name, shape in shapes.items() if name.endswith(".proj_in.weight")]
        if names.first not in shapes or names.last not in shapes or not widths or not keys or not projections:
            raise InputError(
                f"not a U-Net of Stable Diffusion: expected {names.first}, {names.last}, residual blocks and attention"
            )
        return cls(
            in_channels=shapes[names.first][1],
            out_channels=shapes[names.last][0],
            block_out_channels=tuple(widths),
            layers_per_block=layers,
            attention=tuple(attention),
            cross_attention_dim=keys[0][1],
            linear_projection=projections[0] == 2,
            camera_dim=shapes[names.camera][1] if names.camera in shapes else 0,
            image_tokens=any(name.endswith(names.image_keys) for name in shapes),
        )


def unet_map(shape: UNetShape) -> KeyMap:
    """LDM layout (left, without `model.diffusion_model.`) to diffusers' `UNet2DConditionModel` (right).

    Camera embeddings become diffusers' class embedding of type "projection", which computes the same; keys and values
    of image tokens become those of its IP-Adapter attention processors.
    """
    return KeyMap((*_ends(shape), *_down(shape), *_middle(shape), *_up(shape)))


def _ends(shape: UNetShape) -> Iterator[Link]:
    base = shape.block_out_channels[0]
    time = 4 * base
    yield from layer("time_embed.0", "time_embedding.linear_1", (time, base))
    yield from layer("time_embed.2", "time_embedding.linear_2", (time, time))
    if shape.camera_dim:
        yield from layer("camera_embed.0", "class_embedding.linear_1", (time, shape.camera_dim))
        yield from layer("camera_embed.2", "class_embedding.linear_2", (time, time))
    yield from layer("input_blocks.0.0", "conv_in", (base, shape.in_channels, 3, 3))
    yield from layer("out.0", "conv_norm_out", (base,))
    yield from layer("out.2", "conv_out", (shape.out_channels, base, 3, 3))


def _down(shape: UNetShape) -> Iterator[Link]:
    n, wide = 1, shape.block_out_channels[0]
    for level, width in enumerate(shape.block_out_channels):
        for j in range(shape.layers_per_block):
            yield from _resnet(shape, f"input_blocks.{n}.0", f"down_blocks.{level}.resnets.{j}", wide, width)
            if shape.attention[level]:
                yield from _transformer(shape, f"input_blocks.{n}.1", f"down_blocks.{level}.attentions.{j}", width)
            n, wide = n + 1, width
        if level + 1 < len(shape.block_out_channels):
            step = f"down_blocks.{level}.downsamplers.0.conv"
            yield from layer(f"input_blocks.{n}.0.op", step, (width, width, 3, 3))
            n += 1


def _middle(shape: UNetShape) -> Iterator[Link]:
    width = shape.block_out_channels[-1]
    yield from _resnet(shape, "middle_block.0", "mid_block.resnets.0", width, width)
    yield from _transformer(shape, "middle_block.1", "mid_block.attentions.0", width)
    yield from _resnet(shape, "middle_block.2", "mid_block.resnets.1", width, width)


def _up(shape: UNetShape) -> Iterator[Link]:
    skips, n, wide = _skips(shape), 0, shape.block_out_channels[-1]
    for block, (width, attends) in enumerate(zip(shape.block_out_channels[::-1], shape.attention[::-1], strict=True)):
        for j in range(shape.layers_per_block + 1):
            yield from _resnet(
                shape, f"output_blocks.{n}.0", f"up_blocks.{block}.resnets.{j}", wide + skips.pop(), width
            )
            if attends:
                yield from _transformer(shape, f"output_blocks.{n}.1", f"up_blocks.{block}.attentions.{j}", width)
            n, wide = n + 1, width
        if block + 1 < len(shape.block_out_channels):
            step = f"output_blocks.{n - 1}.{2 if attends else 1}.conv"
            yield from layer(step, f"up_blocks.{block}.upsamplers.0.conv", (width, width, 3, 3))


def _skips(shape: UNetShape) -> list[int]:
    """Widths of what the way down hands to the way up, in the order it is made."""
    skips = [shape.block_out_channels[0]]
    for level, width in enumerate(shape.block_out_channels):
        skips += [width] * (shape.layers_per_block + (level + 1 < len(shape.block_out_channels)))
    return skips


def _resnet(shape: UNetShape, left: str, right: str, wide: int, width: int) -> Iterable[Link]:
    """A residual block from `wide` to `width` channels."""
    yield from layer(f"{left}.in_layers.0", f"{right}.norm1", (wide,))
    yield from layer(f"{left}.in_layers.2", f"{right}.conv1", (width, wide, 3, 3))
    yield from layer(f"{left}.emb_layers.1", f"{right}.time_emb_proj", (width, 4 * shape.block_out_channels[0]))
    yield from layer(f"{left}.out_layers.0", f"{right}.norm2", (width,))
    yield from layer(f"{left}.out_layers.3", f"{right}.conv2", (width, width, 3, 3))
    if wide != width:
        yield from layer(f"{left}.skip_connection", f"{right}.conv_shortcut", (width, wide, 1, 1))


def _transformer(shape: UNetShape, left: str, right: str, width: int) -> Iterable[Link]:
    """A transformer of one block, whose layers have the same names in both layouts but for the image tokens."""
    outer = (width, width) if shape.linear_projection else (width, width, 1, 1)
    yield from layer(f"{left}.norm", f"{right}.norm", (width,))
    yield from layer(f"{left}.proj_in", f"{right}.proj_in", outer)
    yield from layer(f"{left}.proj_out", f"{right}.proj_out", outer)
    left, right = f"{left}.transformer_blocks.0", f"{right}.transformer_blocks.0"
    for i in (1, 2, 3):
        yield from layer(f"{left}.norm{i}", f"{right}.norm{i}", (width,))
    for attention, tokens in (("attn1", width), ("attn2", shape.cross_attention_dim)):
        for name, wide in (("to_q", width), ("to_k", tokens), ("to_v", tokens)):
            yield from layer(f"{left}.{attention}.{name}", f"{right}.{attention}.{name}", (width, wide), bias=False)
        yield from layer(f"{left}.{attention}.to_out.0", f"{right}.{attention}.to_out.0", (width, width))
    if shape.image_tokens:
        for name in ("to_k_ip", "to_v_ip"):
            ours = f"{right}.attn2.processor.{name}.0.weight"
            yield same(f"{left}.attn2.{name}.weight", ours, (width, shape.cross_attention_dim))
    yield from layer(f"{left}.ff.net.0.proj", f"{right}.ff.net.0.proj", (8 * width, width))
    yield from layer(f"{left}.ff.net.2", f"{right}.ff.net.2", (width, 4 * width))
