"""An avatar that takes no fit."""

from dataclasses import replace

import torch

from unseen.core.camera import Camera
from unseen.core.gaussians import Gaussians
from unseen.head.avatar import Avatar
from unseen.head.params import HeadParams
from unseen.head.procedural import procedural_head


def turning_avatar(fps: float, num_frames: int = 5) -> Avatar:
    """The built-in head, a grey splat on every triangle, turning."""
    model = procedural_head()
    params = HeadParams.zeros(model, num_frames)
    rotation = params.rotation.clone()
    rotation[:, 1] = torch.linspace(-0.4, 0.4, num_frames)
    faces = len(model.faces)
    local = Gaussians.from_rgb(
        means=torch.zeros(faces, 3),
        scales=torch.full((faces, 3), 0.4),
        quats=torch.tensor([[1.0, 0, 0, 0]]).repeat(faces, 1),
        opacities=torch.full((faces,), 0.9),
        rgb=torch.full((faces, 3), 0.6),
    )
    camera = Camera.look_at([0, 0, 1.2], [0, 0, 0], 64, 64, fov_y_rad=0.5)
    return Avatar(model, local, torch.arange(faces), replace(params, rotation=rotation), camera, fps)
