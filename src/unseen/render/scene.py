"""Pictures of Gaussians, without gradients."""

from __future__ import annotations

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
