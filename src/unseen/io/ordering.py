"""Orders in which Gaussians are stored: neighbours in space together, or the most visible first."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from unseen.core.gaussians import Gaussians

_BITS_PER_AXIS = 21  # three axes fill 63 bits


def spatial_order(means: Float[Tensor, "N 3"]) -> Int[Tensor, "N"]:
    """Indices along the Z-order (Morton) curve through the bounding box: what follows each other lies together.

    Formats that store ranges or textures compress better in this order. Ties keep their order.
    """
    if not len(means):
        return torch.zeros(0, dtype=torch.int64)
    points = means.double()
    low, high = points.amin(0), points.amax(0)
    cells = (points - low) / (high - low).clamp_min(torch.finfo(torch.float64).tiny) * ((1 << _BITS_PER_AXIS) - 1)
    codes = np.zeros(len(means), np.uint64)
    for axis, column in enumerate(cells.numpy().astype(np.uint64).T):
        codes |= _spread(column) << np.uint64(axis)
    return torch.from_numpy(np.argsort(codes, kind="stable"))


def by_visibility(gaussians: Gaussians) -> Int[Tensor, "N"]:
    """Indices by falling opacity times the area of the two larger extents: what can be left out last."""
    area = gaussians.log_scales.sort(1).values[:, 1:].sum(1)
    weight = area + torch.nn.functional.logsigmoid(gaussians.logit_opacities)
    return torch.argsort(weight, descending=True, stable=True)


def _spread(values: np.ndarray) -> np.ndarray:
    """Two empty bits between each of the lowest 21 bits."""
    for shift, mask in (
        (32, 0x1F00000000FFFF), (16, 0x1F0000FF0000FF), (8, 0x100F00F00F00F00F),
        (4, 0x10C30C30C30C30C3), (2, 0x1249249249249249),
    ):  # fmt: skip
        values = (values | values << np.uint64(shift)) & np.uint64(mask)
    return values
