"""Target images of a training step: a photo over a background by its matte, and photos at half size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numba import njit, prange
from torch import Tensor

from unseen.io.photoset import Picture


def over(
    image: UInt8[np.ndarray, "H W 3"], alpha: UInt8[np.ndarray, "H W"] | None, background: Float[Tensor, "3"]
) -> Float[Tensor, "H W 3"]:
    """`image` over a constant `background` with coverage `alpha` (None: everywhere), float32 in [0, 1]; one pass over
    the pixels."""
    out = np.empty(image.shape, np.float32)
    if alpha is None:
        np.multiply(image, np.float32(1 / 255), out=out)
    else:
        _over(image, alpha, background.detach().cpu().float().numpy(), out)
    return torch.from_numpy(out)


def halved(picture: Picture) -> Picture:
    """The picture at half size: 2 x 2 pixels become their mean; an odd last row or column is left out.

    Depth keeps the nearest of the four that is known.
    """
    height, width = (n // 2 for n in picture.image.shape[:2])
    if min(height, width) < 1:
        return picture
    camera = replace(picture.camera, K=picture.camera.K.clone(), width=width, height=height)
    camera.K[:2] /= 2
    depth = picture.depth
    if depth is not None:
        known = np.where(depth > 0, depth, np.inf)[: 2 * height, : 2 * width]
        nearest = known.reshape(height, 2, width, 2).min((1, 3))
        depth = np.where(np.isfinite(nearest), nearest, 0).astype(np.float32)
    means = (None if x is None else _mean_of_four(x, height, width) for x in (picture.mask, picture.alpha))
    mask, alpha = means
    return Picture(_mean_of_four(picture.image, height, width), mask, alpha, depth, camera)


def _mean_of_four(values: UInt8[np.ndarray, "H W ..."], height: int, width: int) -> UInt8[np.ndarray, "h w ..."]:
    kept = values[: 2 * height, : 2 * width].astype(np.uint16)
    corners = kept[::2, ::2] + kept[1::2, ::2] + kept[::2, 1::2] + kept[1::2, 1::2]
    return ((corners + 2) // 4).astype(np.uint8)


@njit(parallel=True, cache=True)
def _over(image, alpha, background, out):
    scale = np.float32(1 / 255)
    for y in prange(image.shape[0]):
        for x in range(image.shape[1]):
            a = np.float32(alpha[y, x]) * scale
            for c in range(3):
                out[y, x, c] = a * (np.float32(image[y, x, c]) * scale) + (np.float32(1) - a) * background[c]
