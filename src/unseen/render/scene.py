"""Pictures of Gaussians, without gradients."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from unseen.core.camera import Camera
from unseen.core.gaussians import Gaussians
from unseen.render.rasterize import rasterization


def render_gaussians(splats: Gaussians, camera: Camera, background: float = 1.0) -> Float[Tensor, "H W 3"]:
    """Image of some splats on a grey level, clamped to [0, 1], without gradients."""
    with torch.no_grad():
        coloured = {"colors": splats.sh, "sh_degree": splats.sh_degree} if splats.sh_degree else {"colors": splats.rgb}
        image, _, _ = rasterization(
            splats.means, splats.quats, splats.scales, splats.opacities, viewmats=camera.world_to_camera[None],
            Ks=camera.K[None], width=camera.width, height=camera.height,
            backgrounds=splats.means.new_full((1, 3), background), **coloured,
        )  # fmt: skip
    return image[0].clamp(0, 1)


class View(NamedTuple):
    """What a camera sees of some splats.

    Attributes:
        image: on the background, clamped to [0, 1], [H, W, 3].
        depth: expected depth along the camera's z axis in world units, 0 where nothing is, [H, W].
        alpha: coverage, [H, W].
    """

    image: Float[Tensor, "H W 3"]
    depth: Float[Tensor, "H W"]
    alpha: Float[Tensor, "H W"]


def view_gaussians(
    splats: Gaussians, camera: Camera, background: float = 1.0, near_plane: float = 0.01, antialiased: bool = False
) -> View:  # fmt: skip
    """Image, depth and coverage of some splats, without gradients, where the splats are."""
    camera = camera.to(splats.means.device, splats.means.dtype)
    with torch.no_grad():
        render, alpha, _ = rasterization(
            splats.means, splats.quats, splats.scales, splats.opacities, splats.sh, camera.world_to_camera[None],
            camera.K[None], camera.width, camera.height, sh_degree=splats.sh_degree, render_mode="RGB+ED",
            backgrounds=splats.means.new_full((1, 3), background), near_plane=near_plane,
            rasterize_mode="antialiased" if antialiased else "classic",
        )  # fmt: skip
    return View(render[0, ..., :3].clamp(0, 1), render[0, ..., 3], alpha[0, ..., 0])
