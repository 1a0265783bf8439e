"""The bridge: the decoder of the VQ-VAE looks at the render and takes from it what tokens have lost (GS-VAR).

At every size of picture gates between 0 and 1, one per pixel and channel, say how far the decoder's features h are
replaced by a mixture with those c that the encoder has of the render: h <- w r(h, c) + (1 - w) h. Last, the picture and
the render themselves are blended. References are not looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unseen.priors.fixer.layers import ResidualBlock

_CLOSED = -4.0
"""Of gates where training starts, before the sigmoid: 2 % open."""


class Bridge(nn.Module):
    """Layers of the bridge. A new one leaves almost as it is what the decoder makes: its gates are nearly closed.

    Args:
        widths: channels of the encoder's levels, from fine to coarse; the decoder's come in with the next coarser's.
        first: channels of the encoder's first convolution.
        groups: of the group norms.
    """

    def __init__(self, widths: Sequence[int], first: int, groups: int) -> None:
        super().__init__()
        fine = widths[0]
        pairs = list(zip((*widths[1:], widths[-1]), widths, strict=True))
        self.cond_layer = nn.ModuleList(ResidualBlock(h + c, h, groups) for h, c in pairs)
        self.weight_cond_layer = nn.ModuleList(ResidualBlock(h + c, h, groups) for h, c in pairs)
        self.pixel_cond_layer = ResidualBlock(fine + first, fine, groups)
        self.pixel_weight_cond_layer = ResidualBlock(fine + first, fine, groups)
        self.blend_in_cond_layer = nn.Conv2d(9, fine, 7, padding=3)
        self.blend_res_cond_layer = ResidualBlock(fine, fine, groups)
        self.blend_out_cond_layer = nn.Sequential(nn.Conv2d(fine, fine, 3, padding=1), nn.ReLU(), nn.Conv2d(fine, 3, 1))
        self._close()

    @torch.no_grad()
    def _close(self) -> None:
        gates: list[Any] = [*self.weight_cond_layer, self.pixel_weight_cond_layer]
        for gate in gates:
            gate.nin_shortcut.weight.zero_()
            gate.nin_shortcut.bias.fill_(_CLOSED)
            gate.conv2.weight.zero_()
            gate.conv2.bias.zero_()
        last: Any = self.blend_out_cond_layer[-1]
        last.weight.zero_()
        last.bias.fill_(-_CLOSED)

    def mix(self, level: int, h: Float[Tensor, "N C H W"], seen: Float[Tensor, "N D H W"]) -> Float[Tensor, "N C H W"]:
        """The decoder's features before a level (0 the finest) with the encoder's of that level."""
        return _gated(self.weight_cond_layer[level], self.cond_layer[level], h, seen)

    def mix_pixels(self, h: Float[Tensor, "N C H W"], seen: Float[Tensor, "N D H W"]) -> Float[Tensor, "N C H W"]:
        """The decoder's last features with those of the encoder's first convolution."""
        return _gated(self.pixel_weight_cond_layer, self.pixel_cond_layer, h, seen)

    def mask(self, picture: Float[Tensor, "N 3 H W"], render: Float[Tensor, "N 3 H W"]) -> Float[Tensor, "N 3 H W"]:
        """How far each value of the picture is to be preferred to the render's."""
        x = self.blend_in_cond_layer(torch.cat([picture, render, (picture - render).abs()], 1))
        x = self.blend_out_cond_layer(self.blend_res_cond_layer(x))
        return torch.sigmoid(x)


def _gated(gate: nn.Module, mixture: nn.Module, h: Tensor, seen: Tensor) -> Tensor:
    both = torch.cat([h, seen], 1)
    w = torch.sigmoid(gate(both))
    result: Tensor = w * mixture(both) + (1 - w) * h
    return result
