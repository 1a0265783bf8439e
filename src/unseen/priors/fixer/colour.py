"""Giving a repaired picture the colours of the render it comes from: a fixer must not change the light.

Two ways: equal mean and deviation of each channel (adaptive instance normalisation, Huang and Belongie 2017), or the
render's low frequencies under the picture's own details (a stationary wavelet transform with the kernel 1 2 1, as
StableSR does). Both are the published ones where every pixel counts the same. From a whole render they would bring back
what was repaired, holes and blots above all: `fix_colours` counts pixels the less the more they were changed.

Pictures are [N, H, W, 3]; what comes out is not clamped.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import conv2d, pad

from unseen.core.errors import InputError, ShapeError

ColourFix = Literal["wavelet", "adain", "none"]

_EPS = 1e-5
_LEVELS = 5
_REPAIRED = 0.1
"""Change of colour beyond which a place was repaired, not recoloured: weights fall to 1/e there."""
_SURROUNDINGS = 3
"""Levels that the change is smoothed over: 7 pixels to each side."""
_LEAST = 0.01
"""Weight that a neighbourhood must have to be corrected by half of what it says."""


def fix_colours(
    images: Float[Tensor, "N H W 3"], renders: Float[Tensor, "N H W 3"], how: ColourFix = "wavelet"
) -> Float[Tensor, "N H W 3"]:
    """Repaired pictures with the colours of their renders, but for what was repaired.

    Args:
        images: repaired.
        renders: they were made from.
        how: `wavelet` follows the render's colours from place to place, `adain` as a whole, `none` keeps the picture's.

    Raises:
        InputError: another way.
        ShapeError: renders of another size.
    """
    if how == "none":
        return images
    if how not in ("adain", "wavelet"):
        raise InputError(f"no colour fix {how!r}: expected wavelet, adain or none")
    if images.shape != renders.shape:
        raise ShapeError(f"pictures have shape {tuple(images.shape)}, their renders {tuple(renders.shape)}")
    weights = kept(images, renders)
    return (match_statistics if how == "adain" else match_low_frequencies)(images, renders, weights)


def kept(images: Float[Tensor, "N H W 3"], renders: Float[Tensor, "N H W 3"]) -> Float[Tensor, "N H W 1"]:
    """How far the surroundings of pixels show the same as before, in [0, 1]; details do not matter."""
    change = split_frequencies(images - renders, _SURROUNDINGS)[1].abs().mean(-1, keepdim=True)
    return torch.exp(-((change / _REPAIRED) ** 2))


def match_statistics(
    images: Float[Tensor, "N H W 3"], style: Float[Tensor, "N h w 3"], weights: Float[Tensor, "N H W 1"] | None = None
) -> Float[Tensor, "N H W 3"]:
    """Pictures with mean and standard deviation of each channel taken from others, of any size without `weights`."""
    mean, deviation = statistics(images, weights)
    wanted_mean, wanted_deviation = statistics(style, weights)
    return (images - mean) / deviation * wanted_deviation + wanted_mean


def statistics(
    images: Float[Tensor, "N H W 3"], weights: Float[Tensor, "N H W 1"] | None = None
) -> tuple[Float[Tensor, "N 1 1 3"], Float[Tensor, "N 1 1 3"]]:
    """Mean and standard deviation of each channel; that of a constant is not quite zero."""
    if weights is None:
        mean, variance = images.mean((1, 2), keepdim=True), images.var((1, 2), keepdim=True)
    else:
        share = weights + _EPS
        share = share / share.sum((1, 2), keepdim=True)
        mean = (share * images).sum((1, 2), keepdim=True)
        variance = (share * (images - mean).square()).sum((1, 2), keepdim=True)
    return mean, (variance + _EPS).sqrt()


def match_low_frequencies(
    images: Float[Tensor, "N H W 3"], style: Float[Tensor, "N H W 3"], weights: Float[Tensor, "N H W 1"] | None = None
) -> Float[Tensor, "N H W 3"]:
    """Details of pictures over the low frequencies of others of the same size; with `weights`, over those of their
    weighted difference, which is nothing where all weights are."""
    if weights is None:
        return split_frequencies(images)[0] + split_frequencies(style)[1]
    _, shift = split_frequencies(weights * (style - images))
    _, total = split_frequencies(weights)
    return images + shift / (total + _LEAST)


def split_frequencies(
    images: Float[Tensor, "N H W 3"], levels: int = _LEVELS
) -> tuple[Float[Tensor, "N H W 3"], Float[Tensor, "N H W 3"]]:
    """Details and what is left, which add up to the pictures. Each level is twice as coarse as the one before."""
    low, details = images, torch.zeros_like(images)
    for level in range(levels):
        coarser = blurred(low, 2**level)
        details = details + (low - coarser)
        low = coarser
    return details, low


def blurred(images: Float[Tensor, "N H W 3"], radius: int) -> Float[Tensor, "N H W 3"]:
    """Pictures under the kernel 1/4 1/2 1/4, its taps `radius` pixels apart, along both axes; borders are repeated."""
    kernel = images.new_tensor([0.25, 0.5, 0.25])
    weight = torch.outer(kernel, kernel).expand(images.shape[3], 1, 3, 3)
    planes = pad(images.permute(0, 3, 1, 2), (radius,) * 4, mode="replicate")
    return conv2d(planes, weight, groups=images.shape[3], dilation=radius).permute(0, 2, 3, 1)
