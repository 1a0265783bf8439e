"""Steps the quantised formats share: unit quaternions, smallest-three, whole numbers for fractions, opacities."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from unseen.core.gaussians import Gaussians

_OPACITY_EPS = 1e-6  # keeps the logit of opacities 0 and 1 finite
_OTHERS = np.array([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]])


def ready(gaussians: Gaussians) -> Gaussians:
    """What can be quantised: float32 on the CPU, without the Gaussians that hold NaN or infinity."""
    return gaussians.detach().to("cpu", torch.float32).finite()


def unit_quaternions(quats: Float[Tensor, "N 4"]) -> Float[Tensor, "N 4"]:
    """Quaternions of unit length, however short or long they were; the identity (w first) for those of length zero."""
    q = quats.double()
    largest = q.abs().amax(1, keepdim=True)
    identity = q.new_tensor([1.0, 0, 0, 0]).expand_as(q)
    q = torch.where(largest > 0, q / largest.clamp_min(torch.finfo(torch.float64).tiny), identity)
    return (q / q.norm(dim=1, keepdim=True)).to(quats.dtype)


def logits(opacities: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Opacities in [0, 1] before the sigmoid; 0 and 1 become logits of -13.8 and 13.8."""
    return torch.logit(opacities, eps=_OPACITY_EPS)


def to_levels(fractions: NDArray[np.floating[Any]], bits: int) -> NDArray[np.uint32]:
    """Fractions of [0, 1] as the nearest of 2^bits whole numbers; what lies outside is clamped."""
    top = (1 << bits) - 1
    return np.rint(np.clip(fractions.astype(np.float64), 0, 1) * top).astype(np.uint32)


def from_levels(levels: NDArray[np.integer[Any]], bits: int) -> NDArray[np.float64]:
    """Inverse of `to_levels`; bits above the lowest `bits` are ignored."""
    top = (1 << bits) - 1
    return (levels & top) / top


def split_smallest_three(
    quats: Float[NDArray, "N 4"],
) -> tuple[Int[NDArray, "N"], Float[NDArray, "N 3"]]:
    """Index of the component of largest magnitude of unit quaternions, and the three others in order, in [-1, 1]
    after division by their greatest possible magnitude sqrt(1/2); signs are those that make the largest positive."""
    largest = np.abs(quats).argmax(1)
    signs = np.where(np.take_along_axis(quats, largest[:, None], 1) < 0, -1.0, 1.0)
    return largest, np.take_along_axis(quats * signs, _OTHERS[largest], 1) * math.sqrt(2)


def join_smallest_three(largest: Int[NDArray, "N"], others: Float[NDArray, "N 3"]) -> Float[NDArray, "N 4"]:
    """Unit quaternions from what `split_smallest_three` gives, in the same order of components."""
    three = others / math.sqrt(2)
    quats = np.empty((len(three), 4))
    np.put_along_axis(quats, _OTHERS[largest], three, 1)
    fourth = np.sqrt(np.clip(1 - (three**2).sum(1), 0, None))
    np.put_along_axis(quats, largest[:, None], fourth[:, None], 1)
    return quats
