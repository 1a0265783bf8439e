"""Leaving out of a fitted scene what no photo shows."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor

from unseen.core.camera import Camera
from unseen.core.gaussians import Gaussians
from unseen.render import rasterization

LEAST_WEIGHT = 1e-3
"""In pixels, over all photos."""


def weight_in(splats: Gaussians, cameras: Iterable[Camera], antialiased: bool) -> Float[Tensor, "N"]:
    """Per splat the sum over all cameras and pixels of its share of the colour, in pixels.

    It is the gradient of the sum of the pictures with respect to the splat's colour.
    """
    total = torch.zeros(len(splats), device=splats.means.device)
    tensors = splats.means, splats.quats, splats.scales, splats.opacities
    for camera in cameras:
        value = torch.zeros(len(splats), 1, device=splats.means.device, requires_grad=True)
        render, _, _ = rasterization(
            *tensors, value, camera.world_to_camera[None].to(value), camera.K[None].to(value), camera.width,
            camera.height, rasterize_mode="antialiased" if antialiased else "classic",
        )  # fmt: skip
        render.sum().backward()
        assert value.grad is not None
        total += value.grad[:, 0]
    return total


def without_unseen(splats: Gaussians, cameras: Iterable[Camera], antialiased: bool) -> Gaussians:
    """The splats that at least one camera shows."""
    return splats.select(weight_in(splats, cameras, antialiased) >= LEAST_WEIGHT)
