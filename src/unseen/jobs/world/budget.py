"""Fewer Gaussians: what is too faint goes, what is near is merged, and what that costs is measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from unseen.core.camera import Camera
from unseen.core.gaussians import Gaussians
from unseen.fit.metrics import psnr
from unseen.jobs.world.merging import merged
from unseen.jobs.world.paths import near_plane
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
    centre, near = centers.mean(0), near_plane(cameras)
    fewer = merged(gaussians, budget, centre, float((centers - centre).norm(dim=1).max()))
    views = [[view_gaussians(g, camera, near_plane=near).image for g in (fewer, gaussians)] for camera in cameras]
    losses = [float(psnr(*pair)) for pair in views]
    return fewer, {"before": len(gaussians), "after": len(fewer), "psnr_db": losses}
