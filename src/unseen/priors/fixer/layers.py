"""Layers of the VQ-VAE, named as in its published weights, which are those of LDM's autoencoder."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad, scaled_dot_product_attention, silu

_EPS = 1e-6


def group_norm(groups: int, channels: int) -> nn.GroupNorm:
    """As all norms of the VQ-VAE are."""
    return nn.GroupNorm(groups, channels, eps=_EPS)


class ResidualBlock(nn.Module):
    """Two convolutions beside a shortcut, which is a 1 x 1 convolution where the widths differ.

    Args:
        wide, width: channels of what comes in and goes out.
        groups: of the group norms.
    """

    def __init__(self, wide: int, width: int, groups: int) -> None:
        super().__init__()
        self.norm1 = group_norm(groups, wide)
        self.conv1 = nn.Conv2d(wide, width, 3, padding=1)
        self.norm2 = group_norm(groups, width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        if wide != width:
            self.nin_shortcut = nn.Conv2d(wide, width, 1)

    def forward(self, x: Float[Tensor, "N wide H W"]) -> Float[Tensor, "N width H W"]:
        y = self.conv1(silu(self.norm1(x)))
        y = self.conv2(silu(self.norm2(y)))
        shortcut = self.nin_shortcut(x) if hasattr(self, "nin_shortcut") else x
        result: Tensor = shortcut + y
        return result


class PixelAttention(nn.Module):
    """Attention of one head over all pixels, added to what comes in.

    Args:
        width: channels.
        groups: of the group norm.
    """

    def __init__(self, width: int, groups: int) -> None:
        super().__init__()
        self.norm = group_norm(groups, width)
        self.qkv = nn.Conv2d(width, 3 * width, 1)
        self.proj_out = nn.Conv2d(width, width, 1)

    def forward(self, x: Float[Tensor, "N C H W"]) -> Float[Tensor, "N C H W"]:
        q, k, v = self.qkv(self.norm(x)).flatten(2).transpose(1, 2)[:, None].chunk(3, -1)
        seen = scaled_dot_product_attention(q, k, v)[:, 0]
        result: Tensor = x + self.proj_out(seen.transpose(1, 2).unflatten(2, x.shape[2:]))
        return result


class Downsample(nn.Module):
    """Halves the sides."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, stride=2)

    def forward(self, x: Float[Tensor, "N C H W"]) -> Float[Tensor, "N C H/2 W/2"]:
        result: Tensor = self.conv(pad(x, (0, 1, 0, 1)))
        return result


class Upsample(nn.Module):
    """Doubles the sides."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Float[Tensor, "N C H W"]) -> Float[Tensor, "N C 2H 2W"]:
        result: Tensor = self.conv(interpolate(x, scale_factor=2.0, mode="nearest"))
        return result


class Middle(nn.Module):
    """What stands between the levels and the latents, at their size."""

    def __init__(self, width: int, groups: int) -> None:
        super().__init__()
        self.block_1 = ResidualBlock(width, width, groups)
        self.attn_1 = PixelAttention(width, groups)
        self.block_2 = ResidualBlock(width, width, groups)

    def forward(self, x: Float[Tensor, "N C h w"]) -> Float[Tensor, "N C h w"]:
        result: Tensor = self.block_2(self.attn_1(self.block_1(x)))
        return result


class Level(nn.Module):
    """The blocks of one size of picture, each followed by attention at the coarsest.

    Args:
        wide, width: channels of what comes in and goes out.
        blocks: how many.
        groups: of the group norms.
        attend: whether there is attention.
    """

    def __init__(self, wide: int, width: int, blocks: int, groups: int, attend: bool) -> None:
        super().__init__()
        self.block = nn.ModuleList(ResidualBlock(wide if k == 0 else width, width, groups) for k in range(blocks))
        self.attn = nn.ModuleList(PixelAttention(width, groups) for _ in range(blocks if attend else 0))

    def forward(self, x: Float[Tensor, "N wide H W"]) -> Float[Tensor, "N width H W"]:
        for k, block in enumerate(self.block):
            x = block(x)
            if self.attn:
                x = self.attn[k](x)
        return x
