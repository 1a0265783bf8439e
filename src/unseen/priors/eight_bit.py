"""Weights of linear and convolutional layers in eight bits: integers or floats with a scale per output channel."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from unseen.core.errors import InputError, NonFiniteError

Kind = Literal["int8", "fp8"]
_LARGEST = {"int8": 127.0, "fp8": torch.finfo(torch.float8_e4m3fn).max}
SENSITIVE = r"(^|\.)(time_embedding|class_embedding|conv_in|conv_out)(\.|$)"
"""Names of layers that keep their weights: few parameters, and every pixel or step depends on them."""

NATIVE_FROM = (8, 9)
"""Compute capability from which GPUs multiply fp8."""


def store_in_eight_bits(network: nn.Module, kind: Kind, keep: str = SENSITIVE, native: bool = True) -> int:
    """Swap the Linear and Conv2d layers inside `network`, in place, for ones that hold their weights in eight bits and
    widen them when used: a quarter of the memory of float32, at the cost of widening in each call. For inference.

    The state dict holds `codes` and `scale` in place of each `weight`; to load one, swap first.

    Args:
        network: with floating-point weights.
        kind: int8 (evenly spaced codes: error at most 1/254 of the channel's largest weight), or fp8 (float8_e4m3fn:
            error at most 1/16 of the weight itself, and of tiny ones 2^-10 / 448 of the channel's largest).
        keep: regular expression searched in names of layers; those found stay as they are.
        native: where a GPU multiplies fp8 itself (compute capability 8.9 and up), let it, with inputs in fp8 too, a
            scale per row: faster, at the cost of their rounding. Elsewhere weights are widened.

    Returns:
        Number of layers swapped.

    Raises:
        InputError: an unknown kind.
        NonFiniteError: a weight that is NaN or infinite.
    """
    if kind not in get_args(Kind):
        raise InputError(f"unknown eight-bit storage {kind!r}: expected {' or '.join(get_args(Kind))}")
    swapped = 0
    for name, parent in list(network.named_modules()):
        for child_name, child in list(parent.named_children()):
            path = f"{name}.{child_name}".lstrip(".")
            if type(child) in _SWAPS and not re.search(keep, path):
                made = _SWAPS[type(child)](child, kind, path)
                made.native = native
                setattr(parent, child_name, made)
                swapped += 1
    return swapped


def encode(weight: Float[Tensor, "O ..."], kind: Kind) -> tuple[Tensor, Float[Tensor, "O"]]:
    """Codes of a weight's shape, one byte each (fp8: its bits, as uint8), and the scale of each output channel."""
    largest = weight.detach().float().flatten(1).abs().amax(1)
    scale = (largest / _LARGEST[kind]).clamp_min(torch.finfo(torch.float32).tiny)
    scaled = weight.detach().float() / _per_channel(scale, weight.dim())
    if kind == "int8":
        return scaled.round().clamp(-127, 127).to(torch.int8), scale
    return scaled.clamp(-_LARGEST[kind], _LARGEST[kind]).to(torch.float8_e4m3fn).view(torch.uint8), scale


def decode(codes: Tensor, scale: Float[Tensor, "O"], dtype: torch.dtype) -> Float[Tensor, "O ..."]:
    """Weights from what `encode` made, in `dtype`; the product is rounded once."""
    values = codes if codes.dtype == torch.int8 else codes.view(torch.float8_e4m3fn)
    wide = torch.promote_types(dtype, torch.float32)
    return (values.to(wide) * _per_channel(scale, codes.dim()).to(wide)).to(dtype)


def multiplies_fp8(device: torch.device) -> bool:
    """Whether a device has matrix products of fp8."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= NATIVE_FROM


def fp8_linear(
    x: Float[Tensor, "*batch I"], codes: Tensor, scale: Float[Tensor, "O"], bias: Float[Tensor, "O"] | None
) -> Float[Tensor, "*batch O"]:
    """A linear layer whose product is of fp8 numbers: the weight's, as `encode` made them, and the input's, each row
    scaled to its largest. I and O must be divisible by 16."""
    rows = x.reshape(-1, x.shape[-1])
    largest = rows.abs().amax(1, keepdim=True).float()
    row_scale = (largest / _LARGEST["fp8"]).clamp_min(torch.finfo(torch.float32).tiny)
    inputs = (rows.float() / row_scale).to(torch.float8_e4m3fn)
    one = torch.ones((), device=x.device)
    product = torch._scaled_mm(
        inputs, codes.view(torch.float8_e4m3fn).t(), scale_a=one, scale_b=one, out_dtype=torch.bfloat16
    )
    out = product.float() * row_scale * scale
    out = out if bias is None else out + bias.float()
    return out.to(x.dtype).unflatten(0, x.shape[:-1])


def _per_channel(scale: Tensor, dims: int) -> Tensor:
    return scale.reshape(-1, *[1] * (dims - 1))


class _EightBit(nn.Module):
    """Weights in eight bits. `codes` are integers to torch, so that casting the network leaves them alone."""

    codes: Tensor
    scale: Tensor
    bias: Tensor | None
    native = True

    def __init__(self, layer: nn.Linear | nn.Conv2d, kind: Kind, name: str) -> None:
        super().__init__()
        if not layer.weight.isfinite().all():
            raise NonFiniteError(f"the weight of {name} holds NaN or infinity: it cannot be stored in eight bits")
        codes, scale = encode(layer.weight, kind)
        self.register_buffer("codes", codes)
        self.register_buffer("scale", scale)
        self.bias = layer.bias
        self.kind, self.dtype = kind, layer.weight.dtype

    @property
    def weight(self) -> Tensor:
        """The weight, widened to the layer's dtype: other code may look at it."""
        return decode(self.codes, self.scale, self.dtype)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        """Moves all; a cast changes what weights are widened to, while scales stay in float32."""
        scale = self.scale
        super()._apply(fn, recurse)
        self.dtype = fn(torch.zeros(0, dtype=self.dtype, device=scale.device)).dtype
        self.scale = scale.to(self.codes.device)
        return self

    def extra_repr(self) -> str:
        return f"{tuple(self.codes.shape)}, {self.kind}"


class EightBitLinear(_EightBit):
    """nn.Linear with its weight in eight bits."""

    def __init__(self, layer: nn.Linear, kind: Kind, name: str = "layer") -> None:
        super().__init__(layer, kind, name)
        self.in_features, self.out_features = layer.in_features, layer.out_features

    def forward(self, x: Float[Tensor, "... I"]) -> Float[Tensor, "... O"]:
        even = self.in_features % 16 == self.out_features % 16 == 0
        if self.native and self.kind == "fp8" and even and multiplies_fp8(x.device) and not x.requires_grad:
            return fp8_linear(x, self.codes, self.scale, self.bias)
        return F.linear(x, self.weight, self.bias)


class EightBitConv2d(_EightBit):
    """nn.Conv2d with its weight in eight bits."""

    def __init__(self, layer: nn.Conv2d, kind: Kind, name: str = "layer") -> None:
        super().__init__(layer, kind, name)
        if layer.padding_mode != "zeros":
            raise InputError(f"{name} pads with {layer.padding_mode}: only zeros can be stored in eight bits")
        self.in_channels, self.out_channels, self.kernel_size = layer.in_channels, layer.out_channels, layer.kernel_size
        self.stride, self.padding, self.dilation, self.groups = (
            layer.stride,
            layer.padding,
            layer.dilation,
            layer.groups,
        )

    def forward(self, x: Float[Tensor, "N I H W"]) -> Float[Tensor, "N O h w"]:
        return F.conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


_SWAPS: dict[type[nn.Module], type[Any]] = {nn.Linear: EightBitLinear, nn.Conv2d: EightBitConv2d}
