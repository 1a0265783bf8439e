"""Densification of splats bound to triangles, in local space.

It follows 3D Gaussian splatting (Kerbl et al. 2023, section 5) as GaussianAvatars applies it: children inherit the
parent triangle, and the last splat of a triangle is never pruned: what is rarely seen stays alive.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from unseen.fit.splats import SplatOptimizer
from unseen.fit.strategies.growth import clone_and_split, hottest


@dataclass(frozen=True)
class DensifyConfig:
    """When and how splats are added and removed."""

    every: int = 300
    """Iterations between two densifications."""
    start: int = 500
    """First iteration that may densify."""
    stop: int = 5000
    """Last iteration that may densify."""
    gradient_threshold: float = 2e-4
    """Mean screen-space gradient (in normalised device coordinates) above which a splat is cloned or split."""
    split_extent: float = 0.01
    """Splats larger than this share of the scene's extent are split, smaller ones cloned."""
    min_opacity: float = 0.005
    """Splats fainter than this are pruned."""
    max_splats: int = 60_000
    """No splats are added beyond this number."""


def densify(
    splats: SplatOptimizer,
    face_size: Float[Tensor, "F"],
    extent: float,
    config: DensifyConfig,
    generator: torch.Generator,
) -> tuple[int, int]:
    """Clone, split and prune by the accumulated statistics; returns how many were added and removed.

    Args:
        face_size: k of each triangle in metres: local lengths times k are metres.
        extent: radius of the scene in metres, from the mesh (a static camera says nothing about it).
    """
    binding = splats.attached["binding"]
    hot = hottest(splats.mean_gradient(), config.gradient_threshold, config.max_splats - len(splats))
    largest = splats.tensors["log_scales"].detach().amax(-1).exp() * face_size[binding]
    split = hot & (largest > config.split_extent * extent)
    faint = splats.opacities < config.min_opacity
    keep = _keep_one_per_face(binding, ~faint, len(face_size)) | hot
    before = len(splats)
    clone_and_split(splats, keep, hot & ~split, split, generator)
    return int(hot.sum()), before - int(keep.sum())


def _keep_one_per_face(binding: Int[Tensor, "N"], keep: Bool[Tensor, "N"], num_faces: int) -> Bool[Tensor, "N"]:
    """`keep`, plus the first splat of every triangle that would otherwise lose its last one."""
    survivors = torch.bincount(binding[keep], minlength=num_faces)
    orphan = torch.nonzero(survivors[binding] == 0)[:, 0]
    first = binding.new_full((num_faces,), len(binding)).scatter_reduce_(0, binding[orphan], orphan, "amin")
    out = keep.clone()
    out[first[first < len(binding)]] = True
    return out
