"""Where a fit starts: splats at points, as large as their neighbours are far."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from scipy.spatial import KDTree
from torch import Tensor

from unseen.core.camera import Camera
from unseen.core.errors import InputError
from unseen.core.gaussians import Gaussians
from unseen.core.sh import num_coefficients, rgb_to_sh0

NEIGHBOURS = 3


def splats_at_points(
    points: Float[Tensor, "N 3"], colors: Float[Tensor, "N 3"], sh_degree: int, opacity: float, size: float
) -> Gaussians:
    """Round splats whose standard deviation is `size` times the root mean square distance of the 3 nearest points.

    Where these are in the same place, the median of the others' stands in.

    Raises:
        InputError: fewer than 4 points.
    """
    if len(points) <= NEIGHBOURS:
        raise InputError(f"{len(points)} points to start from: expected at least {NEIGHBOURS + 1}")
    positions = points.double().cpu().numpy()
    distances = KDTree(positions).query(positions, NEIGHBOURS + 1)[0][:, 1:]
    mean = torch.from_numpy((distances**2).mean(1) ** 0.5).float()
    apart = mean[mean > 0]
    mean = torch.where(mean > 0, mean, apart.median() if len(apart) else torch.tensor(1.0))
    log_scales = (size * mean).clamp_min(1e-6).log()[:, None].expand(-1, 3)
    n = len(points)
    quats = torch.zeros(n, 4)
    quats[:, 0] = 1
    return Gaussians(
        means=points.float().clone(),
        quats=quats,
        log_scales=log_scales.clone(),
        logit_opacities=torch.logit(torch.full((n,), opacity)),
        sh0=rgb_to_sh0(colors.float().clamp(0, 1)),
        shN=torch.zeros(n, num_coefficients(sh_degree) - 1, 3),
    )


def far_points(cameras: Sequence[Camera], n: int, distance: float, generator: torch.Generator) -> Float[Tensor, "M 3"]:
    """At most n points on a sphere around the cameras, evenly spread (a Fibonacci lattice), where a photo looks.

    Args:
        cameras: of the photos.
        n: points on the whole sphere.
        distance: its radius.
        generator: turns the lattice.
    """
    center = torch.stack([camera.center for camera in cameras]).mean(0)
    i = torch.arange(n, dtype=torch.float64)
    turn = 2 * math.pi * (i * (math.sqrt(5) - 1) / 2 + float(torch.rand(1, generator=generator)))
    y = 1 - 2 * (i + 0.5) / n
    ring = (1 - y * y).sqrt()
    points = center + distance * torch.stack([ring * turn.cos(), y, ring * turn.sin()], 1).float()
    seen = torch.zeros(n, dtype=torch.bool)
    for camera in cameras:
        pixels, depth = camera.project(points)
        inside = (pixels >= 0) & (pixels < torch.tensor([camera.width, camera.height]))
        seen |= inside.all(1) & (depth > 0)
    return points[seen]


def random_points(
    n: int, extent: float, generator: torch.Generator
) -> tuple[Float[Tensor, "N 3"], Float[Tensor, "N 3"]]:
    """Points in the cube [-extent, extent]^3 and their colours."""
    return extent * (2 * torch.rand(n, 3, generator=generator) - 1), torch.rand(n, 3, generator=generator)
