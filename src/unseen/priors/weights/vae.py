"""The autoencoder of Stable Diffusion: its tensors in the LDM, the diffusers and OxiGAF's layouts.

LDM counts the decoder's levels from the finest, diffusers from the coarsest; LDM's attention is 1 x 1 convolutions,
diffusers' linear layers. Files that diffusers wrote before 0.18, SD 2.1's among them, name the attention's layers
otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from unseen.core.errors import InputError
from unseen.priors.weights.links import (
    CONVOLUTION_1X1,
    SAME,
    Form,
    KeyMap,
    Link,
    layer,
    same,
    stacked,
    stacked_convolutions,
)
from unseen.priors.weights.tensors import Shape

_ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
_LDM_NAMES = dict(zip(_ATTENTION, ("q", "k", "v", "proj_out"), strict=True))
_OLD_NAMES = dict(zip(_ATTENTION, ("query", "key", "value", "proj_attn"), strict=True))


@dataclass(frozen=True)
class VAEShape:
    """What decides the autoencoder's tensors.

    Attributes:
        block_out_channels: width of each level, finest first.
        layers_per_block: residual blocks of a level of the encoder; the decoder has one more.
    """

    block_out_channels: tuple[int, ...]
    layers_per_block: int
    in_channels: int = 3
    latent_channels: int = 4

    def config(self) -> dict[str, Any]:
        """The `config.json` diffusers builds this network from."""
        levels = len(self.block_out_channels)
        return {
            "_class_name": "AutoencoderKL",
            "in_channels": self.in_channels,
            "out_channels": self.in_channels,
            "latent_channels": self.latent_channels,
            "block_out_channels": list(self.block_out_channels),
            "layers_per_block": self.layers_per_block,
            "down_block_types": ["DownEncoderBlock2D"] * levels,
            "up_block_types": ["UpDecoderBlock2D"] * levels,
        }

    @classmethod
    def from_ldm(cls, shapes: Mapping[str, Shape]) -> VAEShape:
        """Read off the tensors of the LDM layout, without `first_stage_model.`; raises InputError if they lack."""
        return cls._read(shapes, "encoder.down.{}.block.{}.conv1.weight")

    @classmethod
    def from_diffusers(cls, shapes: Mapping[str, Shape]) -> VAEShape:
        """Read off the tensors of the diffusers layout; raises InputError if they are not there."""
        return cls._read(shapes, "encoder.down_blocks.{}.resnets.{}.conv1.weight")

    @classmethod
    def _read(cls, shapes: Mapping[str, Shape], block: str) -> VAEShape:
        widths: list[int] = []
        while (name := block.format(len(widths), 0)) in shapes:
            widths.append(shapes[name][0])
        layers = 0
        while block.format(0, layers) in shapes:
            layers += 1
        if not widths or "encoder.conv_in.weight" not in shapes or "decoder.conv_in.weight" not in shapes:
            raise InputError(
                f"not an autoencoder of Stable Diffusion: expected encoder, decoder and {block.format(0, 0)}"
            )
        return cls(tuple(widths), layers, shapes["encoder.conv_in.weight"][1], shapes["decoder.conv_in.weight"][1])


def vae_map(shape: VAEShape) -> KeyMap:
    """LDM layout (left, without `first_stage_model.`) to diffusers' `AutoencoderKL` (right)."""
    return KeyMap((*_ends(shape), *_encoder(shape), *_middles(shape), *_decoder(shape)))


def old_vae_map(shape: VAEShape) -> KeyMap:
    """What diffusers wrote before 0.18 (left) to what it writes since (right)."""
    return _attention_only(shape, lambda prefix, width: _attention(prefix, prefix, width, _OLD_NAMES, SAME))


def oxigaf_vae_map(shape: VAEShape) -> KeyMap:
    """OxiGAF's autoencoder since 0.1.2 (left) to diffusers' (right): attention of 1 x 1 convolutions."""
    names = {name: name for name in _ATTENTION}
    return _attention_only(shape, lambda prefix, width: _attention(prefix, prefix, width, names, CONVOLUTION_1X1))


def old_oxigaf_vae_map(shape: VAEShape) -> KeyMap:
    """OxiGAF's autoencoder up to 0.1.1 (left) to diffusers' (right): one convolution for queries, keys and values."""
    found = _attention_only(shape, _fused_attention)
    return found.respelled(lambda name: name.replace(".conv_shortcut.", ".nin_shortcut."))


def _attention_only(shape: VAEShape, attention: Callable[[str, int], Iterable[Link]]) -> KeyMap:
    """A map that keeps diffusers' names but for the attention of encoder and decoder."""
    width = shape.block_out_channels[-1]
    prefixes = [f"{half}.mid_block.attentions.0" for half in ("encoder", "decoder")]
    kept = [
        same(name, name, size)
        for name, size in vae_map(shape).right.items()
        if not any(name.startswith(f"{prefix}.{layer_name}.") for prefix in prefixes for layer_name in _ATTENTION)
    ]
    return KeyMap((*kept, *(link for prefix in prefixes for link in attention(prefix, width))))


