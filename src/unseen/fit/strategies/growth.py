"""Cloning, splitting and pruning of splats (Kerbl et al. 2023, section 5)."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import normalize

from unseen.core.rotations import quaternion_to_matrix
from unseen.fit.config import FitConfig
from unseen.fit.splats import SplatOptimizer

SHRINK = 1.6
"""Children of a split are smaller by this factor."""
SPLIT_EXTENT = 0.01
"""Splats larger than this share of the scene's extent are split, smaller ones cloned."""
ABSGRAD_FACTOR = 4.0


def refine(
    splats: SplatOptimizer, keep: Bool[Tensor, "N"], config: FitConfig, extent: float, generator: torch.Generator
) -> None:
    """Drop what is not to `keep`, and clone or split what has large screen-space gradients, the largest first where
    not all have room."""
    threshold = config.gradient_threshold * (ABSGRAD_FACTOR if config.absgrad else 1.0)
    hot = keep & hottest(splats.mean_gradient(), threshold, config.max_splats - int(keep.sum()))
    split = hot & (splats.tensors["log_scales"].detach().amax(-1).exp() > SPLIT_EXTENT * extent)
    clone_and_split(splats, keep, hot & ~split, split, generator)


def hottest(mean_gradient: Float[Tensor, "N"], threshold: float, room: int) -> Bool[Tensor, "N"]:
    """The splats whose screen-space gradient exceeds the threshold; of too many, those with the largest."""
    hot = mean_gradient > threshold
    if int(hot.sum()) > room:
        largest = mean_gradient.topk(max(room, 0)).indices
        hot &= torch.zeros_like(hot).index_fill_(0, largest, True)
    return hot


def clone_and_split(
    splats: SplatOptimizer,
    keep: Bool[Tensor, "N"],
    clone: Bool[Tensor, "N"],
    split: Bool[Tensor, "N"],
    generator: torch.Generator,
) -> None:
    """Drop what is not to `keep`, double what is to `clone`, and replace what is to `split` by two smaller splats drawn
    from it. A split splat's `keep` does not matter; a clone must be kept."""
    staying, cloned, halves = (torch.nonzero(m)[:, 0] for m in (keep & ~split, clone, split))
    rows = torch.cat([staying, cloned, halves.repeat(2)])
    place = torch.arange(len(rows), device=rows.device)
    children = place >= len(staying) + len(cloned)
    changes = {}
    if len(halves):
        means, log_scales = (splats.tensors[n].detach()[rows].clone() for n in ("means", "log_scales"))
        noise = torch.randn(2 * len(halves), 3, generator=generator).to(means) * log_scales[children].exp()
        turn = quaternion_to_matrix(normalize(splats.tensors["quats"].detach()[rows[children]], dim=-1))
        means[children] += (turn @ noise[..., None])[..., 0]
        log_scales[children] -= math.log(SHRINK)
        changes = {"means": means, "log_scales": log_scales}
    splats.reindex(rows, place >= len(staying), changes)
