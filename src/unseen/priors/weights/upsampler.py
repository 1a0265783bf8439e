"""The k-diffusion U-Net of the latent upscaler, under the names diffusers publishes it with.

Every norm but those of the text is scaled and shifted by the time embedding; convolutions go without it, and the middle
is left out. The widths of the way up are those of k-diffusion: a level's last layers already have the next one's width.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from unseen.core.errors import InputError
from unseen.priors.weights.tensors import Shape

Item = tuple[str, Shape]


@dataclass(frozen=True)
class UpsamplerShape:
    """What decides the upscaler's tensors.

    Attributes:
        block_out_channels: width of each level, finest first. The finest does not attend, all others attend to the
            text, the coarsest also to itself; diffusers takes the two coarsest to be as wide as the time embedding,
            which is twice the finest.
        time_cond_proj_dim: width of the condition added to the time: noise level and pooled text.
    """

    in_channels: int
    out_channels: int
    block_out_channels: tuple[int, ...]
    layers_per_block: int
    cross_attention_dim: int
    time_cond_proj_dim: int

    def config(self) -> dict[str, Any]:
        """The `config.json` diffusers builds this network from."""
        attending = len(self.block_out_channels) - 1
        return {
            "_class_name": "UNet2DConditionModel",
            "in_channels": self.in_channels,
            "out_channels": self.out_channels,
            "block_out_channels": list(self.block_out_channels),
            "layers_per_block": self.layers_per_block,
            "cross_attention_dim": self.cross_attention_dim,
            "time_cond_proj_dim": self.time_cond_proj_dim,
            "down_block_types": ["KDownBlock2D", *["KCrossAttnDownBlock2D"] * attending],
            "up_block_types": [*["KCrossAttnUpBlock2D"] * attending, "KUpBlock2D"],
            "mid_block_type": None,
            "act_fn": "gelu",
            "timestep_post_act": "gelu",
            "attention_head_dim": 64,
            "norm_num_groups": None,
            "resnet_time_scale_shift": "scale_shift",
            "time_embedding_type": "fourier",
            "conv_in_kernel": 1,
            "conv_out_kernel": 1,
        }

    @classmethod
    def from_diffusers(cls, shapes: Mapping[str, Shape]) -> UpsamplerShape:
        """Read off the tensors; raises InputError if they are not there."""
        widths: list[int] = []
        while (name := f"down_blocks.{len(widths)}.resnets.0.conv1.weight") in shapes:
            widths.append(shapes[name][0])
        layers = 0
        while f"down_blocks.0.resnets.{layers}.conv1.weight" in shapes:
            layers += 1
        text = [size for name, size in shapes.items() if name.endswith("attn2.to_k.weight")]
        needed = ("conv_in.weight", "conv_out.weight", "time_embedding.cond_proj.weight")
        if not widths or not text or any(name not in shapes for name in needed):
            raise InputError(f"not a latent upscaler: expected {', '.join(needed)}, residual blocks and attention")
        first, last, condition = (shapes[name] for name in needed)
        return cls(first[1], last[0], tuple(widths), layers, text[0][1], condition[1])


def upsampler_shapes(shape: UpsamplerShape) -> dict[str, Shape]:
    """Shape by name of all tensors."""
    return dict([*_ends(shape), *_down(shape), *_up(shape)])


def _ends(shape: UpsamplerShape) -> Iterator[Item]:
    base = shape.block_out_channels[0]
    time = 2 * base
    yield "time_proj.weight", (base,)
    yield from _layer("time_embedding.linear_1", (time, time))
    yield "time_embedding.cond_proj.weight", (time, shape.time_cond_proj_dim)
    yield from _layer("time_embedding.linear_2", (time, time))
    yield from _layer("conv_in", (base, shape.in_channels, 1, 1))
    yield from _layer("conv_out", (shape.out_channels, base, 1, 1))


def _down(shape: UpsamplerShape) -> Iterator[Item]:
    wide, last = shape.block_out_channels[0], len(shape.block_out_channels) - 1
    for level, width in enumerate(shape.block_out_channels):
        for j in range(shape.layers_per_block):
            yield from _resnet(shape, f"down_blocks.{level}.resnets.{j}", wide, width, width)
            wide = width
            if level:
                yield from _attention(shape, f"down_blocks.{level}.attentions.{j}", width, level == last)


def _up(shape: UpsamplerShape) -> Iterator[Item]:
    widths, layers = shape.block_out_channels, shape.layers_per_block
    for block, width in enumerate(reversed(widths)):
        level = len(widths) - 1 - block
        narrow = widths[max(level - 1, 0)]
        for j in range(layers):
            wide = 2 * width if j == 0 and block else width  # the first meets what the way down handed over
            out = narrow if j == layers - 1 else width
            yield from _resnet(shape, f"up_blocks.{block}.resnets.{j}", wide, width, out)
            if level:
                yield from _attention(shape, f"up_blocks.{block}.attentions.{j}", out, block == 0)


def _resnet(shape: UpsamplerShape, name: str, wide: int, middle: int, width: int) -> Iterator[Item]:
    time = 2 * shape.block_out_channels[0]
    yield from _layer(f"{name}.norm1.linear", (2 * wide, time))
    yield from _layer(f"{name}.conv1", (middle, wide, 3, 3))
    yield from _layer(f"{name}.norm2.linear", (2 * middle, time))
    yield from _layer(f"{name}.conv2", (width, middle, 3, 3))
    if wide != width:
        yield f"{name}.conv_shortcut.weight", (width, wide, 1, 1)


def _attention(shape: UpsamplerShape, name: str, width: int, to_itself: bool) -> Iterator[Item]:
    time, text = 2 * shape.block_out_channels[0], shape.cross_attention_dim
    for i, tokens in ((1, width), (2, text))[0 if to_itself else 1 :]:
        yield from _layer(f"{name}.norm{i}.linear", (2 * width, time))
        for part, wide in (("to_q", width), ("to_k", tokens), ("to_v", tokens), ("to_out.0", width)):
            yield from _layer(f"{name}.attn{i}.{part}", (width, wide))
    yield from _layer(f"{name}.attn2.norm_cross", (text,))


def _layer(name: str, weight: Shape) -> Iterator[Item]:
    yield f"{name}.weight", weight
    yield f"{name}.bias", weight[:1]
