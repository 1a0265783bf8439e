"""Video networks on single frames: causal convolutions reduced to the one tap that sees the frame."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor, nn


class FrameConv(nn.Conv2d):
    """A causal 3D convolution on one frame: 2D, with the last temporal tap."""

    def forward(self, x: Float[Tensor, "B I 1 H W"], cache_x: Tensor | None = None) -> Float[Tensor, "B O 1 h w"]:
        """`cache_x`, earlier frames, is there for diffusers' signature and always None."""
        return super().forward(x[:, :, 0])[:, :, None]


def reduce_to_frames(network: nn.Module) -> nn.Module:
    """Swap the causal convolutions inside one of diffusers' Wan networks, in place, for `FrameConv`s.

    On clips of one frame the result is the same: the other taps see padding, and what joins frames is not run. A third
    of the weights of the convolutions is left. Call the network's encoder or decoder without a cache.
    """
    from diffusers.models.autoencoders.autoencoder_kl_wan import WanCausalConv3d

    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if name == "time_conv":
                delattr(module, name)
            elif isinstance(child, WanCausalConv3d):
                setattr(module, name, _frame_conv(child))
    return network


def last_taps(tensor: Tensor) -> Tensor:
    """A weight as `reduce_to_frames` keeps it: of a 3D convolution's the last temporal tap, others as they are."""
    return tensor[:, :, -1] if tensor.ndim == 5 else tensor


def _frame_conv(conv: Any) -> FrameConv:
    rows, columns = conv._padding[2], conv._padding[0]
    weight = last_taps(conv.weight.data)
    made = FrameConv(
        conv.in_channels, conv.out_channels, conv.kernel_size[1:], conv.stride[1:], (rows, columns),
        device=weight.device, dtype=weight.dtype,
    )  # fmt: skip
    made.weight, made.bias = nn.Parameter(weight.clone()), conv.bias
    return made
