"""The VQ-VAE: pictures to latents and tokens, and back, with or without a look at the render (VAR, VARSR).

Weights have their published names, those of the bridge among the decoder's. Pictures are [N, 3, H, W] in [-1, 1], of
any sides divisible by the stride.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import silu

from unseen.core.errors import InputError, ShapeError
from unseen.priors.fixer.bridge import Bridge
from unseen.priors.fixer.config import FixerConfig
from unseen.priors.fixer.layers import (
    Downsample,
    Level,
    Middle,
    PixelAttention,
    ResidualBlock,
    Upsample,
    group_norm,
)
from unseen.priors.fixer.quantizer import MultiScaleQuantizer, Tokens

BRIDGE = "cond_"
"""Part of the names of the bridge's weights, and of no others."""


@dataclass(frozen=True)
class Decoded:
    """What latents show.

    Attributes:
        images: about [-1, 1], not clamped.
        mask: how far each value comes from the tokens, not from the render, in [0, 1]; None without a bridge.
        unblended: the pictures before the last blend with the render.
    """

    images: Float[Tensor, "N 3 H W"]
    mask: Float[Tensor, "N 3 H W"] | None
    unblended: Float[Tensor, "N 3 H W"]


class Encoder(nn.Module):
    """Pictures to features of several sizes, and to what is quantised.

    Args:
        widths: channels of each level, from fine to coarse; each has half the sides of the one before.
        first: channels of the first convolution.
        blocks: per level.
        channels: of the latents.
        groups: of the group norms.
    """

    def __init__(self, widths: Sequence[int], first: int, blocks: int, channels: int, groups: int) -> None:
        super().__init__()
        last = len(widths) - 1
        self.conv_in = nn.Conv2d(3, first, 3, padding=1)
        self.down: Any = nn.ModuleList()
        for k, (wide, width) in enumerate(zip((first, *widths[:-1]), widths, strict=True)):
            level = Level(wide, width, blocks, groups, attend=k == last)
            if k < last:
                level.downsample = Downsample(width)
            self.down.append(level)
        self.mid = Middle(widths[-1], groups)
        self.norm_out = group_norm(groups, widths[-1])
        self.conv_out = nn.Conv2d(widths[-1], channels, 3, padding=1)

    def features(self, images: Float[Tensor, "N 3 H W"]) -> list[Tensor]:
        """Features after the first convolution and after each level, from fine to coarse."""
        found = [self.conv_in(images)]
        x = found[0]
        for level in self.down:
            found.append(level(x))
            x = level.downsample(found[-1]) if hasattr(level, "downsample") else found[-1]
        return found

    def forward(self, images: Float[Tensor, "N 3 H W"]) -> Float[Tensor, "N C h w"]:
        x = self.mid(self.features(images)[-1])
        result: Tensor = self.conv_out(silu(self.norm_out(x)))
        return result


class Decoder(nn.Module):
    """Latents to pictures. Arguments as of the encoder; `bridge` gives it the layers of one."""

    def __init__(
        self, widths: Sequence[int], first: int, blocks: int, channels: int, groups: int, bridge: bool
    ) -> None:
        super().__init__()
        last = len(widths) - 1
        self.conv_in = nn.Conv2d(channels, widths[-1], 3, padding=1)
        self.mid = Middle(widths[-1], groups)
        self.up: Any = nn.ModuleList()
        for k, (wide, width) in enumerate(zip((*widths[1:], widths[-1]), widths, strict=True)):
            level = Level(wide, width, blocks, groups, attend=k == last)
            if k > 0:
                level.upsample = Upsample(width)
            self.up.append(level)
        self.norm_out = group_norm(groups, widths[0])
        self.conv_out = nn.Conv2d(widths[0], 3, 3, padding=1)
        # the bridge's layers are published as the decoder's own: it is registered here through them alone
        self._bridge = (Bridge(widths, first, groups),) if bridge else ()
        for layers in self._bridge:
            for name, layer in layers.named_children():
                self.add_module(name, layer)

    def forward(self, latents: Float[Tensor, "N C h w"], seen: Sequence[Tensor] | None = None) -> Decoded:
        """Pictures of latents; with `seen`, the render and the encoder's features of it, through the bridge.

        Raises:
            InputError: features for a decoder without a bridge.
        """
        if seen is None:
            picture = self._decoded(latents, None, ())
            return Decoded(picture, None, picture)
        if not self._bridge:
            raise InputError(
                "this VQ-VAE came without its bridge: expected weights with it, or no features of a render"
            )
        bridge, (render, *features) = self._bridge[0], seen
        picture = self._decoded(latents, bridge, features)
        mask = bridge.mask(picture, render)
        return Decoded(mask * picture + (1 - mask) * render, mask, picture)

    def _decoded(self, latents: Tensor, bridge: Bridge | None, features: Sequence[Tensor]) -> Float[Tensor, "N 3 H W"]:
        x = self.mid(self.conv_in(latents))
        for k in reversed(range(len(self.up))):
            if bridge is not None:
                x = bridge.mix(k, x, features[k + 1])
            x = self.up[k](x)
            if k > 0:
                x = self.up[k].upsample(x)
        if bridge is not None:
            x = bridge.mix_pixels(x, features[0])
        result: Tensor = self.conv_out(silu(self.norm_out(x)))
        return result


