"""Target images of a training step: a frame over a background, by its matte."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numba import njit, prange
from torch import Tensor


def over(
    image: UInt8[np.ndarray, "H W 3"], alpha: UInt8[np.ndarray, "H W"], background: Float[Tensor, "3"]
) -> Float[Tensor, "H W 3"]:
    """`image` over a constant `background` with coverage `alpha`, float32 in [0, 1]; one pass over the pixels."""
    out = np.empty(image.shape, np.float32)
    _over(image, alpha, background.detach().cpu().float().numpy(), out)
    return torch.from_numpy(out)


@njit(parallel=True, cache=True)
def _over(image, alpha, background, out):
    scale = np.float32(1 / 255)
    for y in prange(image.shape[0]):
        for x in range(image.shape[1]):
            a = np.float32(alpha[y, x]) * scale
            for c in range(3):
                out[y, x, c] = a * (np.float32(image[y, x, c]) * scale) + (np.float32(1) - a) * background[c]
