"""Fewer Gaussians: what is too faint goes, what is near is merged, and what that costs is measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from unseen.core.camera import Camera
from unseen.core.errors import InputError
from unseen.core.gaussians import Gaussians
from unseen.fit.metrics import psnr
from unseen.jobs.world.merging import merged
from unseen.render.scene import view_gaussians


def without_faint(gaussians: Gaussians, least_opacity: float) -> Gaussians:
    """The finite Gaussians with at least that opacity."""
    found = gaussians.finite()
    return found.select(found.opacities >= least_opacity)


def within_budget(
    gaussians: Gaussians, budget: int, cameras: Sequence[Camera]
) -> tuple[Gaussians, dict[str, Any] | None]:  # fmt: skip
    """At most `budget` Gaussians (see `merging.merged`), and what it cost: None where there were few enough.

    Args:
        gaussians: on the CPU.
        budget: 0 for no limit.
        cameras: by whose views the loss is measured.

    Returns:
        the Gaussians; `before` and `after` (how many), `psnr_db` of each view against the one before.
    """
    if not budget or len(gaussians) <= budget:
        return gaussians, None
    centers = torch.stack([camera.center for camera in cameras]).to(gaussians.means)
    centre = centers.mean(0)
    fewer = merged(gaussians, budget, centre, float((centers - centre).norm(dim=1).max()))
    losses = [
        float(psnr(view_gaussians(fewer, camera).image, view_gaussians(gaussians, camera).image)) for camera in cameras
    ]
    return fewer, {"before": len(gaussians), "after": len(fewer), "psnr_db": losses}


def mean_psnr(images: Sequence[Float[Tensor, "H W 3"]], targets: Sequence[Float[Tensor, "H W 3"]]) -> float:
    """Mean over images of their PSNR in dB.

    Raises:
        InputError: no image.
    """
    if not images:
        raise InputError("no view to compare: expected at least one")
    return float(sum(float(psnr(a, b)) for a, b in zip(images, targets, strict=True)) / len(images))