class VQVAE(nn.Module):
    """Pictures, latents and tokens.

    Args:
        config: sizes; `config.vqvae["bridge"]` says whether the decoder can look at the render.

    Attributes:
        stride: sides of a picture over those of its latents.
    """

    FLOAT32 = r"."
    """Weights keep their precision: compute in a lower one with autocast, but never the tokens."""

    def __init__(self, config: FixerConfig) -> None:
        super().__init__()
        sizes = config.vqvae
        first, channels, groups = sizes["ch"], sizes["z"], sizes["groups"]
        widths = [first * factor for factor in sizes["ch_mult"]]
        self.stride = config.stride
        self.encoder = Encoder(widths, first, sizes["encoder_blocks"], channels, groups)
        self.decoder = Decoder(widths, first, sizes["decoder_blocks"], channels, groups, sizes["bridge"])
        self.quantize = MultiScaleQuantizer(
            config.patch_nums, config.phi_map, channels, sizes["codebook"], sizes["phis"]
        )
        self.quant_conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.post_quant_conv = nn.Conv2d(channels, channels, 3, padding=1)

    @property
    def has_bridge(self) -> bool:
        """Whether the decoder can look at a render."""
        return hasattr(self.decoder, "cond_layer")

    @torch.no_grad()
    def initialise(self) -> None:
        """Have every block start as its shortcut alone: then all of them learn from the first step on."""
        for module in self.modules():
            if isinstance(module, (ResidualBlock, PixelAttention)):
                last: Any = module.conv2 if isinstance(module, ResidualBlock) else module.proj_out
                last.weight.zero_()
                last.bias.zero_()

    def bridge_parameters(self) -> list[nn.Parameter]:
        """What the second stage of training changes."""
        return [parameter for name, parameter in self.named_parameters() if BRIDGE in name]

    def encode(self, images: Float[Tensor, "N 3 H W"]) -> Float[Tensor, "N C h w"]:
        """Latents, not quantised.

        Raises:
            ShapeError: sides the stride does not divide.
        """
        self._check(images)
        latents: Tensor = self.quant_conv(self.encoder(images))
        return latents

    def features(self, images: Float[Tensor, "N 3 H W"]) -> list[Tensor]:
        """What the bridge looks at: the pictures themselves, and the encoder's features of them, from fine to coarse;
        errors as `encode`."""
        self._check(images)
        return [images, *self.encoder.features(images)]

    def tokens(self, latents: Float[Tensor, "N C h w"]) -> Tokens:
        """Latents as tokens; gradients do not pass."""
        return self.quantize.tokens(latents)

    def decode(self, fhat: Float[Tensor, "N C h w"], seen: Sequence[Tensor] | None = None) -> Decoded:
        """Pictures of latents that tokens add up to.

        Args:
            fhat: latents.
            seen: `features` of the renders, for the bridge; without them it is passed by.

        Raises:
            InputError: features for a VQ-VAE without a bridge.
        """
        decoded: Decoded = self.decoder(self.post_quant_conv(fhat), seen)
        return decoded

    def _check(self, images: Tensor) -> None:
        if images.ndim != 4 or images.shape[1] != 3 or any(side % self.stride for side in images.shape[2:]):
            raise ShapeError(
                f"pictures have shape {tuple(images.shape)}, expected [N, 3, H, W], sides divisible by {self.stride}"
            )
