"""Square views of a posed head that frame it alike, whatever camera filmed it: what a multi-view prior sees and makes.

The middle of such a view is a point inside the head that moves with the neck joint; its side spans `SPAN_M` there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from unseen.core.camera import Camera
from unseen.fit.targets import over
from unseen.head.model import HeadModel
from unseen.head.params import HeadParams
from unseen.render.mesh import normal_map, rasterize_mesh

SPAN_M = 0.40
"""What a view's side spans at the middle of the head: hair and collar with a head of 0.24 m."""
BEHIND_EYES_M, BELOW_EYES_M = 0.06, 0.03
"""Middle of the view from the middle of the eyes' joints, in the head's axes."""
DISTANCE_M = 1.1
"""Of a virtual camera from the middle of the head."""


@dataclass(frozen=True)
class HeadPlace:
    """Where a posed head is.

    Attributes:
        center: middle of its views in the world, metres, [3].
        facing: unit world direction the face looks to, [3].
    """

    center: Float[Tensor, "3"]
    facing: Float[Tensor, "3"]

    @classmethod
    def of(cls, model: HeadModel, frame: HeadParams) -> HeadPlace:
        """Place of the head in one frame of parameters (T = 1)."""
        with torch.no_grad():
            out = model.forward(frame)
        turn = out.joint_rotations[0, 1]
        eyes = out.joints[0, 3:5].mean(0)
        return cls(eyes + turn @ torch.tensor([0.0, -BELOW_EYES_M, -BEHIND_EYES_M]), turn[:, 2])

    def camera(self, yaw_deg: float, pitch_deg: float, size: int, distance_m: float = DISTANCE_M) -> Camera:
        """Camera on a sphere around the head. Yaw 0 looks along the world's -Z, at a face that looks to +Z, and grows
        toward +X; a positive pitch looks down. `size` is the image's side in pixels."""
        eye = self.center + distance_m * torch.tensor(_outward(yaw_deg, pitch_deg))
        return Camera.look_at(eye, self.center, size, size, focal_px=size * distance_m / SPAN_M)

    @property
    def facing_deg(self) -> float:
        """Yaw of a `camera` that looks straight at the face."""
        return _yaw_deg(self.facing)

    def yaw_to(self, camera: Camera) -> float:
        """Degrees by which `camera` is off the face's direction, about the world's vertical, within [-180, 180]."""
        return math.remainder(_yaw_deg(camera.center - self.center) - self.facing_deg, 360.0)

    def pose(self, camera: Camera) -> Float[Tensor, "4 4"]:
        """Where `camera` is relative to the face, as priors that camera poses steer take it: camera-to-world of one on
        the unit sphere about the head, the face's direction its yaw 0, looking at the middle."""
        toward = camera.center - self.center
        return sphere_pose(self.yaw_to(camera), math.degrees(math.asin(float(toward[1] / toward.norm()))))

    def crop(self, camera: Camera, size: int) -> Camera:
        """The part of a camera's image that frames this head, at `size` x `size` pixels; it may reach beyond it."""
        (x, y), depth = camera.project(self.center)
        across = camera.K[0, 0] * SPAN_M / depth
        K = camera.K.clone()
        K[0, 2], K[1, 2] = K[0, 2] - (x - across / 2), K[1, 2] - (y - across / 2)
        scale = size / across
        K[:2] *= scale
        return Camera(camera.world_to_camera, K, size, size)


def sphere_pose(yaw_deg: float, pitch_deg: float) -> Float[Tensor, "4 4"]:
    """Camera-to-world pose on the unit sphere about the origin, looking at it; angles as for `HeadPlace.camera`."""
    eye = _outward(yaw_deg, pitch_deg)
    return Camera.look_at(eye, (0.0, 0.0, 0.0), 2, 2, focal_px=1.0).camera_to_world


def _outward(yaw_deg: float, pitch_deg: float) -> tuple[float, float, float]:
    yaw, pitch = math.radians(yaw_deg), math.radians(pitch_deg)
    return math.sin(yaw) * math.cos(pitch), math.sin(pitch), math.cos(yaw) * math.cos(pitch)


def _yaw_deg(direction: Float[Tensor, "3"]) -> float:
    return math.degrees(math.atan2(float(direction[0]), float(direction[2])))


def cropped(
    image: UInt8[np.ndarray, "H W 3"], alpha: UInt8[np.ndarray, "H W"], source: Camera, crop: Camera
) -> Float[Tensor, "S S 3"]:
    """Picture of `source` over white, resampled to `crop`, a camera at the same place with the same axes; white beyond
    its edges. Where pixels shrink, they are averaged."""
    white = over(image, alpha, torch.ones(3)).permute(2, 0, 1)[None]
    scale = crop.K[0, 0] / source.K[0, 0]
    side = max(1, math.ceil(1 / float(scale) - 0.01))
    fine = crop.resized(crop.width * side, crop.height * side)
    step = fine.K[0, 0] / source.K[0, 0]
    x = (torch.arange(fine.width) + 0.5 - fine.K[0, 2]) / step + source.K[0, 2]
    y = (torch.arange(fine.height) + 0.5 - fine.K[1, 2]) / step + source.K[1, 2]
    grid_y, grid_x = torch.meshgrid(2 * y / source.height - 1, 2 * x / source.width - 1, indexing="ij")
    sampled = torch.nn.functional.grid_sample(1 - white, torch.stack([grid_x, grid_y], -1)[None], align_corners=False)
    return (1 - torch.nn.functional.avg_pool2d(sampled, side))[0].permute(1, 2, 0).clamp(0, 1)


def normal_images(
    model: HeadModel, vertices: Float[Tensor, "V 3"], cameras: Sequence[Camera]
) -> Float[Tensor, "C S S 3"]:
    """Normals of the posed mesh in each camera's axes (OpenCV), mapped from [-1, 1] to [0, 1]; 0.5 off the mesh. The
    mean of 2 x 2 samples per pixel."""
    vertices, faces = vertices.detach().cpu(), model.faces.cpu()
    maps = []
    for camera in cameras:
        fine = camera.resized(2 * camera.width, 2 * camera.height)
        normals = normal_map(rasterize_mesh(vertices, faces, fine), vertices, faces, camera=fine)
        maps.append(torch.nn.functional.avg_pool2d(normals.permute(2, 0, 1), 2).permute(1, 2, 0))
    return (torch.stack(maps) + 1) / 2