def _attention(left: str, right: str, width: int, names: Mapping[str, str], form: Form) -> Iterator[Link]:
    """The four layers of the attention; `names` gives the left's for diffusers' names."""
    wide = (width, width, 1, 1) if form is CONVOLUTION_1X1 else (width, width)
    for ours, theirs in names.items():
        yield Link(((f"{left}.{theirs}.weight", wide),), ((f"{right}.{ours}.weight", (width, width)),), form)
        yield same(f"{left}.{theirs}.bias", f"{right}.{ours}.bias", (width,))


def _fused_attention(prefix: str, width: int) -> Iterator[Link]:
    queries, kept = _ATTENTION[:3], {"to_out.0": "to_out"}
    for part, left, right in (("weight", (3 * width, width, 1, 1), (width, width)), ("bias", (3 * width,), (width,))):
        form = stacked_convolutions(3) if part == "weight" else stacked(3)
        yield Link(((f"{prefix}.to_qkv.{part}", left),), tuple((f"{prefix}.{q}.{part}", right) for q in queries), form)
    yield from _attention(prefix, prefix, width, kept, CONVOLUTION_1X1)


def _ends(shape: VAEShape) -> Iterable[Link]:
    fine, coarse, latent = shape.block_out_channels[0], shape.block_out_channels[-1], shape.latent_channels
    yield from layer("encoder.conv_in", "encoder.conv_in", (fine, shape.in_channels, 3, 3))
    yield from layer("encoder.norm_out", "encoder.conv_norm_out", (coarse,))
    yield from layer("encoder.conv_out", "encoder.conv_out", (2 * latent, coarse, 3, 3))
    yield from layer("quant_conv", "quant_conv", (2 * latent, 2 * latent, 1, 1))
    yield from layer("post_quant_conv", "post_quant_conv", (latent, latent, 1, 1))
    yield from layer("decoder.conv_in", "decoder.conv_in", (coarse, latent, 3, 3))
    yield from layer("decoder.norm_out", "decoder.conv_norm_out", (fine,))
    yield from layer("decoder.conv_out", "decoder.conv_out", (shape.in_channels, fine, 3, 3))


def _encoder(shape: VAEShape) -> Iterable[Link]:
    wide = shape.block_out_channels[0]
    for level, width in enumerate(shape.block_out_channels):
        left, right = f"encoder.down.{level}", f"encoder.down_blocks.{level}"
        for j in range(shape.layers_per_block):
            yield from _resnet(f"{left}.block.{j}", f"{right}.resnets.{j}", wide, width)
            wide = width
        if level + 1 < len(shape.block_out_channels):
            yield from layer(f"{left}.downsample.conv", f"{right}.downsamplers.0.conv", (width, width, 3, 3))


def _middles(shape: VAEShape) -> Iterable[Link]:
    width = shape.block_out_channels[-1]
    for half in ("encoder", "decoder"):
        left, right = f"{half}.mid", f"{half}.mid_block"
        yield from _resnet(f"{left}.block_1", f"{right}.resnets.0", width, width)
        yield from layer(f"{left}.attn_1.norm", f"{right}.attentions.0.group_norm", (width,))
        yield from _attention(f"{left}.attn_1", f"{right}.attentions.0", width, _LDM_NAMES, CONVOLUTION_1X1)
        yield from _resnet(f"{left}.block_2", f"{right}.resnets.1", width, width)


def _decoder(shape: VAEShape) -> Iterable[Link]:
    wide = shape.block_out_channels[-1]
    for block, width in enumerate(reversed(shape.block_out_channels)):
        level = len(shape.block_out_channels) - 1 - block
        left, right = f"decoder.up.{level}", f"decoder.up_blocks.{block}"
        for j in range(shape.layers_per_block + 1):
            yield from _resnet(f"{left}.block.{j}", f"{right}.resnets.{j}", wide, width)
            wide = width
        if level:
            yield from layer(f"{left}.upsample.conv", f"{right}.upsamplers.0.conv", (width, width, 3, 3))


def _resnet(left: str, right: str, wide: int, width: int) -> Iterable[Link]:
    yield from layer(f"{left}.norm1", f"{right}.norm1", (wide,))
    yield from layer(f"{left}.conv1", f"{right}.conv1", (width, wide, 3, 3))
    yield from layer(f"{left}.norm2", f"{right}.norm2", (width,))
    yield from layer(f"{left}.conv2", f"{right}.conv2", (width, width, 3, 3))
    if wide != width:
        yield from layer(f"{left}.nin_shortcut", f"{right}.conv_shortcut", (width, wide, 1, 1))
